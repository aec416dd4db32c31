"""Small tables for people: rows of Python values that print, iterate as dictionaries, and become data frames."""

from __future__ import annotations

import datetime
import html
import math
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rain_debug.complaints import number_text
from rain_debug.engines import DuckDB, open_duckdb
from rain_debug.engines.table import Table, column
from rain_debug.errors import ReportError

CELL = 32
"""Letters that a cell of a printed table may take."""
PAGE = 120
"""Letters of a line where no terminal says how many it has."""


def screen() -> int:
    """Letters of a line of the terminal that stdout is, or PAGE where it is none."""
    return shutil.get_terminal_size((PAGE, 24)).columns if sys.stdout.isatty() else PAGE


@dataclass(frozen=True, eq=False, repr=False)
class Grid:
    """Named columns, rows in order; `hidden` columns are data, but not printed; cells are cut to `cell` letters.

    >>> grid = Grid(("week", "n"), (("w1", 8.0), ("w2", None)))
    >>> len(grid), grid[-1], grid.column("n")
    (2, {'week': 'w2', 'n': None}, [8.0, None])
    >>> grid
    week     n
    w1       8
    w2    NULL
    """

    columns: tuple[str, ...]
    values: tuple[tuple[Any, ...], ...]
    hidden: frozenset[str] = frozenset()
    cell: int = CELL

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (dict(zip(self.columns, row, strict=True)) for row in self.values)

    def __getitem__(self, i: int) -> dict[str, Any]:
        return dict(zip(self.columns, self.values[i], strict=True))

    def column(self, name: str) -> list[Any]:
        """One column's values, in order."""
        i = self.columns.index(name)
        return [row[i] for row in self.values]

    def to_table(self) -> Table:
        """The same as columns of arrays."""
        return Table({n: column([r[i] for r in self.values]) for i, n in enumerate(self.columns)}, len(self.values))

    def to_pandas(self) -> Any:
        """The same as a pandas data frame; ReportError where pandas is not installed."""
        try:
            import pandas
        except ImportError:
            raise ReportError("pandas is not installed", hint="pip install pandas, or iterate the rows") from None
        return pandas.DataFrame([dict(row) for row in self], columns=list(self.columns))

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """All rows and columns through the Arrow PyCapsule interface: polars.DataFrame(grid), pyarrow.table(grid), …"""
        engine, sql = self.in_duckdb()
        return engine.relation(sql).__arrow_c_stream__(requested_schema)

    def in_duckdb(self) -> tuple[DuckDB, str]:
        """A database of its own that holds the rows, and the query for them: numbers, booleans and dates keep their
        kind, all else is text."""
        engine = open_duckdb(":memory:")
        engine.upload("rain_grid", Table({n: column(_one_kind(self.column(n))) for n in self.columns}, len(self)))
        casts = []
        for name in self.columns:
            quoted, kind = '"' + name.replace('"', '""') + '"', _sql_type(self.column(name))
            casts += [f"CAST({quoted} AS {kind}) AS {quoted}"] * bool(kind)
        replace = f" REPLACE ({', '.join(casts)})" if casts else ""
        return engine, f"SELECT *{replace} FROM rain_grid"

    def __repr__(self) -> str:
        return self.to_text(width=screen())

    def to_text(self, top: int = 10, width: int = PAGE) -> str:
        """The first `top` rows as aligned text, with as many columns as `width` letters hold."""
        shown, cells, left_out = self.fitting(top, width)
        numeric = [all(_is_number(row[i]) for row in self.values[:top]) for i in shown]
        heads = [self.columns[i] for i in shown]
        wide = [max([len(h), *(len(row[j]) for row in cells)]) for j, h in enumerate(heads)]
        lines = []
        for row in [heads, *cells]:
            parts = [c.rjust(w) if n else c.ljust(w) for c, w, n in zip(row, wide, numeric, strict=True)]
            lines.append("  ".join(parts).rstrip())
        return "\n".join([*lines, *self.rest(top, left_out)])

    def _repr_html_(self) -> str:
        return self.to_html()

    def to_html(self, top: int = 10) -> str:
        """The first `top` rows as a table, without script; only where its cells' letters stand is said of its looks."""
        shown, cells, left_out = self.fitting(top, 400)
        sides = ["right" if all(_is_number(row[i]) for row in self.values[:top]) else "left" for i in shown]
        looks = [f' style="padding:.15em .6em;text-align:{side}"' for side in sides]
        head = "".join(f"<th{look}>{html.escape(self.columns[i])}</th>" for i, look in zip(shown, looks, strict=True))
        made = ("".join(f"<td{x}>{html.escape(c)}</td>" for x, c in zip(looks, row, strict=True)) for row in cells)
        rows = (f"<tr>{row}</tr>" for row in made)
        rest = "".join(f"<p>{html.escape(line)}</p>" for line in self.rest(top, left_out))
        return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>{rest}"

    def fitting(self, top: int, width: int) -> tuple[list[int], list[list[str]], list[str]]:
        """The columns that fit into `width`, their cells, and the names of those that do not."""
        visible = [i for i, name in enumerate(self.columns) if name not in self.hidden]
        rows = self.values[:top]
        shown: list[int] = []
        used = -2
        for i in visible:
            used += 2 + max([len(self.columns[i]), *(len(cell_text(row[i], self.cell)) for row in rows)])
            if used > width and shown:
                break
            shown.append(i)
        left_out = [self.columns[i] for i in visible[len(shown) :]]
        return shown, [[cell_text(row[i], self.cell) for i in shown] for row in rows], left_out

    def rest(self, top: int, left_out: Sequence[str]) -> list[str]:
        """What is not shown, a line each: further rows, the columns that did not fit."""
        lines = []
        if len(self.values) > top:
            lines.append(f"… {count(len(self.values) - top, 'more row')}")
        if left_out:
            more = ", …" if len(left_out) > 8 else ""
            lines.append(f"… {count(len(left_out), 'more column')}: {', '.join(left_out[:8])}{more}")
        return lines


class Ranking(Grid):
    """The fixed records in order: rank, model (where there are several), key, score, label, fix, own columns.

    A column of the record's own that bears one of these names gets a trailing underscore.
    """


def count(n: int, noun: str) -> str:
    """A number of things.

    >>> count(1, "more row"), count(2400, "record")
    ('1 more row', '2,400 records')
    """
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def cell_text(value: Any, longest: int = CELL) -> str:
    """A value as a printed table shows it, on one line and cut short.

    >>> cell_text(0.000123456), cell_text(None), cell_text("a\\nb"), cell_text(True)
    ('0.0001235', 'NULL', 'a b', 'true')
    """
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return number_text(value) if abs(value) >= 1000 or value == 0 else f"{value:.4g}"
    text = " ".join(str(value).split())
    return text if len(text) <= longest else text[: longest - 1] + "…"


def plain(value: Any) -> Any:
    """A value as JSON can hold it: dates in ISO 8601, NaN and infinities as null, what JSON does not know as text.

    >>> import datetime
    >>> plain(float("nan")), plain(datetime.date(2026, 11, 9)), plain((1, b"\\xff"))
    (None, '2026-11-09', [1, 'ff'])
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, Decimal):
        return plain(float(value))
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    return plain(value.item()) if hasattr(value, "item") else str(value)


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _sql_type(values: list[Any]) -> str | None:
    """What Parquet and Arrow should hold in the place of text."""
    some = [v for v in values if v is not None]
    if not some:
        return "VARCHAR"
    if all(isinstance(v, datetime.datetime) for v in some):
        return "TIMESTAMPTZ" if any(v.tzinfo for v in some) else "TIMESTAMP"
    return "DATE" if all(isinstance(v, datetime.date) and not isinstance(v, datetime.datetime) for v in some) else None


def _one_kind(values: list[Any]) -> list[Any]:
    """The column as numbers, as booleans, or else as text throughout."""
    some = [v for v in values if v is not None]
    for kinds in (bool, int | float, str):
        if all(isinstance(v, kinds) and (kinds is bool or not isinstance(v, bool)) for v in some):
            return values
    return [None if v is None else str(plain(v)) for v in values]
