"""Scores → an order that is the same on every machine."""

from __future__ import annotations

import numpy as np

from rain_debug.influence import Apart, Scores

TIE = 1e-10
"""Neighbours closer than this share of the largest score are equal: identical records, rounded apart by BLAS."""


MANY = 10_000
"""From so many records on the first ones are found without sorting the others."""
SAMPLE = 8_000
"""Scores that say about where the first ones begin."""


def order(scores: np.ndarray, keys: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """Positions of the kept records, best first; ties by key, numbers by size and text by its letters.

    >>> order(np.array([1.0, 2.0, 1.0 + 1e-15, 9.0]), np.array([7, 5, 3, 1]), np.array([True, True, True, False]))
    array([1, 2, 0])
    """
    return _ordered(scores, keys, np.flatnonzero(keep), unit_of(scores))


def first(scores: Scores, keys: np.ndarray, keep: np.ndarray, count: int) -> np.ndarray:
    """The first `count` positions of `order`; of many records, without sorting the others.

    Of scores that lie where the records do, they are found there, and the others stay where they are.

    >>> first(np.array([1.0, 2.0, 1.0 + 1e-15, 9.0]), np.array([7, 5, 3, 1]), np.array([True, True, True, False]), 2)
    array([1, 2])
    """
    if isinstance(scores, Apart):
        return scores.first(keys, keep, count)
    unit = unit_of(scores)
    return _ordered(scores, keys, head(scores, keep, count, unit), unit)[:count]


def head(scores: np.ndarray, keep: np.ndarray, count: int, unit: float) -> np.ndarray:
    """Kept positions, in no order: the first `count`, whatever may be tied with the last of them, and some more.

    They are all that are kept, or a gap of more than `unit` lies among them somewhere behind the first `count`.
    """
    n = len(scores)
    if n < MANY or count > n // 4:
        return np.flatnonzero(keep)
    step = n // SAMPLE
    sample = np.sort(scores[::step][keep[::step]])
    # Nearly always a little below where the count-th score lies.
    share = (count + 3 * np.sqrt(count * step) + step) / max(1, int(keep.sum()))
    cut = sample[max(0, int((1 - share) * len(sample)) - 1)] if len(sample) else 0.0
    best = np.flatnonzero((scores >= cut) & keep)
    behind = np.sort(-scores[best].astype(np.float64))[max(0, count - 1) :]
    # A tie that the cut may have parted is for the whole order to settle, and so is what is no number.
    return best if np.any(np.diff(behind) > unit) else np.flatnonzero(keep)


def unit_of(scores: np.ndarray) -> float:
    """What scores have to differ by; those that are no number do not count."""
    if not len(scores):
        return 0.0
    most = float(max(scores.max(), -scores.min()))
    if not np.isfinite(most):
        most = float(np.abs(scores[np.isfinite(scores)]).max(initial=0.0))
    return TIE * most


def _ordered(scores: np.ndarray, keys: np.ndarray, kept: np.ndarray, unit: float) -> np.ndarray:
    """`kept` positions, best first, scores within `unit` of each other by key."""
    values = numbers(scores[kept])
    down = np.argsort(-values)
    tiers = chains(values[down], unit)
    if not np.diff(tiers).all():
        rank = np.argsort(order_of(keys[kept]))
        down = down[np.lexsort((rank[down], tiers))]
    return np.asarray(kept[down])


def numbers(scores: np.ndarray) -> np.ndarray:
    """(n_records,) float64 that can be compared: what is no number comes last."""
    return np.nan_to_num(scores.astype(np.float64), nan=-np.inf)


def chains(down: np.ndarray, unit: float) -> np.ndarray:
    """The number of the tie each of the descending scores belongs to; a tie is a chain of neighbours within `unit`."""
    with np.errstate(invalid="ignore", over="ignore"):
        return np.cumsum(np.diff(down, prepend=down[:1]) < -unit)


def order_of(keys: np.ndarray) -> np.ndarray:
    """Positions in the order of the keys; mixed kinds by the name of their kind first."""
    if keys.dtype != object:
        return np.argsort(keys, kind="stable")
    values = keys.tolist()
    try:
        return np.array(sorted(range(len(values)), key=values.__getitem__), dtype=np.int64)
    except TypeError:
        return np.array(sorted(range(len(values)), key=lambda i: (type(values[i]).__name__, str(values[i]))))
