"""How well a ranking finds the wrong records: recall at k, and the papers' AUCCR."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

POINTS = 20
"""A stored curve's points: recall after 1/20, 2/20, … of K records."""


def recall(ranked: Sequence[Any], truth: Iterable[Any]) -> np.ndarray:
    """r_k for k = 1 … K, the share of the K wrong records among the first k; a ranking that ends early stays level.

    >>> recall([7, 1, 9], truth=[7, 9]).tolist()
    [0.5, 0.5]
    """
    wrong = set(truth)
    hits = np.zeros(len(wrong))
    for k, key in enumerate(ranked[: len(wrong)]):
        hits[k] = key in wrong
    return np.cumsum(hits) / max(1, len(wrong))


def auccr(curve: np.ndarray) -> float:
    """(2/K) Σ_{k≤K} r_k: the area under the corruption-recall curve (K,), (K+1)/K for a perfect ranking.

    >>> auccr(recall([7, 9, 1], truth=[7, 9])), auccr(recall([1, 7], truth=[7, 9]))
    (1.5, 0.5)
    """
    return float(2 * curve.sum() / max(1, len(curve)))


def perfect(wrong: int) -> float:
    """The AUCCR of a ranking that puts all `wrong` records first.

    >>> perfect(2)
    1.5
    """
    return (wrong + 1) / wrong


def sampled(curve: np.ndarray) -> list[float]:
    """The curve (K,) at `POINTS` evenly spaced shares of K.

    >>> sampled(np.array([0.5, 1.0]))[9:11], len(sampled(np.array([0.5, 1.0])))
    ([0.5, 0.55], 20)
    """
    at = np.arange(1, POINTS + 1) / POINTS
    k = np.arange(len(curve) + 1) / len(curve)
    return [round(float(r), 4) for r in np.interp(at, k, np.concatenate([[0.0], curve]))]
