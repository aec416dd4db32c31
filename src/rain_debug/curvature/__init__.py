"""Linear algebra alone: H + λI as an operator, and solvers for it; knows no SQL and no complaint."""

from __future__ import annotations

from rain_debug.curvature.cg import cg
from rain_debug.curvature.cholesky import Factor, cholesky, factor, factorise
from rain_debug.curvature.operator import Curvature, Damped
from rain_debug.curvature.solution import Solution
from rain_debug.curvature.solve import solve

__all__ = ["Curvature", "Damped", "Factor", "Solution", "cg", "cholesky", "factor", "factorise", "solve"]
