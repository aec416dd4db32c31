"""The same query in another dialect."""

from __future__ import annotations

import sqlglot
from sqlglot.errors import ParseError, UnsupportedError

from rain_debug.errors import SQLError


def translate(sql: str, read: str, write: str) -> str:
    """One statement, its names quoted; SQLError where the other dialect has no words for it.

    >>> translate("SELECT a::DOUBLE AS x FROM t", "duckdb", "spark")
    'SELECT CAST(`a` AS DOUBLE) AS `x` FROM `t`'
    """
    try:
        found = sqlglot.transpile(
            sql, read=read, write=write, identify=True, unsupported_level=sqlglot.ErrorLevel.RAISE
        )
    except (ParseError, UnsupportedError) as error:
        raise SQLError(
            f"this cannot be said in {write}'s SQL: {str(error).split(chr(10))[0]}",
            hint=f"write it in functions that {read} and {write} share",
        ) from None
    return found[0]
