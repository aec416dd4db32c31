"""A pass over the data is a map over blocks and a sum; a block is a run of rows small enough for the cache."""

from __future__ import annotations

from collections.abc import Iterator

BLOCK_CELLS = 1 << 18
"""Cells of float64 in a block: 2 MiB stays in the cache; blocks of 8 MiB took three times as long."""


def blocks(n_rows: int, n_columns: int, cells: int = BLOCK_CELLS) -> Iterator[slice]:
    """Slices that cover `n_rows` rows of `n_columns` columns in order, each of one row or at most `cells` cells.

    >>> list(blocks(5, 2, cells=4))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    rows = max(1, cells // max(1, n_columns))
    for start in range(0, n_rows, rows):
        yield slice(start, min(n_rows, start + rows))
