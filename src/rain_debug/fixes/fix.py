"""The kinds of fixes, and which of them go with which ranker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from rain_debug.engines.table import Table
from rain_debug.errors import DebugError, nearest
from rain_debug.rankers import BLIND
from rain_debug.relax.target import literal

Kind = Literal["delete", "relabel", "repair"]
Fixing: TypeAlias = "Literal['delete', 'relabel', 'auto'] | Callable[[Table], Any]"
"""What a run may do to a record; a function repairs it."""

FIXES = ("delete", "relabel", "auto")
"""The fixes that have a name."""
SHOWN = 3
"""Repaired values that a fix names."""


@dataclass(frozen=True)
class Fix:
    """What becomes of one record: `to` is its new label, or the (column, value) pairs that a repair changes.

    >>> Fix().text, Fix("relabel", "yes").text, Fix("repair", (("age", 41.0), ("city", None))).text
    ('delete', "relabel to 'yes'", 'repair: age = 41, city = NULL')
    """

    kind: Kind = "delete"
    to: Any = None

    @property
    def text(self) -> str:
        """The fix in words."""
        if self.kind == "delete":
            return "delete"
        if self.kind == "relabel":
            return f"relabel to {literal(self.to)}"
        named = ", ".join(f"{column} = {literal(value)}" for column, value in self.to[:SHOWN])
        return f"repair: {named}{', …' if len(self.to) > SHOWN else ''}"


DELETE = Fix()


def name_of(fixing: Fixing) -> str:
    """A fix's name: that of its function where it is one.

    >>> name_of("relabel"), name_of(len)
    ('relabel', 'len')
    """
    return str(getattr(fixing, "__name__", type(fixing).__name__)) if callable(fixing) else fixing


def check_fixing(fixing: Any, ranker: str) -> None:
    """Raises DebugError for a fix that there is not, and for a ranker that scores deletions alone."""
    if not callable(fixing) and fixing not in FIXES:
        raise DebugError(
            f"there is no fix {fixing!r}",
            hint=f"{nearest(str(fixing), FIXES)}; or a function from a Table of records to one with repaired values",
        )
    if fixing != "delete" and ranker in BLIND:
        raise DebugError(
            f"ranker '{ranker}' tells which records to delete, not what fix={name_of(fixing)!r} would bring",
            hint="rankers that look at the complaints can: ranker='holistic'",
        )
