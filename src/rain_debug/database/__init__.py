"""The front door: connect, create models, query, complain, debug."""

from __future__ import annotations

from rain_debug.database.connection import Database, ModelHandle, connect
from rain_debug.database.query import Query

__all__ = ["Database", "ModelHandle", "Query", "connect"]
