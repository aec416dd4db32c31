"""Alternatives by what they presume: clusters of tuples with the same variables, each cluster's outcomes exclusive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rain_debug.lineage.numbering import numbered
from rain_debug.relax.program import Builder
from rain_debug.relax.quadrature import few, points, power
from rain_debug.relax.tails import tail_rule
from rain_debug.relax.variance import variance_rule

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Outcomes:
    """`index` (n_alternatives,) is the outcome of each alternative; `cluster` (m,) and `cluster_place` (k,) order them.

    `weight` (m,) is the node of their probabilities. Outcomes of one cluster exclude each other; clusters of one place
    are independent where `shared_at` (n_places,) is False.
    """

    builder: Builder
    alternative_weight: int
    weight: int
    index: Array
    cluster: Array
    cluster_place: Array
    n_places: int
    shared_at: Array
    columns: tuple[Array, ...]
    codes: tuple[Array, ...]
    chosen: Array

    @classmethod
    def of_alternatives(
        cls,
        builder: Builder,
        weight: int,
        place: Array,
        n_places: int,
        columns: Sequence[Array],
        codes: Sequence[Array],
        chosen: Array | None = None,
    ) -> Outcomes:
        """Group alternatives that presume the same; `columns` are their variables (0: none), `codes` the states."""
        n = len(place)
        chosen = np.arange(n) if chosen is None else chosen
        if len(columns) == 1:
            ids, states = columns[0][:, None], codes[0][:, None]
        elif columns:
            ids, states = _ordered(np.stack(columns, axis=1), np.stack(codes, axis=1))
            twice = np.diff(ids, prepend=0) == 0
            if twice.any():
                ids, states = _ordered(np.where(twice, 0, ids), np.where(twice, 0, states))
        else:
            ids = states = np.zeros((n, 0), dtype=np.int64)
        there, key = numbered(place)
        cluster, n_clusters = _refined(key, len(there), ids)
        cluster_place = np.zeros(n_clusters, dtype=np.int64)
        cluster_place[cluster] = place
        index, m = _refined(cluster, n_clusters, states)
        first = np.zeros(m, dtype=np.int64)
        first[index[::-1]] = np.arange(n)[::-1]
        node = builder.op("gather", weight, attrs=(chosen[first],))
        return cls(
            builder, weight, node, index, cluster[first], cluster_place, n_places,
            _shared(place, cluster, ids, n_places), tuple(columns), tuple(codes), chosen,
        )  # fmt: skip

    @property
    def shared(self) -> bool:
        """True where a variable occurs in two clusters of some place."""
        return bool(self.shared_at.any())

    def at(self, chosen: Array, place: Array, n_places: int) -> Outcomes:
        """Some alternatives, at other places."""
        columns = [c[chosen] for c in self.columns]
        codes = [c[chosen] for c in self.codes]
        return Outcomes.of_alternatives(
            self.builder, self.alternative_weight, place, n_places, columns, codes, self.chosen[chosen]
        )

    def of(self, mask: Array) -> Outcomes:
        """Some alternatives, at one place."""
        chosen = np.flatnonzero(mask)
        return self.at(chosen, np.zeros(len(chosen), dtype=np.int64), 1)

    def _attrs(self) -> tuple[Array, Array, int]:
        return self.cluster, self.cluster_place, self.n_places

    def _by_outcome(self, values: Array) -> Array:
        return np.bincount(self.index, weights=values)

    def any(self, mask: Array | None = None) -> int:
        """The probability (n_places,) that something happens (of the alternatives in `mask`)."""
        return self._some(None if mask is None else self._by_outcome(mask.astype(float)) > 0)

    def _some(self, live: Array | None) -> int:
        """The probability (n_places,) of an outcome (of those that `live` marks)."""
        b, weight = self.builder, self.weight
        if live is not None:
            weight = b.op("mul", weight, b.const(live.astype(float)))
        return b.op("any", weight, attrs=self._attrs())

    def spread(self, values: Array) -> int:
        """The variance (n_places,) of Σ values of what happens."""
        b, v = self.builder, self._by_outcome(values)
        attrs = (self.cluster, len(self.cluster_place))
        first = b.op("segment_sum", b.op("mul", self.weight, b.const(v)), attrs=attrs)
        second = b.op("segment_sum", b.op("mul", self.weight, b.const(v * v)), attrs=attrs)
        each = b.op("maximum", b.op("sub", second, b.op("mul", first, first)), b.const(np.zeros(1)))
        return b.op("segment_sum", each, attrs=(self.cluster_place, self.n_places))

    def mean_variance(self, n: Array, s: Array) -> int:
        """The variance (n_places,) of Σ s / Σ n, to first order."""
        b, attrs = self.builder, (self.cluster, len(self.cluster_place))
        n_o, s_o = self._by_outcome(n), self._by_outcome(s)
        s_o = s_o - self._a_value(n_o, s_o) * n_o  # equal values then vary by nothing, not by what rounding leaves

        def each(x: Array) -> int:
            return b.op("segment_sum", b.op("mul", self.weight, b.const(x)), attrs=attrs)

        def total(node: int) -> int:
            return b.op("segment_sum", node, attrs=(self.cluster_place, self.n_places))

        en, es = each(n_o), each(s_o)
        count = total(en)
        ratio = b.op("div", total(es), count)
        nn = total(b.op("sub", each(n_o * n_o), b.op("mul", en, en)))
        sn = total(b.op("sub", each(s_o * n_o), b.op("mul", es, en)))
        ss = total(b.op("sub", each(s_o * s_o), b.op("mul", es, es)))
        cross = b.op("mul", b.op("mul", ratio, sn), b.const(np.full(1, 2.0)))
        whole = b.op("add", b.op("sub", ss, cross), b.op("mul", b.op("mul", ratio, ratio), nn))
        positive = b.op("maximum", whole, b.const(np.zeros(1)))
        return b.op("div", positive, b.op("mul", count, count))

    def _a_value(self, n: Array, s: Array) -> Array:
        """For each outcome (m,), the mean s / n of one outcome at its place."""
        place, known = self.cluster_place[self.cluster], np.flatnonzero(n > 0)
        one = np.zeros(self.n_places)
        one[place[known]] = s[known] / n[known]
        found: Array = one[place]
        return found

    def tail(self, values: Array, op: str, threshold: Array) -> int:
        """P(Σ values of what happens  op  threshold), (n_places,)."""
        return self.builder.op("tail", self.weight, attrs=(*self._attrs(), self._by_outcome(values), op, threshold))

    def tail_exact(self, values: Array, threshold: Array) -> bool:
        """True where every place's tail is exact."""
        if self.shared:
            return False
        return bool(np.all(tail_rule(*self._attrs(), self._by_outcome(values), threshold)))

    def extreme(self, mask: Array, values: Array, sign: float) -> int:
        """E[max] or E[min] of the values of what happens, given that something does, (n_places,)."""
        chosen = np.flatnonzero(mask)
        best = np.full(len(self.cluster), -np.inf)
        np.maximum.at(best, self.index[chosen], sign * values[chosen])
        live = np.isfinite(best)
        weight = self.builder.op("mul", self.weight, self.builder.const(live.astype(float)))
        value = np.where(live, sign * best, np.nan)
        return self.builder.op("extreme", weight, attrs=(*self._attrs(), value, sign))

    def variance(self, n: Array, s: Array, squares: Array, kind: str) -> int:
        """VAR or STDDEV of the values of what happens, (n_places,)."""
        parts = tuple(self._by_outcome(x) for x in (n, s, squares))
        return self.builder.op("sample_variance", self.weight, attrs=(*self._attrs(), *parts, kind))

    def variance_exact(self, n: Array) -> bool:
        """True where every place's VAR is exact."""
        return not self.shared and bool(np.all(variance_rule(*self._attrs(), self._by_outcome(n))))

    def mean(self, n: Array, s: Array) -> int:
        """E[Σ s / Σ n | Σ n > 0], (n_places,): by quadrature for few clusters, else to second order."""
        b = self.builder
        n_o, s_o = self._by_outcome(n), self._by_outcome(s)
        by_place = self.cluster_place[self.cluster]
        counts = b.op("segment_sum", b.op("mul", self.weight, b.const(n_o)), attrs=(by_place, self.n_places))
        sums = b.op("segment_sum", b.op("mul", self.weight, b.const(s_o)), attrs=(by_place, self.n_places))
        ratio = b.op("div", sums, counts)
        if not b.depends(self.weight) or not len(self.cluster):
            return b.op("mean", sums, counts, ratio)
        if not self._few(n_o):
            return b.op("mean", sums, counts, self._second_order(n_o, s_o, sums, counts, ratio))
        return b.op("mean", sums, counts, self._quadrature(n_o, s_o))

    def _second_order(self, n: Array, s: Array, sums: int, counts: int, ratio: int) -> int:
        b, attrs = self.builder, (self.cluster, len(self.cluster_place))

        def each(x: Array) -> int:
            return b.op("segment_sum", b.op("mul", self.weight, b.const(x)), attrs=attrs)

        def total(node: int) -> int:
            return b.op("segment_sum", node, attrs=(self.cluster_place, self.n_places))

        en, es, enn, esn = each(n), each(s), each(n * n), each(s * n)
        variance = total(b.op("sub", enn, b.op("mul", en, en)))
        covariance = total(b.op("sub", esn, b.op("mul", es, en)))
        drift = b.op("sub", b.op("mul", ratio, variance), covariance)
        there = self._some(n > 0)  # given it, N and S grow by its inverse: nearly 1, but where there is next to nothing
        return b.op("add", ratio, b.op("mul", b.op("div", drift, counts), b.op("div", there, counts)))

    def mean_exact(self, n: Array) -> bool:
        """True where every place's mean is exact."""
        n_o = self._by_outcome(n)
        if not self.builder.depends(self.weight) or not len(self.cluster):
            return True
        return not self.shared and self._few(n_o)

    def _few(self, n: Array) -> bool:
        return bool(few(np.bincount(self.cluster_place, minlength=self.n_places), self._most(n)).all())

    def _most(self, n: Array) -> Array:
        """The most tuples (n_places,) that there can be at once, `n` those of each outcome."""
        most = np.zeros(len(self.cluster_place))
        np.maximum.at(most, self.cluster, n)
        return np.bincount(self.cluster_place, weights=most, minlength=self.n_places)

    def _quadrature(self, n: Array, s: Array) -> int:
        b, k = self.builder, len(self.cluster_place)
        x, weights = points(float(self._most(n).max()))

        def each(values: Array) -> int:
            return b.op("segment_sum", b.op("mul", self.weight, b.const(values)), attrs=(self.cluster, k))

        idle = b.op("sub", b.const(np.ones(k)), each(np.ones(len(n))))
        whole: int | None = None
        for node, weight in zip(x, weights, strict=True):
            powers = power(node, n)
            factor = b.op("add", idle, each(powers))
            rest = each(s * powers / node)
            product = b.op("segment_prod", factor, attrs=(self.cluster_place, self.n_places))
            inner = b.op("segment_sum", b.op("div", rest, factor), attrs=(self.cluster_place, self.n_places))
            part = b.op("mul", b.op("mul", product, inner), b.const(np.full(1, weight)))
            whole = part if whole is None else b.op("add", whole, part)
        assert whole is not None
        return b.op("div", whole, self._some(n > 0))


def _ordered(ids: Array, states: Array) -> tuple[Array, Array]:
    """The ids of each alternative in ascending order, and their states in the same."""
    if ids.shape[1] == 2:
        swap = (ids[:, 0] > ids[:, 1])[:, None]
        return np.where(swap, ids[:, ::-1], ids), np.where(swap, states[:, ::-1], states)
    order = np.argsort(ids)
    return np.take_along_axis(ids, order, axis=1), np.take_along_axis(states, order, axis=1)


def _refined(key: Array, n_keys: int, columns: Array) -> tuple[Array, int]:
    """Numbers (n,) of the distinct rows of (key, columns…), in their order, and how many; keys are numbers already."""
    for column in columns.T:
        if n_keys == len(key):
            break
        of_key = np.zeros(n_keys, dtype=column.dtype)
        of_key[key] = column
        if (of_key[key] == column).all():  # rows of one key do not differ here
            continue
        code = numbered(column)[1]
        distinct, key = numbered(key * (int(code.max()) + 1) + code)
        n_keys = len(distinct)
    return key, n_keys


def _shared(place: Array, cluster: Array, ids: Array, n_places: int) -> Array:
    """True (n_places,) where a variable occurs in two clusters of the place."""
    found = np.zeros(n_places, dtype=bool)
    if ids.shape[1] < 2 or not len(place):  # by one variable alone, clusters of a place are told apart by it
        return found
    first = np.zeros(int(cluster.max()) + 1, dtype=np.int64)
    first[cluster] = np.arange(len(cluster))
    there = ids[first] != 0
    distinct, variables = numbered(ids[first][there])
    if len(distinct) == len(variables):  # none occurs twice anywhere
        return found
    places = np.broadcast_to(place[first][:, None], there.shape)[there]
    met = np.sort(places * len(distinct) + variables)
    found[met[1:][met[1:] == met[:-1]] // len(distinct)] = True
    return found
