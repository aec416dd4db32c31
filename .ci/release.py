"""`make release`: what would be uploaded, made and looked at: `python .ci/release.py [--offline]`, from the checkout.

The wheel and the source archive go to dist/. Each step ends the release where it finds something: the wheel is built
twice and compared, installed into an environment of its own and tried; every licence in there is one that may be
passed on; no version in there has a known hole; the page's bundle is what its source makes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
EXTRAS = "ui,models,postgres,notebook"
"""Installed beside the core for the licences and the audit; PyTorch and Spark bring their own notices along."""
EPOCH = "1767225600"
"""The time that archives say their files were made: the same bytes every time."""
LICENCES = (
    "MIT", "BSD", "Apache", "Apache Software License", "ISC", "Python Software Foundation License", "PSF-2.0",
    "Mozilla Public License 2.0", "MPL-2.0", "The Unlicense", "Zlib", "CC0",
)  # fmt: skip
"""Of what is installed with Rain; each may be passed on with it, and asks at most for a notice."""
READ = {"skops": "MIT License"}
"""Of packages whose metadata do not say it: how their licence file begins."""
IN_WHEEL = (
    "rain_debug/py.typed", "rain_debug/view/static/rain.js", "rain_debug/view/static/LICENSES.txt",
    "rain_debug/engines/reader.py", "licenses/LICENSE",
)  # fmt: skip
IN_SOURCE = ("pyproject.toml", "LICENSE", "README.md", "Makefile", "constraints.txt", "src", "tests", "docs", "ui")


class Refused(Exception):
    """Why nothing may be released."""


def run(*command: str | Path, **settings: Any) -> str:
    """What a command prints; Refused where it fails."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, cwd=ROOT, **settings)
    if done.returncode:
        raise Refused(f"{' '.join(str(c) for c in command[:6])}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def clean() -> str:
    """The tree is what is committed: what is released can be found again."""
    changed = run("git", "status", "--porcelain", "--untracked-files=no").splitlines()
    if changed:
        raise Refused(f"{len(changed)} files are not as they were committed: {changed[0].strip()}, …")
    return run("git", "rev-parse", "--short", "HEAD").strip()


def build() -> str:
    """The wheel and the source archive; the wheel twice, with the same bytes, and all in them that belongs there."""
    made = {**os.environ, "SOURCE_DATE_EPOCH": EPOCH}
    for old in DIST.glob("rain_debug-*"):
        old.unlink()
    with tempfile.TemporaryDirectory() as folder:
        tree, again = Path(folder) / "tree", Path(folder) / "again"
        run("git", "archive", "--output", f"{folder}/tree.tar", "HEAD")  # what is committed, and nothing beside it
        with tarfile.open(f"{folder}/tree.tar") as held:
            held.extractall(tree, filter="data")
        run(sys.executable, "-m", "build", "--outdir", DIST, tree, env=made)
        wheel, source = next(DIST.glob("*.whl")), next(DIST.glob("*.tar.gz"))
        run(sys.executable, "-m", "build", "--wheel", "--outdir", again, tree, env=made)
        if next(again.glob("*.whl")).read_bytes() != wheel.read_bytes():
            raise Refused("the wheel, built again, has other bytes")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    missing = [n for n in IN_WHEEL if not any(name.endswith(n) for name in names)]
    strange = [n for n in names if not n.startswith(("rain_debug/", "rain_debug-")) or n.endswith(".pyc")]
    with tarfile.open(source) as held:
        inside = {name.split("/")[1] for name in held.getnames() if "/" in name}
    missing += [n for n in IN_SOURCE if n not in inside]
    if missing or strange:
        raise Refused(f"missing in the archives: {missing}; not to be in the wheel: {strange[:5]}")
    sums = [f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.name}" for p in (wheel, source)]
    (DIST / "SHA256SUMS").write_text("\n".join(sums) + "\n")
    return f"{wheel.name}, {wheel.stat().st_size:,} bytes; {source.name}, {source.stat().st_size:,} bytes"


def install(home: Path) -> str:
    """The wheel alone runs the shop's story."""
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    wheel = next(DIST.glob("*.whl"))
    run(python, "-m", "pip", "install", "--quiet", "--constraint", "constraints.txt", wheel)
    told = run(home / "bin" / "rain", "--version").strip()
    story = json.loads(run(home / "bin" / "rain", "demo", "--json", "--quiet"))
    run(python, "-m", "pip", "install", "--quiet", "--constraint", "constraints.txt", f"{wheel}[{EXTRAS}]")
    run(python, "-m", "pip", "check")
    return f"{told}; the shop's story: {story.get('summary') or story.get('stopped') or 'told'}"


def licences(home: Path) -> str:
    """Each licence is among `LICENCES`."""
    for name, begins in READ.items():
        text = next(home.glob(f"lib/python*/site-packages/{name}-*.dist-info/licenses/LICENSE")).read_text()
        if not text.startswith(begins):
            raise Refused(f"the licence of {name} is not the one that was read: {text[:80]}")
    known = ("rain-debug", "pip", "setuptools", *READ)
    shown = run(
        sys.executable, "-m", "piplicenses", f"--python={home / 'bin' / 'python'}", "--from=mixed", "--format=json",
        "--partial-match", f"--allow-only={';'.join(LICENCES)}", "--ignore-packages", *known,
    )  # fmt: skip
    return f"{len(json.loads(shown)) + len(READ)} distributions"


def audit(home: Path) -> str:
    """No version that is installed has a known hole, by the Python Packaging Advisory Database."""
    found = next((home / "lib").glob("python*/site-packages"))
    shown = run(
        sys.executable, "-m", "pip_audit", "--path", found, "--format=json", "--progress-spinner=off", "--skip-editable"
    )
    told = json.loads(shown)["dependencies"]
    skipped = [d["name"] for d in told if "skip_reason" in d and d["name"] != "rain-debug"]
    if skipped:
        raise Refused(
            f"{len(skipped)} of {len(told)} versions could not be looked up, {skipped[0]} the first: known holes are "
            "told by PyPI alone, so pip's index has to be its own; --offline looks at all else, and makes no release"
        )
    return f"{len(told)} distributions, nothing known"


def bundle() -> str:
    """The page's module, built again, has the bytes that the wheel carries."""
    said = run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/ui/test_bundle.py")
    if "skipped" in said:
        raise Refused(said[-500:])
    return said.strip().splitlines()[-1]


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--offline", action="store_true", help="without the audit, which asks a registry: no release")
    asked.add_argument("--dirty", action="store_true", help="with changes that are not committed: no release")
    given = asked.parse_args()
    with tempfile.TemporaryDirectory(prefix="rain-release-") as folder:
        home = Path(folder) / "venv"
        steps: list[tuple[str, Callable[[], str]]] = [] if given.dirty else [("tree", clean)]
        steps += [("bundle", bundle), ("build", build), ("install", lambda: install(home))]
        steps += [("licences", lambda: licences(home))]
        steps += [] if given.offline else [("audit", lambda: audit(home))]
        for name, step in steps:
            try:
                print(f"{name}: {step()}", flush=True)
            except Refused as why:
                print(f"{name}: NO RELEASE\n{why}", file=sys.stderr)
                return 1
    if given.offline or given.dirty:
        print("looked at, and no release: that is made without --offline and --dirty")
    return 0


if __name__ == "__main__":
    sys.exit(main())
