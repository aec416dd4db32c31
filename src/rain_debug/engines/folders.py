"""Temporary folders that go with their process: at its end, or, where it was killed, when the next one needs some."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType

try:
    import fcntl
except ImportError:  # no such locks: what a killed process leaves is for the system to clear
    fcntl = None  # type: ignore[assignment]

PREFIX = "rain-"
OWNER = ".owner"
"""The file in a folder on which its process holds a lock. The system lets go of it when the process ends, however it
does, and on whatever machine of those that share the disk."""

_swept: set[tuple[str, str]] = set()


class Folder:
    """A new folder in `parent` (the system's own by default), its `name` begun with `prefix`; gone after `cleanup`.

    The first of a process also removes those with this prefix whose processes are gone.

    >>> with Folder() as name:
    ...     print(sorted(p.name for p in Path(name).iterdir()))
    ['.owner']
    >>> Path(name).exists()
    False
    """

    def __init__(self, prefix: str = PREFIX, parent: str | os.PathLike[str] | None = None) -> None:
        where = os.fspath(parent if parent is not None else tempfile.gettempdir())
        if (where, prefix) not in _swept:
            _swept.add((where, prefix))
            sweep(where, prefix)
        self._lock: int | None = None
        self._own = tempfile.TemporaryDirectory(prefix=prefix, dir=where, ignore_cleanup_errors=True)
        self.name = self._own.name
        self._lock = _taken(Path(self.name))

    def cleanup(self) -> None:
        """Delete it with all that is in it."""
        self._own.cleanup()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> str:
        return self.name

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cleanup()


def sweep(parent: str | os.PathLike[str], prefix: str = PREFIX) -> list[str]:
    """Remove the user's own folders of that prefix whose processes are gone; the names of those that were removed."""
    removed: list[str] = []
    if fcntl is None:
        return removed
    with contextlib.suppress(OSError), os.scandir(parent) as entries:
        for entry in entries:
            if entry.name.startswith(prefix) and _abandoned(entry):
                removed.append(entry.name)
    return removed


def _abandoned(entry: os.DirEntry[str]) -> bool:
    """Remove a folder nobody holds the lock of; whether it was one."""
    try:
        if not entry.is_dir(follow_symlinks=False) or entry.stat(follow_symlinks=False).st_uid != os.getuid():
            return False
        lock = os.open(os.path.join(entry.path, OWNER), os.O_RDWR | os.O_NOFOLLOW)
    except OSError:  # none of ours, or one that is made at this moment
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(entry.path, ignore_errors=True)
        return True
    except OSError:
        return False
    finally:
        os.close(lock)


def _taken(folder: Path) -> int | None:
    """The lock on a new folder; None where the file system has no locks, and nothing is ever swept."""
    if fcntl is None:
        return None
    made = folder / f"{OWNER}-new"  # it takes its name with the lock on it, so that no sweep comes in between
    lock = None
    try:
        lock = os.open(made, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        made.rename(folder / OWNER)
    except OSError:
        if lock is not None:
            os.close(lock)
        made.unlink(missing_ok=True)
        return None
    return lock
