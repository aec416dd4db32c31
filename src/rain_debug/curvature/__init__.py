"""Linear algebra alone: H + λI as an operator, and solvers for it; knows no SQL and no complaint."""

from __future__ import annotations

from rain_debug.curvature.cg import cg, cgs
from rain_debug.curvature.cholesky import Factor, cholesky, choleskys, factor, factorise
from rain_debug.curvature.eigen import Leading, leading
from rain_debug.curvature.operator import Curvature, Damped
from rain_debug.curvature.solution import Solution, Solutions
from rain_debug.curvature.solve import solve, solves

__all__ = [
    "Curvature",
    "Damped",
    "Factor",
    "Leading",
    "Solution",
    "Solutions",
    "cg",
    "cgs",
    "cholesky",
    "choleskys",
    "factor",
    "factorise",
    "leading",
    "solve",
    "solves",
]
