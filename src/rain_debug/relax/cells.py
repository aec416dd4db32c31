"""What a program is asked for: the plain value between the query's front and the lowering."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rain_debug.relax.target import TargetKind
from rain_debug.sql import Expr

INFINITE = "of what is infinite or NaN in some row cannot be complained about"
NULLIF = "write the denominator as nullif(…, 0): the row then counts as NULL"


@dataclass(frozen=True)
class Wanted:
    """One target: `kind` of the place numbered `place`; `expr` is the output's expression, `value` that of `is`."""

    kind: TargetKind
    place: int
    expr: Expr | None
    value: Any = None
