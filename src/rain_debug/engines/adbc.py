"""One connection to a server by an ADBC driver: statements in, Arrow out; PyArrow is not needed."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from types import ModuleType
from typing import Any, TypeVar

import nanoarrow as na
import numpy as np

from rain_debug.engines import arrow
from rain_debug.engines.table import Column, Table
from rain_debug.errors import EngineError
from rain_debug.passwords import without_passwords

T = TypeVar("T")

_LOST = re.compile(
    r"no connection to the server|server closed the connection|terminating connection|connection .*(lost|reset|refused)"
    r"|could not (connect|receive|send)|SSL SYSCALL|failed to connect",
    re.IGNORECASE,
)


class Lost(EngineError):
    """The connection is gone, and whatever was under way on it."""


class Link:
    """A connection; every error is an EngineError without the password, or `Lost`."""

    def __init__(self, driver: ModuleType, uri: str) -> None:
        import adbc_driver_manager

        self._adbc: Any = adbc_driver_manager
        with self._errors("", lost="the database cannot be reached"):
            self._database = driver.connect(uri)
            self._connection = self._adbc.AdbcConnection(self._database)

    def close(self) -> None:
        """Let go of it; a second time does nothing."""
        for part in (self._connection, self._database):
            try:
                part.close()
            except self._adbc.Error:
                pass  # it was lost before

    def cancel(self) -> None:
        """Stop what runs, from another thread."""
        with self._errors(""):
            self._connection.cancel()

    def run(self, sql: str) -> int:
        """Run a statement whose answer nobody reads; how many rows it concerned, −1 where that is not known."""
        with self._statement(sql) as statement:
            return int(self._interruptible(statement.execute_update) or 0)

    def at_once(self, sql: str) -> None:
        """Run a statement amid others that the server answers without work: Ctrl-C can wait for it."""
        with self._statement(sql) as statement:
            statement.execute_update()

    def batches(self, sql: str, options: Mapping[str, str] | None = None, *, copy: bool = True) -> Iterator[Table]:
        """The answer batch by batch; with `copy=False` each is valid until the next."""
        with self._statement(sql, options) as statement:
            stream, _ = self._interruptible(statement.execute_query)
            found = arrow.batches(stream, copy=copy)
            while (batch := self._interruptible(lambda: next(found, None))) is not None:
                yield batch

    def _interruptible(self, wait: Callable[[], T]) -> T:
        """What `wait` gives; Ctrl-C, which Python would see only when the server has answered, stops it there."""
        if threading.current_thread() is not threading.main_thread():
            return wait()
        task: Future[T] = Future()

        def work() -> None:
            try:
                task.set_result(wait())
            except BaseException as error:  # whatever it is belongs to who waits for the answer
                task.set_exception(error)

        threading.Thread(target=work, daemon=True).start()
        try:
            return task.result()
        except KeyboardInterrupt:
            self.cancel()
            task.exception()  # once it has ended, the connection is free again
            raise

    def schema(self, sql: str) -> Any:
        """Names and types of a query's columns, without running it."""
        with self._statement(sql) as statement:
            return na.Schema(statement.execute_schema())

    def ingest(self, name: str, table: Table) -> None:
        """Write `table` as a temporary table."""
        options = {"target_table": name, "mode": "adbc.ingest.mode.create", "temporary": "true"}
        with self._statement(None, {f"adbc.ingest.{k}": v for k, v in options.items()}) as statement:
            statement.bind_stream(as_stream(table))
            self._interruptible(statement.execute_update)

    @contextmanager
    def _statement(self, sql: str | None, options: Mapping[str, str] | None = None) -> Iterator[Any]:
        with self._errors(sql or ""):
            statement = self._adbc.AdbcStatement(self._connection)
            try:
                if options:
                    statement.set_options(**options)
                if sql is not None:
                    if "\0" in sql:
                        raise EngineError("a text with a character of code 0 in it is not in any database's column",
                                          hint="leave the character out")  # fmt: skip
                    statement.set_sql_query(sql)
                yield statement
            finally:
                statement.close()

    @contextmanager
    def _errors(self, sql: str, lost: str = "the connection to the database is lost") -> Iterator[None]:
        try:
            yield
        except (self._adbc.Error, arrow.Broken) as error:
            state = getattr(error, "sqlstate", None) or ""
            said = self._said(str(error))
            where = sql.strip()[:300] or None
            if state.startswith(("08", "57P")) or _LOST.search(said):
                raise Lost(f"{lost}: {said}", where=where,
                           hint="see that the server runs, and ask again") from None  # fmt: skip
            if "canceling statement due to user request" in said:
                raise EngineError("the database was asked to stop") from None
            if "canceling statement due to statement timeout" in said:
                raise EngineError("the query took longer than it may, and was stopped", where=where,
                                  hint="ask for less, or allow more time") from None  # fmt: skip
            raise EngineError(f"the database says: {said}", where=where) from None

    def _said(self, text: str) -> str:
        """The server's own sentence, without secrets."""
        text = without_passwords(text)
        found = re.search(r"(?:ERROR|FATAL|PANIC):\s*(.*)", text) or re.search(r"(?:\[libpq\]\s*)?(.*)", text)
        return found[1].strip().removesuffix(".") if found and found[1].strip() else text.strip()


def as_stream(table: Table) -> Any:
    """A table as an Arrow stream; what is neither number, truth value nor text is written as text."""
    arrays = {name: _array(c) for name, c in table.items()}
    schema = na.struct({name: na.Schema(a.schema) for name, a in arrays.items()})
    whole = na.c_array_from_buffers(schema, table.n_rows, [None], children=list(arrays.values()))
    return na.c_array_stream(whole)


def _array(values: Column) -> Any:
    if values.kind not in ("number", "bool"):
        items = [None if v is None else str(v) for v in values.to_list()]
        return na.c_array(items, na.string())
    valid = None if values.valid is None else np.packbits(values.valid, bitorder="little")
    if values.kind == "bool":
        return na.c_array_from_buffers(na.bool_(), len(values), [valid, np.packbits(values.values, bitorder="little")])
    kind = na.int64() if values.values.dtype.kind == "i" else na.float64()
    return na.c_array_from_buffers(kind, len(values), [valid, np.ascontiguousarray(values.values)])
