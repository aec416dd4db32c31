"""What others register is known to the whole process: every test, and every example in a docstring, takes it back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from rain_debug.models.adapt import ADAPTERS
from rain_debug.rankers import BLIND, OPTIONS, RANKERS
from rain_debug.relax import functions
from rain_debug.relax.ops import EXACT, FORWARD, GRADIENT

KNOWN: tuple[Any, ...] = (RANKERS, OPTIONS, ADAPTERS, FORWARD, EXACT, GRADIENT, functions._REGISTERED, BLIND)


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """What a test registers is gone after it."""
    before = [known.copy() for known in KNOWN]
    yield
    for known, was in zip(KNOWN, before, strict=True):
        if known != was:
            known.clear()
            known.update(was)
