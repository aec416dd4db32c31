"""Runs that a page starts: from the request to the report, told round by round."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from rain_debug.desk.places import COMPLAINT, Places
from rain_debug.desk.project import SETTINGS, settings_of
from rain_debug.desk.requests import Asked
from rain_debug.desk.running import Following, Rounds
from rain_debug.report.view import run_view


class Runs:
    def __init__(self, db: Any, places: Places, settings: Mapping[str, Any]) -> None:
        self._db, self._places, self._settings = db, places, settings

    def debug(self, request: Any, cancelled: threading.Event) -> tuple[Following, Callable[[], Any]]:
        """A run of `db.debug`: its stream, and the work for the thread that may touch the database."""
        asked = Asked.of("debug", request, ("complaints", "settings", "keep_of"))
        said = asked.items("complaints", COMPLAINT)
        settings = settings_of(self._db, self._settings, asked.inner("settings", SETTINGS))
        following = Following("run", settings["budget"], cancelled)

        def work() -> dict[str, Any]:
            complaints = list(dict.fromkeys(self._places.complaint(c) for c in said))
            following.doing = "reading the first answer"
            rounds = Rounds(following, complaints, self._places.place_of, lambda done, goals: None)
            report = self._db.debug(complaints, **settings, progress=False, on_round=rounds)
            following.doing = "looking for what the records share"
            return {**run_view(report, place=self._places.place_of), "request": request, "live": True}

        return following, work
