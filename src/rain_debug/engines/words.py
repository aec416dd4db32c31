"""Values and conditions as text of SQL: what every dialect has, and DuckDB's own."""

from __future__ import annotations

import datetime
import math
from decimal import Decimal
from typing import Any

import numpy as np


class DuckDBWords:
    """What every engine has in common whose dialect is DuckDB's."""

    def literal(self, value: Any, sql_type: str | None = None) -> str:
        text = _literal(value)
        return f"CAST({text} AS {sql_type})" if sql_type else text

    def attempt(self, text: str, sql_type: str) -> str:
        return f"TRY_CAST({text} AS {sql_type})"

    def same(self, left: str, right: str) -> str:
        return f"{left} IS NOT DISTINCT FROM {right}"


def text_of(value: str) -> str:
    """A text as SQL writes it.

    >>> text_of("it's")
    "'it''s'"
    """
    return "'" + value.replace("'", "''") + "'"


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool | np.bool_):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int | np.integer | Decimal):
        return str(value)
    if isinstance(value, float | np.floating):
        if math.isfinite(value):
            return repr(float(value)) + ("" if "e" in repr(float(value)) else "e0")
        return f"CAST('{float(value)}' AS DOUBLE)"
    if isinstance(value, datetime.date | datetime.time):
        return text_of(value.isoformat(" ") if isinstance(value, datetime.datetime) else value.isoformat())
    return text_of(str(value))
