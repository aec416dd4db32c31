"""Both sides of a split join → program: class histograms, contracted; rows that meet themselves put right."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rain_debug.errors import SQLError
from rain_debug.lineage import Place, SplitLineage
from rain_debug.lineage.exports import Reading
from rain_debug.lineage.grid import COMPARE, Grid
from rain_debug.lineage.numbering import numbered
from rain_debug.lineage.sides import Side, side_of
from rain_debug.relax.cells import Wanted
from rain_debug.relax.grouped import Grouped
from rain_debug.relax.histograms import HISTOGRAM, Weights
from rain_debug.relax.lower import equals
from rain_debug.relax.program import Builder, Program
from rain_debug.sql import Expr, Plan
from rain_debug.sql.refusals import NESTED

Array = np.ndarray
Tables = tuple[Array, Array, Array]
"""Weights (n₀ or 1, C₀), (n₁ or 1, C₁) of each side's rows, and (places or 1, C₀, C₁) of the classes that meet."""


def lower_split(plan: Plan, lineage: SplitLineage, places: Sequence[Place], wanted: Sequence[Wanted]) -> Program:
    """The program of `wanted` aggregates over pairs, at the cost of the two sides alone."""
    classes = lineage.sides[0].reading.exports.classes
    builder = Builder([(block.n, len(classes[block.model])) for block in lineage.blocks])
    low = _SplitLowering(plan, lineage, places, builder)
    outputs = [(Grouped(low).node(w.expr), w.place) for w in wanted if w.expr is not None]
    rules = [Grouped(low).rule(w.expr) + ", pairs contracted" for w in wanted if w.expr is not None]
    loose = [Grouped(low).loose(w.expr) for w in wanted if w.expr is not None]
    return builder.program(outputs, rules, loose)


class _SplitLowering:
    """Two sides on their way into a program; stands below `Grouped`."""

    def __init__(self, plan: Plan, lineage: SplitLineage, places: Sequence[Place], builder: Builder) -> None:
        self.plan = plan
        self.lineage = lineage
        self.split = lineage.split
        self.builder = builder
        self.places = places
        self.exports = lineage.sides[0].reading.exports
        self.axes = [self.exports.axis(k) for k in self.split.atoms]
        self._nodes: dict[str, int] = {}
        self._counts: dict[str, int] = {}
        self._sums: list[int | None] = [None, None]
        self._weights = (Weights(), Weights())
        self._used: tuple[list[tuple[Array, int]], list[tuple[Array, int]]] = ([], [])
        self._pairs = self._matching_pairs()
        if self.split.order is not None:
            self._ranked = np.lexsort((lineage.sides[0].order, self._pairs[0][0]))
            self._ranges = self._order_ranges()
        self._meetings = self._self_meetings() if lineage.shared else None
        base = self._of(np.ones((1, 1)), np.ones((1, 1)), np.ones((1, 1, 1)))
        for number in (0, 1):
            for c in self.split.conjuncts[number]:
                if not c.is_pure:
                    base = self._times(base, c, _true(lineage.sides[number].reading.truth(c)))
        for c in self.split.between:
            base = self._times(base, c, _true(lineage.sides[0].reading.truth(c)))
        for e in {e.sql: e for p in places for e, _ in p.predicted}.values():
            base = self._at_places(base, e)
        self.base = base

    # -- tables -------------------------------------------------------------------------------------------------

    def _of(self, left: Array, right: Array, between: Array) -> Tables:
        return left, right, between

    def _times(self, tables: Tables, e: Expr, array: Array) -> Tables:
        """`tables` with the factor `array` (tuples, classes…), which belongs to the side that `e` reads."""
        if (array == 1).all():
            return tables
        home = side_of(e, self.plan, self.split.aliases)
        left, right, between = tables
        a, b = self.axes
        sizes = [array.shape[1 + i] if i is not None else 1 for i in (a, b)]
        if home == 0:
            return left * array.reshape(len(array), sizes[0]), right, between
        if home == 1:
            return left, right * array.reshape(len(array), sizes[1]), between
        flat = array.reshape(1, *array.shape[1:])
        order = [0, 1 + int(a or 0), 1 + int(b or 0)]
        return left, right, between * np.transpose(flat, order)

    def _at_places(self, tables: Tables, e: Expr) -> Tables:
        asked = [next(v for x, v in p.predicted if x.sql == e.sql) for p in self.places]
        home = side_of(e, self.plan, self.split.aliases)
        side = self.lineage.sides[max(home or 0, 0)]
        values, null = side.reading.raw(e)
        if home in (0, 1) and len(values) > 1:
            assert len(self.places) == 1, "places with a key of columns and classes are read tuple by tuple"
            return self._times(tables, e, equals(values, null, asked, np.zeros(len(side.rows), np.int64)))
        stacked = np.stack([equals(values, null, [v], np.zeros(1, np.int64))[0] for v in asked])
        order = [0, 1 + int(self.axes[0] or 0), 1 + int(self.axes[1] or 0)]
        return tables[0], tables[1], tables[2] * np.transpose(stacked, order)

    # -- pairs --------------------------------------------------------------------------------------------------

    def _slots(self, side: Side) -> tuple[Array, Array, Array]:
        """Rows of a side by (place, key): number of each row's slot, and each slot's place (-1 for all) and key."""
        width = int(side.key.max(initial=0)) + 1
        place = -1 if side.place is None else side.place
        slots, inverse = numbered((place + 1) * width + side.key)
        return inverse, slots // width - 1, slots % width

    def _matching_pairs(self) -> tuple[tuple[Array, int], tuple[Array, int], Array, Array, Array]:
        """Slots of both sides with equal keys and compatible places: (slot₀, slot₁, place) of each pair of slots."""
        (slot0, place0, key0), (slot1, place1, key1) = (self._slots(s) for s in self.lineage.sides)
        by_key = np.argsort(key1, kind="stable")
        begin, end = (np.searchsorted(key1[by_key], key0, side) for side in ("left", "right"))
        i, within = _spread(end - begin)
        j = by_key[begin[i] + within]
        p, q = place0[i], place1[j]
        anywhere = (p == -1) & (q == -1)
        one = np.flatnonzero(~anywhere & ((p == -1) | (q == -1) | (p == q)))
        n = len(self.places)
        every = np.flatnonzero(anywhere)
        pair = np.concatenate([one, np.repeat(every, n)])
        place = np.concatenate([np.maximum(p, q)[one], np.tile(np.arange(n), len(every))])
        return (slot0, len(key0)), (slot1, len(key1)), i[pair], j[pair], place

    def _self_meetings(self) -> tuple[Array, Array, Array]:
        """Pairs of rows that are one variable and meet: (row₀, row₁, place)."""
        row0, row1, place = self._same_variable()
        if self.split.order is None:
            return row0, row1, place
        one, two = self.lineage.sides
        meet = COMPARE[self.split.order[0]](one.order[row0], two.order[row1])
        return row0[meet], row1[meet], place[meet]

    def _same_variable(self) -> tuple[Array, Array, Array]:
        """Pairs of rows that are one variable and share key and place: (row₀, row₁, place)."""
        one, two = self.lineage.sides
        order = np.lexsort((two.key, two.rows))
        keys = two.rows[order] * (int(two.key.max(initial=0)) + 1) + two.key[order]
        wanted = one.rows * (int(two.key.max(initial=0)) + 1) + one.key
        wanted = np.where(one.key > two.key.max(initial=0), -1, wanted)
        begin, end = np.searchsorted(keys, wanted, "left"), np.searchsorted(keys, wanted, "right")
        left, offset = _spread(end - begin)
        right = order[begin[left] + offset] if len(left) else left
        if one.place is None and two.place is None:
            n = len(self.places)
            return np.tile(left, n), np.tile(right, n), np.repeat(np.arange(n), len(left))
        p = one.place[left] if one.place is not None else None
        q = two.place[right] if two.place is not None else None
        if p is None or q is None:
            place = p if q is None else q
            assert place is not None
            return left, right, place
        return left[p == q], right[p == q], p[p == q]

    def _pair_sum(self, tables: Tables) -> int:
        """Σ over pairs of left · right · between at each place, expectation exact, pairs never formed."""
        b = self.builder
        n = len(self.places)
        left, right, between = tables
        table = np.broadcast_to(between, (len(between), *(b.shapes[k][1] for k in self.lineage.block_of)))
        if self.split.order is None:
            place = self._pairs[4]
            one, two = self._histograms(0, left), self._histograms(1, right)
        else:
            low, high, row, place = self._ranges
            running = b.op("running_sum", b.op("gather", self._weighted(0, left), attrs=(self._ranked,)))
            one = b.op("sub", b.op("gather", running, attrs=(high,)), b.op("gather", running, attrs=(low,)))
            two = b.op("gather", self._weighted(1, right), attrs=(row,))
        each = b.op("contract", one, two, attrs=(table if len(table) == 1 else table[place],))
        whole = b.op("segment_sum", each, attrs=(place, n))
        if self._meetings is None or not len(self._meetings[0]):
            return whole
        row0, row1, where = self._meetings
        a = left if len(left) == 1 else left[row0]
        c = right if len(right) == 1 else right[row1]
        met = (a[:, :, None] * c[:, None, :]) * (table if len(table) == 1 else table[where])
        met = np.broadcast_to(met, (len(met), *table.shape[1:]))
        variables = self.lineage.sides[0].rows[row0]
        p = b.op("gather", b.leaf("classes", self.lineage.block_of[0]), attrs=(variables,))
        once = b.op("contract", p, attrs=(np.einsum("ncc->nc", met).copy(),))
        twice = b.op("contract", p, p, attrs=(met,))
        return b.op("add", whole, b.op("segment_sum", b.op("sub", once, twice), attrs=(where, n)))

    def _histograms(self, number: int, weights: Array) -> int:
        """The weighted classes of one side, summed by slot, at each pair of slots: (n_pairs, C)."""
        slot, n = self._pairs[number]
        if self._sums[number] is None:
            leaf = self.builder.leaf("classes", self.lineage.block_of[number])
            self._sums[number] = self.builder.op(
                HISTOGRAM, leaf, attrs=(self._rows(number), slot, n, self._weights[number])
            )
        at = next((j for j, (w, _) in enumerate(self._used[number]) if w is weights), len(self._used[number]))
        if at == len(self._used[number]):
            # The operation runs when all of its weights are there: one pass over the side for all aggregates.
            self._weights[number].append(
                None if (weights == 1).all() else np.broadcast_to(weights, (len(slot), weights.shape[1]))
            )
            sums = self._sums[number]
            assert sums is not None
            node = self.builder.op("gather", sums, attrs=(at * n + self._pairs[2:4][number],))
            self._used[number].append((weights, node))
        return self._used[number][at][1]

    def _weighted(self, number: int, weights: Array) -> int:
        """The classes of one side's rows, times their weights: (n_rows, C)."""
        b, side, block = self.builder, self.lineage.sides[number], self.lineage.block_of[number]
        p = b.op("gather", b.leaf("classes", block), attrs=(side.rows,))
        full = np.broadcast_to(weights, (len(weights), b.shapes[block][1]))
        return p if (full == 1).all() else b.op("mul", p, b.const(full))

    def _rows(self, number: int) -> Array | None:
        """The variable's number of each row of a side; None where these are all variables in order."""
        rows, n = self.lineage.sides[number].rows, self.builder.shapes[self.lineage.block_of[number]][0]
        return None if len(rows) == n and bool((rows == np.arange(n)).all()) else rows

    def _order_ranges(self) -> tuple[Array, Array, Array, Array]:
        """Which left rows, in the order of slot and rank, each right row meets: (from, to, right row, place)."""
        assert self.split.order is not None
        one, two = self.lineage.sides
        (slot0, n0), (slot1, n1), i, j, place = self._pairs
        width = int(max(one.order.max(initial=0), two.order.max(initial=0))) + 1
        ranks = (slot0 * width + one.order)[self._ranked]
        begin, end = (np.searchsorted(slot0[self._ranked], np.arange(n0), side) for side in ("left", "right"))
        by_slot = np.argsort(slot1, kind="stable")
        sizes = np.bincount(slot1, minlength=n1)
        pair, within = _spread(sizes[j])
        row = by_slot[(np.cumsum(sizes) - sizes)[j][pair] + within]
        wanted = i[pair] * width + two.order[row]
        below, upto = np.searchsorted(ranks, wanted, "left"), np.searchsorted(ranks, wanted, "right")
        first, last = begin[i][pair], end[i][pair]
        ranges = {"<": [(first, below)], "<=": [(first, upto)], ">": [(upto, last)], ">=": [(below, last)]}
        ranges["<>"] = ranges["<"] + ranges[">"]
        chosen = ranges[self.split.order[0]]
        return (
            np.concatenate([low for low, _ in chosen]),
            np.concatenate([high for _, high in chosen]),
            np.tile(row, len(chosen)),
            np.tile(place[pair], len(chosen)),
        )

    # -- what `Grouped` asks ------------------------------------------------------------------------------------

    def aggregate(self, e: Expr) -> int:
        """The node (n_places,) of one aggregate over pairs."""
        if e.sql not in self._nodes:
            self._nodes[e.sql] = self._aggregate(e)
        return self._nodes[e.sql]

    def _aggregate(self, e: Expr) -> int:
        tables = self.base
        if e.filter is not None:
            tables = self._times(tables, e.filter, _true(self._reading(e.filter).truth(e.filter)))
        if not e.args:
            return self._pair_sum(tables)
        argument = e.args[0]
        if e.name == "count":
            return self._pair_sum(self._times(tables, argument, ~self._reading(argument).raw(argument)[1]))
        value: Grid = self._reading(argument).number(argument)
        counts = self._counts[e.sql] = self._pair_sum(self._times(tables, argument, ~value.null))
        sums = self._pair_sum(self._times(tables, argument, value.plain * ~value.null))
        if e.name == "sum":
            return self.builder.op("defined", sums, counts)
        return self.builder.op("mean", sums, counts, self.builder.op("div", sums, counts))

    def _reading(self, e: Expr) -> Reading:
        return self.lineage.sides[max(side_of(e, self.plan, self.split.aliases) or 0, 0)].reading

    def counts_move(self, e: Expr) -> bool:
        """True: a join on predictions decides how many pairs there are."""
        return True

    def absent(self, e: Expr) -> int:
        """At least 1 − E[pairs], since P(a pair) ≤ E[pairs]: pairs share rows, so that more is not known."""
        b = self.builder
        none = b.op("sub", b.const(np.ones(1)), self._counts[e.sql])
        return b.op("maximum", none, b.const(np.zeros(1)))

    def constant(self, e: Expr) -> Array:
        """Refused: pairs are never formed, so that nothing is known of a column beside them."""
        raise self.refuse(e, "a column beside aggregates over pairs cannot be part of a complained cell")

    def refuse(self, e: Expr, message: str, hint: str = NESTED) -> SQLError:
        """The error that underlines `e`."""
        return SQLError(message, sql=self.plan.sql, start=e.start, end=e.end, hint=hint)


def _spread(sizes: Array) -> tuple[Array, Array]:
    """Each position as often as `sizes` says, and which time it is.

    >>> [x.tolist() for x in _spread(np.array([2, 0, 1]))]
    [[0, 0, 2], [0, 1, 0]]
    """
    position = np.repeat(np.arange(len(sizes)), sizes)
    return position, np.arange(len(position)) - np.repeat(np.cumsum(sizes) - sizes, sizes)


def _true(value: Grid) -> Array:
    return value.true.astype(float)
