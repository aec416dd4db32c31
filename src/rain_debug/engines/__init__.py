"""The databases: SQL in, columns out. DuckDB is the embedded default."""

from .base import Engine
from .duckdb import DuckDB, open_duckdb
from .table import Column, Kind, Table, column

__all__ = ["Column", "DuckDB", "Engine", "Kind", "Table", "column", "open_duckdb"]
