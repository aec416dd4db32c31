"""The page's server: who may come in, what is answered where, and how it is started.

`gate` decides who passes, `guard` is the door, `app` the addresses behind it, `schemas` and `openapi` what they are
asked and answer, `server` the port.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rain_debug.desk import Desk
from rain_debug.engines import Limits, lock
from rain_debug.errors import ServeError

if TYPE_CHECKING:
    from rain_debug.web.server import Server

INSTALL = "pip install 'rain-debug[ui]'"
TYPED = "SQL that is typed into the page"
OPEN = {
    "duckdb": f"this connection or session is yours, and keeps its settings: {TYPED} can read every file that it can",
    "postgres": f"the server decides what {TYPED} may read and call: connect as a role that may only read these tables",
}
"""What is not locked, by the engine's dialect, which Spark's is DuckDB's; a SQLite file is read, and SQL has no way out
of it."""


def serve(
    db: Any,
    queries: Iterable[Any] | Mapping[str, Any] = (),
    complaints: Sequence[Any] = (),
    *,
    settings: Mapping[str, Any] | None = None,
    runs: str | Path | None = None,
    title: str = "Rain",
    limits: Limits | None = None,
    **address: Any,
) -> Server:
    """A running server of `db`, which is locked first: what is not open in it by now cannot be read any more.

    `runs` is a folder that keeps them, `address` what `Server` takes: host, port, allow_hosts. ServeError where the
    extra `ui` is not installed, or the address cannot be had.
    """
    try:
        from rain_debug.web.server import Server
    except ImportError as error:
        if error.name not in ("starlette", "uvicorn", "anyio"):
            raise
        raise ServeError(f"{error.name} is not installed", where="the page's server", hint=INSTALL) from None
    if not lock(db.engine, limits) and db.engine.dialect in OPEN:
        warnings.warn(OPEN[db.engine.dialect], RuntimeWarning, stacklevel=3)
    desk = Desk(db, queries, complaints, settings, runs, title)
    try:
        return Server(desk, title=title, **address)
    except BaseException:  # also Ctrl-C: the desk has a thread and files of its own
        desk.close()
        raise
