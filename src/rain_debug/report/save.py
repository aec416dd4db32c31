"""Files: a report is written beside its name first and takes it in one step, so that there is never half a report."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rain_debug.engines.folders import Folder
from rain_debug.errors import EngineError, ReportError
from rain_debug.report.grid import Grid, plain

SUFFIXES = (".html", ".json", ".csv", ".parquet", ".txt")


def place(path: str | os.PathLike[str], overwrite: bool) -> Path:
    """The path to write to; ReportError where its suffix is none of ours, it is taken, or its folder is not there."""
    where = Path(path)
    if where.suffix.lower() not in SUFFIXES:
        raise ReportError(
            f"a report cannot be saved as '{where.suffix or where.name}'",
            where=str(where),
            hint=f"end the name in one of {', '.join(SUFFIXES)}",
        )
    if where.is_dir():
        raise ReportError("this is a folder", where=str(where), hint="name a file in it")
    if not where.parent.is_dir():
        raise ReportError("the folder does not exist", where=str(where.parent), hint="create it first")
    if where.exists() and not overwrite:
        raise ReportError(
            "there is a file of that name already",
            where=str(where),
            hint="choose another name, or write over it: overwrite=True in Python, --overwrite in a shell",
        )
    return where


def check_leaving_out(path: Path, rows: bool, redact: Sequence[str]) -> None:
    """ReportError where records or columns are to be left out of a file that has no way to."""
    if path.suffix.lower() != ".html" and (redact or not rows):
        raise ReportError(
            "only an HTML report can leave records or columns out",
            where=str(path),
            hint="end the name in .html, or save everything",
        )


def write(path: Path, fill: Callable[[Path], None]) -> None:
    """Let `fill` write a file in a temporary folder beside it, then give it the name `path`."""
    try:
        with Folder(f".{path.stem}-rain-", path.parent) as folder:
            made = Path(folder) / path.name
            fill(made)
            _flush(str(made))
            os.chmod(made, 0o666 & ~_umask())
            os.replace(made, path)
    except (OSError, EngineError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ReportError(
            f"the report cannot be written: {why}", where=str(path), hint="choose another place"
        ) from None


def text(content: str) -> Callable[[Path], None]:
    """A writer of `content` in UTF-8."""

    def fill(path: Path) -> None:
        path.write_bytes(content.encode("utf-8"))

    return fill


def to_csv(grid: Grid) -> str:
    """RFC 4180 with "\\n"; NULL is an empty field, dates are in ISO 8601."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(grid.columns)
    writer.writerows([_flat(v) for v in row] for row in grid.values)
    return out.getvalue()


def parquet(grid: Grid) -> Callable[[Path], None]:
    """A writer through DuckDB: numbers, booleans and dates keep their kind, all else is text."""

    def fill(path: Path) -> None:
        engine, sql = grid.in_duckdb()
        quoted = str(path).replace("'", "''")
        engine.run(f"COPY ({sql}) TO '{quoted}' (FORMAT parquet)")

    return fill


def _flat(value: Any) -> Any:
    safe = plain(value)
    if isinstance(safe, bool):
        return str(safe).lower()
    return safe if not isinstance(safe, list | dict) else str(safe)


def _flush(name: str) -> None:
    handle = os.open(name, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
