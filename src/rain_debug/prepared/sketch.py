"""The leading eigenpairs of a model's curvature, and every record's gradient along them (Rain++, SIGMOD 2022)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rain_debug import influence
from rain_debug.curvature import Damped, leading
from rain_debug.data.threads import serial
from rain_debug.prepared.state import State


@dataclass(frozen=True, eq=False)
class Sketch:
    """`root` B (n_params, k), B Bᵀ ≈ (H + λI)⁻¹, and `along` (n_records, k) float32 the k-vectors ∇ℓ(z)ᵀB."""

    root: np.ndarray
    along: np.ndarray

    @staticmethod
    def of(state: State, k: int) -> Sketch:
        """By some `2k` products with H and one forward pass for all k."""
        s = state
        matrix = Damped(s.model.hessian(s.records, s.keep, s.theta), s.damping)
        with serial():
            root = leading(matrix, k).root
        return Sketch(root, influence.products(s.model, s.records, s.keep, s.theta, root).astype(np.float32))

    @property
    def doubt(self) -> str:
        """What it leaves out."""
        k, p = self.root.shape[1], self.root.shape[0]
        return f"by the {k} leading eigenpairs of the curvature, of {p:,}: a ranking of its own, near that of a run"

    def solved(self, G: np.ndarray) -> np.ndarray:
        """About (H + λI)⁻¹ G, (n_params, m)."""
        out: np.ndarray = self.root @ (self.root.T @ G)
        return out

    def products(self, G: np.ndarray) -> np.ndarray:
        """About ∇ℓ(z)ᵀ(H + λI)⁻¹ G, (n_records, m): a contraction of k-vectors."""
        out: np.ndarray = (self.along @ (self.root.T @ G).astype(np.float32)).astype(np.float64)
        return out
