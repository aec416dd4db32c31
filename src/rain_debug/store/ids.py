"""Names of runs: by time, and not to be guessed; nothing else is ever a part of a path."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime

from rain_debug.errors import DeskError

ID = re.compile(r"[0-9]{8}T[0-9]{9}-[0-9a-f]{12}", re.ASCII)
"""A moment to the millisecond, and 48 random bits."""


def new_id() -> str:
    """A name that no other run has; later ones sort behind earlier ones.

    >>> bool(ID.fullmatch(new_id()))
    True
    """
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}"[:-3] + f"-{secrets.token_hex(6)}"


def checked(run: str) -> str:
    """`run` itself where it could be a run's name; DeskError for anything else.

    >>> checked("../secrets")
    Traceback (most recent call last):
        ...
    rain_debug.errors.DeskError: there is no run '../secrets'
      try:   a run's name stands in the list of runs
    """
    if not isinstance(run, str) or not ID.fullmatch(run):
        raise unknown(str(run))
    return run


def unknown(run: str) -> DeskError:
    """That there is no run of that name."""
    shown = run if len(run) <= 60 else f"{run[:59]}…"
    return DeskError(f"there is no run {shown!r}", hint="a run's name stands in the list of runs")
