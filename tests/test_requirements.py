"""What an installation brings along: NumPy 1.26 to 2.x, and nothing that would replace the PyTorch that is there."""

from __future__ import annotations

import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = tomllib.loads((Path(__file__).resolve().parents[1] / "pyproject.toml").read_text())["project"]
EXTRAS = {"": PROJECT["dependencies"], **PROJECT["optional-dependencies"]}


def brought(requirements: list[str]) -> dict[str, str]:
    """Everything that is installed with these, by what requires it; distributions that are not here count by name."""
    found: dict[str, str] = {}
    ahead = [(Requirement(r), "rain-debug") for r in requirements]
    while ahead:
        wanted, by = ahead.pop()
        name = canonicalize_name(wanted.name)
        if name in found and not wanted.extras:
            continue
        found[name] = by
        try:
            needs = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        for text in needs:
            need = Requirement(text)
            extras = wanted.extras or {""}
            if need.marker is None or any(need.marker.evaluate({"extra": e}) for e in extras):
                if canonicalize_name(need.name) not in found:
                    ahead.append((need, name))
    return found


@pytest.mark.parametrize("extra", EXTRAS)
def test_nothing_requires_torchvision(extra: str) -> None:
    """Where there is a small PyTorch for CPUs, torchvision's own would take its place, with gigabytes for GPUs."""
    found = brought(EXTRAS[extra])
    assert {canonicalize_name(Requirement(r).name) for r in EXTRAS[extra]} <= set(found)
    assert "torchvision" not in found, f"{found['torchvision']} requires it"


@pytest.mark.parametrize("version", ["1.26.0", "2.0.0", "2.4.6"])
def test_numpy_from_1_26_on_is_allowed(version: str) -> None:
    (numpy,) = (Requirement(r) for r in PROJECT["dependencies"] if r.startswith("numpy"))
    assert numpy.specifier.contains(version)
