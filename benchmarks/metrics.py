"""How well a ranking finds the wrong records: recall at k, and the papers' AUCCR."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np


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


def auccr(ranked: Sequence[Any], truth: Iterable[Any]) -> float:
    """(2/K) Σ_{k≤K} r_k: the area under the corruption-recall curve, (K+1)/K for a perfect ranking.

    >>> auccr([7, 9, 1], truth=[7, 9]), auccr([1, 7], truth=[7, 9])
    (1.5, 0.5)
    """
    curve = recall(ranked, truth)
    return float(2 * curve.sum() / max(1, len(curve)))
