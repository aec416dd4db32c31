"""What the store tells of runs: the history, one run, its records, and which of them the reader marked."""

from __future__ import annotations

from typing import Any

from rain_debug.desk.requests import Asked
from rain_debug.desk.runs import Runs
from rain_debug.store import Filter

FILTER = ("run", "text", "pattern", "kept")
MOST_KEYS = 100_000


class Kept:
    """Operations that read and mark what the store holds; none of them touches database or models."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    def runs(self, request: Any) -> dict[str, Any]:
        """A page of the history."""
        asked = Asked.of("runs", request, ("offset", "limit"))
        found = self._runs.store.heads(asked.whole("offset"), asked.limit())
        for head in found["runs"]:
            if head["id"] in self._runs.under_way:
                head["sentence"] = f"Under way: {self._runs.under_way[head['id']].doing}."
        return found

    def run(self, request: Any) -> dict[str, Any]:
        """One run, and whether it can still be asked."""
        run = Asked.of("run", request, ("id",)).text("id")
        return {**self._runs.store.view(run), "live": run in self._runs.live}

    def records(self, request: Any) -> dict[str, Any]:
        """A page of a run's records."""
        asked = Asked.of("records", request, (*FILTER, "offset", "limit", "sort", "down"))
        offset, limit = asked.whole("offset"), asked.limit()
        only, sort = _filter(asked), asked.text("sort", None)
        return self._runs.store.records(asked.text("run"), offset, limit, only, sort, asked.flag("down"))

    def keep(self, request: Any) -> dict[str, Any]:
        """Mark records, by keys or all that match."""
        asked = Asked.of("keep", request, (*FILTER, "keep", "keys"))
        run, keep = asked.text("run"), asked.flag("keep")
        if not asked.has("keys"):
            return self._runs.store.keep(run, keep, only=_filter(asked))
        keys = [(k.text("model"), k.value("key")) for k in asked.items("keys", ("model", "key"), MOST_KEYS)]
        return self._runs.store.keep(run, keep, keys)


def _filter(asked: Asked) -> Filter:
    kept = asked.flag("kept") if asked.has("kept") else None
    return Filter(asked.text("text", ""), asked.whole("pattern", otherwise=None), kept)
