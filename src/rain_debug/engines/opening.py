"""Which engine a user's database needs."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from rain_debug.engines.base import Engine
from rain_debug.engines.duckdb import open_duckdb
from rain_debug.engines.postgres import open_postgres
from rain_debug.engines.spark import is_spark, open_spark
from rain_debug.engines.spark_address import open_spark_address
from rain_debug.engines.sqlite import open_sqlite
from rain_debug.engines.sqlite_link import is_sqlite
from rain_debug.errors import EngineError

SERVERS: dict[str, Callable[[str], Engine]] = {
    "postgresql": open_postgres,
    "postgres": open_postgres,
    "sqlite": open_sqlite,
    "spark": open_spark_address,
}
"""The first word of an address → what opens it."""


def open_engine(source: Any, *, untrusted: bool = False) -> Engine:
    """The engine behind what a user hands to `connect`; EngineError where it cannot be opened.

    Of an `untrusted` DuckDB file the tables are copied into memory, by a worker with limits.
    """
    scheme, found, _ = source.partition("://") if isinstance(source, str) else ("", "", "")
    if found and scheme.lower() in SERVERS:
        return SERVERS[scheme.lower()](source)
    if is_spark(source):
        return open_spark(source)
    if isinstance(source, str | os.PathLike) and is_sqlite(source):
        if untrusted:  # SQLite reads it in this process
            raise EngineError("a SQLite file of a project that is not trusted is not opened", where=os.fspath(source),
                              hint="look at the file first; then run without --untrusted")  # fmt: skip
        return open_sqlite(f"sqlite:///{os.fspath(source)}")
    return open_duckdb(source, untrusted=untrusted)
