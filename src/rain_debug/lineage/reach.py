"""Which counts a row below can have, whatever is predicted: only those are worth a tuple of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from rain_debug.engines import Column, Table
from rain_debug.lineage.forest import BlockRows, Rows
from rain_debug.lineage.numbering import numbered
from rain_debug.lineage.uses import known
from rain_debug.sql import Block

Array = np.ndarray
WORTH = 0.5
"""Pairs of rows and counts are told apart where they are at most this share of all of them."""


def reached(block: Block, below: Mapping[str, Rows], asked: Mapping[str, Array]) -> Iterator[tuple[str, str, Table]]:
    """Which of the `asked` values, by the name of their table, each row of a block below can have.

    Yields the name of the table, that of the block, and the pairs as `row` and `value`.
    """
    needed = {c.atoms[0] for c in block.plan.conjuncts if c.op == "atom"}
    held = {a.identity[1] for a in block.plan.atoms if a.kind == "event" and a.index in needed}
    for event in block.events:
        e = event.condition
        if e is None or e.op != "=" or event.name not in held:
            continue
        number, table = e.args[0], e.args[1].sql.removesuffix(".value")
        if table not in asked or number.op != "atom":
            continue
        _, name, column = block.plan.atoms[number.atoms[0]].identity
        rows = below[name]
        if isinstance(rows, BlockRows) and (pairs := _pairs(rows, column, asked[table])) is not None:
            yield table, name, pairs


def _pairs(rows: BlockRows, column: str, asked: Array) -> Table | None:
    """Rows and the values in `asked`, sorted, that lie between the least and the greatest that each can have."""
    at = next(i for i, c in enumerate(rows.block.columns) if c.name == column)
    e = rows.block.plan.outputs[at].expr
    read = [*e.args, *([e.filter] if e.filter is not None else [])]
    if e.op != "agg" or e.name not in ("count", "sum") or any(x.sql not in rows.texts for x in read):
        return None
    low, high = bounds(rows, rows.amounts(e)[0 if e.name == "sum" else 1])
    if not rows.block.plan.group_by:  # it is there over nothing, too
        low, high = np.minimum(low, 0.0), np.maximum(high, 0.0)
    first, last = np.searchsorted(asked, low), np.searchsorted(asked, high, side="right")
    each = np.maximum(last - first, 0)
    total = int(each.sum())
    if total > WORTH * rows.n_rows * len(asked):
        return None
    row = np.repeat(np.arange(rows.n_rows), each)
    value = asked[np.arange(total) - np.repeat(np.cumsum(each) - each, each) + np.repeat(first, each)]
    return Table({"row": Column(row, "number"), "value": Column(value, "number")})


def bounds(rows: BlockRows, amounts: Array) -> tuple[Array, Array]:
    """The least and the greatest sum (n_rows,) of the `amounts` of what happens in each row that is there."""
    place, n = rows.row, rows.n_rows
    group, of, total = np.arange(len(place)), place, amounts
    if len(rows.literals) == 1 and rows.literals[0].kind == "class":
        # What one prediction decides happens together, or excludes each other.
        codes = rows.literals[0].codes
        ids = (known(rows.exports, name)[0] for name in rows.exports if name.startswith("rid_"))
        variable = _refined(place, (codes >= 0).astype(np.int64), *ids)  # a row that is not there has no prediction
        outcome = _refined(variable, codes)
        first = np.zeros(int(outcome.max(initial=-1)) + 1, dtype=np.int64)
        first[outcome] = np.arange(len(outcome))
        total, of = np.bincount(outcome, weights=amounts), place[first]
        group = numbered(variable[first])[1]
    return _least(total, of, group, n), -_least(-total, of, group, n)


def _refined(key: Array, *columns: Array) -> Array:
    """Numbers of the distinct combinations of a number and some columns."""
    for column in columns:
        each, number = numbered(column)
        key = numbered(key * len(each) + number)[1]
    return key


def _least(total: Array, place: Array, group: Array, n: int) -> Array:
    """The least sum (n,) at each place of one `total` or none of each group, and one at all."""
    alone = np.full(n, np.inf)
    np.minimum.at(alone, place, total)
    of = np.zeros(int(group.max(initial=-1)) + 1, dtype=np.int64)
    of[group] = place
    each = np.full(len(of), np.inf)
    np.minimum.at(each, group, total)
    several = np.bincount(of, minlength=n) > 1
    some = np.bincount(of, weights=np.minimum(each, 0.0), minlength=n)
    found: Array = np.where(several & (some < 0), some, alone)
    return found
