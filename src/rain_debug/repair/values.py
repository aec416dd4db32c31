"""What an operation of a program is while it is read: one-hot rows, or numbers as linear forms."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from rain_debug.errors import RepairError
from rain_debug.repair.forms import Array, Forms
from rain_debug.repair.logic import Logic

ELSE = "use ranker='holistic', which needs no linear form"


@dataclass(frozen=True, eq=False)
class OneHot:
    """The classes of one variable a row, (n, C): `variable` (n,), times `weight` (n or 1, C) where there is one."""

    variable: Array
    size: int
    weight: Array | None = None


@dataclass(frozen=True, eq=False)
class Number:
    """n numbers (n · `width` where they are a table): `top` / `below`, defined where each of `needs` is above 0.

    `truth` holds where they are 0 or 1 in every world; `unit` is the step to which they are rounded in the end.
    """

    top: Forms
    width: int = 0
    below: Forms | None = None
    needs: tuple[Forms, ...] = ()
    truth: bool = False
    unit: float | None = None

    @property
    def n(self) -> int:
        """How many rows."""
        return self.top.n // max(1, self.width)

    @property
    def linear(self) -> bool:
        """True where it is a form, with nothing that may be NULL."""
        return self.below is None and not self.needs and self.unit is None


Value = OneHot | Number


def refuse(what: str, hint: str = ELSE) -> RepairError:
    return RepairError(f"{what} is not linear in the predictions, so no smallest repair can be computed", hint=hint)


def as_number(logic: Logic, x: Value) -> Number:
    """One-hot rows as a table of forms."""
    if isinstance(x, Number):
        return x
    first = logic.variables.first[x.variable]
    forms = Forms.columns((first[:, None] + np.arange(x.size)).reshape(-1))
    if x.weight is not None:
        forms = forms.times(np.broadcast_to(x.weight, (len(first), x.size)).reshape(-1))
    return Number(forms, x.size)


def taken(x: Number, rows: Array) -> Number:
    if x.width:
        rows = (rows[:, None] * x.width + np.arange(x.width)).reshape(-1)
    below = None if x.below is None else x.below.gather(rows)
    return replace(x, top=x.top.gather(rows), below=below, needs=tuple(f.gather(rows) for f in x.needs))


def apart(x: Number, positions: Array) -> list[Number]:
    """Some of the numbers, one by one."""
    tops = x.top.gather(positions).apart()
    belows = [None] * len(tops) if x.below is None else x.below.gather(positions).apart()
    needs = [f.gather(positions).apart() for f in x.needs]
    return [
        replace(x, top=top, below=below, needs=tuple(f[i] for f in needs))
        for i, (top, below) in enumerate(zip(tops, belows, strict=True))
    ]


def needs_of(a: Number, b: Number) -> tuple[Forms, ...]:
    n = max(a.n, b.n)
    zero = Forms.of(np.zeros(n))
    return tuple(f.plus(zero) for f in (*a.needs, *b.needs))


def plain_sum(x: Number) -> None:
    if not x.linear:
        raise refuse("an aggregate of ratios, or of what may be NULL,")


def gather(logic: Logic, x: Value, rows: Array) -> Value:
    """Some rows."""
    if isinstance(x, OneHot):
        weight = x.weight if x.weight is None or len(x.weight) == 1 else x.weight[rows]
        return OneHot(x.variable[rows], x.size, weight)
    return taken(x, rows)


def weighted(x: OneHot, weight: Array) -> OneHot:
    """One-hot rows times numbers, (n or 1, C or 1)."""
    full = weight * np.ones((1, x.size))
    return OneHot(x.variable, x.size, full if x.weight is None else x.weight * full)
