"""The least and the greatest value of each target, whatever the predictions: the program read in intervals.

A row's own condition (HAVING, QUALIFY) is left aside, and a NULL inside of a number counts as 0, as it does in the
relaxed reading. Where nothing is known the interval is infinite.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from rain_debug.relax.ops import half_away

if TYPE_CHECKING:
    from rain_debug.relax.program import Node, Program

Array = np.ndarray
Interval = tuple[Array, Array]


def bounds(program: Program) -> Array:
    """(n_targets, 2): each target lies there in every world in which it is not NULL, and so does its expectation."""
    read = _Reading(program)
    ends = [(read.of(node), position) for node, position in program.outputs.tolist()]
    return np.array([(low[at], high[at]) for (low, high), at in ends], dtype=float).reshape(-1, 2)


class _Reading:
    """Intervals of the nodes, each computed once."""

    def __init__(self, program: Program) -> None:
        self.nodes = program.nodes
        self.shapes = program.shapes
        self._known: dict[int, Interval] = {}

    def of(self, i: int) -> Interval:
        """The interval of node i: its low and its high ends, each in the shape of the node's value."""
        pending = [i]
        while pending:
            at = pending[-1]
            missing = [a for a in self.nodes[at].args if a not in self._known]
            if missing:
                pending += missing
                continue
            if at not in self._known:
                with np.errstate(all="ignore"):
                    self._known[at] = self._made(self.nodes[at])
            pending.pop()
        return self._known[i]

    def _made(self, node: Node) -> Interval:
        if node.op == "const":
            plain = np.nan_to_num(node.attrs[0], posinf=np.inf, neginf=-np.inf)
            return plain, plain
        if node.op in ("classes", "probabilities"):
            n, width = self.shapes[node.attrs[0]]
            ends = (0.0, 1.0) if width > 1 else (1.0, 1.0) if node.op == "classes" else (-np.inf, np.inf)
            return np.full((n, width), ends[0]), np.full((n, width), ends[1])
        args = [self._known[a] for a in node.args]
        if node.op == "mean" and node.attrs:
            return node.attrs[0], node.attrs[1]
        if node.op in ("mean", "div"):
            ratio = self._ratio(*node.args[:2])
            if ratio is not None or node.op == "mean":
                return ratio if ratio is not None else _unknown(len(args[0][0]))
        if node.op == "contract" and not all(map(self._is_chances, node.args)):
            return _expanded(args, *node.attrs)
        rule = RULES.get(node.op)
        return rule(args, *node.attrs) if rule is not None else _unknown(np.shape(args[0][0])[0] if args else 1)

    def _is_chances(self, i: int) -> bool:
        """True for rows of chances that add up to 1."""
        node = self.nodes[i]
        return node.op in ("classes", "bins") or (node.op == "gather" and self._is_chances(node.args[0]))

    def _ratio(self, above: int, below: int) -> Interval | None:
        """Σ w·s / Σ w·n lies between the least and the greatest s / n; None where these are no such sums."""
        for segments, n, weight, one in self._sums(above):
            for others, _, same, two in self._sums(below):
                alike = len(weight) == len(same) and all(map(self._same, weight, same))
                if not alike or not _equal(segments, others):
                    continue
                low, high, least, count = np.broadcast_arrays(*one, *two)
                nothing = (count == 0) & (low == 0) & (high == 0)
                if ((least == count) & ((count > 0) | nothing)).all():
                    some, place = count > 0, np.broadcast_to(segments[:, None], count.shape)
                    return _segmented((low[some] / count[some], high[some] / count[some]), place[some], n)
        return None

    def _same(self, i: int, j: int) -> bool:
        """True for one node, or two that compute the same."""
        one, two = self.nodes[i], self.nodes[j]
        if i == j:
            return True
        return (
            one.op == two.op
            and len(one.args) == len(two.args)
            and all(map(_equal, one.attrs, two.attrs))
            and all(map(self._same, one.args, two.args))
        )

    def _sums(self, i: int) -> Iterator[tuple[Array, int, tuple[int, ...], Interval]]:
        """Ways to read a node as Σ w·x: the segments and their number, the nodes of w, and the interval of x (n, …)."""
        node, factor = self.nodes[i], 1.0
        while node.op in ("given", "known", "there", "defined", "null_at", "mul", "add"):
            at = 0
            if node.op in ("mul", "add"):
                plain = [k for k in (0, 1) if self.nodes[node.args[k]].op == "const"]
                values: Array = np.unique(self.nodes[node.args[plain[0]]].attrs[0]) if plain else np.zeros(0)
                if len(values) != 1 or (node.op == "add" and values[0] != 0):
                    return
                factor, at = factor * (values[0] if node.op == "mul" else 1.0), 1 - plain[0]
            node = self.nodes[node.args[at]]
        if node.op != "segment_sum":
            return
        segments, n = node.attrs
        inner = self.nodes[node.args[0]]
        yield segments, n, node.args[:1], (np.full((len(segments), 1), factor),) * 2
        if inner.op == "mul":
            low, high = (np.broadcast_to(x, segments.shape)[:, None] * factor for x in self.of(inner.args[1]))
            yield segments, n, inner.args[:1], (low, high) if factor >= 0 else (high, low)
        if inner.op == "contract":
            table = inner.attrs[0].reshape(len(inner.attrs[0]), int(np.prod(inner.attrs[0].shape[1:]))) * factor
            yield segments, n, inner.args, (np.broadcast_to(table, (len(segments), table.shape[1])),) * 2


def _equal(a: Any, b: Any) -> bool:
    return a is b or bool(np.array_equal(a, b))


def _unknown(n: int) -> Interval:
    return np.full(n, -np.inf), np.full(n, np.inf)


def _hull(*parts: Interval) -> Interval:
    low, high = zip(*parts, strict=True)
    return np.minimum.reduce(np.broadcast_arrays(*low)), np.maximum.reduce(np.broadcast_arrays(*high))


def _corners(operation: Callable[[Array, Array], Array], a: Interval, b: Interval) -> Interval:
    found = [np.nan_to_num(operation(x, y), posinf=np.inf, neginf=-np.inf) for x in a for y in b]
    return np.minimum.reduce(found), np.maximum.reduce(found)


def _divided(a: Interval, b: Interval) -> Interval:
    low, high = _corners(np.divide, a, b)
    open_ = (b[0] <= 0) & (b[1] >= 0) & ~((a[0] == 0) & (a[1] == 0))
    return np.where(open_, -np.inf, low), np.where(open_, np.inf, high)


def _segmented(x: Interval, segments: Array, n: int) -> Interval:
    """The hull by segment, 0 where a segment is empty."""
    low, high = np.full(n, np.inf), np.full(n, -np.inf)
    np.minimum.at(low, segments, np.broadcast_to(x[0], segments.shape))
    np.maximum.at(high, segments, np.broadcast_to(x[1], segments.shape))
    none = low > high
    return np.where(none, 0.0, low), np.where(none, 0.0, high)


def _summed(x: Interval, segments: Array, n: int) -> Interval:
    def total(v: Array) -> Array:
        return np.bincount(segments, weights=v, minlength=n)

    if x[0].ndim == 1:
        return total(x[0]), total(x[1])
    low, high = (np.stack([total(v[:, c]) for c in range(v.shape[1])], axis=1) for v in x)
    return low, high


def _chance(shape: int | tuple[int, ...]) -> Interval:
    return np.zeros(shape), np.ones(shape)


def _product(x: Interval, segments: Array, n: int) -> Interval:
    low, high = np.ones(n), np.ones(n)
    np.multiply.at(low, segments, np.clip(x[0], 0.0, 1.0))
    np.multiply.at(high, segments, np.clip(x[1], 0.0, 1.0))
    return low, high


def _contracted(args: list[Interval], table: Array) -> Interval:
    """Between the least and the greatest entry, as one class of each variable holds."""
    n, classes = len(args[0][0]), tuple(range(1, table.ndim))
    return np.broadcast_to(table.min(axis=classes), (n,)), np.broadcast_to(table.max(axis=classes), (n,))


def _expanded(args: list[Interval], table: Array) -> Interval:
    """The sum of a contraction's terms, for factors that are no chances but sums of such."""
    low, high = np.zeros((2, len(args[0][0])))
    for at in np.ndindex(table.shape[1:]):
        entry = table[(slice(None), *at)]
        term: Interval = (entry, entry)
        for (least, most), c in zip(args, at, strict=True):
            term = _corners(np.multiply, term, (least[:, c], most[:, c]))
        low, high = low + term[0], high + term[1]
    return low, high


def _running(args: list[Interval]) -> Interval:
    low, high = (np.concatenate([np.zeros((1, x.shape[1])), np.cumsum(x, axis=0)]) for x in args[0])
    return low, high


def _extremes(cluster: Array, cluster_place: Array, n: int, low: Array, high: Array) -> Interval:
    known = ~(np.isnan(low) | np.isnan(high))
    return _segmented((low[known], high[known]), cluster_place[cluster][known], n)


def _variance(args: list[Interval], cluster: Array, cluster_place: Array, n: int, *parts: object) -> Interval:
    """At most half the square of the values' range, a fourth for VAR_POP; values are at most √(Σ x²) in size."""
    count, total, squares, kind = parts
    assert isinstance(count, np.ndarray) and isinstance(total, np.ndarray) and isinstance(squares, np.ndarray)
    root = np.sqrt(np.maximum(squares, 0.0))
    single, some = count == 1, count > 0
    low, high = np.where(single, total, -root), np.where(single, total, root)
    low, high = _extremes(cluster, cluster_place, n, np.where(some, low, np.nan), np.where(some, high, np.nan))
    most = (high - low) ** 2 / (4 if str(kind).endswith("pop") else 2)
    return np.zeros(n), np.sqrt(most) if str(kind).startswith("stddev") else most


def _framed(x: Interval, partition: Array, add: bool) -> Interval:
    """What any frame of a partition gives: a sum of some of its rows, or one of them or their mean."""
    partition = np.asarray(partition, dtype=np.int64)
    n = int(partition.max(initial=-1)) + 1
    if add:
        x = np.minimum(x[0], 0.0), np.maximum(x[1], 0.0)
        low, high = _summed((np.broadcast_to(x[0], partition.shape), np.broadcast_to(x[1], partition.shape)),
                            partition, n)  # fmt: skip
    else:
        low, high = _segmented(x, partition, n)
    return low[partition], high[partition]


def _neighbour(args: list[Interval], partition: Array, *frame: object) -> Interval:
    return _framed(args[0], partition, add=False)


def _lagged(args: list[Interval], partition: Array, offset: int, default: float = np.nan) -> Interval:
    low, high = _neighbour(args, partition)
    return np.fmin(low, default), np.fmax(high, default)


def _counted(there: Interval, partition: Array) -> Interval:
    return _framed((np.zeros(len(there[0])), np.ones(len(there[0]))), partition, add=True)


def _each(operation: Callable[[Array], Array]) -> Callable[..., Interval]:
    """For an operation that only rises."""

    def rule(args: list[Interval], *attrs: object) -> Interval:
        low, high = (np.nan_to_num(operation(x), posinf=np.inf, neginf=-np.inf) for x in args[0])
        return low, high

    return rule


def _rounded(args: list[Interval], digits: int = 0) -> Interval:
    low, high = args[0]
    return np.minimum(low, half_away(low, digits)), np.maximum(high, half_away(high, digits))


def _absolute(args: list[Interval]) -> Interval:
    low, high = args[0]
    least = np.where((low <= 0) & (high >= 0), 0.0, np.minimum(np.abs(low), np.abs(high)))
    return least, np.maximum(np.abs(low), np.abs(high))


def _first(args: list[Interval], *attrs: object) -> Interval:
    return args[0]


def _all(args: list[Interval], *attrs: object) -> Interval:
    return _hull(*args)


def _chances(args: list[Interval], *attrs: object) -> Interval:
    return _chance(np.broadcast_shapes(*(a[0].shape for a in args)))


def _by_place(args: list[Interval], cluster: Array, cluster_place: Array, n: int, *attrs: object) -> Interval:
    return _chance(n)


RULES: dict[str, Callable[..., Interval]] = {
    "gather": lambda a, rows: (a[0][0][rows], a[0][1][rows]),
    "pick": lambda a, c: (a[0][0][:, c], a[0][1][:, c]),
    "at": lambda a, rows, codes: (np.where(codes < 0, 1.0, 0.0), np.ones(len(rows))),
    "bins": lambda a, cuts: _chance((len(a[0][0]), len(cuts) + 1)),
    "add": lambda a: (a[0][0] + a[1][0], a[0][1] + a[1][1]),
    "sub": lambda a: (a[0][0] - a[1][1], a[0][1] - a[1][0]),
    "mul": lambda a: _corners(np.multiply, *a),
    "div": lambda a: _divided(*a),
    "contract": _contracted,
    "segment_sum": lambda a, segments, n: _summed(a[0], segments, n),
    "segment_prod": lambda a, segments, n: _product(a[0], segments, n),
    "running_sum": _running,
    "concat": lambda a: (np.concatenate([x for x, _ in a]), np.concatenate([x for _, x in a])),
    "round": _rounded,
    "whole": _rounded,
    "fill": lambda a, value: _hull(*a, (np.full(1, value), np.full(1, value))),
    "or_zero": lambda a: _hull(a[0], (np.zeros(1), np.zeros(1))),
    "abs": _absolute,
    "sqrt": _each(lambda x: np.sqrt(np.maximum(x, 0.0))),
    "exp": _each(np.exp),
    "ln": _each(lambda x: np.log(np.maximum(x, 0.0))),
    "floor": lambda a: (np.floor(a[0][0]), a[0][1]),
    "ceil": lambda a: (a[0][0], np.ceil(a[0][1])),
    "select": lambda a: _hull(*a[1:]),
    "not_null": _chances,
    "compare": lambda a, *attrs: _chances(a[:2]),
    "hard": lambda a, *attrs: _chances(a[:2]),
    "any": _by_place,
    "tail": _by_place,
    "segment_extreme": lambda a, segments, n, sign: _segmented(a[0], segments, n),
    "rank_by": lambda a, *attrs: (np.ones(len(a[-1][0])), np.full(len(a[-1][0]), float(len(a[-1][0])))),
    "extreme": lambda a, cluster, place, n, value, sign: _extremes(cluster, place, n, value, value),
    "sample_variance": _variance,
    "frame_sum": lambda a, partition, *frame: _framed(a[0], partition, add=True),
    "frame_avg": _neighbour,
    "frame_count": lambda a, partition, *frame: _counted(a[0], partition),
    "frame_max": _neighbour,
    "frame_min": _neighbour,
    "lag": _lagged,
    "nth_value": _neighbour,
    "first_value": _neighbour,
    "last_value": _neighbour,
    **dict.fromkeys(("minimum", "maximum", "least", "greatest", "null_to"), _all),
    **dict.fromkeys(("defined", "known", "there", "hidden", "null_at", "given"), _first),
}
