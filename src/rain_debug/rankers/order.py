"""Scores → an order that is the same on every machine."""

from __future__ import annotations

import numpy as np

TIE = 1e-10
"""Neighbours closer than this share of the largest score are equal: identical records, rounded apart by BLAS."""


def order(scores: np.ndarray, keys: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """Positions of the kept records, best first; ties by key, numbers by size and text by its letters.

    >>> order(np.array([1.0, 2.0, 1.0 + 1e-15, 9.0]), np.array([7, 5, 3, 1]), np.array([True, True, True, False]))
    array([1, 2, 0])
    """
    kept = np.flatnonzero(keep)
    known = np.asarray(scores, dtype=np.float64)
    unit = TIE * float(np.abs(known[np.isfinite(known)]).max(initial=0.0))
    values = np.nan_to_num(known[kept], nan=-np.inf)
    by_key = _by_key(keys[kept])
    # A stable sort of records in key order: from here on only the score moves them.
    down = by_key[np.argsort(-values[by_key], kind="stable")]
    tiers = _tiers(values[down], unit)
    if not len(kept) or tiers[-1] == len(kept) - 1:
        return np.asarray(kept[down])
    rank = np.empty(len(kept), dtype=np.int64)
    rank[by_key] = np.arange(len(kept))
    out: np.ndarray = kept[down[np.lexsort((rank[down], tiers))]]
    return out


def _tiers(down: np.ndarray, unit: float) -> np.ndarray:
    """The number of the tie each of the descending scores belongs to; a tie is a chain of neighbours within `unit`."""
    if not len(down):
        return np.zeros(0, dtype=np.int64)
    with np.errstate(invalid="ignore"):
        gaps = down[:-1] - down[1:]
    return np.concatenate([[0], np.cumsum(gaps > unit)])


def _by_key(keys: np.ndarray) -> np.ndarray:
    """Positions in the order of the keys; mixed kinds by the name of their kind first."""
    if keys.dtype != object:
        return np.argsort(keys, kind="stable")
    values = keys.tolist()
    try:
        return np.array(sorted(range(len(values)), key=values.__getitem__), dtype=np.int64)
    except TypeError:
        return np.array(
            sorted(range(len(values)), key=lambda i: (type(values[i]).__name__, str(values[i]))), dtype=np.int64
        )
