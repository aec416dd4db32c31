"""Rows of numbers in a file, read where they are needed: mapped pages would count as memory of the process."""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rain_debug.errors import DataError


@dataclass(frozen=True)
class FileRows:
    """(n_rows,) or (n_rows, k) numbers in C order from byte `offset` of a file on; indexed by slices and positions.

    Every read opens the file for itself, so that threads need no lock.
    """

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int = 0

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return self.dtype.itemsize * int(np.prod(self.shape[1:], dtype=np.int64))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        if isinstance(rows, slice):
            start, stop, step = rows.indices(len(self))
            assert step == 1, "rows are read in runs"
            out = np.empty((max(0, stop - start), *self.shape[1:]), dtype=self.dtype)
            with self._open() as file:
                self._fill(file, start, out)
            return out
        size, parts = self.row_bytes, []
        with self._open() as file:
            for row in rows.tolist():
                file.seek(self.offset + row * size)
                parts.append(file.read(size))
        read = np.frombuffer(b"".join(parts), dtype=self.dtype)
        return read.reshape(len(rows), *self.shape[1:])

    def _open(self) -> Any:
        try:
            return self.path.open("rb", buffering=0)
        except FileNotFoundError:
            raise DataError(
                "the stored training set is not there any more",
                where=str(self.path),
                hint="its database was closed, or somebody emptied the folder: create the model again",
            ) from None

    def _fill(self, file: Any, start: int, out: np.ndarray) -> None:
        if not out.size:
            return
        file.seek(self.offset + start * self.row_bytes)
        left = out.reshape(-1).view(np.uint8).data
        while len(left):
            got = file.readinto(left)
            if not got:
                raise EOFError(f"{self.path} is shorter than it was")
            left = left[got:]


def on_file(array: np.ndarray) -> FileRows | None:
    """A memory-mapped array as rows of its file; None for what is no plain map of one.

    >>> on_file(np.zeros(3)) is None
    True
    """
    if not isinstance(array, np.memmap) or not isinstance(array.base, mmap.mmap) or array.filename is None:
        return None
    if not array.flags.c_contiguous or array.dtype.hasobject or array.mode not in ("r", "r+", "w+"):
        return None
    return FileRows(Path(array.filename), array.shape, array.dtype, int(array.offset))
