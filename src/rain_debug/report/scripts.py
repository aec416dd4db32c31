"""The fixes of a run as a script for the user's own database."""

from __future__ import annotations

from rain_debug.checks import Script
from rain_debug.debugger import Background, Run
from rain_debug.errors import ReportError, nearest
from rain_debug.report.tables import removals


def take_home(run: Run, background: Background | None, table: str, model: str | None) -> Script:
    """What to delete, relabel and repair in `table`, by key; see `Report.script`."""
    fixed = list(dict.fromkeys(c.model for c in removals(run)))
    if model is None and len(fixed) > 1:
        raise ReportError(f"records of {len(fixed)} models were fixed", hint=f"name one: model='{fixed[0]}'")
    if not fixed:
        raise ReportError("this run fixed no record", hint="a run that fixed some has a script")
    name = fixed[0] if model is None else model
    if name not in fixed:
        raise ReportError(f"no record of a model '{name}' was fixed", hint=nearest(name, fixed))
    if background is None:
        raise ReportError("the session of this report is gone", hint="ask the report that db.debug returned")
    trained = background.trained[name]
    if not trained.key:
        raise ReportError(f"the records of model '{name}' have no key column to find them by",
                          hint="create the model with key='…'")  # fmt: skip
    own = [c for c in removals(run) if c.model == name]
    return Script(
        table,
        trained.key,
        tuple(c.key for c in own if c.fix.kind == "delete"),
        tuple((c.key, c.fix.to) for c in own if c.fix.kind == "relabel"),
        trained.label,
        tuple((c.key, tuple(c.fix.to)) for c in own if c.fix.kind == "repair"),
    )
