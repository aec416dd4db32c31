"""What others register is known to the whole process: every test, and every example in a docstring, takes it back."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest


@cache
def known() -> tuple[Any, ...]:
    """The sets and dictionaries that are registered in; looked up in the processes that run tests alone."""
    from rain_debug.models.adapt import ADAPTERS
    from rain_debug.rankers import BLIND, OPTIONS, RANKERS
    from rain_debug.relax import functions
    from rain_debug.relax.ops import EXACT, FORWARD, GRADIENT

    return RANKERS, OPTIONS, ADAPTERS, FORWARD, EXACT, GRADIENT, functions._REGISTERED, BLIND


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """What a test registers is gone after it."""
    before = [kept.copy() for kept in known()]
    yield
    for kept, was in zip(known(), before, strict=True):
        if kept != was:
            kept.clear()
            kept.update(was)
