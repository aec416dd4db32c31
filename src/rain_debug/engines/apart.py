"""Files that nobody vouches for, read in a process of their own: what breaks there ends that process and not this one.

CSV, Parquet and JSON files, and databases from elsewhere, are parsed by code that trusts their every length. A worker
with limits on memory and time parses them, may open that one file and nothing else, and hands over plain columns.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import nanoarrow as na
from nanoarrow import ipc

from rain_debug.engines.reader import SAYS
from rain_debug.errors import EngineError
from rain_debug.sql.nodes import quote

READER = Path(__file__).with_name("reader.py")
KEPT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT", "LANG", "LC_ALL", "TZ", "TMPDIR", "TEMP", "TMP")
"""Of the environment: it may hold passwords, and the worker needs none."""


@dataclass(frozen=True)
class Reading:
    """What reading one file may take: bytes of memory, bytes of the table, seconds of computing, seconds of silence."""

    memory: int
    table: int
    seconds: int = 3600
    silence: float = 300.0

    @classmethod
    def usual(cls) -> Reading:
        """Half of the machine's memory for the worker; a table of up to four fifths of it, what DuckDB may take too."""
        size = _machine()
        return cls(size // 2, size // 5 * 4)


def read_table(
    con: duckdb.DuckDBPyConnection,
    name: str,
    path: Path,
    sql: str,
    *,
    attach: bool = False,
    reading: Reading | None = None,
) -> None:
    """Create table `name` (quoted) of what `sql` finds in the file at `path`; EngineError where that is not possible.

    With `attach` the file is a database of DuckDB's, in which `sql` finds its tables.
    """
    path = path.absolute()
    if not path.is_file():
        raise EngineError("this is no plain file", where=str(path), hint="name a file; a pipe or device is not read")
    reading = reading or Reading.usual()
    job = {"path": str(path), "sql": sql, "attach": attach, "memory": reading.memory, "seconds": reading.seconds}
    with _worker(job) as worker:
        source = _Watched(worker, reading)
        failed = _insert(con, name, source)
        source.done.set()
        code = _ended(worker, 10.0 if failed is None else 1.0)
        trouble = source.trouble or _trouble(code, worker, reading) or failed
    if trouble is not None:
        con.execute(f"DROP TABLE IF EXISTS {name}")
        raise EngineError(trouble, where=str(path), hint="check that the file is what its suffix says")


def read_database(con: duckdb.DuckDBPyConnection, path: Path, *, reading: Reading | None = None) -> None:
    """Create every table and view of the DuckDB file at `path` as a table of the same name; EngineError as above."""
    listed = "__rain_listed"
    names = "SELECT table_name AS name FROM information_schema.tables WHERE table_catalog = 'rain_user' ORDER BY ALL"
    read_table(con, listed, path, names, attach=True, reading=reading)
    try:
        found = [str(name) for (name,) in con.execute(f"SELECT name FROM {listed}").fetchall()]
    except UnicodeDecodeError:
        raise EngineError(
            "a table's name is no text", where=str(path), hint="the file is damaged, or made to do harm"
        ) from None
    con.execute(f"DROP TABLE {listed}")
    for name in found:
        quoted = quote(name)
        try:
            read_table(con, quoted, path, f"SELECT * FROM {quoted}", attach=True, reading=reading)
        except EngineError as error:
            raise EngineError(error.message, where=f"'{name}' in {path}", hint=error.hint) from None


@contextmanager
def _worker(job: dict[str, Any]) -> Iterator[subprocess.Popen[bytes]]:
    """The process, started on its job; it ends with the block, whatever happens."""
    places = {n: os.environ[n] for n in KEPT if n in os.environ}
    places["PYTHONPATH"] = os.pathsep.join(p for p in sys.path if p)
    worker = subprocess.Popen(
        # -P: its own folder holds modules that are named as the libraries are
        [sys.executable, "-P", "-B", str(READER)], env=places, close_fds=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    with worker:
        try:
            assert worker.stdin is not None
            try:
                worker.stdin.write(json.dumps(job).encode())
                worker.stdin.close()
            except BrokenPipeError:
                pass  # it ended at once, and has said why
            yield worker
        finally:
            worker.kill()


class _Watched:
    """The worker's output, counted; the worker is stopped where it says too much, or nothing for too long."""

    def __init__(self, worker: subprocess.Popen[bytes], reading: Reading) -> None:
        self.trouble: str | None = None
        self.done = threading.Event()
        self._worker, self._reading, self._read = worker, reading, 0
        threading.Thread(target=self._listen, daemon=True).start()

    def readinto(self, buffer: Any) -> int:
        assert self._worker.stdout is not None
        got = self._worker.stdout.readinto(buffer) or 0  # type: ignore[attr-defined]
        self._read += got
        if self._read > self._reading.table:
            self.trouble = f"the file unpacks to more than {self._reading.table:,} bytes, and was not read on"
            self._worker.kill()
            return 0
        return int(got)

    def _listen(self) -> None:
        before = -1
        while not self.done.wait(self._reading.silence):
            if self._read == before:
                self.trouble = f"reading the file gave no row for {self._reading.silence:g} seconds"
                self._worker.kill()
                return
            before = self._read


class _Once:
    """A stream whose schema is asked for before it is read."""

    def __init__(self, stream: Any) -> None:
        self._stream = na.c_array_stream(stream)
        self._schema = self._stream.get_schema()

    def __arrow_c_schema__(self) -> Any:
        return self._schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self._stream.__arrow_c_stream__()


def _insert(con: duckdb.DuckDBPyConnection, name: str, source: _Watched) -> str | None:
    """Write the stream as a table; what went wrong, where something did."""
    view = "__rain_apart"
    try:
        with ipc.InputStream.from_readable(source) as stream:
            con.register(view, _Once(stream))
            try:
                con.execute(f"CREATE TABLE {name} AS SELECT * FROM {view}")
            finally:
                con.unregister(view)
    except (duckdb.Error, RuntimeError, ValueError) as error:
        return f"the database says: {str(error).splitlines()[0]}"
    return None


def _ended(worker: subprocess.Popen[bytes], seconds: float) -> int:
    """Its exit code; 0 where it goes on after all that was to be read from it, and is stopped here."""
    try:
        return worker.wait(seconds)
    except subprocess.TimeoutExpired:
        worker.kill()
        return 0


def _trouble(code: int, worker: subprocess.Popen[bytes], reading: Reading) -> str | None:
    """What a worker died of, in words; None where it did not."""
    if code == 0:
        return None
    if code == -getattr(signal, "SIGXCPU", 0):
        return f"reading the file takes more than {reading.seconds:,} seconds of computing"
    assert worker.stderr is not None
    for line in worker.stderr.read(1 << 20).decode("utf-8", "replace").splitlines():
        if line.startswith(SAYS):
            return f"the database says: {json.loads(line.removeprefix(SAYS))}"
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return f"the process that read the file broke ({how}): the file is damaged, or made to do harm"


def _machine() -> int:
    """Bytes of memory that the machine has; 8 GiB where it does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 8 << 30
