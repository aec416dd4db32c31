"""A folder of runs, one SQLite file each: written round by round, read by the page."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rain_debug.engines.folders import Folder
from rain_debug.errors import DeskError, StoreError, nearest
from rain_debug.store.ids import ID, checked, new_id, unknown
from rain_debug.store.index import Index, head_of
from rain_debug.store.run_file import Row, RunFile
from rain_debug.view.values import MOST_ROWS, cut, fitting

SUFFIX = ".rain"
LEAD = {
    "rank": "rank",
    "model": "model",
    "key": "json_extract(key, '$')",
    "score": "score",
    "label": "json_extract(label, '$')",
    "fix": "fix",
    "kept": "kept",
}
"""What records are ordered by besides their own columns."""
MOST_ORDERS = 32
"""Lists of ranks that are remembered, so that the next page is only read."""


@dataclass(frozen=True)
class Filter:
    """Which records: those whose text contains `text`, of a `pattern` by its number, marked or not."""

    text: str = ""
    pattern: int | None = None
    kept: bool | None = None

    @property
    def sql(self) -> tuple[str, list[Any]]:
        """As a condition with its values."""
        parts: list[str] = []
        given: list[Any] = []
        if self.text.strip():
            parts.append("instr(words, ?)")
            given.append(self.text.strip().casefold())
        if self.pattern is not None:
            parts.append("rank IN (SELECT rank FROM patterns WHERE pattern = ?)")
            given.append(self.pattern)
        if self.kept is not None:
            parts.append("kept" if self.kept else "NOT kept")
        return " AND ".join(parts) or "TRUE", given


class RunStore:
    """The runs in `folder`, which is made where it is missing; without one they last as long as the store does.

    >>> with RunStore() as store:
    ...     store.heads(0, 10)
    {'runs': [], 'total': 0}
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        self._own = Folder("rain-runs-") if folder is None else None
        self.folder = Path(self._own.name if self._own is not None else os.fspath(folder or "."))
        try:
            self.folder.mkdir(exist_ok=True)
        except OSError as error:
            raise StoreError(f"runs cannot be kept there: {error.strerror}", where=str(self.folder),
                             hint="name a folder in one that exists") from None  # fmt: skip
        self._safe = self._own is None
        self._index = Index(self.folder / "index.sqlite", self._safe)
        self._orders: OrderedDict[tuple[Any, ...], list[int]] = OrderedDict()
        self._shown: OrderedDict[str, list[Row]] = OrderedDict()
        self._lock = threading.RLock()

    def close(self) -> None:
        """Forget the runs that were to last no longer."""
        if self._own is not None:
            self._own.cleanup()

    def __enter__(self) -> RunStore:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # -- writing ------------------------------------------------------------------------------------------------

    def new_id(self) -> str:
        """A name for a run that begins."""
        return new_id()

    def begin(self, view: Row, spared: Mapping[str, list[Any]] | None = None) -> None:
        """Keep a run, named `view["id"]`, that has done nothing yet; `spared` are keys by model that it leaves
        alone."""
        self._path(view["id"], there=False).begin(view, spared or {})

    def add_round(self, run: str, done: Row, rows: Iterable[Row]) -> None:
        """One more round of a run, with the records that it chose."""
        with self._lock:
            self._path(run).add_round(done, rows)
            self._forget(run)

    def finish(
        self, view: Row, rows: Iterable[Row] | None = None, patterns: Iterable[Iterable[tuple[str, Any]]] = ()
    ) -> None:
        """A run's end: its `RunView`, its records (None: those of its rounds), each pattern's by model and key."""
        with self._lock:
            self._path(view["id"]).finish(view, rows, patterns)
            self._forget(view["id"])

    def change(self, run: str, **fields: Any) -> None:
        """Other values of some fields of a finished run."""
        self._path(run).change(**fields)

    def discard(self, run: str) -> None:
        """Forget a run, as one that failed before it had anything to keep."""
        path = self._path(run).path
        for name in (path, path.with_name(f"{path.name}-journal")):
            name.unlink(missing_ok=True)

    # -- reading ------------------------------------------------------------------------------------------------

    def heads(self, offset: int, limit: int) -> dict[str, Any]:
        """The runs from the latest on, a page of them, and how many there are."""
        self._index.agree(self._files(), self._head)
        runs, total = self._index.page(offset, min(limit, MOST_ROWS))
        return {"runs": runs, "total": total}

    def count(self) -> int:
        """How many runs there are."""
        return len(self._files())

    def view(self, run: str) -> dict[str, Any]:
        """The `RunView`; one that never came to its end is "interrupted"."""
        return {**self._path(run).view(), "live": False}

    def spared(self, run: str) -> dict[str, list[Any]]:
        """Keys by model of the records that the next run leaves alone."""
        return self._path(run).spared()

    def records(
        self, run: str, offset: int, limit: int, only: Filter | None = None, sort: str | None = None, down: bool = False
    ) -> dict[str, Any]:
        """A `RecordPage`."""
        file, only = self._path(run), only or Filter()
        with self._lock:
            shown = self._columns(run, file)
            ranks = self._ranks(run, file, only, sort, down, shown)
        page = list(file.rows(ranks[offset : offset + min(limit, MOST_ROWS)]))
        for row in page:
            row["values"] = [cut(v) for v in row["values"]]
        rows = fitting(page)
        return {"columns": shown, "rows": rows, "offset": offset, "total": len(ranks), "kept": file.count()[1]}

    def rows(self, run: str) -> Iterator[dict[str, Any]]:
        """All records of a run, in order."""
        return self._path(run).rows()

    def keep(
        self, run: str, kept: bool, keys: Sequence[tuple[str, Any]] | None = None, only: Filter | None = None
    ) -> dict[str, Any]:
        """Mark records as kept, or not: by model and key, or all that match; how many are kept now, and were marked."""
        file = self._path(run)
        with self._lock:
            marked = file.mark(kept, *(only or Filter()).sql) if keys is None else file.mark_keys(kept, keys)
            self._forget(run)
        return {"kept": file.count()[1], "marked": marked}

    def _ranks(
        self, run: str, file: RunFile, only: Filter, sort: str | None, down: bool, shown: Sequence[Row]
    ) -> Sequence[int]:
        if only == Filter() and (sort or "rank") == "rank":
            n = file.count()[0]
            return range(n, 0, -1) if down else range(1, n + 1)
        asked = (run, only, sort, down)
        if asked not in self._orders:
            where, given = only.sql
            self._orders[asked] = file.ranks(where, given, _order(sort, down, [c["name"] for c in shown]))
            if len(self._orders) > MOST_ORDERS:
                self._orders.popitem(last=False)
        self._orders.move_to_end(asked)
        return self._orders[asked]

    def _columns(self, run: str, file: RunFile) -> list[Row]:
        if run not in self._shown:
            self._shown[run] = file.view()["columns"]
            if len(self._shown) > MOST_ORDERS:
                self._shown.popitem(last=False)
        return self._shown[run]

    def _forget(self, run: str) -> None:
        self._shown.pop(run, None)
        for asked in [a for a in self._orders if a[0] == run]:
            del self._orders[asked]

    # -- files --------------------------------------------------------------------------------------------------

    def _path(self, run: str, there: bool = True) -> RunFile:
        path = self.folder / f"{checked(run)}{SUFFIX}"
        if there and not path.is_file():
            raise unknown(run)
        return RunFile(path, self._safe)

    def _files(self) -> dict[str, int]:
        """When each run's file was last changed, in nanoseconds."""
        found = {}
        with os.scandir(self.folder) as entries:
            for entry in entries:
                name = entry.name.removesuffix(SUFFIX)
                if entry.name != name and ID.fullmatch(name):
                    found[name] = entry.stat().st_mtime_ns
        return found

    def _head(self, run: str) -> dict[str, Any] | None:
        """What the list shows of a run's file; None for one that cannot be read."""
        try:
            return head_of(self.view(run))
        except (StoreError, DeskError, KeyError):
            return None


def _order(sort: str | None, down: bool, own: Sequence[str]) -> str:
    if sort is None or sort == "rank":
        return "rank DESC" if down else "rank"
    if sort in own:
        by = f"json_extract(own, '$[{own.index(sort)}]')"
    elif sort in LEAD:
        by = LEAD[sort]
    else:
        raise DeskError(f"the records have no column {sort!r}", hint=nearest(sort, [*LEAD, *own]))
    return f"{by} {'DESC' if down else 'ASC'} NULLS LAST, rank"
