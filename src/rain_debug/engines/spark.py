"""Spark: it runs the queries and their lineage where its tables are. What Rain writes are views that it keeps in Spark.

Queries are written as for DuckDB, and are said in Spark's words when they are run; a function that DuckDB does not know
reaches Spark as it is. A row is known by its place in its file, chosen when the table is handed over: a view of it has
no `_metadata` any more.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rain_debug.engines import arrow
from rain_debug.engines.adbc import as_stream
from rain_debug.engines.limits import clock, few_enough, too_slow
from rain_debug.engines.table import Table
from rain_debug.engines.words import DuckDBWords
from rain_debug.errors import EngineError
from rain_debug.sql.translate import translate

FILE_BITS = 40
"""Of a row's number: those that count within its file, 10¹² rows; the others count files."""
ROWID = "rowid"
SETTINGS = {"spark.sql.ansi.enabled": "true", "spark.sql.session.timeZone": "UTC"}
"""Errors and casts as in other databases."""
_NAMES = {"string": "VARCHAR", "int": "INTEGER", "void": "NULL", "timestamp_ntz": "TIMESTAMP"}
_HOMES = itertools.count(1)


class Spark(DuckDBWords):
    """Tables in Spark, seen through `Engine`: in a session of its own, so that no name and no setting of the user's is
    touched."""

    dialect = "duckdb"
    double = "DOUBLE"
    untyped: str | None = None
    is_own = False
    generation = 0
    read_only = True
    is_locked = False

    def __init__(self, frames: Mapping[str, Any]) -> None:
        self.seconds: float | None = None
        """What one statement may take, and its answer: None is no limit."""
        self.most_rows: int | None = None
        self._users = next(iter(frames.values())).sparkSession
        self._session = self._users.newSession()
        self._home = next(_HOMES)
        self._own: set[str] = set()
        self._rows: set[str] = set()
        self._tables: dict[str, str] = {}
        self._aggregates: dict[str, bool] = {}
        self._constants: dict[str, Table] = {}
        for name, value in SETTINGS.items():
            self._session.conf.set(name, value)
        for name, frame in frames.items():
            self._hand_over(str(name), frame)

    def _hand_over(self, name: str, frame: Any) -> None:
        """Make a frame of the user's session a table of ours, with a number for each row that files have."""
        where = f"table '{name}'"
        if ROWID in map(str.lower, frame.columns):
            raise EngineError("a column called 'rowid' cannot be told from the number that Rain gives each row",
                              where=where, hint="frame.withColumnRenamed('rowid', 'row')")  # fmt: skip
        rows = _numbered(frame)
        with self._within(where):
            shared = f"rain_{self._home}_{len(self._tables)}"
            (frame if rows is None else rows).createOrReplaceGlobalTempView(shared)
            self._session.table(f"global_temp.{shared}").createOrReplaceTempView(_quoted(name))
        self._tables[name.lower()] = name
        if rows is not None:
            self._rows.add(name.lower())

    # -- answers ------------------------------------------------------------------------------------------------

    @contextmanager
    def _within(self, sql: str) -> Iterator[None]:
        """The time limit, and Spark's errors as ours."""
        from pyspark.errors import PySparkException

        with clock(self.seconds, self.cancel) as late:
            try:
                yield
            except PySparkException as error:
                if late.is_set():
                    raise too_slow(self.seconds, sql) from None
                said = str(error).strip().split("\n")[0]
                raise EngineError(f"the database says: {said}", where=sql.strip()[:300]) from None

    def _frame(self, sql: str) -> Any:
        """The query as Spark's own lazy frame."""
        text = translate(sql.strip().rstrip(";"), self.dialect, "spark")
        with self._within(sql):
            return self._session.sql(text)

    def _arrow(self, sql: str) -> Any:
        """The answer as an Arrow table, with decimals as the numbers that NumPy has."""
        frame = self._frame(sql)
        if self.most_rows is not None:
            frame = frame.limit(self.most_rows + 1)
        with self._within(sql):
            kinds = [f.dataType.simpleString() for f in frame.schema.fields]
            if any(k.startswith("decimal") for k in kinds):
                frame = frame.toDF(*(f"c{i}" for i in range(len(kinds)))).selectExpr(
                    *(f"CAST(c{i} AS DOUBLE)" if k.startswith("decimal") else f"c{i}" for i, k in enumerate(kinds))
                ).toDF(*frame.columns)  # fmt: skip
            return frame.toArrow()

    def table(self, sql: str) -> Table:
        answer = self._arrow(sql)
        found = arrow.concatenate(list(arrow.batches(answer)), list(answer.column_names))
        return few_enough(found, self.most_rows, sql)

    def constant(self, sql: str) -> Table:
        if sql not in self._constants:
            self._constants[sql] = self.table(sql)
        return self._constants[sql]

    def batches(self, sql: str) -> Iterator[Table]:
        yield from arrow.batches(self._arrow(sql), copy=False)

    def stream(self, sql: str) -> Any:
        return self._arrow(sql)

    def types(self, sql: str) -> list[tuple[str, str]]:
        fields = self._frame(sql).schema.fields
        return [(f.name, _spelled(f.dataType.simpleString())) for f in fields]

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Files that a frame was read from are taken to stay as they are; nothing is to be done."""
        yield

    def estimated_rows(self, sql: str) -> int:
        return 0

    # -- Rain's own tables --------------------------------------------------------------------------------------

    def run(self, sql: str) -> None:
        self._arrow(sql)

    def upload(self, name: str, table: Table) -> None:
        import pyarrow

        with self._within(name):
            self._show(name, self._session.createDataFrame(pyarrow.table(as_stream(table))))

    def keep(self, name: str, sql: str, *, ordered: bool = False) -> int:
        from pyspark.sql.functions import monotonically_increasing_id

        frame = self._frame(sql)
        with self._within(sql):
            if ordered:
                frame = frame.orderBy(*(frame[i] for i in range(len(frame.columns))))
            # What was computed stays with the executors: asked again, Spark would compute it again, in another order.
            kept = frame.select("*", monotonically_increasing_id().alias(ROWID)).localCheckpoint()
            self._show(name, kept)
            return int(kept.count())

    def _show(self, name: str, frame: Any) -> None:
        frame.createOrReplaceTempView(name)
        self._own.add(name)

    def drop(self, *names: str) -> None:
        for name in names:
            self._session.catalog.dropTempView(name)
            self._own.discard(name)

    def close(self) -> None:
        """Forget Rain's views; the user's session and tables stay."""
        self.drop(*self._own, *self._tables.values())
        for i in range(len(self._tables)):
            self._users.catalog.dropGlobalTempView(f"rain_{self._home}_{i}")

    def cancel(self) -> None:
        self._session.interruptAll()

    # -- what is there ------------------------------------------------------------------------------------------

    def tables(self) -> Sequence[str]:
        return sorted(self._tables.values())

    def rowid(self, name: str, alias: str) -> str | None:
        return f"{alias}.{ROWID}" if name.strip('"').lower() in self._rows else None

    def definition(self, name: str) -> str | None:
        return None

    def spelled_out(self, name: str) -> str:
        return name.strip('"').lower() if name.strip('"').lower() in self._tables else name

    def is_aggregate(self, function: str) -> bool:
        known = function.lower()
        if known not in self._aggregates:
            found = self._session.sql(f"DESCRIBE FUNCTION EXTENDED {known}").collect() if known.isidentifier() else []
            text = " ".join(str(row[0]) for row in found)
            self._aggregates[known] = ".aggregate." in text
        return self._aggregates[known]

    # -- words --------------------------------------------------------------------------------------------------

    def failure(self, message: str) -> str | None:
        return None


def _numbered(frame: Any) -> Any:
    """The frame with a number for each row that tells its file and its place there; None where rows are of no file."""
    from pyspark.errors import PySparkException

    # A path is spelled with one slash after its scheme here, with three there.
    files = [re.sub(r"^(\w+):/+", r"\1:/", file) for file in sorted(frame.inputFiles())]
    if not files:
        return None
    listed = ", ".join("'" + f.replace("\\", "\\\\").replace("'", "\\'") + "'" for f in files)
    here = "regexp_replace(_metadata.file_path, '^([A-Za-z0-9_]+):/+', '$1:/')"
    place = f"nullif(array_position(array({listed}), {here}), 0)"
    file = f"coalesce({place} - 1, CAST(raise_error('a file has come since the table was handed over') AS BIGINT))"
    try:
        return frame.selectExpr("*", f"{file} * {1 << FILE_BITS}L + _metadata.row_index AS {ROWID}")
    except PySparkException:  # joined, grouped or filtered: the rows are no file's any more
        return None


def _spelled(kind: str) -> str:
    """A type's name as Rain's rooms know it.

    >>> _spelled("string"), _spelled("decimal(10,2)"), _spelled("bigint")
    ('VARCHAR', 'DECIMAL(10,2)', 'BIGINT')
    """
    return _NAMES.get(kind, kind.upper())


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def is_spark(source: Any) -> bool:
    """Whether what a user hands to `connect` are frames of Spark, by name.

    >>> is_spark({"users": [1, 2]})
    False
    """
    if not isinstance(source, Mapping) or not source:
        return False
    return any(type(frame).__module__.startswith("pyspark.sql") for frame in source.values())


def open_spark(frames: Mapping[str, Any]) -> Spark:
    """The engine behind named frames of one Spark session; EngineError where some are none of it."""
    strange = [n for n, f in frames.items() if not type(f).__module__.startswith("pyspark.sql")]
    if strange:
        raise EngineError(
            f"table '{strange[0]}' is no frame of Spark, and others are",
            hint="give all tables as frames of one session: spark.read.parquet(…), spark.createDataFrame(…)",
        )
    return Spark(frames)
