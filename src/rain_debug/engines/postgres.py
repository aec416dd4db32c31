"""PostgreSQL over ADBC. The user's statements run in read-only transactions; what Rain writes are temporary tables."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any, TypeVar

from rain_debug.engines import arrow
from rain_debug.engines.adbc import Link, Lost, as_stream
from rain_debug.engines.limits import few_enough
from rain_debug.engines.pg_words import bare, literal, plain, spelled
from rain_debug.engines.table import Table
from rain_debug.engines.words import text_of
from rain_debug.errors import EngineError
from rain_debug.passwords import without_passwords
from rain_debug.sql.nodes import quote

OLDEST = 160000
"""PostgreSQL 16: subqueries without a name, `any_value`, `pg_input_is_valid`."""
SETTINGS = (
    "SET standard_conforming_strings = on",
    "SET extra_float_digits = 1",
    "SET client_min_messages = warning",
    "SET DateStyle = 'ISO, YMD'",
    "SET synchronous_commit = off",  # what is written here is gone with the connection anyway
)
BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ"
ANALYSED = 10_000
"""Rows from which on a temporary table gets statistics."""
_IS_RAINS = re.compile(r"\b__rain_")
_WORD = re.compile(r'("([^"]|"")+"|\w+)(\.("([^"]|"")+"|\w+)){0,2}')

T = TypeVar("T")


class Postgres:
    """A connection to PostgreSQL, seen through `Engine`."""

    dialect = "postgres"
    double = "DOUBLE PRECISION"
    untyped: str | None = "TEXT"
    is_own = True
    read_only = False
    is_locked = False

    def __init__(self, driver: ModuleType, uri: str) -> None:
        self.seconds: float | None = None
        """What one statement may take, and its answer: None is no limit."""
        self.most_rows: int | None = None
        self.generation = 0
        self._driver, self._uri = driver, uri
        self._timeout: float | None = None
        self._depth = 0
        self._is_reading = False
        self._is_lost = False
        self._seen: dict[str, Any] = {}
        self._lock = threading.RLock()
        self._constants: dict[str, Table] = {}
        self._link = self._connected()
        self.version = int(self.table("SELECT current_setting('server_version_num') AS v")["v"].values[0])
        if self.version < OLDEST:
            self.close()
            raise EngineError(f"PostgreSQL {self.version // 10000} is too old", where=without_passwords(uri),
                              hint=f"Rain needs PostgreSQL {OLDEST // 10000} or newer")  # fmt: skip

    # -- the connection and its transactions --------------------------------------------------------------------

    def _connected(self) -> Link:
        link = Link(self._driver, self._uri)
        for setting in SETTINGS:
            link.run(setting)
        return link

    def close(self) -> None:
        """End the connection, and Rain's temporary tables with it."""
        self._link.close()

    def cancel(self) -> None:
        self._link.cancel()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Every statement inside sees the database as it was at the first: one REPEATABLE READ transaction."""
        with self._lock:
            if not self._depth:
                self._seen.clear()
                self._patiently(lambda: self._link.run(BEGIN), "")
            self._depth += 1
        try:
            yield
        finally:
            with self._lock:
                self._depth -= 1
                if not self._depth and not self._is_lost:
                    self._is_reading = False
                    self._patiently(lambda: self._link.run("COMMIT"), "")

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """What runs inside may write nothing but rows of temporary tables; an error undoes that and nothing else."""
        if not self._depth:
            self._link.run(f"{BEGIN} READ ONLY")
        elif not self._is_reading:
            self._link.at_once("SAVEPOINT rain")
            self._link.at_once("SET TRANSACTION READ ONLY")
        self._is_reading = True
        try:
            yield
        except Lost:
            raise
        except BaseException:  # also Ctrl-C, and a reader that stops half-way: the transaction must end
            self._end_reading(undo=True)
            raise
        if not self._depth:
            self._end_reading()

    def _end_reading(self, *, undo: bool = False) -> None:
        if not self._is_reading:
            return
        self._is_reading = False
        if not self._depth:
            self._link.at_once("ROLLBACK" if undo else "COMMIT")
            return
        if undo:
            self._link.at_once("ROLLBACK TO SAVEPOINT rain")
        self._link.at_once("RELEASE SAVEPOINT rain")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """What runs inside is Rain's own: it makes, fills and drops temporary tables."""
        self._end_reading()
        if self._depth:
            self._link.at_once("SAVEPOINT rain")
        else:
            self._link.run("BEGIN")
        try:
            yield
        except Lost:
            raise
        except BaseException:  # also Ctrl-C: the transaction must end
            self._link.at_once("ROLLBACK TO SAVEPOINT rain" if self._depth else "ROLLBACK")
            raise
        self._link.at_once("RELEASE SAVEPOINT rain" if self._depth else "COMMIT")

    def _patiently(self, ask: Callable[[], T], sql: str) -> T:
        """What `ask` gives; asked once more where the connection was lost and nothing of it is needed."""
        if self._is_lost:
            self._renew()
        try:
            return self._in_time(ask)
        except Lost as error:
            again = not self._depth and not _IS_RAINS.search(sql)
            try:
                self._renew()
            except EngineError:
                raise error from None
            if again:
                return self._in_time(ask)
            raise

    def _in_time(self, ask: Callable[[], T]) -> T:
        if self.seconds != self._timeout:
            self._link.run(f"SET statement_timeout = {round(1000 * (self.seconds or 0))}")
            self._timeout = self.seconds
        return ask()

    def _renew(self) -> None:
        """A new connection, in a snapshot of its own where the old one was in one."""
        self._is_lost = True
        self._link.close()
        self._is_reading, self._timeout, self.generation = False, None, self.generation + 1
        self._seen.clear()
        self._link = self._connected()
        if self._depth:
            self._link.run(BEGIN)
        self._is_lost = False

    # -- answers ------------------------------------------------------------------------------------------------

    def table(self, sql: str) -> Table:
        def ask() -> Table:
            with self._reading():
                fields = self._fields(sql)
                limit = f" LIMIT {self.most_rows + 1}" if self.most_rows is not None else ""
                found = list(self._link.batches(plain(sql, fields, limit)))
                return arrow.concatenate(found, [name for name, _ in fields])

        with self._lock:
            found = self._patiently(ask, sql)
        return few_enough(found, self.most_rows, sql)

    def constant(self, sql: str) -> Table:
        if sql not in self._constants:
            self._constants[sql] = self.table(sql)
        return self._constants[sql]

    def batches(self, sql: str) -> Iterator[Table]:
        with self._lock:
            fields = self._patiently(lambda: self._read_fields(sql), sql)
            try:
                with self._reading():
                    yield from self._link.batches(plain(sql, fields), copy=False)
            except Lost:
                self._renew()
                raise

    def stream(self, sql: str) -> Any:
        return as_stream(self.table(sql))

    def types(self, sql: str) -> list[tuple[str, str]]:
        with self._lock:
            fields = self._patiently(lambda: self._read_fields(sql), sql)
        return [(name, spelled(kind)) for name, kind in fields]

    def _read_fields(self, sql: str) -> list[tuple[str, str]]:
        with self._reading():
            return self._fields(sql)

    def _once(self, sql: str, ask: Callable[[], T]) -> T:
        """What `ask` gives of `sql`: inside a snapshot, where it is not about Rain's own tables, asked once."""
        if not self._depth or _IS_RAINS.search(sql):
            return ask()
        if sql not in self._seen:
            self._seen[sql] = ask()
        found: T = self._seen[sql]
        return found

    def _fields(self, sql: str) -> list[tuple[str, str]]:
        return self._once(f"types of {sql}", lambda: self._asked_fields(sql))

    def _asked_fields(self, sql: str) -> list[tuple[str, str]]:
        """Columns and PostgreSQL's own names of their types; EngineError for what is no one SELECT."""
        found = []
        for field in self._link.schema(bare(sql)).fields:
            known = {bytes(k): bytes(v) for k, v in field.metadata.items()} if field.metadata is not None else {}
            found.append((field.name, known.get(b"POSTGRESQL:type", b"text").decode()))
        if not found:
            raise EngineError("one SELECT was expected, not a statement without an answer", where=sql.strip()[:300],
                              hint="give one SELECT")  # fmt: skip
        return found

    def estimated_rows(self, sql: str) -> int:
        def ask() -> list[Table]:
            with self._reading():
                text = f"EXPLAIN (FORMAT json) {bare(sql)}"
                return list(self._link.batches(text, {"adbc.postgresql.use_copy": "false"}))

        with self._lock:
            plan = json.loads(next(iter(self._patiently(ask, sql)[0].values())).values[0])
        return int(plan[0]["Plan"]["Plan Rows"])

    # -- Rain's own tables --------------------------------------------------------------------------------------

    def run(self, sql: str) -> None:
        def ask() -> None:
            with self._writing():
                self._link.run(sql)

        with self._lock:
            self._patiently(ask, sql)

    def upload(self, name: str, table: Table) -> None:
        def ask() -> None:
            with self._writing():
                self._link.at_once(f"DROP TABLE IF EXISTS pg_temp.{name}")
                self._link.ingest(name, table)
                self._analyse(name, table.n_rows)

        with self._lock:
            self._patiently(ask, name)

    def keep(self, name: str, sql: str, *, ordered: bool = False) -> int:
        def ask() -> int:
            with self._reading():
                fields = self._fields(sql)
            if "rowid" in (n for n, _ in fields):
                raise EngineError("a column called 'rowid' cannot be told from the number that Rain gives each row",
                                  where=sql.strip()[:300], hint="rename it: SELECT rowid AS row, …")  # fmt: skip
            columns = ", ".join(["rowid BIGINT", *(f"{quote(n)} {spelled(kind)}" for n, kind in fields)])
            with self._writing():
                self._link.at_once(f"DROP TABLE IF EXISTS pg_temp.{name}")
                self._link.at_once(f"CREATE TEMPORARY TABLE {name} ({columns})")
            by = [str(i) for i, (_, kind) in enumerate(fields, 1) if ordered and kind not in ("json", "xml", "point")]
            order = f" ORDER BY {', '.join(by)}" if by else ""
            with self._reading():
                # The type of a literal may be left open in the query itself.
                n = self._link.run(
                    f"INSERT INTO pg_temp.{name} SELECT row_number() OVER (), * FROM (SELECT * FROM ({bare(sql)}) AS q"
                    f"{order}) AS q"
                )
                self._end_reading()
            if n >= ANALYSED:
                with self._writing():
                    self._analyse(name, n)
            return n

        with self._lock:
            return self._patiently(ask, f"{name} {sql}")

    def _analyse(self, name: str, n_rows: int) -> None:
        if n_rows >= ANALYSED:
            self._link.run(f"ANALYZE pg_temp.{name}")

    def drop(self, *names: str) -> None:
        if names:
            self.run("DROP TABLE IF EXISTS " + ", ".join(f"pg_temp.{name}" for name in names))

    # -- what is there ------------------------------------------------------------------------------------------

    def tables(self) -> Sequence[str]:
        found = self.table(
            "SELECT c.relname::text AS n FROM pg_class AS c JOIN pg_namespace AS s ON s.oid = c.relnamespace "
            "WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND pg_table_is_visible(c.oid) "
            "AND s.nspname <> 'information_schema' AND s.nspname NOT LIKE 'pg\\_%' ORDER BY 1"
        )
        return [str(n) for n in found["n"].values] if found.n_rows else []

    def rowid(self, name: str, alias: str) -> str | None:
        found = self._known(
            name,
            "SELECT (SELECT a.attname::text FROM pg_index AS i JOIN pg_attribute AS a ON a.attrelid = i.indrelid "
            "AND a.attnum = i.indkey[0] WHERE i.indrelid = c.oid AND i.indisprimary AND i.indnkeyatts = 1 "
            "AND a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)) AS key FROM pg_class AS c "
            "WHERE c.oid = {} AND c.relkind IN ('r', 'm') AND NOT c.relhassubclass",
        )
        if found is None or not found.n_rows:
            return None
        key = found["key"].to_list()[0]
        if key is not None:
            return f"{alias}.{quote(key)}"
        if self.version >= 180000:
            return f"CAST(tidsend({alias}.ctid) AS BIGINT)"
        place = f"CAST(CAST({alias}.ctid AS TEXT) AS POINT)"
        return f"(CAST(({place})[0] AS BIGINT) * 65536 + CAST(({place})[1] AS BIGINT))"

    def definition(self, name: str) -> str | None:
        # A view that its user may read, and not what it reads, stays what it is; so does one that guards rows.
        found = self._known(
            name,
            "SELECT pg_get_viewdef(c.oid) AS sql FROM pg_class AS c WHERE c.oid = {} AND c.relkind = 'v' "
            "AND NOT coalesce('security_barrier=true' = ANY (c.reloptions), FALSE) AND NOT EXISTS (SELECT FROM "
            "pg_rewrite AS r JOIN pg_depend AS d ON d.objid = r.oid AND d.classid = 'pg_rewrite'::regclass "
            "WHERE r.ev_class = c.oid AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> c.oid "
            "AND NOT has_table_privilege(d.refobjid, 'SELECT'))",
        )
        if found is None or not found.n_rows:
            return None
        return f"CREATE VIEW {name} AS {found['sql'].values[0]}"

    def spelled_out(self, name: str) -> str:
        found = self._known(name, "SELECT CAST(CAST({} AS regclass) AS TEXT) AS n")
        return name if found is None or found["n"].to_list()[0] is None else str(found["n"].values[0])

    def _known(self, name: str, sql: str) -> Table | None:
        """What the catalogue says of a table's name; None for a text that is no name."""
        if not _WORD.fullmatch(name):
            return None
        text = sql.format(f"to_regclass({text_of(name)})")
        return self._once(text, lambda: self.table(text))

    def is_aggregate(self, function: str) -> bool:
        text = f"SELECT 1 AS x FROM pg_proc WHERE prokind = 'a' AND proname = lower({text_of(function)})"
        return bool(self._once(text, lambda: self.table(text)).n_rows)

    # -- words --------------------------------------------------------------------------------------------------

    def literal(self, value: Any, sql_type: str | None = None) -> str:
        text = literal(value)
        return f"CAST({text} AS {sql_type})" if sql_type else text

    def attempt(self, text: str, sql_type: str) -> str:
        # OFFSET keeps the planner from computing the cast of a constant before it is known to be valid.
        return (
            f"(SELECT CASE WHEN pg_input_is_valid(v, {text_of(sql_type)}) THEN CAST(v AS {sql_type}) END "
            f"FROM (SELECT CAST({text} AS TEXT) AS v OFFSET 0) AS t)"
        )

    def same(self, left: str, right: str) -> str:
        # Arrays are equal where their elements are, NULL or not, and can be hashed; IS NOT DISTINCT FROM cannot.
        return f"ARRAY[{left}] = ARRAY[{right}]"

    def failure(self, message: str) -> str | None:
        return None


def open_postgres(uri: str) -> Postgres:
    """The engine behind `postgresql://…`; EngineError where the extra is missing or the server cannot be reached."""
    try:
        import adbc_driver_postgresql
    except ImportError:
        raise EngineError("PostgreSQL needs the extra 'postgres'", where=without_passwords(uri),
                          hint="pip install 'rain-debug[postgres]'") from None  # fmt: skip
    try:
        return Postgres(adbc_driver_postgresql, uri)
    except Lost as error:
        raise EngineError(error.message, where=without_passwords(uri),
                          hint="check the address, and that the server runs and lets you in") from None  # fmt: skip
