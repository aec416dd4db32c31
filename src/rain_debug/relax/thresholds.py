"""How likely an aggregate of what happens is above, below or at a number: tails of sums, and extremes by presence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from rain_debug.lineage.numbering import numbered
from rain_debug.relax.expressions import FLIP
from rain_debug.relax.outcomes import Outcomes

Array = np.ndarray
MOST_PAIRS = 2_000_000
"""Alternatives beside each number that their group is compared with; beyond it the aggregate's spread has to do."""


@dataclass(frozen=True)
class Chance:
    """A probability, a node; the rule that it follows, and whether that is only an approximation."""

    node: int
    rule: str
    loose: bool


def chance_of_sum(
    o: Outcomes, values: Array, op: str, threshold: Array, needed: Sequence[Array], given: int | None
) -> Chance:
    """P(Σ values of what happens  op  threshold) of each place, given that it is there where `given` says how likely.

    `needed` are those alternatives without which a part of the sum is NULL, and the comparison with it.
    """
    b = o.builder
    exact = o.tail_exact(values, threshold)
    rule = "comparison as the tail of a Poisson-binomial" if exact else "comparison as the tail of a sum, as if normal"
    loose = not exact
    node = o.tail(values, op, threshold)
    some, apart = given, False
    if needed:
        known = np.minimum.reduce(list(needed))
        apart = any(np.any(n != known) for n in needed) or bool(np.any((values != 0) & (known == 0)))
        loose = loose or len(needed) > 1 or apart
        some = o.any(known > 0)
    if apart:  # one part may be known without the others: as if that did not depend on the sum
        for part in needed:
            node = b.op("mul", node, o.any(part > 0))
    elif some is not None:
        with np.errstate(invalid="ignore"):
            at_nothing = np.where(np.isnan(threshold), 0.0, holds(op, -threshold))
        none = b.op("sub", b.const(np.ones(o.n_places)), some)
        node = b.op("sub", node, b.op("mul", none, b.const(at_nothing)))
    return Chance(_if_there(o, node, given), rule, loose)


def chance_of_extreme(
    o: Outcomes, values: Array, known: Array, op: str, c: Array, name: str, given: int | None
) -> Chance:
    """P(max > c) where there is a tuple with a value above c; its opposite where there are tuples, but none above.

    `c` (n_alternatives,) is the number that each alternative's group is compared with.
    """
    b = o.builder
    known = known & ~np.isnan(c)
    if name == "min":
        values, c, op = -values, -c, FLIP[op]
    node = o.any(known & (values > c if op in (">", "<=") else values >= c))
    if op in ("=", "<>"):
        node = b.op("sub", node, o.any(known & (values > c)))
    if op in ("<", "<=", "<>"):
        node = b.op("sub", o.any(known), node)
    return Chance(_if_there(o, node, given), f"{name.upper()} against a number as 1 − Π(1 − w)", o.shared)


Make = Callable[[Outcomes, Array, Array, Array, str, "int | None"], Chance]
"""Outcomes, the alternatives in them and their places, each place's number, the comparison, how likely places are."""


def against(
    o: Outcomes, place: Array, given: int | None, make: Make, rows: Array, numbers: Array, op: str
) -> Chance | None:
    """P(the aggregate of place rows[i]  op  numbers[i]), (len(rows),): each different number is a place of its own.

    None where there are too many. `place` (n_alternatives,) is where each alternative belongs.
    """
    known = ~np.isnan(numbers)
    each, which = numbered(np.where(known, numbers, 0.0))
    pairs, index = numbered(rows * max(1, len(each)) + which)
    row, number = np.divmod(pairs, max(1, len(each)))
    order = np.argsort(place, kind="stable")
    first = np.searchsorted(place[order], row, side="left")
    sizes = np.searchsorted(place[order], row, side="right") - first
    if int(sizes.sum()) > MOST_PAIRS:
        return None
    starts = np.cumsum(sizes) - sizes
    pair = np.repeat(np.arange(len(pairs)), sizes)
    chosen = order[np.arange(len(pair)) - starts[pair] + first[pair]]
    b = o.builder
    there = None if given is None else b.op("gather", given, attrs=(row,))
    found = make(o.at(chosen, pair, len(pairs)), chosen, pair, each[number], op, there)
    chance = b.op("null_to", found.node, b.const(np.zeros(1)))  # where the place is not there
    node = b.op("mul", b.op("gather", chance, attrs=(index,)), b.const(known.astype(float)))
    return Chance(node, found.rule, found.loose)


def sum_against(values: Array, needed: Sequence[Array]) -> Make:
    """How Σ `values` (n_alternatives,) compares with numbers."""

    def make(o: Outcomes, chosen: Array, place: Array, c: Array, op: str, given: int | None) -> Chance:
        return chance_of_sum(o, values[chosen], op, c, [n[chosen] for n in needed], given)

    return make


def mean_against(totals: Array, counts: Array) -> Make:
    """How AVG of `counts` values that make `totals` compares with numbers c: Σ (x − c) with 0."""

    def make(o: Outcomes, chosen: Array, place: Array, c: Array, op: str, given: int | None) -> Chance:
        away = totals[chosen] - times(counts[chosen], bounded(c, np.abs(totals))[place])
        return chance_of_sum(o, away, op, np.zeros(len(c)), [counts[chosen]], given)

    return make


def extreme_against(values: Array, known: Array, name: str) -> Make:
    """How MIN or MAX (`name`) of `values` compares with numbers."""

    def make(o: Outcomes, chosen: Array, place: Array, c: Array, op: str, given: int | None) -> Chance:
        return chance_of_extreme(o, values[chosen], known[chosen], op, c[place], name, given)

    return make


def times(counts: Array, c: Array) -> Array:
    """`counts` · c, 0 where there is nothing to count: c may be unknown or unbounded there."""
    return counts * np.where(counts != 0, c, 0.0)


def bounded(c: Array, size: Array) -> Array:
    """`c` with what is infinite brought to just beyond twice what `size` adds up to: all numbers compare with it alike.

    >>> bounded(np.array([1.5, np.inf, -np.inf, np.nan]), np.array([2.0, 3.5])).tolist()
    [1.5, 12.0, -12.0, nan]
    """
    most = np.ceil(2 * np.nansum(size)) + 1
    return np.where(np.isinf(c), np.copysign(most, c), c)


def _if_there(o: Outcomes, node: int, given: int | None) -> int:
    return node if given is None else o.builder.op("given", node, given)


def holds(op: str, difference: Array) -> Array:
    """Where `difference` op 0."""
    operations: dict[str, Callable[[Array], Array]] = {
        "<": lambda x: x < 0, "<=": lambda x: x <= 0, ">": lambda x: x > 0, ">=": lambda x: x >= 0,
        "=": lambda x: x == 0, "<>": lambda x: x != 0,
    }  # fmt: skip
    return operations[op](difference)
