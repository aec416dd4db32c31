"""SQLite files of Rain's own: opened for one transaction, made where they are new, and never anything else's."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rain_debug.errors import StoreError

APPLICATION = 0x5241494E
"""The files' application id: "RAIN" in ASCII."""
PATIENCE = 10.0
"""Seconds to wait for another process that is writing."""
FULL, BUSY = sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY


@contextmanager
def opened(path: Path, schema: str | None, what: str, *, safe: bool = True) -> Iterator[sqlite3.Connection]:
    """One transaction on the file; a new one gets the `schema`, without which it has to be there.

    `what` it is, in messages. `safe` waits for the disk, so that what was committed outlives a loss of power.
    StoreError where the file is something else, or cannot be read or written.
    """
    con = connected(path, "rwc" if schema is not None else "rw", what, PATIENCE)
    try:
        con.execute(f"PRAGMA synchronous = {'NORMAL' if safe else 'OFF'}")
        with con:
            if schema is not None:
                con.execute("BEGIN IMMEDIATE")
            settled(con, path, schema, what)
            yield con
    except (sqlite3.Error, UnicodeDecodeError, json.JSONDecodeError) as error:  # damage that no checksum tells
        raise refused(path, what, error) from None
    finally:
        con.close()


def connected(path: Path, mode: str, what: str, patience: float) -> sqlite3.Connection:
    """A connection that waits so many seconds for others; StoreError where there can be no such file."""
    try:
        return sqlite3.connect(f"{path.resolve().as_uri()}?mode={mode}", uri=True, timeout=patience)
    except sqlite3.Error as error:
        raise refused(path, what, error) from None


def settled(con: sqlite3.Connection, path: Path, schema: str | None, what: str) -> None:
    """See to it that the file is `what` it is said to be; a new one gets the `schema` in the transaction under way."""
    known = con.execute("PRAGMA application_id").fetchone()[0]
    tables = {name for (name,) in con.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    new = not known and not tables and schema is not None
    if new and schema is not None:
        con.execute(f"PRAGMA application_id = {APPLICATION}")
        for statement in schema.strip().split(";\n"):
            con.execute(statement)
    elif known != APPLICATION or not tables.issuperset(re.findall(r"CREATE TABLE (\w+)", schema or "")):
        raise StoreError(
            f"this SQLite file is no {what}", where=str(path), hint="name another place; Rain leaves this file as it is"
        )


def refused(path: Path, what: str, error: Exception) -> StoreError:
    """SQLite's own words about a file; a full disk and another process's lock in ours."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == FULL:
        return StoreError("the disk is full: nothing more can be kept there", where=str(path),
                          hint="make room; what was kept before is as it was")  # fmt: skip
    if code == BUSY:
        return StoreError(f"another process is at work on this {what}", where=str(path),
                          hint="wait for it to end, or name another file")  # fmt: skip
    return StoreError(f"the {what} cannot be read or written: {error}", where=str(path),
                      hint="look at the disk, and at whether the file is as Rain wrote it")  # fmt: skip
