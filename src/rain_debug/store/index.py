"""The list of runs, kept beside their files so that it is read without opening any of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rain_debug.store.sqlite import opened

SCHEMA = "CREATE TABLE runs (id TEXT PRIMARY KEY, changed INTEGER NOT NULL, head TEXT NOT NULL) WITHOUT ROWID"
HEAD = ("id", "at", "state", "sentence", "complaints", "removed", "met", "seconds")
"""The fields of a `RunHead`."""


def head_of(view: Mapping[str, Any]) -> dict[str, Any]:
    """What the list of runs shows of one."""
    return {name: view[name] for name in HEAD}


@dataclass(frozen=True)
class Index:
    """The index at `path`, made where it is missing."""

    path: Path
    safe: bool = True

    def agree(self, there: Mapping[str, int], read: Callable[[str], Mapping[str, Any] | None]) -> None:
        """List the runs that are `there`, with when they were changed, and no others; `read` opens those that the list
        does not know as they are."""
        with opened(self.path, SCHEMA, "list of runs", safe=self.safe) as con:
            known = dict(con.execute("SELECT id, changed FROM runs"))
            con.executemany("DELETE FROM runs WHERE id = ?", [(run,) for run in known if run not in there])
            for run in sorted(run for run, changed in there.items() if known.get(run) != changed):
                head = read(run)
                if head is not None:
                    con.execute("INSERT OR REPLACE INTO runs VALUES (?, ?, ?)", (run, there[run], json.dumps(head)))

    def page(self, offset: int, limit: int) -> tuple[list[dict[str, Any]], int]:
        """Runs from the latest on, and how many there are."""
        with opened(self.path, SCHEMA, "list of runs", safe=self.safe) as con:
            rows = con.execute("SELECT head FROM runs ORDER BY id DESC LIMIT ? OFFSET ?", (limit, offset)).fetchall()
            total = con.execute("SELECT count(*) FROM runs").fetchone()[0]
        return [json.loads(head) for (head,) in rows], total
