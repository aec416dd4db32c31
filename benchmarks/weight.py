"""What Rain weighs: CPU seconds of its import and of `rain --help`, and the size of a core install.

python benchmarks/weight.py [--check]
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import protocol

import rain_debug

COMMANDS = {
    "bare python": ["-c", "pass"],
    "import": ["-c", "import rain_debug"],
    "help": ["-m", "rain_debug", "--help"],
}


def cpu_seconds(arguments: list[str], repeats: int = 5) -> float:
    """The least CPU seconds, user and system, of a few runs of python with these arguments."""
    spent = []
    for _ in range(repeats):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, env=os.environ)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(spent)


def core() -> list[str]:
    """The distributions that a core install brings along, by walking the requirements without extras."""
    text = (Path(__file__).resolve().parent.parent / "pyproject.toml").read_text(encoding="utf-8")
    listed = re.search(r"^dependencies = \[(.*?)^\]", text, re.DOTALL | re.MULTILINE)
    assert listed is not None
    waiting = re.findall(r'"([A-Za-z0-9_.-]+)', listed[1])
    found: list[str] = []
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        if name in found:
            continue
        found.append(name)
        for needed in importlib.metadata.requires(name) or []:
            if "extra ==" not in needed and _holds(needed):
                match = re.match(r"[A-Za-z0-9_.-]+", needed)
                assert match is not None
                waiting.append(match[0])
    return sorted(found)


def _holds(requirement: str) -> bool:
    """Whether its distribution is here: what a marker rules out on this platform is not."""
    match = re.match(r"[A-Za-z0-9_.-]+", requirement)
    try:
        return bool(match and importlib.metadata.distribution(match[0]))
    except importlib.metadata.PackageNotFoundError:
        return False


def size(name: str) -> int:
    """Bytes of a distribution's files, without the bytecode that Python caches for itself."""
    files = [Path(str(f.locate())) for f in importlib.metadata.files(name) or []]
    return sum(path.stat().st_size for path in files if path.suffix != ".pyc" and path.is_file())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="exit 1 where a claim does not hold")
    parser.add_argument("--quick", action="store_true", help="one run of each")
    parser.add_argument("--out", type=Path, default=protocol.RESULTS)
    options = parser.parse_args()
    seconds = {name: cpu_seconds(command, 1 if options.quick else 5) for name, command in COMMANDS.items()}
    sizes = {name: size(name) for name in core()}
    own = Path(rain_debug.__file__).parent
    sizes["rain-debug"] = sum(p.stat().st_size for p in own.rglob("*") if p.suffix != ".pyc" and p.is_file())
    total = sum(sizes.values())
    print(__doc__.split("\n")[0] + "\n")
    for name, value in seconds.items():
        print(f"{name:<20}{value:>8.3f} CPU s")
    for name, value in sorted(sizes.items(), key=lambda item: -item[1]):
        print(f"{name:<20}{value / 1e6:>8.1f} MB")
    print(f"{'together':<20}{total / 1e6:>8.1f} MB")
    claims = [
        (f"import rain_debug {seconds['import']:.3f} CPU s ≤ 0.5", seconds["import"] <= 0.5),
        (f"rain --help {seconds['help']:.3f} CPU s ≤ 0.5", seconds["help"] <= 0.5),
        (f"core install {total / 1e6:.0f} MB ≤ 300", total <= 300e6),
    ]
    protocol.write(options.out, "weight", {"cpu_seconds": seconds, "bytes": sizes, "total": total})
    return protocol.verdict(claims, check=options.check)


if __name__ == "__main__":
    sys.exit(main())
