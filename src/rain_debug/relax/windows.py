"""Window functions over the rows of a relation, sorted by partition and then as the window orders them.

In either reading the rows with a presence of at least 1/2 are there. They alone make frames and neighbours, and each
counts its x in full; so the gradient goes through x and none through the presence. NaN in x is NULL. A row that is not
there gets what it would get if it were put in alone.

A frame is given by `lo` and `hi`. Integers are ROWS BETWEEN lo AND hi, relative to the current row (−3 and 0: the three
before it and itself), None is UNBOUNDED. Two arrays of row numbers are a frame holding the rows lo[i] ≤ r < hi[i], as
far as these are there: see `value_range`. With numbers of peers as a fourth constant, `lo` and `hi` are those of RANGE:
None, or 0 for the current row and its peers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rain_debug.relax.arrays import VJP, Array, Forward, where
from rain_debug.relax.scans import Runs

Bound = int | Array | None
NARROW = 64


@dataclass(frozen=True, eq=False)
class Seats:
    """Where each row sits among the rows of its partition that are there, itself included.

    `rows` are the rows that are there, one partition behind the other. Row i has seat `own[i]`; its partition has the
    seats `first[i]` … `last[i] − 1`; a row that is not there (`guest`) moves those behind it up by one.
    """

    rows: Array
    own: Array
    first: Array
    last: Array
    guest: Array
    runs: Runs
    count: Array

    def unseated(self, seat: Array) -> Array:
        """The place in `rows` that a seat stands for, without the guest itself."""
        return seat - (self.guest & (seat > self.own))

    def row_at(self, seat: Array) -> Array:
        """The row on a seat, −1 where the seat is outside of the partition."""
        inside = (seat >= self.first) & (seat < self.last)
        found = np.append(self.rows, -1)[np.where(inside, self.unseated(seat), len(self.rows)).clip(0, len(self.rows))]
        return np.where(inside, np.where(seat == self.own, np.arange(len(seat)), found), -1)

    def frame(self, lo: Bound, hi: Bound) -> tuple[Array, Array]:
        """The first seat of each row's frame, and the one behind its last."""
        low = self._bound(lo, self.first, 0)
        high = self._bound(hi, self.last, 1)
        low, high = np.maximum(low, self.first), np.minimum(high, self.last)
        return low, np.maximum(low, high)

    def _bound(self, bound: Bound, unbounded: Array, behind: int) -> Array:
        if bound is None:
            return unbounded
        if isinstance(bound, np.ndarray):
            return self.count[bound] + (self.guest & (bound > np.arange(len(bound))))
        return self.own + bound + behind


def _seats(presence: Array, partition: Array) -> Seats:
    n = len(partition)
    here = presence >= 0.5
    count = np.concatenate([[0], np.cumsum(here)])
    heads = np.flatnonzero(np.concatenate([np.ones(min(n, 1), dtype=bool), partition[1:] != partition[:-1]]))
    ends = np.append(heads, n)[1:]
    sizes = ends - heads
    first, last = np.repeat(count[heads], sizes), np.repeat(count[ends], sizes)
    runs = Runs(count[ends] - count[heads])
    return Seats(np.flatnonzero(here), count[:-1], first, last + ~here, ~here, runs, count)


def _ranged(partition: Array, lo: Bound, hi: Bound, peer: Array | None) -> tuple[Bound, Bound]:
    """The frame's bounds, those of RANGE as row numbers."""
    if peer is None or (lo is None and hi is None):
        return lo, hi
    return peer_range(partition, peer, lo, hi)


def _totals(x: Array, seats: Seats, low: Array, high: Array, lo: Bound, hi: Bound) -> Array:
    """Σ of x (without NaN, an entry a row) over each frame."""
    own = where(seats.guest & (low <= seats.own) & (seats.own < high), x, 0.0)
    start, stop = seats.unseated(low), seats.unseated(high)
    there = x[seats.rows]
    if isinstance(lo, int) and isinstance(hi, int) and hi - lo < NARROW:
        padded = np.append(there, 0.0)
        for k in range(hi - lo + 1):
            own = own + padded[np.where(start + k < stop, start + k, len(there))]
        return own
    first, last = seats.first, seats.last - seats.guest
    upto = np.append(0.0, seats.runs.scan(np.add, there))
    onwards = np.append(seats.runs.scan(np.add, there, reverse=True), 0.0)
    head = where(stop > first, upto[stop], 0.0)
    inner = head - where(start > first, upto[start], 0.0)
    total = where(start == first, head, where(stop == last, onwards[start], inner))
    return own + where(start < stop, total, 0.0)


def _spread(g: Array, seats: Seats, low: Array, high: Array) -> Array:
    """What `_totals` gives back to each row for the gradient g of its frames' totals."""
    start, stop = seats.unseated(low), seats.unseated(high)
    n = len(seats.rows)
    some = start < stop
    ends = some & (stop < seats.last - seats.guest)
    steps = np.bincount(start[some], weights=g[some], minlength=n)
    steps = steps - np.bincount(stop[ends], weights=g[ends], minlength=n)
    out = where(seats.guest & (low <= seats.own) & (seats.own < high), g, 0.0)
    out[seats.rows] += seats.runs.scan(np.add, steps)
    return out


def _measured(
    x: Array, presence: Array, partition: Array, lo: Bound, hi: Bound, peer: Array | None
) -> tuple[Array, ...]:
    lo, hi = _ranged(partition, lo, hi, peer)
    x = np.broadcast_to(x, partition.shape)
    seats = _seats(np.broadcast_to(presence, partition.shape), partition)
    low, high = seats.frame(lo, hi)
    null = np.isnan(x)
    total = _totals(where(null, 0.0, x), seats, low, high, lo, hi)
    known = _totals((~null).astype(float), seats, low, high, lo, hi)
    return total, known, low, high


def frame_sum(x: Array, presence: Array, partition: Array, lo: Bound, hi: Bound, peer: Array | None = None) -> Array:
    """SUM(x) OVER the frame of each row, shape (n,); NaN where no x in it is known.

    >>> x, there, one = np.array([1.0, 2.0, 4.0, 8.0]), np.array([1.0, 0.0, 1.0, 1.0]), np.zeros(4, dtype=int)
    >>> frame_sum(x, there, one, -1, 0).tolist()
    [1.0, 3.0, 5.0, 12.0]
    """
    total, known, _, _ = _measured(x, presence, partition, lo, hi, peer)
    return where(known > 0, total, np.nan)


def frame_avg(x: Array, presence: Array, partition: Array, lo: Bound, hi: Bound, peer: Array | None = None) -> Array:
    """AVG(x) OVER the frame of each row, shape (n,); NaN where no x in it is known."""
    total, known, _, _ = _measured(x, presence, partition, lo, hi, peer)
    return where(known > 0, total / np.maximum(known, 1.0), np.nan)


def _frame_vjp(
    mean: bool, g: Array, x: Array, presence: Array, partition: Array, lo: Bound, hi: Bound, peer: Array | None = None
) -> tuple[Array | None, ...]:
    lo, hi = _ranged(partition, lo, hi, peer)
    seats = _seats(np.broadcast_to(presence, partition.shape), partition)
    low, high = seats.frame(lo, hi)
    null = np.isnan(np.broadcast_to(x, partition.shape))
    known = _totals((~null).astype(float), seats, low, high, lo, hi)
    flowing = where(known > 0, g / np.maximum(known, 1.0) if mean else g, 0.0)
    return _folded(where(null, 0.0, _spread(flowing, seats, low, high)), x), None


def _best_row(
    sign: float, x: Array, presence: Array, partition: Array, lo: Bound, hi: Bound, peer: Array | None = None
) -> Array:
    """The row (n,) with the largest sign · x of each row's frame, −1 where no x in it is known.

    The best of 1, 2, 4 … seats in a row are found once; a frame is two such stretches, which may overlap.
    """
    lo, hi = _ranged(partition, lo, hi, peer)
    seats = _seats(np.broadcast_to(presence, partition.shape), partition)
    low, high = seats.frame(lo, hi)
    x = np.broadcast_to(x, partition.shape)
    key = np.where(np.isnan(x), -np.inf, sign * x)
    there = key[seats.rows]
    start, stop = seats.unseated(low), seats.unseated(high)
    best, width = np.full(len(x), -1, dtype=np.int64), 1
    stretch = np.arange(len(there))
    while True:
        own = np.flatnonzero((stop - start >= width) & (stop - start < 2 * width))
        one, two = stretch[start[own]], stretch[stop[own] - width]
        best[own] = seats.rows[np.where(there[two] > there[one], two, one)]
        if 2 * width > len(there):
            break
        one, two = stretch[: len(stretch) - width], stretch[width:]
        stretch, width = np.where(there[two] > there[one], two, one), 2 * width
    guest = seats.guest & (low <= seats.own) & (seats.own < high)
    best = np.where(guest & (key > np.append(key, -np.inf)[best]), np.arange(len(x)), best)
    return np.where(np.isnan(np.append(x, np.nan)[best]), -1, best)


def frame_count(presence: Array, partition: Array, lo: Bound, hi: Bound, peer: Array | None = None) -> Array:
    """COUNT(*) OVER the frame of each row, shape (n,): ROW_NUMBER for None and 0, the frame's size in general."""
    lo, hi = _ranged(partition, lo, hi, peer)
    low, high = _seats(np.broadcast_to(presence, partition.shape), partition).frame(lo, hi)
    return (high - low).astype(float)


def _lag_row(presence: Array, partition: Array, offset: int) -> Array:
    seats = _seats(np.broadcast_to(presence, partition.shape), partition)
    return seats.row_at(seats.own - offset)


def _nth_row(nth: int, presence: Array, partition: Array, lo: Bound, hi: Bound, peer: Array | None = None) -> Array:
    lo, hi = _ranged(partition, lo, hi, peer)
    seats = _seats(np.broadcast_to(presence, partition.shape), partition)
    low, high = seats.frame(lo, hi)
    seat = low + nth - 1 if nth > 0 else high + nth
    return np.where((seat >= low) & (seat < high), seats.row_at(seat), -1)


def _taken(x: Array, row: Array, otherwise: float = np.nan) -> Array:
    return where(row < 0, otherwise, np.broadcast_to(x, row.shape)[row])


def _taken_vjp(g: Array, x: Array, row: Array) -> tuple[Array | None, ...]:
    some = (row >= 0) & ~np.isnan(_taken(x, row))
    return _folded(np.bincount(row[some], weights=g[some], minlength=len(row)), x), None


def _folded(g: Array, x: Array) -> Array:
    return g if len(x) == len(g) else g.sum(keepdims=True)


def lag(x: Array, presence: Array, partition: Array, offset: int, default: float = np.nan) -> Array:
    """LAG(x, offset, default), LEAD for a negative offset, shape (n,).

    >>> lag(np.array([1.0, 2.0, 4.0]), np.array([1.0, 0.0, 1.0]), np.zeros(3, dtype=int), 1).tolist()
    [nan, 1.0, 1.0]
    """
    return _taken(x, _lag_row(presence, partition, offset), default)


def nth_value(
    x: Array, presence: Array, partition: Array, lo: Bound, hi: Bound, nth: int, peer: Array | None = None
) -> Array:
    """NTH_VALUE(x, nth) OVER the frame of each row, from its end where `nth` is negative; NaN where it is shorter."""
    return _taken(x, _nth_row(nth, presence, partition, lo, hi, peer))


def peer_range(partition: Array, peer: Array, lo: Bound, hi: Bound) -> tuple[Array, Array]:
    """The bounds, as row numbers, of RANGE BETWEEN lo AND hi: None is unbounded, 0 the current row with its peers.

    Rows with equal `peer` in a row of one partition are peers. RANK is 1 + COUNT(*) over the rows from the first bound
    for None to the first bound for 0.

    >>> [bound.tolist() for bound in peer_range(np.array([0, 0, 0, 1]), np.array([5, 5, 6, 6]), None, 0)]
    [[0, 0, 0, 3], [2, 2, 3, 4]]
    """
    if any(not (b is None or (isinstance(b, int) and b == 0)) for b in (lo, hi)):
        raise ValueError(f"a peer frame is bounded by None or 0, not by {lo} and {hi}; see value_range")
    if not len(partition):
        return partition.astype(np.int64), partition.astype(np.int64)
    changes = partition[1:] != partition[:-1]
    part, own = _bounds(changes), _bounds(changes | (peer[1:] != peer[:-1]))
    return (part if lo is None else own)[0], (part if hi is None else own)[1]


def value_range(partition: Array, key: Array, lo: float | None, hi: float | None) -> tuple[Array, Array]:
    """The bounds, as row numbers, of RANGE BETWEEN lo AND hi in units of `key`, ascending within each partition.

    >>> days = np.array([1.0, 2.0, 9.0])
    >>> [bound.tolist() for bound in value_range(np.zeros(3, dtype=int), days, -6, 0)]
    [[0, 0, 2], [1, 2, 3]]
    """
    if not len(partition):
        return partition.astype(np.int64), partition.astype(np.int64)
    start, stop = _bounds(partition[1:] != partition[:-1])
    low, high = start.copy(), stop.copy()
    for a, b in {*zip(start.tolist(), stop.tolist(), strict=True)}:
        if lo is not None:
            low[a:b] = a + np.searchsorted(key[a:b], key[a:b] + lo, side="left")
        if hi is not None:
            high[a:b] = a + np.searchsorted(key[a:b], key[a:b] + hi, side="right")
    return low, high


def _bounds(changes: Array) -> tuple[Array, Array]:
    n = len(changes) + 1
    heads = np.append(0, np.flatnonzero(changes) + 1)
    ends = np.append(heads, n)[1:]
    return np.repeat(heads, ends - heads), np.repeat(ends, ends - heads)


FORWARD: dict[str, Forward] = {
    "frame_sum": frame_sum,
    "frame_avg": frame_avg,
    "frame_count": frame_count,
    "frame_max": lambda x, *frame: _taken(x, _best_row(1.0, x, *frame)),
    "frame_min": lambda x, *frame: _taken(x, _best_row(-1.0, x, *frame)),
    "lag": lag,
    "nth_value": nth_value,
    "first_value": lambda x, *frame: _taken(x, _nth_row(1, *frame)),
    "last_value": lambda x, *frame: _taken(x, _nth_row(-1, *frame)),
}

EXACT: dict[str, Forward] = {}


GRADIENT: dict[str, VJP] = {
    "frame_sum": lambda *a: _frame_vjp(False, *a),
    "frame_avg": lambda *a: _frame_vjp(True, *a),
    "frame_count": lambda g, presence, *frame: (None,),
    "frame_max": lambda g, x, *frame: _taken_vjp(g, x, _best_row(1.0, x, *frame)),
    "frame_min": lambda g, x, *frame: _taken_vjp(g, x, _best_row(-1.0, x, *frame)),
    "lag": lambda g, x, presence, partition, offset, default=0.0: _taken_vjp(
        g, x, _lag_row(presence, partition, offset)
    ),
    "nth_value": lambda g, x, there, partition, lo, hi, nth, peer=None: _taken_vjp(
        g, x, _nth_row(nth, there, partition, lo, hi, peer)
    ),
    "first_value": lambda g, x, *frame: _taken_vjp(g, x, _nth_row(1, *frame)),
    "last_value": lambda g, x, *frame: _taken_vjp(g, x, _nth_row(-1, *frame)),
}
