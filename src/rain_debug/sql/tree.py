"""Queries whose predictions do not fit one flat block: a tree of blocks, each one SELECT for the engine.

A `Body` is what a complaint is traced through; the exact answer is asked of the engine as one text (`Nested.answer`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from rain_debug.sql.expr import Expr
from rain_debug.sql.plan import Plan

ROW = "__rain_row"
"""The column that numbers the rows of a relation that lineage made."""
EVENT = "__rain_event_"
"""What the names of subqueries in conditions, and of the tables of their events, begin with."""


@dataclass(frozen=True)
class OutColumn:
    """A column of a body: `uncertain` where it is a number that predictions move, not a value that tells rows apart."""

    name: str
    uncertain: bool
    key: bool = True


@dataclass(frozen=True)
class Below:
    """An uncertain relation in a block's FROM, where it stands as the table `name`; `single` for a scalar subquery."""

    name: str
    body: Body
    single: bool = False


@dataclass(frozen=True)
class Event:
    """A truth value of a tuple that is no class: EXISTS (…), or a comparison of numbers that predictions move.

    `body` is the subquery, its correlated columns replaced by those of the table `name`, which holds `keys`, the
    texts of those columns outside; `condition` is the comparison. One that is `nullable` is true, false or NULL: its
    value is read, not only whether it holds.
    """

    name: str
    body: Body | None
    keys: tuple[str, ...]
    condition: Expr | None
    start: int
    end: int
    nullable: bool = False


@dataclass(frozen=True)
class Block:
    """One SELECT: `plan` is its flat part; `having` are conditions on its groups.

    `bag` is True for rows as they are, where `plan.group_by` only tells tuples apart.
    """

    plan: Plan
    columns: tuple[OutColumn, ...]
    below: tuple[Below, ...] = ()
    events: tuple[Event, ...] = ()
    having: tuple[Expr, ...] = ()
    event_table: str | None = None
    single: bool = False
    bag: bool = False


@dataclass(frozen=True)
class Merge:
    """UNION, INTERSECT or EXCEPT of bodies with the same columns; `all` keeps duplicates."""

    op: str
    all: bool
    parts: tuple[Body, ...]
    columns: tuple[OutColumn, ...]


@dataclass(frozen=True)
class Window:
    """One window function: `partition` and `order` are the engine's texts over the table below.

    `frame` is (unit, from, to) with None for unbounded and rows counted from the current one; a RANGE with offsets
    stands in `ranged`, for the engine. `default` is what LAG and LEAD are where their row is outside of the partition,
    NaN for NULL. An order that predictions move is `by` some values; `ways` says of each whether it descends and
    whether NULL comes first.
    """

    function: str
    args: tuple[Expr, ...]
    partition: tuple[str, ...]
    order: tuple[str, ...]
    by: tuple[Expr, ...]
    ways: tuple[tuple[bool, bool], ...]
    frame: tuple[str, int | None, int | None]
    offset: int
    start: int
    end: int
    default: float = math.nan
    ranged: str = ""


@dataclass(frozen=True)
class Windowed:
    """Window functions over a body: `outputs` read atoms of kind `value` (columns below) and `window`."""

    below: Below
    plan: Plan
    windows: tuple[Window, ...]
    columns: tuple[OutColumn, ...]
    qualify: tuple[Expr, ...] = ()
    events: tuple[Event, ...] = ()


Body = Block | Merge | Windowed


@dataclass(frozen=True)
class Reader:
    """A source of the answer that predictions are read from, in the text as the table `name`.

    `from_sql` is the source as it stood, `rid` its row id, `atoms` the predictions that become columns of it.
    """

    name: str
    alias: str
    from_sql: str
    rid: str
    atoms: tuple[int, ...]


@dataclass(frozen=True)
class Counts:
    """A table `name` with a column `value`, which lineage fills with the values asked of the column at `position`."""

    name: str
    position: int


@dataclass(frozen=True)
class Nested:
    """A query as a tree: `body` for lineage, `answer` for the engine.

    In `answer` stand `readers` as tables, and `RAIN_ATOM(k)` for the predictions of `rows`, a plan of all sources whose
    rows are predicted. `unlimited` is `answer` without the LIMIT of the whole, `limited` whether it has one. `body`
    reads the tables of `counts`, where groups are told apart by a count.
    """

    sql: str
    body: Body
    answer: str
    unlimited: str
    limited: bool
    rows: Plan
    readers: tuple[Reader, ...]
    bodies: dict[str, Body] = field(default_factory=dict)
    counts: tuple[Counts, ...] = ()

    @property
    def columns(self) -> tuple[OutColumn, ...]:
        """The columns of the answer."""
        return self.body.columns


def describe(body: Body, depth: int = 0) -> str:
    """The tree as indented text, the same every time."""
    pad = "  " * depth
    if isinstance(body, Merge):
        word = f"{body.op}{' all' if body.all else ''}"
        return "\n".join([f"{pad}{word}", *(describe(p, depth + 1) for p in body.parts)])
    plan = body.plan
    if isinstance(body, Windowed):
        lines = [f"{pad}window functions: {', '.join(dict.fromkeys(w.function for w in body.windows))}"]
        lines += [f"{pad}  out {c.name}{' (moved)' if c.uncertain else ''} := {o.expr.sql}"
                  for o, c in zip(plan.outputs, body.columns, strict=True)]  # fmt: skip
        lines += [f"{pad}  qualify {q.sql}" for q in body.qualify]
        return "\n".join([*lines, describe(body.below.body, depth + 1)])
    lines = [f"{pad}block"]
    for a in plan.atoms:
        if a.kind in ("class", "proba", "number"):
            lines.append(f"{pad}  {a.kind} p{a.index} = {a.model}({', '.join(a.aliases)})")
        else:
            lines.append(f"{pad}  {a.kind} p{a.index} = {' '.join(plan.sql[a.start : a.end].split())}")
    lines.append(f"{pad}  from {plan.from_sql}")
    lines += [f"{pad}  where {c.sql}" for c in plan.conjuncts]
    if plan.group_by is not None and not body.bag:
        keys = ", ".join(e.sql for e in plan.group_by)
        lines.append(f"{pad}  group by {keys}" if keys else f"{pad}  one group")
    lines += [f"{pad}  having {h.sql}" for h in body.having]
    lines += [
        f"{pad}  out {c.name}{' (moved)' if c.uncertain else ''} := {o.expr.sql}"
        for o, c in zip(plan.outputs, body.columns, strict=True)
    ]
    for b in body.below:
        lines += [f"{pad}  {b.name} is", describe(b.body, depth + 2)]
    for e in body.events:
        if e.body is not None:
            lines += [f"{pad}  {e.name} holds for each {', '.join(e.keys) or 'query'} where there is a row of"]
            lines.append(describe(e.body, depth + 2))
        elif e.condition is not None:
            lines.append(f"{pad}  {e.name} is {e.condition.sql}")
    return "\n".join(lines)
