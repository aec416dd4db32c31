"""Room on disk for one training set."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal

import numpy as np

from rain_debug.engines.folders import Folder
from rain_debug.errors import DataError

StoredType = Literal["float64", "float32"]

SPARE = 1 << 28
"""Bytes of the disk that stay free."""


class Scratch:
    """A temporary folder that goes with the last thing that reads from it, or with its database.

    `dtype` is what a number of the design takes on disk, or in memory where `in_memory`.
    """

    def __init__(self, dtype: StoredType = "float64", *, in_memory: bool = False) -> None:
        self.dtype = np.dtype(dtype)
        self.in_memory = in_memory
        self._folder = None if in_memory else Folder()

    @property
    def folder(self) -> Path:
        """Where the files are."""
        assert self._folder is not None, "nothing of a set in memory is on disk"
        return Path(self._folder.name)

    def require(self, wanted: int, where: str) -> None:
        """`DataError` where the disk has not so many bytes left."""
        free = shutil.disk_usage(self.folder).free - SPARE
        if wanted > free:
            raise DataError(
                f"the training set needs about {size(wanted)} on disk, and {size(max(0, free))} are free in "
                f"{self.folder.parent}",
                where=where,
                hint="name a folder on a larger disk in the environment variable TMPDIR, select fewer columns, or "
                "dtype='float32'",
            )

    def close(self) -> None:
        """Delete the files."""
        if self._folder is not None:
            self._folder.cleanup()


def size(count: float) -> str:
    """Bytes in words.

    >>> size(1_500_000_000), size(20_000)
    ('1.5 GB', '0.02 MB')
    """
    return f"{count / 1e9:,.3g} GB" if count >= 1e8 else f"{count / 1e6:,.3g} MB"
