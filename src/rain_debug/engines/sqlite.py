"""SQLite. The user's file is opened read-only; what Rain writes are temporary tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rain_debug.engines.adbc import as_stream
from rain_debug.engines.limits import few_enough
from rain_debug.engines.sqlite_link import Link
from rain_debug.engines.table import Table
from rain_debug.engines.words import text_of
from rain_debug.errors import EngineError
from rain_debug.sql.nodes import quote

_PLAIN = ("INT", "REAL", "DOUB", "FLOA", "BOOL", "CHAR", "TEXT", "CLOB")
"""Parts of declared types to which values may be cast: by any other name text would become a number."""
_NUMBERS = ("INT", "REAL", "DOUB", "FLOA", "BOOL", "NUM", "DEC")
_KINDS = {"integer": "BIGINT", "real": "DOUBLE", "text": "TEXT", "blob": "BLOB"}


class SQLite:
    """A SQLite file, seen through `Engine`; a type is the declared one of a number or text, else that of the values."""

    dialect = "sqlite"
    double = "REAL"
    untyped: str | None = None
    is_own, is_locked, read_only, generation = True, True, False, 0
    seconds: float | None = None
    most_rows: int | None = None

    def __init__(self, path: Path) -> None:
        self.link = Link(path, lambda: self.seconds)
        self.close, self.cancel, self.snapshot = self.link.close, self.link.cancel, self.link.snapshot
        self._ask = self.link.ask

    def run(self, sql: str) -> None:
        self._ask(sql)

    def table(self, sql: str) -> Table:
        most = self.most_rows
        found = next(self.link.batches(sql, 2**31 - 1 if most is None else most + 1))
        return few_enough(found, most, sql)

    constant = table

    def batches(self, sql: str) -> Iterator[Table]:
        return (batch for batch in self.link.batches(sql, 50_000) if batch.n_rows)

    def stream(self, sql: str) -> Any:
        return as_stream(self.table(sql))

    def types(self, sql: str) -> list[tuple[str, str]]:
        with self.link.lock:
            self._ask(f"CREATE TEMP VIEW __rain_types AS {sql.strip().rstrip(';')}")
            try:
                found = self._ask("SELECT name, type FROM pragma_table_info('__rain_types', 'temp')")
                return [(n, kind if any(p in kind.upper() for p in _PLAIN) else self._kind(n)) for n, kind in found]
            finally:
                self._ask("DROP VIEW temp.__rain_types")

    def _kind(self, name: str) -> str:
        """The type of an expression, which has none of its own: that of some of its values."""
        some = f"SELECT typeof({quote(name)}) AS kind FROM __rain_types WHERE {quote(name)} IS NOT NULL LIMIT 1000"
        kinds = [kind for (kind,) in self._ask(f"SELECT DISTINCT kind FROM ({some}) ORDER BY kind")]
        return "SQLNULL" if not kinds else "DOUBLE" if kinds == ["integer", "real"] else _KINDS[kinds[-1]]

    def estimated_rows(self, sql: str) -> int:
        return 0

    def upload(self, name: str, table: Table) -> None:
        self.drop(name)
        self._ask(f"CREATE TEMP TABLE {name} ({', '.join(map(quote, table))})")
        plain = (int, float, str, type(None))
        columns = [[v if isinstance(v, plain) else str(v) for v in c.to_list()] for c in table.values()]
        self._ask(f"INSERT INTO temp.{name} VALUES ({', '.join('?' * len(table))})", zip(*columns, strict=True))

    def keep(self, name: str, sql: str, *, ordered: bool = False) -> int:
        order = ", ".join(str(i + 1) for i in range(len(self.types(sql)) if ordered else 0))
        self.drop(name)
        self._ask(f"CREATE TEMP TABLE {name} AS SELECT * FROM ({sql}){f' ORDER BY {order}' if order else ''}")
        return int(self._ask(f"SELECT count(*) FROM temp.{name}")[0][0])

    def drop(self, *names: str) -> None:
        for name in names:
            self._ask(f"DROP TABLE IF EXISTS temp.{name}")

    def tables(self) -> Sequence[str]:
        listed = "FROM pragma_table_list WHERE schema = 'main' AND type <> 'shadow' AND name NOT LIKE 'sqlite\\_%'"
        return [name for (name,) in self._ask(f"SELECT name {listed} ESCAPE '\\' ORDER BY name")]

    def rowid(self, name: str, alias: str) -> str | None:
        own = text_of(self.spelled_out(name))
        is_table = f"SELECT 1 FROM pragma_table_list({own}) WHERE schema = 'main' AND type = 'table' AND NOT wr"
        taken = {n.lower() for (n,) in self._ask(f"SELECT name FROM pragma_table_info({own})")}
        free = [n for n in ("rowid", "_rowid_", "oid") if n not in taken]
        return f"{alias}.{free[0]}" if free and self._ask(is_table) else None

    def definition(self, name: str) -> str | None:
        found = f"SELECT sql FROM sqlite_master WHERE type = 'view' AND lower(name) = {text_of(self.spelled_out(name))}"
        return next((sql for (sql,) in self._ask(found)), None)

    def spelled_out(self, name: str) -> str:
        return name if "(" in name else name.lower().replace('"', "").removeprefix("main.")

    def is_aggregate(self, function: str) -> bool:
        found = f"SELECT 1 FROM pragma_function_list WHERE type IN ('a', 'w') AND name = {text_of(function.lower())}"
        return bool(self._ask(found))

    def literal(self, value: Any, sql_type: str | None = None) -> str:
        if isinstance(value, float | np.floating):
            return f"({float(value)!r})".replace("inf", "9e999") if value == value else "NULL"
        if value is None or isinstance(value, bool | np.bool_ | int | np.integer):
            return "NULL" if value is None else f"({int(value)})"
        return text_of(str(value))

    def attempt(self, text: str, sql_type: str) -> str:
        if not any(n in sql_type.upper() for n in _NUMBERS):
            return f"({text})"
        known = f"json_valid({text}) AND json_type({text}) IN ('integer', 'real', 'true', 'false')"
        return f"(CASE WHEN {known} THEN json_extract({text}, '$') END)"

    def same(self, left: str, right: str) -> str:
        return f"{left} IS {right}"

    def failure(self, message: str) -> str | None:
        return None


def open_sqlite(address: str) -> SQLite:
    """The engine behind `sqlite:///path`; EngineError where there is no such file, or SQLite cannot read it."""
    path = Path(address.partition(":///")[2])
    if not path.is_file():
        raise EngineError(f"there is no database file {path}", hint="sqlite:///shop.db is a file in this folder, "
                          "sqlite:////data/shop.db one by its whole path")  # fmt: skip
    return SQLite(path)
