"""DuckDB, the embedded default. The user's database is attached read-only; what Rain writes are temporary tables."""

from __future__ import annotations

import atexit
import json
import os
import re
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from rain_debug.engines import arrow
from rain_debug.engines.apart import read_database, read_table
from rain_debug.engines.folders import Folder
from rain_debug.engines.limits import clock, few_enough, too_slow
from rain_debug.engines.statements import one_select
from rain_debug.engines.table import Column, Table, column, from_numpy
from rain_debug.engines.words import DuckDBWords, text_of
from rain_debug.errors import EngineError
from rain_debug.sql.nodes import quote

NUMBERS = {
    "BOOLEAN",
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "FLOAT",
    "DOUBLE",
}
_FILES = {".csv": "read_csv", ".tsv": "read_csv", ".parquet": "read_parquet", ".json": "read_json"}
FAILS = (duckdb.Error, arrow.Broken, UnicodeDecodeError)
"""What DuckDB raises: at once, in the middle of a stream, and of a damaged file's names."""
MOST_KNOWN = 1000
_ENGINES: weakref.WeakSet[DuckDB] = weakref.WeakSet()


@atexit.register
def _let_go() -> None:
    """Of the connections before the interpreter ends: DuckDB reports on stderr each one that something, such as a
    thread that is still running, keeps alive beyond that."""
    for engine in list(_ENGINES):
        vars(engine).clear()


class DuckDB(DuckDBWords):
    """A connection to DuckDB, seen through `Engine`."""

    dialect = "duckdb"
    double = "DOUBLE"
    untyped: str | None = None
    generation = 0

    def __init__(self, connection: duckdb.DuckDBPyConnection, *, is_own: bool = False) -> None:
        self.connection = connection
        self.is_own = is_own
        self.read_only = False
        """True where the user's tables are attached read-only: what was read once stays so."""
        self.is_locked = False
        """True where no statement can reach files, network or settings any more; see `lock`."""
        self.seconds: float | None = None
        """What one statement may take, and its answer: None is no limit."""
        self.most_rows: int | None = None
        self.scratch: Folder | None = None
        self._known: dict[tuple[str, str], Any] = {}
        _ENGINES.add(self)

    def close(self) -> None:
        """Let go of the database and its files; a connection that the user handed over stays open."""
        if self.is_own:
            self.connection.close()
            if self.scratch is not None:
                self.scratch.cleanup()

    def types(self, sql: str) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = self._once("types", sql, lambda: self._types(sql))
        return found

    def _types(self, sql: str) -> list[tuple[str, str]]:
        relation = self.relation(sql)
        return [(n, str(t)) for n, t in zip(relation.columns, relation.types, strict=True)]

    def _once(self, what: str, of: str, ask: Callable[[], Any]) -> Any:
        """What the database says, asked once where it cannot change; Rain's own tables may."""
        if not self.read_only or "__rain_" in of:
            return ask()
        if (what, of) not in self._known:
            self._remember(what, of, ask())
        return self._known[what, of]

    def _remember(self, what: str, of: str, found: Any) -> None:
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[what, of] = found

    def rowid(self, name: str, alias: str) -> str | None:
        return f"{alias}.rowid" if self._once("is_table", name, lambda: self._is_table(name)) else None

    def _is_table(self, name: str) -> bool:
        try:
            self.relation(f"SELECT rowid FROM {name} LIMIT 0")
        except EngineError:
            return False
        bare = name.replace('"', "").split(".")[-1]
        found = self.table(
            f"SELECT count(*) AS n FROM duckdb_tables() WHERE lower(table_name) = lower({text_of(bare)})"
        )
        return bool(found["n"].values[0])

    def spelled_out(self, name: str) -> str:
        return str(self._once("spelled_out", name, lambda: self._spelled_out(name)))

    def _spelled_out(self, name: str) -> str:
        if not re.fullmatch(r'("([^"]|"")+"|\w+)(\.("([^"]|"")+"|\w+)){0,2}', name):
            return name
        parts = [p.strip('"').lower() for p in re.findall(r'"(?:[^"]|"")+"|\w+', name)]
        if len(parts) == 1:
            return parts[0]
        here = self.table("SELECT current_database() AS d, current_schema() AS s")
        for home in (here["d"].values[0], here["s"].values[0]):
            if len(parts) > 1 and parts[0] == str(home).lower():
                parts = parts[1:]
        return ".".join(parts)

    def definition(self, name: str) -> str | None:
        *homes, bare = name.replace('"', "").split(".")
        where = [f"lower(view_name) = lower({text_of(bare)})"]
        for home in homes:
            where.append(f"lower({text_of(home)}) IN (lower(database_name), lower(schema_name))")
        if not homes:  # of several attached databases, the one in use
            where.append("(temporary OR (database_name = current_database() AND schema_name = current_schema()))")
        found = self.table(f"SELECT sql FROM duckdb_views() WHERE NOT internal AND {' AND '.join(where)}")
        return str(found["sql"].values[0]) if found.n_rows == 1 else None

    def is_aggregate(self, function: str) -> bool:
        found = self.table(
            "SELECT count(*) AS n FROM duckdb_functions() WHERE function_type = 'aggregate' "
            f"AND lower(function_name) = lower({text_of(function)})"
        )
        return bool(found["n"].values[0])

    def tables(self) -> Sequence[str]:
        found = self.table(
            "SELECT table_name FROM information_schema.tables WHERE table_catalog = current_database() "
            "AND table_name NOT LIKE '\\_\\_rain\\_%' ESCAPE '\\' ORDER BY table_name"
        )
        return [str(n) for n in found["table_name"].values] if found.n_rows else []

    def table(self, sql: str) -> Table:
        relation = self._plain(sql)
        if self.most_rows is not None:
            relation = relation.limit(self.most_rows + 1)
        with self._within(sql):
            if {str(t) for t in relation.types} <= NUMBERS:
                # DuckDB fills one array a column; Arrow's batches would have to be copied once more.
                found = Table({n: from_numpy(values) for n, values in relation.fetchnumpy().items()})
            else:
                found = arrow.concatenate(list(arrow.batches(relation)), list(relation.columns))
        return few_enough(found, self.most_rows, sql)

    def constant(self, sql: str) -> Table:
        if ("constant", sql) not in self._known:
            self._remember("constant", sql, self.table(sql))
        found: Table = self._known["constant", sql]
        return found

    def batches(self, sql: str) -> Iterator[Table]:
        batches = arrow.batches(self._plain(sql), copy=False)
        while True:
            with self._within(sql):  # the time between two batches is the reader's
                batch = next(batches, None)
            if batch is None:
                return
            yield batch

    def stream(self, sql: str) -> Any:
        return self.relation(sql)

    def snapshot(self) -> AbstractContextManager[None]:
        return nullcontext()  # a file is read-only, and a user's connection has its own transactions

    def run(self, sql: str) -> None:
        self._run(sql)

    def _run(self, sql: str) -> list[tuple[Any, ...]]:
        with self._within(sql):
            found: list[tuple[Any, ...]] = self.connection.execute(sql).fetchall()
        return found

    @contextmanager
    def _within(self, sql: str) -> Iterator[None]:
        """Stop what runs inside when its time is over; EngineError for that, and for what DuckDB refuses."""
        with clock(self.seconds, self.connection.interrupt) as late:
            try:
                yield
            except FAILS as error:
                if late.is_set() and "INTERRUPT Error" in str(error):
                    raise too_slow(self.seconds, sql) from None
                raise _refused(error, sql) from None
        if late.is_set():  # DuckDB would stop what comes next
            raise too_slow(self.seconds, sql)

    def upload(self, name: str, table: Table) -> None:
        arrays = {n: _array(c) for n, c in table.items()}
        view = f"{name}_upload"
        try:
            self.connection.register(view, arrays)
            self.keep(name, f"SELECT * FROM {view}")
        except FAILS as error:
            raise _refused(error, name) from None
        finally:
            self.connection.unregister(view)

    def keep(self, name: str, sql: str, *, ordered: bool = False) -> int:
        sql = f"SELECT * FROM ({sql}) ORDER BY ALL" if ordered else sql
        with self._within(sql):
            statement = one_select(self.connection, sql, f"CREATE OR REPLACE TEMP TABLE {name} AS ")
            return int(self.connection.execute(statement).fetchall()[0][0])

    def drop(self, *names: str) -> None:
        if names:
            self.run("; ".join(f"DROP TABLE IF EXISTS temp.main.{name}" for name in names))

    def failure(self, message: str) -> str | None:
        return f"error({text_of(message)})"

    def estimated_rows(self, sql: str) -> int:
        """How many rows the answer to a query may have, as the database plans it; 0 where it does not say."""
        self.relation(sql)  # a SELECT and nothing else
        plan = json.loads(self._run(f"EXPLAIN (FORMAT json) {sql}")[0][1])
        said = [node.get("extra_info", {}).get("Estimated Cardinality", 0) for node in plan]
        return max((int(str(n).strip("~ ")) for n in said), default=0)

    def cancel(self) -> None:
        self.connection.interrupt()

    def relation(self, sql: str) -> duckdb.DuckDBPyRelation:
        """The query as DuckDB's own lazy relation."""
        with self._within(sql):
            # Known before it is run: nothing of the user's is written over.
            return self.connection.sql(one_select(self.connection, sql))

    def _plain(self, sql: str) -> duckdb.DuckDBPyRelation:
        """The query, with exact decimals and 128-bit integers as the numbers that NumPy has."""
        relation = self.relation(sql)
        wide = {"HUGEINT": "BIGINT", "UHUGEINT": "DOUBLE", "UBIGINT": "DOUBLE"}
        casts = []
        for name, kind in zip(relation.columns, map(str, relation.types), strict=True):
            target = "DOUBLE" if kind.startswith("DECIMAL") else wide.get(kind)
            quoted = quote(name)
            casts.append(quoted if target is None else f"CAST({quoted} AS {target}) AS {quoted}")
        if all(c.startswith('"') for c in casts):
            return relation
        return relation.project(", ".join(casts))


def open_duckdb(source: Any, *, untrusted: bool = False) -> DuckDB:
    """The engine behind what a user hands to `connect`: a path, ":memory:", an open connection, or named data frames.

    A file is attached read-only beside an in-memory scratch database; of an `untrusted` one the tables are copied by a
    worker that reads it in this process's place, as other files always are. A mapping's values may be data frames
    (anything with the Arrow PyCapsule interface, or that DuckDB registers), `Table`s, dictionaries of arrays, or paths
    of CSV, Parquet and JSON files. EngineError where there is no such file, or DuckDB cannot read it.
    """
    if isinstance(source, duckdb.DuckDBPyConnection):
        return DuckDB(source)
    config: dict[str, Any] = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
    engine = DuckDB(duckdb.connect(":memory:", config=config), is_own=True)
    if isinstance(source, Mapping):
        for name, frame in source.items():
            load(engine, str(name), frame)
        return engine
    if isinstance(source, str | os.PathLike):
        text = os.fspath(source)
        if text == ":memory:":
            return engine
        if "://" in text:
            raise EngineError(
                f"{text.split('://')[0]} databases are not supported in this version",
                hint="connect to postgresql://…, to a DuckDB or SQLite file, ':memory:', an open DuckDB connection, or "
                "a dictionary of data frames",
            )
        _attach(engine, Path(text), untrusted)
        return engine
    raise EngineError(
        f"cannot connect to {_a(type(source).__name__)}",
        hint="give a path, ':memory:', an open DuckDB connection, or a dictionary such as {'users': frame}",
    )


def _attach(engine: DuckDB, path: Path, untrusted: bool) -> None:
    if not path.exists():
        near = sorted(p.name for p in path.parent.glob("*.duckdb")) if path.parent.is_dir() else []
        hint = f"DuckDB files beside it: {', '.join(near)}" if near else "check the path; ':memory:' opens an empty one"
        raise EngineError(f"there is no database file {path}", hint=hint)
    if not path.is_file():  # a pipe would be waited for without end
        raise EngineError("this is no plain file", where=str(path), hint="name a file; a pipe or device is not read")
    if path.suffix.lower() in _FILES:
        load(engine, path.stem, path)
        return
    if untrusted:
        read_database(engine.connection, path)
        return
    try:
        engine.connection.execute(f"ATTACH {text_of(str(path))} AS rain_user (READ_ONLY)")
        engine.connection.execute("USE rain_user")
        engine.read_only = True
    except FAILS as error:
        raise EngineError(
            f"{path} cannot be opened as a DuckDB database",
            where=_said(error),
            hint="give a file that DuckDB wrote, or a CSV or Parquet file; close programs that write to it",
        ) from None


class _Stream:
    """A frame by its Arrow stream alone: DuckDB asks polars' own for PyArrow, which need not be there."""

    def __init__(self, frame: Any) -> None:
        self._frame = frame

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self._frame.__arrow_c_stream__(requested_schema)


def load(engine: DuckDB, name: str, frame: Any) -> None:
    quoted = quote(name)
    if isinstance(frame, str | os.PathLike):
        path = Path(frame)
        reader = _FILES.get(path.suffix.lower())
        if reader is None or not path.exists():
            what = f"there is no file {path}" if reader else f"{path.name} is neither CSV, Parquet nor JSON"
            raise EngineError(what, where=f"table '{name}'", hint="give the path of a .csv, .parquet or .json file")
        try:
            read_table(engine.connection, quoted, path, f"SELECT * FROM {reader}({text_of(str(path.absolute()))})")
        except EngineError as error:
            raise EngineError(error.message, where=f"table '{name}', read from {path}", hint=error.hint) from None
        return
    if isinstance(frame, Table):
        frame = {n: _array(c) for n, c in frame.items()}
    if isinstance(frame, Mapping):
        lengths = {n: len(v) for n, v in frame.items() if hasattr(v, "__len__")}
        if len(set(lengths.values())) > 1:
            shown = ", ".join(f"{n} {k}" for n, k in list(lengths.items())[:20])
            raise EngineError(f"the columns of table '{name}' have different lengths: {shown}",
                              hint="give arrays of one length")  # fmt: skip
        frame = {n: _array(column(v)) if isinstance(v, list | tuple) else _in_order(v) for n, v in frame.items()}
    kind = type(frame).__name__
    if hasattr(frame, "__arrow_c_stream__") and not type(frame).__module__.startswith("pandas"):
        frame = _Stream(frame)
    try:
        engine.connection.register("__rain_frame", frame)
        engine.connection.execute(f"CREATE TABLE {quoted} AS SELECT * FROM __rain_frame")
    except (duckdb.Error, TypeError, ValueError) as error:
        why = str(error).split("\n")[0]
        raise EngineError(
            f"table '{name}' cannot be read from {_a(kind)}",
            where=None if "__rain_frame" in why else why,
            hint="give a pandas or polars data frame, an Arrow table, a dictionary of arrays, or the path of a file",
        ) from None
    finally:
        engine.connection.unregister("__rain_frame")


def _in_order(values: Any) -> Any:
    """An array as DuckDB reads it: numbers one after another, which those of x[::-1] are not."""
    return values.copy() if isinstance(values, np.ndarray) and not values.flags.c_contiguous else values


def _array(values: Column) -> np.ndarray:
    return values.values if values.valid is None else np.ma.masked_array(values.values, mask=~values.valid)


def _refused(error: Exception, sql: str) -> EngineError:
    if "INTERRUPT Error" in str(error):
        return EngineError("the database was asked to stop")
    if "Resource In Use" in str(error):
        return EngineError(
            "the connection has an answer that was not read to its end",
            hint="fetch it first (.fetchall()), or give Rain a connection of its own: rain_debug.connect(con.cursor())",
        )
    return EngineError(f"the database says: {_said(error)}", where=sql.strip()[:300])


def _said(error: Exception) -> str:
    """DuckDB's own sentence."""
    if isinstance(error, UnicodeDecodeError):
        return "a name or a value is no text: the file may be damaged"
    text = re.sub(r"^ArrowArrayStream::\w+\(\) failed \(\d+\): ", "", str(error))
    return next((line for line in text.split("\n") if line.strip()), type(error).__name__)


def _a(noun: str) -> str:
    return f"an {noun}" if noun[0].lower() in "aeiou" else f"a {noun}"
