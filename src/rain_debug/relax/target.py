"""What a complaint wants to know about one place of an answer: the plain value between complaints and programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

TargetKind = Literal["value", "present", "is"]
"""`value`: the number in a cell. `present`: 1 where the row or group is there. `is`: 1 where a cell equals `value`."""


Comparison = Literal["difference", "ratio"]
"""What two cells are compared by: the first less the second, or the first by the second."""


@dataclass(frozen=True)
class Target:
    """One number to read off an answer, exactly or relaxed: `kind` of the place that `where` and `column` name.

    `where` holds (output column, value) pairs that single out one row; it is empty where the answer has one row only.
    A value can be compared with that of another cell, `against`: the number is then their difference or ratio (`how`).

    >>> str(Target("value", "n", (("week", "2026-11-09"),)))
    "n where week = '2026-11-09'"
    >>> str(Target("present", None, (("name", "Ann"), ("age", 3))))
    "the row where name = 'Ann' and age = 3"
    >>> str(Target("is", "class", (("id", 7),), "yes"))
    "class where id = 7 is 'yes'"
    >>> women = Target("value", "rate", (("sex", "f"),))
    >>> str(Target("value", "rate", (("sex", "m"),), against=women, how="difference"))
    "rate where sex = 'm' − rate where sex = 'f'"
    """

    kind: TargetKind
    column: str | None
    where: tuple[tuple[str, Any], ...] = ()
    value: Any = None
    against: Target | None = None
    how: Comparison | None = None

    def __str__(self) -> str:
        text = self.column if self.column is not None else "the row"
        if self.where:
            text += " where " + " and ".join(f"{name} = {literal(value)}" for name, value in self.where)
        if self.against is not None:
            return f"{text} {'−' if self.how == 'difference' else '÷'} {self.against}"
        return f"{text} is {literal(self.value)}" if self.kind == "is" else text


def literal(value: Any) -> str:
    """A value as SQL would write it, near enough for a sentence: strings and dates quoted, NULL for None.

    >>> literal("it's"), literal(2.50), literal(None)
    ("'it''s'", '2.5', 'NULL')
    """
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, int):
        return str(value)
    text = str(value).replace("'", "''")
    return f"'{text}'"
