"""Points at which the integral that E[Σ s / Σ n] is, ∫ E[S · x^(N − 1)] dx over (0, 1), is read off."""

from __future__ import annotations

import numpy as np

Array = np.ndarray
MOST_CLUSTERS = 128
MOST_POINTS = 64
MOST_TUPLES = 480.0
"""So many tuples of a place need all the points: theirs is a ridge, 1 / n wide, near 1, where points are close."""
LEAST = 1e-150
"""What x^n is at least: what is 0 would be divided by."""


def points(tuples: float) -> tuple[Array, Array]:
    """Points in (0, 1) and their weights, right to 1e-9 for up to so many `tuples` of a place (at most MOST_TUPLES).

    >>> x, weight = points(200.0)
    >>> len(x), abs(float(weight @ (200 * x**199)) - 1) < 1e-9
    (49, True)
    """
    n = int(min(np.ceil(tuples / 2) + 1, np.ceil(2 * np.sqrt(tuples)) + 20, MOST_POINTS))
    x, weight = np.polynomial.legendre.leggauss(max(1, n))
    return (x + 1) / 2, weight / 2


def power(x: float, n: Array) -> Array:
    """x^n, never 0."""
    return np.maximum(x**n, LEAST)


def few(clusters: Array, tuples: Array) -> Array:
    """Where the points do, of places with so many clusters and at most so many tuples."""
    return np.asarray((clusters <= MOST_CLUSTERS) & (tuples <= MOST_TUPLES))
