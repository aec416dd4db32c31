"""Gradient similarity: the complaints' gradient along each record's, without the curvature (TracIn at the last fit)."""

from __future__ import annotations

from rain_debug.influence import scored
from rain_debug.rankers.base import Problem, Ranking


def gradient_similarity(problem: Problem) -> Ranking:
    """Records by −(1/n) ∇q·∇ℓ(z): influence with the identity in the place of H⁻¹ (Pruthi and others, 2020)."""
    p = problem
    return Ranking(scored(p.model, p.records, p.keep, p.theta, p.query_gradient), along=p.query_gradient)
