"""The first records of a ranking whose scores lie in several places: each names its own, and few of them travel.

A tie is a chain of neighbours no further apart than `unit` (`rankers.order`), and within it the key decides. Scores of
other places can only join chains together, never part one. So a place tells its chains from the best one down, by their
ends and sizes, as far as `count` records go, and of each the first `count` by key. Where the chain with the last record
that is wanted might go on among scores that were not told, more are asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from rain_debug.rankers.order import chains, head, numbers, order_of, unit_of


@dataclass(frozen=True, eq=False)
class Best:
    """One place's best chains: `high`, `low` and `size` (n_chains,), and the best score that is not among them.

    `at` (n_told,) are the records told, `chain` and `scores` (n_told,) theirs. `below` is None where all is told.
    """

    high: np.ndarray
    low: np.ndarray
    size: np.ndarray
    at: np.ndarray
    chain: np.ndarray
    scores: np.ndarray
    below: float | None


def best(scores: np.ndarray, keys: np.ndarray, may: np.ndarray, count: int, unit: float, offset: int = 0) -> Best:
    """The chains that the first `count` records of one place are in; its positions begin at `offset`.

    >>> found = best(np.array([2.0, 5.0, 2.0, 1.0]), np.array([9, 8, 7, 6]), np.ones(4, dtype=bool), 2, 1e-9)
    >>> found.high.tolist(), found.size.tolist(), found.at.tolist(), found.below
    ([5.0, 2.0], [1, 2], [1, 2, 0], 1.0)
    """
    at = head(scores, may, count, unit)
    at = at[np.argsort(-numbers(scores[at]), kind="stable")]
    down = numbers(scores[at])
    chain = chains(down, unit)
    n = int(chain[min(count, len(at)) - 1]) + 1 if len(at) else 0
    ends = np.searchsorted(chain, np.arange(n + 1))
    told = [at[a:b][order_of(keys[at[a:b]])[:count]] for a, b in pairwise(ends)]
    mine = np.concatenate([np.zeros(0, dtype=np.int64), *told])
    below = float(down[ends[-1]]) if ends[-1] < len(down) else None
    return Best(
        down[ends[:-1]],
        down[ends[1:] - 1],
        np.diff(ends),
        mine + offset,
        np.repeat(np.arange(n), [len(t) for t in told]),
        np.asarray(scores[mine], dtype=np.float64),
        below,
    )


def merged(places: Sequence[Best], keys: np.ndarray, count: int, unit: float) -> tuple[np.ndarray, np.ndarray] | None:
    """The first `count` positions of all places and their scores; None where the places have to tell more."""
    high, low, size = (np.concatenate([getattr(p, name) for p in places]) for name in ("high", "low", "size"))
    if not len(high):
        return np.zeros(0, dtype=np.int64), np.zeros(0)
    down = np.argsort(-high, kind="stable")
    reach = np.minimum.accumulate(low[down])
    tie = np.empty(len(down), dtype=np.int64)
    with np.errstate(invalid="ignore", over="ignore"):  # scores that are no number are −∞, and tied with one another
        tie[down] = np.concatenate([[0], np.cumsum(reach[:-1] - high[down][1:] > unit)])
    sizes = np.bincount(tie, size)
    last = min(int(np.searchsorted(np.cumsum(sizes), count)), len(sizes) - 1)
    floor = low[tie <= last].min()
    if any(p.below is not None and not floor - p.below > unit for p in places):
        return None
    first = np.cumsum([0, *(len(p.high) for p in places)])
    at = np.concatenate([p.at for p in places])
    ties = tie[np.concatenate([p.chain + n for p, n in zip(places, first, strict=False)])]
    by_key = np.empty(len(at), dtype=np.int64)
    by_key[order_of(keys[at])] = np.arange(len(at))
    chosen = np.lexsort((by_key, ties))[:count]
    return at[chosen], np.concatenate([p.scores for p in places])[chosen]


class AwayScores(NDArrayOperatorsMixin):
    """(n_records,) scores with the workers, `influence.Apart`: `ask` has a job done by all of them.

    An array in all that is done with it; but for `first`, `any` and what `first` has found, that fetches every score.
    """

    dtype = np.dtype(np.float64)
    ndim = 1

    def __init__(self, ask: Callable[..., list[Any]], n_records: int) -> None:
        self._ask, self.shape = ask, (n_records,)
        self._all: np.ndarray | None = None
        self._found: dict[int, float] = {}
        told = ask("extent")
        self._unit, self._any = max(unit for unit, _ in told), any(some for _, some in told)

    def first(self, keys: np.ndarray, may: np.ndarray, count: int) -> np.ndarray:
        """See `Apart`; a few numbers for each of them and each worker is all that travels."""
        spared, wanted = np.flatnonzero(~may), count
        while True:
            places = self._ask("best", spared=spared, count=wanted, unit=self._unit)
            found = merged(places, keys, count, self._unit)
            if found is not None:
                self._found.update(zip(found[0].tolist(), found[1].tolist(), strict=True))
                return found[0]
            wanted *= 4

    def any(self) -> bool:
        """Whether any score is not 0."""
        return self._any

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if self._all is None:
            self._all = np.concatenate(self._ask("scores"))
        return np.array(self._all, dtype=dtype) if copy else np.asarray(self._all, dtype=dtype)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **how: Any) -> Any:
        return getattr(ufunc, method)(*(np.asarray(i) if i is self else i for i in inputs), **how)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, at: Any) -> Any:
        if self._all is None:
            if isinstance(at, int | np.integer) and int(at) in self._found:
                return self._found[int(at)]
            if isinstance(at, np.ndarray) and at.dtype.kind == "i" and self._found.keys() >= set(at.tolist()):
                return np.array([self._found[i] for i in at.tolist()])
        return np.asarray(self)[at]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(np.asarray(self), name)


def extent(scores: np.ndarray) -> tuple[float, bool]:
    """What scores of one place have to differ by, and whether there are any."""
    return unit_of(scores), bool(scores.any())
