"""Rain in a notebook: the page as a widget, and `%load_ext rain_debug.notebook` for `%%rain` cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any
from urllib.parse import quote

from rain_debug.desk import Desk
from rain_debug.errors import ServeError

INSTALL = "pip install 'rain-debug[notebook]', or look at it in a browser: db.serve()"


def widget(db: Any, queries: Sequence[Any] = (), report: Any = None) -> Any:
    """The page of a database in a notebook: with one query it opens there, with a `report` at that run.

    ServeError where anywidget is not installed.
    """
    try:
        from rain_debug.notebook.widget import Widget
    except ImportError as error:
        if error.name not in ("anywidget", "ipywidgets", "traitlets"):
            raise
        raise ServeError("anywidget is not installed", where="the notebook's widget", hint=INSTALL) from None
    if report is None:
        start = f"/q/{quote(queries[0].name, safe='')}" if len(queries) == 1 else "/"
        shown = queries[0] if len(queries) == 1 else db
        return Widget(Desk(db, queries), start, shown._repr_html_)
    complaints = [g.complaint for g in report.run.goals]
    asked = {c.query.name: c.query for c in complaints}
    settings = report.run.settings
    desk = Desk(db, asked, complaints, {f.name: getattr(settings, f.name) for f in fields(settings)})
    return Widget(desk, f"/runs/{desk.add(report)}", report._repr_html_)


def load_ipython_extension(shell: Any) -> None:
    """What `%load_ext rain_debug.notebook` calls: cells that begin with `%%rain` are SQL from then on."""
    from rain_debug.notebook.magic import RainMagics

    shell.register_magics(RainMagics)
