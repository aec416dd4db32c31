"""What an installation brings along: its weight, its pins, its entry point."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
CORE_LIMIT_MB = 300
NAME = re.compile(r"^[A-Za-z0-9._-]+")


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return found


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def closure(requirements: list[str]) -> set[str]:
    """The installed distributions that these need, directly or not, extras aside."""
    found: set[str] = set()
    waiting = [m[0] for r in requirements if "extra ==" not in r and (m := NAME.match(r))]
    while waiting:
        name = normal(waiting.pop())
        if name in found:
            continue
        try:
            needs = distribution(name).requires or []
        except PackageNotFoundError:
            continue  # wanted on other platforms only
        found.add(name)
        waiting += [m[0] for r in needs if "extra ==" not in r and (m := NAME.match(r))]
    return found


def test_core_is_light(project: dict[str, Any]) -> None:
    """Installed files without the bytecode that Python caches for itself, in MB of 10^6 bytes."""
    size = 0
    for name in closure(project["dependencies"]):
        for file in distribution(name).files or []:
            path = Path(str(file.locate()))
            if path.suffix != ".pyc" and path.is_file():
                size += path.stat().st_size
    assert 100e6 < size <= CORE_LIMIT_MB * 1e6, f"{size / 1e6:.0f} MB"


def test_what_the_tests_run_with_is_pinned(project: dict[str, Any]) -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[^\s;]+", pin) for pin in pins)
    pinned = {normal(pin.split("==")[0]) for pin in pins}
    extras = project["optional-dependencies"]
    assert closure([*project["dependencies"], *extras["test"], *extras["docs"]]) <= pinned
    assert "torch" in pinned


def test_the_command_is_rain(project: dict[str, Any]) -> None:
    assert project["scripts"] == {"rain": "rain_debug.cli:main"}
    assert {"torch", "postgres", "spark", "ui", "notebook", "test", "docs"} <= set(project["optional-dependencies"])


def test_every_chore_is_one_word() -> None:
    chores = re.findall(r"^([^\s:.$#]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert {"help", "demo", "test", "lint", "bench", "docs", "clean"} <= set(chores)
    assert all(re.fullmatch("[a-z]+", chore) for chore in chores)
