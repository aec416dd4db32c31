"""PostgreSQL's words: its types by the names that SQL has for them, values as text, columns as NumPy has them."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from rain_debug.engines.words import text_of
from rain_debug.sql.nodes import quote

_NAMES = {
    "bool": "BOOLEAN", "int2": "SMALLINT", "int4": "INTEGER", "int8": "BIGINT", "float4": "REAL",
    "float8": "DOUBLE PRECISION", "numeric": "NUMERIC", "text": "TEXT", "varchar": "VARCHAR", "bpchar": "BPCHAR",
    "date": "DATE", "time": "TIME", "timestamp": "TIMESTAMP", "timestamptz": "TIMESTAMPTZ", "interval": "INTERVAL",
}  # fmt: skip
_AS_NUMBERS, _AS_TEXT = ("numeric", "money"), ("uuid", "json", "jsonb", "name")


def bare(sql: str) -> str:
    """A statement without what ends it."""
    return sql.strip().rstrip(";").rstrip()


def plain(sql: str, fields: Sequence[tuple[str, str]], limit: str = "") -> str:
    """The query, with decimals as the numbers that NumPy has, and identifiers and documents as text."""
    names = [f"c{i}" for i in range(len(fields))]
    items = []
    for own, (name, kind) in zip(names, fields, strict=True):
        text = f"CAST({own} AS DOUBLE PRECISION)" if kind == "numeric" else own
        text = f"CAST(CAST({own} AS NUMERIC) AS DOUBLE PRECISION)" if kind == "money" else text
        items.append(f"{f'CAST({own} AS TEXT)' if kind in _AS_TEXT else text} AS {quote(name)}")
    if not limit and not any(kind in _AS_NUMBERS + _AS_TEXT for _, kind in fields):
        return bare(sql)
    return f"SELECT {', '.join(items)} FROM ({bare(sql)}\n) AS q({', '.join(names)}){limit}"


def spelled(kind: str) -> str:
    """A type's name as SQL spells it.

    >>> spelled("float8"), spelled("_int4"), spelled("Mood")
    ('DOUBLE PRECISION', 'INTEGER[]', '"Mood"')
    """
    if kind.startswith("_"):
        return f"{spelled(kind[1:])}[]"
    return _NAMES.get(kind) or (kind if re.fullmatch(r"[a-z]\w*", kind) else quote(kind))


def literal(value: Any) -> str:
    """A Python value as a literal."""
    if value is None:
        return "NULL"
    if isinstance(value, bool | np.bool_):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int | np.integer | Decimal):
        return f"({value})" if value < 0 else str(value)
    if isinstance(value, float | np.floating):
        text = repr(float(value)) if math.isfinite(value) else str(float(value))
        return f"CAST('{text}' AS DOUBLE PRECISION)"
    if isinstance(value, datetime.date | datetime.time):
        return text_of(value.isoformat(" ") if isinstance(value, datetime.datetime) else value.isoformat())
    return text_of(str(value))
