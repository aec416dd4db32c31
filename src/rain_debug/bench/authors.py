"""What the authors measured, as they published it: figures' own data, else the number printed in the text."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any


@dataclass(frozen=True)
class Published:
    """AUCCR, mean over the authors' `runs`; where they are known, its population standard deviation and recall at K."""

    auccr: float
    std: float | None = None
    recall: float | None = None
    runs: int = 4


def published(case: str, ranker: str) -> Published | None:
    """The authors' figure for a case and a ranker; None where there is none.

    >>> published("dblp 50%", "holistic")
    Published(auccr=0.987, std=0.026, recall=0.909, runs=4)
    >>> published("dblp 50%", "random")
    """
    found = _all().get(case, {}).get(ranker)
    return Published(**found) if found else None


def cases() -> tuple[str, ...]:
    """The names of all cases that the authors have a figure for."""
    return tuple(_all())


@functools.cache
def _all() -> dict[str, dict[str, dict[str, Any]]]:
    found: dict[str, dict[str, dict[str, Any]]] = json.loads(
        files("rain_debug.bench").joinpath("authors.json").read_text(encoding="utf-8")
    )
    return found
