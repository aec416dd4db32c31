"""One row alone, the common case (a count, a sum): the fewest changes in closed form, without a solver."""

from __future__ import annotations

import numpy as np

from rain_debug.repair.counts import log_ways, log_ways_of_unit_moves
from rain_debug.repair.forms import Array
from rain_debug.repair.parts import Part
from rain_debug.repair.solution import Solution, Unreachable, closed_form

ROUNDING = 1e-9


def solve_single(part: Part) -> Solution | None:
    """The optimum of a part of one row; None where it takes a search (the largest moves overshoot).

    Each change should go as far as it can, and the farthest go first: with k changes nothing can go farther. If that
    stays within the bounds, k is the least. Raises `Unreachable` where all changes together do not get there.
    """
    if part.moves.shape[0] != 1 or part.extra.shape[1]:
        return None
    move = np.zeros(part.moves.shape[1])
    move[np.repeat(np.arange(len(move)), np.diff(part.moves.indptr))] = part.moves.data
    low, high = float(part.low[0]), float(part.high[0])
    margin = ROUNDING * max(1.0, *(abs(v) for v in (low, high) if np.isfinite(v)), float(np.abs(move).max()))
    if low - margin <= 0 <= high + margin:
        return closed_form(np.zeros(len(move), dtype=np.int64), 0.0, True)
    sign = 1.0 if low > 0 else -1.0
    need, most = (low, high) if sign > 0 else (-high, -low)
    move = sign * move
    best = np.zeros(len(part.size))
    np.maximum.at(best, part.group, move)
    option = np.full(len(part.size), -1)
    for o in np.flatnonzero(move == best[part.group])[::-1].tolist():
        option[part.group[o]] = o
    order = np.argsort(-best, kind="stable")
    total, count = np.cumsum(best[order] * part.size[order]), np.cumsum(part.size[order])
    enough = np.flatnonzero(total >= need - margin)
    if not len(enough):
        raise Unreachable
    last = int(enough[0])
    g = int(order[last])
    before, taken = (float(total[last - 1]), int(count[last - 1])) if last else (0.0, 0)
    rest = max(0, int(np.ceil((need - before) / best[g] - ROUNDING)))
    reached = before + rest * best[g]
    if reached > most + margin:
        if _one_unit(move):
            raise Unreachable
        return None
    flows = np.zeros(len(move), dtype=np.int64)
    done = order[:last]
    flows[option[done]] = part.size[done]
    flows[option[g]] += rest
    if _one_unit(move):
        return _any_of_equals(part, move, taken + rest)
    equal = np.flatnonzero((best == best[g]) & (np.isin(np.arange(len(best)), done, invert=True)))
    return closed_form(flows, log_ways(part, flows), False, _Marginal(option, equal, rest, part.size, flows))


def _one_unit(move: Array) -> bool:
    """True where every move is the same step, one way or the other."""
    return bool(np.ptp(np.abs(move)) == 0)


def _any_of_equals(part: Part, move: Array, k: int) -> Solution:
    """k steps of one size: whichever predictions make them."""
    up = np.flatnonzero(move > 0)  # one option a group: moves that differ only in sign differ
    size, ways = part.size[part.group[up]], part.ways[up]

    def draw(rng: np.random.Generator) -> Array:
        flows = np.zeros(len(move), dtype=np.int64)
        flows[up] = _spread(rng, size, k)
        return flows

    return closed_form(draw(np.random.default_rng(0)), log_ways_of_unit_moves(size, ways, k), True, draw)


def _spread(rng: np.random.Generator, size: Array, k: int) -> Array:
    """How many of k, drawn from all without replacement, come from each group."""
    out = np.zeros(len(size), dtype=np.int64)
    left = int(size.sum())
    for i, n in enumerate(size.tolist()):
        left -= n
        out[i] = rng.hypergeometric(n, left, k) if k > 0 and left + n > 0 else 0
        k -= int(out[i])
    return out


class _Marginal:
    """Draws which of the equally good groups give the last changes."""

    def __init__(self, option: Array, equal: Array, rest: int, size: Array, flows: Array) -> None:
        self.option, self.equal, self.rest, self.size, self.flows = option, equal, rest, size, flows

    def __call__(self, rng: np.random.Generator) -> Array:
        flows = self.flows.copy()
        flows[self.option[self.equal]] = _spread(rng, self.size[self.equal], self.rest)
        return flows
