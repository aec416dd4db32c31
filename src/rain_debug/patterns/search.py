"""The best conjunctions of up to four predicates: a walk of their lattice, the best first, cut off by bounds.

Every record has a gain, and a conjunction of predicates that n records meet is worth

    Π price · Σ gain / n^power

with the prices of its predicates, each a little below 1: a further one has to earn its place. `power` says how much
purity counts beside size: 0 takes all records that gain anything, 1 the purest handful. Three facts bound what lies
below a node of the lattice. The records that meet more predicates are fewer, so the positive gains only fall. The
negative ones, the *cost*, and the number n fall at most by what each further predicate takes away from the node itself.
And of any set of records, Σ gain / n^power is at most (Σ gain₊^(1/(1−power)))^(1−power), after Hölder. Gains are
rounded to whole multiples of a unit, so that their sums are exact, and equal values equal in whatever order they were
added. Where nothing but the number of records limits a group (power = 0), a fourth fact does: of any `most` records,
Σ gain ≤ most · t + Σ (gain − t)₊, whatever t.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from rain_debug.patterns.literals import Literals, pack, popcount, unpack
from rain_debug.patterns.predicate import Predicate

DEPTH = 4
"""Predicates of a conjunction."""
POWER = 0.3
"""Of the number of records."""
FLOOR = 0.5
"""The share of the best value that is looked for."""
EFFORT = 40_000_000
"""Words of 64 records that are looked at, at most: some tenths of a second."""
OPENING = 20_000
"""What opening a node costs besides, in such words."""
TOLLS = (1, 3, 8)
"""Ranks, as multiples of the records that a conjunction may hold, of the gains by which it is bounded."""
LEVELS = 128
"""Whole numbers that the largest gain is divided into: sums of such are exact, and quick to take."""


@dataclass(frozen=True)
class Conjunction:
    """The predicates at `members` (positions, ascending) that `n` records meet together, and what that is worth."""

    members: tuple[int, ...]
    n: int
    value: float


@dataclass(frozen=True)
class Found:
    """The best conjunctions, best first, ties by text.

    `complete` says that there are no better ones; else the walk ended after so much `effort`, whatever the clock says.
    """

    best: tuple[Conjunction, ...]
    complete: bool
    effort: int


def search(
    literals: Literals,
    gains: np.ndarray,
    prices: np.ndarray,
    *,
    least: int,
    most: int,
    keep: int = 8,
    depth: int = DEPTH,
    power: float = POWER,
    above: float = 0.0,
    levels: int = LEVELS,
    effort: int = EFFORT,
) -> Found:
    """The `keep` best conjunctions that at least `least` and at most `most` records meet, of positive value.

    Each is worth more than any such conjunction of a part of its predicates, at least FLOOR of the best, and `above`.
    Predicates on one column go together where one is a lower bound and the other an upper one, or both are words.
    `gains` (n_records,) are rounded to `levels` steps; `prices` (n_predicates,) in (0, 1]; 0 ≤ `power` < 1. The walk
    ends after `effort` words.
    """
    walk = _Walk(literals, gains, prices, least, most, keep, depth, power, above, levels)
    walk.run(effort)
    return walk.result()


class _Sums:
    """Sums of whole weights ≥ 0 over bit sets, by the weights' binary digits: one popcount a digit."""

    def __init__(self, weights: np.ndarray) -> None:
        whole = weights.astype(np.int64)
        self.total = float(whole.sum())
        self.same = float(whole[0]) if len(whole) and np.all(whole == whole[0]) else None
        digits = range(int(whole.max(initial=0)).bit_length() if self.same is None else 0)
        self.planes = [(float(1 << d), pack((whole >> d) & 1 != 0)) for d in digits]

    def __call__(self, bits: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """(m,) for bits (m, n_words) of which so many are set."""
        if self.same is not None:
            return counts * self.same
        out = np.zeros(len(bits))
        for value, plane in self.planes:
            out += value * popcount(bits & plane)
        return out


@dataclass(eq=False)
class _Node:
    """A conjunction: which records of positive gain and which others meet it, what they gain, cost and number.

    `part` is the best value known of a conjunction of some of its predicates, itself included.
    """

    members: tuple[int, ...]
    gain: float
    cost: float
    n: float
    price: float = 1.0
    part: float = -np.inf
    pos: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.uint64))
    neg: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.uint64))


_Waiting = tuple[tuple[float, tuple[int, ...]], float, _Node, np.ndarray]
"""What is worth most first, ties by members; the bound of what lies below; the node, and what may join it."""


@dataclass(eq=False)
class _Children:
    """A node with one predicate more, each way: `which` predicate, and of each child what `_Node` says.

    `held` is what so many of its records as a conjunction may hold can gain at most.
    """

    which: np.ndarray
    pos: np.ndarray
    neg: np.ndarray
    gain: np.ndarray
    held: np.ndarray
    cost: np.ndarray
    n: np.ndarray

    def take(self, rows: np.ndarray) -> _Children:
        parts = (self.which, self.pos, self.neg, self.gain, self.held, self.cost, self.n)
        return _Children(*(part[rows] for part in parts))


class _Walk:
    """The state of one walk."""

    def __init__(
        self,
        literals: Literals,
        gains: np.ndarray,
        prices: np.ndarray,
        least: int,
        most: int,
        keep: int,
        depth: int,
        power: float,
        above: float,
        levels: int,
    ) -> None:
        self.literals, self.least, self.most, self.keep = literals, max(1, least), most, keep
        self.depth, self.power = depth, power
        self.prices = prices
        # What up to so many further predicates leave of a value at best, the first of them paid for.
        self.cheapest = float(prices.max(initial=0.0)) ** np.arange(depth + 1)
        self.unit = (float(np.abs(gains).max(initial=0.0)) or 1.0) / levels
        whole = np.rint(gains / self.unit)
        rows = (np.flatnonzero(whole > 0), np.flatnonzero(whole <= 0))
        masks = [unpack(row, len(whole)) for row in literals.bits]
        full = [pack(np.ones(len(r), dtype=bool)) for r in rows]
        self.above = above / self.unit
        self.pos, self.neg = (
            np.array([pack(mask[r]) for mask in masks]).reshape(len(masks), len(f))
            for r, f in zip(rows, full, strict=True)
        )
        self.up, self.down = _Sums(whole[rows[0]]), _Sums(-whole[rows[1]])
        # The bound's summands, in a unit of their own that no more digits are needed for; rounded up, it stays one.
        raised = whole[rows[0]] ** (1 / (1 - power))
        self.coarse = max(1.0, float(raised.max(initial=0.0)) / levels)
        self.raised = self.up if power == 0 else _Sums(np.ceil(raised / self.coarse))
        self.tolls = self._tolls(whole[rows[0]]) if power == 0 else []
        self.root = _Node((), self.up.total, self.down.total, len(whole), pos=full[0], neg=full[1])
        self.together = compatible(literals.predicates)
        self.known: dict[tuple[int, ...], float] = {}
        inside, outside = popcount(self.pos), popcount(self.neg)
        sums = self.up(self.pos, inside) - self.down(self.neg, outside)
        self._singles = self._allowed(self._worth(sums, inside + outside, prices), inside + outside)
        self.found: list[Conjunction] = []
        self.noted: set[tuple[int, ...]] = set()
        self.values: list[float] = []
        self.top = 0.0
        self.effort = 0
        self.waiting: list[_Waiting] = []

    def _tolls(self, gains: np.ndarray) -> list[tuple[float, float, _Sums]]:
        """Tolls t for the bound Σ gain ≤ most · t + Σ (gain − t)₊ over any `most` records: what these pay together, the
        unit of the sums, and the sums."""
        ranked, out = np.sort(gains)[::-1], []
        for times in TOLLS:
            if times * self.most < len(ranked):
                toll = float(ranked[int(times * self.most)])
                over = np.maximum(0.0, gains - toll)
                unit = max(1.0, float(over.max(initial=0.0)) / LEVELS)
                out.append((self.most * toll, unit, _Sums(np.ceil(over / unit))))
        return out

    def _held(self, pos: np.ndarray, inside: np.ndarray) -> np.ndarray:
        """(m,) what the records of positive gain `pos` (m, n_words) can bring to a conjunction at most."""
        held = self.raised(pos, inside) * (1 if self.power == 0 else self.coarse)
        for paid, unit, over in self.tolls:
            held = np.minimum(held, paid + unit * over(pos, inside))
        return np.asarray(held)

    def run(self, effort: int) -> None:
        """Open node after node, the most hopeful first, until none can hold better or the effort is spent."""
        if self.root.gain > 0:
            self._dive()
            self._open(self.root, np.arange(len(self.literals.predicates)))
        while self.waiting and self.effort < effort:
            _, bound, node, eligible = heapq.heappop(self.waiting)
            if bound >= self._bar():
                self._open(self._filled(node), eligible)

    def result(self) -> Found:
        bar = self._bar()
        best = sorted(
            (c for c in self.found if c.value >= bar), key=lambda c: (-c.value, len(c.members), self._text(c))
        )
        back = self.unit
        scaled = tuple(Conjunction(c.members, c.n, c.value * back) for c in best[: self.keep])
        return Found(scaled, not self.waiting, self.effort)

    def _dive(self) -> None:
        """Note what a narrow walk straight down finds: values that all others then have to reach."""
        beam: dict[tuple[int, ...], _Node] = {(): self.root}
        for _ in range(self.depth):
            found: dict[tuple[int, ...], tuple[float, _Node]] = {}
            for node in beam.values():
                fits = self.together[list(node.members)].all(axis=0)
                children = self._children(node, np.flatnonzero(fits))
                prices = node.price * self.prices[children.which]
                values = self._worth(children.gain - children.cost, children.n, prices)
                self._note(node, children, values)
                few = np.minimum(1.0, self.most / children.n)
                for hope in (self._hope(children, values, prices), values * few):
                    for i in np.argsort(-hope, kind="stable")[: self.keep].tolist():
                        members = tuple(sorted((*node.members, int(children.which[i]))))
                        gain, cost, n = float(children.gain[i]), float(children.cost[i]), float(children.n[i])
                        found[members] = (float(hope[i]), _Node(members, gain, cost, n, float(prices[i])))
            ranked = sorted(found, key=lambda m: (-found[m][0], m))[: 2 * self.keep]
            beam = {m: self._filled(found[m][1]) for m in ranked}

    def _open(self, node: _Node, eligible: np.ndarray) -> None:
        """Note the node's children; those below which something better may lie wait to be opened."""
        size = len(node.members) + 1
        children = self._children(node, eligible)
        prices = node.price * self.prices[children.which]
        values = self._worth(children.gain - children.cost, children.n, prices)
        self._note(node, children, values)
        if size >= self.depth:
            return
        # What cuts most goes first: those that come later can take little away, and are soon cut off.
        children_order = np.lexsort((children.which, children.cost, children.n))
        children, values, prices = children.take(children_order), values[children_order], prices[children_order]
        own = self._allowed(values, children.n)
        part = np.maximum(np.maximum(own, node.part), self._singles[children.which])
        bounds = prices * self._below(node, children, size)
        hope = self._hope(children, values, prices)
        for i in np.flatnonzero((bounds >= self._bar()) & (bounds > part)).tolist():
            which = int(children.which[i])
            later = np.flatnonzero(self.together[which, children.which[i + 1 :]]) + i + 1
            if len(later):
                child = _Node(
                    (*node.members, which),
                    gain=float(children.gain[i]),
                    cost=float(children.cost[i]),
                    n=float(children.n[i]),
                    price=float(prices[i]),
                    part=float(part[i]),
                )
                heapq.heappush(
                    self.waiting, ((-hope[i], child.members), float(bounds[i]), child, children.which[later])
                )

    def _hope(self, children: _Children, values: np.ndarray, prices: np.ndarray) -> np.ndarray:
        """(m,) what is expected below each child: where it holds too many records, their best at their mean cost."""
        if self.power:
            return values
        return np.asarray(prices * (children.held - children.cost * np.minimum(1.0, self.most / children.n)))

    def _filled(self, node: _Node) -> _Node:
        """The node with its bit sets, which do not wait with it."""
        at = list(node.members)
        pos, neg = (np.bitwise_and.reduce(bits[at], axis=0) for bits in (self.pos, self.neg))
        return replace(node, pos=pos, neg=neg)

    def _below(self, node: _Node, children: _Children, size: int) -> np.ndarray:
        """(m,) no conjunction of a child and some of the children after it is worth more, its own price left out."""
        steps = np.arange(1, self.depth - size + 1)[:, None]
        cheaper, fewer = node.cost - children.cost, node.n - children.n
        most = [np.append(np.maximum.accumulate(part[::-1])[::-1][1:], 0) for part in (cheaper, fewer)]
        cost = np.maximum(0.0, children.cost - steps * most[0])
        n = np.maximum(self.least, children.n - steps * most[1])
        gain = children.gain if self.power else children.held
        worth = self.cheapest[steps] * (gain - cost) / n**self.power
        return np.asarray(worth.max(axis=0, initial=-np.inf))

    def _children(self, node: _Node, eligible: np.ndarray) -> _Children:
        """Those that enough records meet, fewer than meet the node, and at or below which the bar may be reached."""
        pos = self.pos[eligible] & node.pos
        inside = popcount(pos)
        held = self._held(pos, inside)
        bound = held ** (1 - self.power) * node.price * self.prices[eligible]
        fit = (bound * (1 + 1e-9) >= self._bar()) & (bound * (1 + 1e-9) > node.part)
        which, pos, inside = eligible[fit], pos[fit], inside[fit]
        neg = self.neg[which] & node.neg
        outside = popcount(neg)
        n = inside + outside
        digits = len(self.raised.planes) + 1
        self.effort += OPENING + len(eligible) * self.pos.shape[1] * digits + len(which) * self.neg.shape[1]
        gain = self.up(pos, inside)
        children = _Children(which, pos, neg, gain, np.minimum(gain, held[fit]), self.down(neg, outside), n)
        return children.take((n >= self.least) & (n < node.n))

    def _note(self, node: _Node, children: _Children, values: np.ndarray) -> None:
        for i in np.flatnonzero((values >= self._bar()) & (values > node.part) & (children.n <= self.most)).tolist():
            members = tuple(sorted((*node.members, int(children.which[i]))))
            value = float(values[i])
            parts = (p for k in range(1, len(members)) for p in itertools.combinations(members, k))
            if members in self.noted or value < self._bar() or any(self._value(p) >= value for p in parts):
                continue
            self.noted.add(members)
            self.found.append(Conjunction(members, int(children.n[i]), value))
            self.top = max(self.top, value)
            heapq.heappush(self.values, value)
            if len(self.values) > self.keep:
                heapq.heappop(self.values)

    def _bar(self) -> float:
        """The value that a conjunction has to reach, above 0."""
        last = self.values[0] if len(self.values) >= self.keep else 0.0
        return max(np.finfo(float).tiny, last, FLOOR * self.top, self.above)

    def _worth(self, sums: np.ndarray, n: np.ndarray, prices: np.ndarray) -> np.ndarray:
        return np.asarray(prices * sums / np.maximum(1, n) ** self.power)

    def _allowed(self, values: np.ndarray, n: np.ndarray) -> np.ndarray:
        """The values, −∞ where too many records meet the conjunction: a part that may not be had excludes nothing."""
        return np.where(n <= self.most, values, -np.inf)

    def _value(self, members: tuple[int, ...]) -> float:
        if members not in self.known:
            at = list(members)
            pos = np.bitwise_and.reduce(self.pos[at], axis=0)[None]
            neg = np.bitwise_and.reduce(self.neg[at], axis=0)[None]
            inside, outside = popcount(pos), popcount(neg)
            sums = self.up(pos, inside) - self.down(neg, outside)
            worth = self._worth(sums, inside + outside, self.prices[at].prod())
            self.known[members] = float(self._allowed(worth, inside + outside)[0])
        return self.known[members]

    def _text(self, found: Conjunction) -> list[str]:
        return [self.literals.predicates[m].sql for m in found.members]


def compatible(predicates: Sequence[Predicate]) -> np.ndarray:
    """(n, n) bool: which two predicates may stand in one conjunction."""
    columns = np.array([p.column for p in predicates], dtype=object)
    tests = np.array([p.test for p in predicates], dtype=object)
    apart = columns[:, None] != columns[None, :]
    lower, upper, word = tests == ">=", tests == "<", tests == "word"
    pair = (lower[:, None] & upper[None, :]) | (upper[:, None] & lower[None, :]) | (word[:, None] & word[None, :])
    out = np.asarray(apart | pair, dtype=bool)
    np.fill_diagonal(out, False)
    return out
