"""What kind of statement a text is, asked of DuckDB's own parser before anything is run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import duckdb

from rain_debug.errors import EngineError

_WRITERS = re.compile(
    r"\b(insert|update|delete|merge|copy|query|json_execute_serialized_sql|(force_)?checkpoint|write_log"
    r"|(enable|disable|truncate)_\w+|\w+_external_resource\w*)\b",
    re.IGNORECASE,
)
_DOES = re.compile(_WRITERS.pattern.replace("insert|update|delete|merge|copy|", ""))
"""Functions that write a log file, change settings, or run a text that is computed: a SELECT may stand around them."""


def one_select(connection: duckdb.DuckDBPyConnection, sql: str, into: str = "") -> duckdb.Statement:
    """The statement `sql`, one SELECT that writes nothing, parsed; after the words `into`, the CREATE that keeps it.

    Raises EngineError for any other, duckdb.Error where DuckDB cannot read it.

    >>> con = duckdb.connect()
    >>> con.execute(one_select(con, "SELECT 'delete'")).fetchall()
    [('delete',)]
    >>> one_select(con, "WITH gone AS (DELETE FROM t RETURNING *) SELECT * FROM gone")
    Traceback (most recent call last):
        ...
    rain_debug.errors.EngineError: one SELECT was expected, not one with DELETE in it
      where: WITH gone AS (DELETE FROM t RETURNING *) SELECT * FROM gone
      try:   give one SELECT
    """
    parsed = connection.extract_statements(into + sql)
    kinds = [s.type for s in parsed]
    what = None
    if kinds != [duckdb.StatementType.CREATE if into else duckdb.StatementType.SELECT]:
        what = f"{len(kinds)} statements" if len(kinds) != 1 else f"a statement of kind {kinds[0].name}"
    elif _WRITERS.search(sql) and (found := next(_writes(sql), None)):
        what = f"one with {found} in it"
    if what is not None:
        raise EngineError(f"one SELECT was expected, not {what}", where=sql.strip()[:300], hint="give one SELECT")
    return parsed[0]


def _writes(sql: str) -> Iterator[str]:
    """What a SELECT writes: DuckDB calls a text with DELETE in WITH a SELECT too, and one FROM enable_logging()."""
    with duckdb.connect(":memory:") as apart:  # a user's connection may hold an answer that was not read to its end
        found = apart.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchone()
    tree = json.loads(found[0]) if found else {}
    if tree.get("error", True):
        yield "what cannot be told from a write"
    for node in _nodes(tree):
        kind = str(node.get("type"))
        if kind.endswith("_QUERY_NODE"):
            yield kind.removesuffix("_QUERY_NODE")
        if _DOES.fullmatch(str(node.get("function_name"))):
            yield f"{node['function_name']}()"


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
    for child in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from _nodes(child)
