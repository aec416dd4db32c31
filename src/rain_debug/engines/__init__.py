"""The databases: SQL in, columns out. DuckDB is the embedded default."""

from rain_debug.engines.base import Engine
from rain_debug.engines.duckdb import DuckDB, open_duckdb
from rain_debug.engines.lock import Limits, lock
from rain_debug.engines.opening import open_engine
from rain_debug.engines.table import Column, Kind, Table, column

__all__ = ["Column", "DuckDB", "Engine", "Kind", "Limits", "Table", "column", "lock", "open_duckdb", "open_engine"]
