"""How many repairs are smallest: closed forms over groups of interchangeable predictions, as logarithms."""

from __future__ import annotations

import itertools
import math

import numpy as np
from scipy.special import gammaln

from rain_debug.repair.forms import Array
from rain_debug.repair.parts import Part

MOST = 20_000
"""How many candidate repairs are looked at one by one."""


def log_ways(part: Part, flows: Array) -> float:
    """log of how many assignments take each option `flows` times: a multinomial a group, and classes to choose from."""
    taken = np.bincount(part.group, weights=flows, minlength=len(part.size))
    out = gammaln(part.size + 1.0).sum() - gammaln(flows + 1.0).sum() - gammaln(part.size - taken + 1.0).sum()
    return float(out + (flows * np.log(part.ways)).sum())


def log_ways_of_unit_moves(size: Array, ways: Array, k: int) -> float:
    """log of how many sets of k changes there are, `ways[g]` kinds of change for each of `size[g]` predictions.

    The coefficient of tᵏ in Π (1 + ways·t)^size: predictions with equally many ways are alike, so few factors remain.

    >>> round(math.exp(log_ways_of_unit_moves(np.array([3, 2]), np.array([1, 2]), 2)))
    19
    """
    logs = np.zeros(1)
    for w in np.unique(ways).tolist():
        n = int(size[ways == w].sum())
        j = np.arange(min(n, k) + 1)
        factor = gammaln(n + 1.0) - gammaln(j + 1.0) - gammaln(n - j + 1.0) + j * math.log(w)
        logs = factor if len(logs) == 1 else _log_convolved(logs, factor, k)
    return float(logs[k])


def _log_convolved(a: Array, b: Array, k: int) -> Array:
    """The first k + 1 coefficients of a product of polynomials, all as logarithms."""
    out = np.full(min(k, len(a) + len(b) - 2) + 1, -math.inf)
    for i in range(len(out)):
        low = max(0, i - len(b) + 1)
        some = a[low : i + 1]
        out[i] = _log_sum(some + b[i - low - len(some) + 1 : i - low + 1][::-1])
    return out


def every_optimum(part: Part, k: int) -> list[Array] | None:
    """All flows with k changes that keep the rows; None where there are too many to look at, or other columns."""
    n = len(part.group)
    if part.extra.shape[1] or math.comb(n + k - 1, k) > MOST:
        return None
    found = []
    moves = part.moves.toarray()
    margin = 1e-9 * np.maximum(1.0, np.abs(moves).max(axis=1, initial=0.0))
    for chosen in itertools.combinations_with_replacement(range(n), k):
        flows = np.bincount(np.array(chosen, dtype=np.int64), minlength=n)
        if (np.bincount(part.group, weights=flows, minlength=len(part.size)) > part.size).any():
            continue
        value = moves @ flows
        if (value >= part.low - margin).all() and (value <= part.high + margin).all():
            found.append(flows)
    return found


def log_total(logs: list[float]) -> float:
    """log of the sum."""
    return _log_sum(np.array(logs))


def _log_sum(logs: Array) -> float:
    top = float(np.max(logs, initial=-math.inf))
    return top + math.log(float(np.exp(logs - top).sum())) if math.isfinite(top) else top
