"""A run as a report: the sentence that leads, tables that print and iterate, files.

`grid` holds small tables for people, `tables` makes them from a run, `words` the sentence, `save` the files.
"""

from __future__ import annotations

from rain_debug.report.grid import Grid, Ranking
from rain_debug.report.report import Report
from rain_debug.report.tables import Ending

__all__ = ["Ending", "Grid", "Ranking", "Report"]
