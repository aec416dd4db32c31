"""The front door: connect, create models, query, complain, debug."""

from __future__ import annotations

from rain_debug.database.connection import Database, connect
from rain_debug.database.query import Query
from rain_debug.database.registry import ModelHandle

__all__ = ["Database", "ModelHandle", "Query", "connect"]
