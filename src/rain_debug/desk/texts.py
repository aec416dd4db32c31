"""What can be asked of a finished run, in sentences and small tables."""

from __future__ import annotations

from typing import Any

from rain_debug.desk.answers import Answers
from rain_debug.desk.requests import Asked
from rain_debug.desk.runs import Runs
from rain_debug.report import Report
from rain_debug.report.view import text

FORESEEN = (
    "How far each round's records were foreseen to move the expected value of what was complained about, to first "
    "order and by one and two Newton steps, and how far retraining moved it."
)


class Texts:
    """Operations on runs whose session is still there."""

    def __init__(self, runs: Runs, answers: Answers) -> None:
        self._runs, self._answers = runs, answers

    def side_effects(self, request: Any) -> dict[str, Any]:
        """What else the fixes changed: in the complained queries, and in all others that the page knows."""
        found = self._report("side_effects", request).side_effects(queries=self._answers.over_predictions())
        tables = {"Other cells that changed": found.cells.to_table()}
        return text("Side effects", [found.summary], tables)

    def prefix(self, request: Any) -> dict[str, Any]:
        """The fewest first records that resolve every complaint."""
        found = self._report("prefix", request).shortest_prefix()
        tables = {"These records": found.ranking.to_table(), "Prefixes that were retrained": found.tried.to_table()}
        return text("The shortest prefix", [found.summary], tables)

    def forecasts(self, request: Any) -> dict[str, Any]:
        """What was foreseen of each round, and what came of it."""
        found = self._report("forecasts", request).forecasts()
        return text("Foreseen and verified", [FORESEEN], {"By round": found.to_table()})

    def _report(self, op: str, request: Any) -> Report:
        return self._runs.report(Asked.of(op, request, ("id",)).text("id")).report
