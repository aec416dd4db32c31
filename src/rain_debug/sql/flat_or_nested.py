"""Text → a flat plan where one block can hold the query, which is quicker, and a tree of blocks where none can."""

from __future__ import annotations

from rain_debug.errors import SQLError
from rain_debug.sql.nested import plan_nested
from rain_debug.sql.plan import Catalog, Plan
from rain_debug.sql.planner import plan_query
from rain_debug.sql.read import read
from rain_debug.sql.refusals import is_flat, is_unsupported
from rain_debug.sql.tree import Nested


def planned(sql: str, catalog: Catalog, dialect: str = "duckdb") -> Plan | Nested:
    """What a query over predictions is run and traced by; SQLError, underlined, for what cannot be traced."""
    tree = read(sql, dialect, catalog)
    try:
        flat = plan_query(sql, catalog, dialect, tree.copy())
    except SQLError as error:
        if not is_unsupported(error):
            raise
    else:
        if is_flat(flat):
            return flat
    return plan_nested(sql, catalog, dialect, tree)  # outside the handler: its errors are not about the flat block
