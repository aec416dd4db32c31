"""Small tables for people: rows of Python values that print, iterate as dictionaries, and become data frames."""

from __future__ import annotations

import datetime
import html
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rain_debug.complaints import number_text
from rain_debug.engines.table import Table, column
from rain_debug.errors import ReportError

CELL = 32
"""Letters that a cell of a printed table may take."""


@dataclass(frozen=True, eq=False, repr=False)
class Grid:
    """Named columns, rows in order; `hidden` columns are data, but not printed.

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

    def __repr__(self) -> str:
        return self.to_text()

    def to_text(self, top: int = 10, width: int = 120) -> str:
        """The first `top` rows as aligned text, with as many columns as `width` letters hold."""
        shown, cells, left_out = self._shown(top, width)
        numeric = [all(_is_number(row[i]) for row in self.values[:top]) for i in shown]
        heads = [self.columns[i] for i in shown]
        wide = [max([len(h), *(len(row[j]) for row in cells)]) for j, h in enumerate(heads)]
        lines = []
        for row in [heads, *cells]:
            parts = [c.rjust(w) if n else c.ljust(w) for c, w, n in zip(row, wide, numeric, strict=True)]
            lines.append("  ".join(parts).rstrip())
        return "\n".join([*lines, *self._rest(top, left_out)])

    def _repr_html_(self) -> str:
        return self.to_html()

    def to_html(self, top: int = 10) -> str:
        """The first `top` rows as a plain table, without style or script."""
        shown, cells, left_out = self._shown(top, 400)
        head = "".join(f"<th>{html.escape(self.columns[i])}</th>" for i in shown)
        rows = ("<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in row) + "</tr>" for row in cells)
        rest = "".join(f"<p>{html.escape(line)}</p>" for line in self._rest(top, left_out))
        return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>{rest}"

    def _shown(self, top: int, width: int) -> tuple[list[int], list[list[str]], list[str]]:
        """The columns that fit into `width`, their cells, and the names of those that do not."""
        visible = [i for i, name in enumerate(self.columns) if name not in self.hidden]
        rows = self.values[:top]
        shown: list[int] = []
        used = -2
        for i in visible:
            used += 2 + max([len(self.columns[i]), *(len(cell_text(row[i])) for row in rows)])
            if used > width and shown:
                break
            shown.append(i)
        left_out = [self.columns[i] for i in visible[len(shown) :]]
        return shown, [[cell_text(row[i]) for i in shown] for row in rows], left_out

    def _rest(self, top: int, left_out: Sequence[str]) -> list[str]:
        lines = []
        if len(self.values) > top:
            lines.append(f"… {len(self.values) - top:,} more rows")
        if left_out:
            more = ", …" if len(left_out) > 8 else ""
            lines.append(f"… {len(left_out):,} more columns: {', '.join(left_out[:8])}{more}")
        return lines


class Ranking(Grid):
    """The removed records in order of removal: rank, model (where there are several), key, score, label, own columns.

    A column of the record's own that bears one of these names gets a trailing underscore.
    """


def cell_text(value: Any) -> str:
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
    return text if len(text) <= CELL else text[: CELL - 1] + "…"


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
