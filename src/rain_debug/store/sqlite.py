"""SQLite files of Rain's own: opened for one transaction, made where they are new, and never anything else's."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rain_debug.errors import StoreError

APPLICATION = 0x5241494E
"""The files' application id: "RAIN" in ASCII."""
PATIENCE = 10.0
"""Seconds to wait for another process that is writing."""


@contextmanager
def opened(path: Path, schema: str | None, what: str, *, safe: bool = True) -> Iterator[sqlite3.Connection]:
    """One transaction on the file; a new one gets the `schema`, without which it has to be there.

    `what` it is, in messages. `safe` waits for the disk, so that what was committed outlives a loss of power.
    StoreError where the file is something else, or cannot be read or written.
    """
    try:
        mode = "rwc" if schema is not None else "rw"
        con = sqlite3.connect(f"{path.resolve().as_uri()}?mode={mode}", uri=True, timeout=PATIENCE)
    except sqlite3.Error as error:
        raise _refused(path, what, error) from None
    try:
        con.execute(f"PRAGMA synchronous = {'NORMAL' if safe else 'OFF'}")
        with con:
            if schema is not None:
                con.execute("BEGIN IMMEDIATE")
            known = con.execute("PRAGMA application_id").fetchone()[0]
            if known != APPLICATION:
                if schema is None or known or con.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                    raise StoreError(f"this SQLite file is no {what}", where=str(path),
                                     hint="name another place; Rain leaves this file as it is")  # fmt: skip
                con.execute(f"PRAGMA application_id = {APPLICATION}")
                for statement in schema.strip().split(";\n"):
                    con.execute(statement)
            yield con
    except sqlite3.Error as error:
        raise _refused(path, what, error) from None
    finally:
        con.close()


def _refused(path: Path, what: str, error: sqlite3.Error) -> StoreError:
    """SQLite's own words about a file."""
    return StoreError(f"the {what} cannot be read or written: {error}", where=str(path),
                      hint="look at the disk, and at whether the file is as Rain wrote it")  # fmt: skip
