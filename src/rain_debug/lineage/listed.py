"""Values that stand in the text of a query, as a table."""

from __future__ import annotations

from collections.abc import Iterable


def listed(name: str, columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """The item of a FROM whose rows are `rows`: texts of the dialect, which may be any (SQLite names no columns of a
    subquery, only those of a WITH).

    >>> listed("w", ("i", "c"), [("0", "'no'"), ("1", "'yes'")])
    "(WITH __v(i, c) AS (VALUES (0, 'no'), (1, 'yes')) SELECT * FROM __v) AS w"
    """
    values = ", ".join(f"({', '.join(row)})" for row in rows)
    return f"(WITH __v({', '.join(columns)}) AS (VALUES {values}) SELECT * FROM __v) AS {name}"
