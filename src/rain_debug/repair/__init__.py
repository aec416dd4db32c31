"""The smallest change of predictions that satisfies the complaints."""

from __future__ import annotations

from rain_debug.repair.repair import Change, Repair, smallest_repair
from rain_debug.repair.variables import Variables

__all__ = ["Change", "Repair", "Variables", "smallest_repair"]
