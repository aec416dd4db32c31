"""What there is to work with: queries, models, tables, the project's own complaints, the settings of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from rain_debug.debugger import Until
from rain_debug.desk.answers import Answers
from rain_debug.desk.places import Places
from rain_debug.desk.requests import Asked
from rain_debug.fixes import FIXES
from rain_debug.rankers import RANKERS
from rain_debug.sql import quote
from rain_debug.version import __version__
from rain_debug.view.answer import MOST_CLASSES
from rain_debug.view.values import kind_of_type, value

SETTINGS = ("budget", "step", "ranker", "fix", "until", "seed")
SHARE, LEAST = 10, 10
"""A run may fix a tenth of the records unless it is told otherwise, and ten at least."""
MOST_FEATURES = 1000


def project_view(
    db: Any, title: str, answers: Answers, places: Places, settings: Mapping[str, Any], runs: int
) -> dict[str, Any]:
    """The `Project`."""
    models = [_model(handle) for handle in db.models.values()]
    return {
        "title": title,
        "version": __version__,
        "queries": answers.listed(),
        "models": models,
        "tables": [{"name": t, "columns": _columns(db, t)} for t in db.tables],
        "complaints": places.given(),
        "defaults": defaults(db, settings),
        "rankers": list(RANKERS),
        "runs": runs,
    }


def defaults(db: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a run that a form shows."""
    n = sum(h.records.n_records for h in db.models.values() if h.records is not None)
    fix = given.get("fix", "delete")
    return {
        "budget": int(given.get("budget", max(LEAST, n // SHARE))),
        "step": int(given.get("step", 10)),
        "ranker": given.get("ranker", "holistic"),
        "fix": "delete" if callable(fix) else fix,
        "until": given.get("until", "resolved"),
        "seed": int(given.get("seed", 0)),
    }


def settings_of(db: Any, given: Mapping[str, Any], asked: Asked) -> dict[str, Any]:
    """The arguments of `db.debug`: what was asked for, else what the project says."""
    found = {**defaults(db, given), **given}
    for name in ("budget", "step"):
        found[name] = asked.whole(name, 1, otherwise=found[name])
    found["seed"] = asked.whole("seed", otherwise=found["seed"])
    for name, known in (("ranker", tuple(RANKERS)), ("fix", FIXES), ("until", get_args(Until))):
        if asked.has(name):
            found[name] = asked.one_of(name, known)
    if found["ranker"] != given.get("ranker", "holistic"):
        found.pop("options", None)  # they are another ranker's
    return found


def _model(handle: Any) -> dict[str, Any]:
    return {
        "name": handle.name,
        "records": 0 if handle.records is None else handle.records.n_records,
        "label": handle.label or "",
        "key": handle.key or "",
        "classes": [value(c) for c in handle.model.classes[:MOST_CLASSES]],
        "features": list(handle.model.features[:MOST_FEATURES]),
    }


def _columns(db: Any, table: str) -> list[dict[str, Any]]:
    return [{"name": n, "kind": kind_of_type(t)} for n, t in db.engine.types(f"SELECT * FROM {quote(table)}")]
