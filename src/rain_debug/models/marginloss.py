"""Losses φ(m) of a signed margin m = s·z, s = ±1 saying on which side of the plane a record belongs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.special import expit


class MarginLoss(Protocol):
    """A convex φ with its first two derivatives; arrays of any shape."""

    def value(self, m: np.ndarray) -> np.ndarray:
        """φ(m)."""
        ...

    def slope(self, m: np.ndarray) -> np.ndarray:
        """φ′(m)."""
        ...

    def bend(self, m: np.ndarray) -> np.ndarray:
        """φ″(m), at a kink of φ′ one of its two sides."""
        ...


class LogLoss:
    """φ = log(1 + e^−m)."""

    def value(self, m: np.ndarray) -> np.ndarray:
        return np.logaddexp(0.0, -m)

    def slope(self, m: np.ndarray) -> np.ndarray:
        slope: np.ndarray = -expit(-m)
        return slope

    def bend(self, m: np.ndarray) -> np.ndarray:
        bend: np.ndarray = expit(m) * expit(-m)
        return bend


class SquaredHinge:
    """φ = max(0, 1 − m)²: its first derivative has a kink at 1, its second is 2 below and 0 above."""

    def value(self, m: np.ndarray) -> np.ndarray:
        return np.maximum(0.0, 1.0 - m) ** 2

    def slope(self, m: np.ndarray) -> np.ndarray:
        return -2.0 * np.maximum(0.0, 1.0 - m)

    def bend(self, m: np.ndarray) -> np.ndarray:
        return np.where(m < 1.0, 2.0, 0.0)


@dataclass(frozen=True)
class SmoothHinge:
    """The hinge max(0, 1 − m), a parabola within `width` of its corner (Chapelle, 2007): never more than width/4 above.

    >>> SmoothHinge(0.5).value(np.array([0.0, 1.0, 2.0])).tolist()
    [1.0, 0.125, 0.0]
    """

    width: float

    def value(self, m: np.ndarray) -> np.ndarray:
        short, h = 1.0 - m, self.width
        near = np.maximum(0.0, short + h) ** 2 / (4.0 * h)
        return np.where(short > h, short, near)

    def slope(self, m: np.ndarray) -> np.ndarray:
        slope: np.ndarray = -np.clip((1.0 - m + self.width) / (2.0 * self.width), 0.0, 1.0)
        return slope

    def bend(self, m: np.ndarray) -> np.ndarray:
        return np.where(np.abs(1.0 - m) < self.width, 0.5 / self.width, 0.0)


class Squares:
    """φ = ½ (1 − m)², which is ½ (s − z)²."""

    def value(self, m: np.ndarray) -> np.ndarray:
        half: np.ndarray = 0.5 * (1.0 - m) ** 2
        return half

    def slope(self, m: np.ndarray) -> np.ndarray:
        return m - 1.0

    def bend(self, m: np.ndarray) -> np.ndarray:
        return np.ones_like(m)
