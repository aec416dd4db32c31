"""Sums over a training set that several processes share out among them: each adds up its records, then all of them do.

A pass is a map over blocks and a sum (`threads.total`). Where the blocks lie in several processes, every one of them
runs the same program on its own share and only the sums meet: what follows from a sum is then the same everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

import numpy as np


class Meeting(Protocol):
    """Where the sums of all shares are added up; every process asks for the same sums in the same order."""

    def known(self) -> np.ndarray | None:
        """The next sum over all shares if it was found before, so that no record has to be read for it."""

    def meet(self, own: np.ndarray) -> np.ndarray:
        """This share's sum → the sum over all shares, the same in every process to the last bit."""


_meeting: ContextVar[Meeting | None] = ContextVar("meeting", default=None)


@contextmanager
def shared(meeting: Meeting) -> Iterator[None]:
    """Within it the records at hand are one share of a training set."""
    token = _meeting.set(meeting)
    try:
        yield
    finally:
        _meeting.reset(token)


def known() -> np.ndarray | None:
    """The sum that comes next, where an earlier attempt found it."""
    meeting = _meeting.get()
    return None if meeting is None else meeting.known()


def met(own: np.ndarray) -> np.ndarray:
    """The sum over all shares; what was given, where all records are at hand.

    >>> met(np.array([1.0, 2.0])).tolist()
    [1.0, 2.0]
    """
    meeting = _meeting.get()
    if meeting is None:
        return own
    found = meeting.known()
    return meeting.meet(own) if found is None else found
