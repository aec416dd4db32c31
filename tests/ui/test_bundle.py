"""The module that ships is what its source makes: built again it has the same bytes, and it carries its licences."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rain_debug.view.page import STATIC

MOST = 1_300_000
REGISTRY = ("ENOTFOUND", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "EAI_AGAIN", "network")


def environment() -> dict[str, str]:
    """With this environment's own programs first: node may come from PyPI."""
    return os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def packages(root: Path, folder: Path) -> Path:
    """The source beside the packages of its lock file: those installed by `make ui`, or freshly fetched ones."""
    source = root / "ui"
    copy = shutil.copytree(source, folder / "ui", ignore=shutil.ignore_patterns("node_modules"))
    made = source / "node_modules" / ".made"
    if made.is_file() and made.stat().st_mtime >= (source / "package-lock.json").stat().st_mtime:
        (copy / "node_modules").symlink_to(source / "node_modules")
        return copy
    npm = shutil.which("npm", path=environment()["PATH"])
    assert npm, "the page's module cannot be rebuilt without npm: make ui fetches it"
    done = subprocess.run(
        [npm, "ci", "--no-audit", "--no-fund"], cwd=copy, env=environment(), capture_output=True, text=True
    )
    if done.returncode and any(word in done.stderr for word in REGISTRY):
        pytest.skip(f"THE BUNDLE WAS NOT REBUILT: the npm registry cannot be reached\n{done.stderr[-500:]}")
    assert done.returncode == 0, done.stderr
    return copy


def test_built_again_it_has_the_same_bytes(root: Path, tmp_path: Path) -> None:
    copy = packages(root, tmp_path)
    command = ["node", "build.mjs", str(tmp_path / "out")]
    built = subprocess.run(command, cwd=copy, env=environment(), capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    for name in ("rain.js", "LICENSES.txt"):
        same = (tmp_path / "out" / name).read_bytes() == (STATIC / name).read_bytes()
        assert same, f"src/rain_debug/view/static/{name} is not what ui/src makes: run `make ui` and commit it"


def test_it_is_small_and_can_stand_in_a_page() -> None:
    code = (STATIC / "rain.js").read_bytes()
    assert len(code) < MOST
    assert b"</script" not in code.lower()


def test_what_is_bundled_ships_its_licence(root: Path) -> None:
    text = (STATIC / "LICENSES.txt").read_text()
    for name in ("preact", "vega-lite", "vega-view", "vega-interpreter", "@codemirror/view", "@lezer/lr", "d3-scale"):
        found = re.search(
            rf"^{re.escape(name)} \d[\d.]* \((MIT|BSD-3-Clause|ISC)\)\n\n(.{{200,}}?)(\n-{{80}}|\Z)", text, re.M | re.S
        )
        assert found, f"{name} ships without its licence"
