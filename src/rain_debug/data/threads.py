"""Two levels of threads: over blocks of records, or inside one large product, never both.

A product with few columns is over in a millisecond. BLAS splits even those among its threads, which then wait for one
another some thousand times a second; where another program holds a core that takes a hundred times as long. So passes
over the records run on threads of our own, each with its share of the records and BLAS kept to one thread, and meet
once a pass; only a factorisation gets BLAS's threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from rain_debug.data import sums
from rain_debug.data.blocks import blocks

PARTS = 4
"""Shares of the records, whatever the number of threads: the sum is then the same on every machine."""

_allowed: ContextVar[int] = ContextVar("allowed", default=0)


@contextmanager
def serial() -> Iterator[None]:
    """BLAS on one thread, for work made of many small products; `total` uses the others."""
    if _allowed.get():
        yield
        return
    token = _allowed.set(max([lib.num_threads for lib in _blas().lib_controllers], default=1))
    try:
        with _blas().limit(limits=1, user_api="blas"):
            yield
    finally:
        _allowed.reset(token)


@contextmanager
def parallel() -> Iterator[None]:
    """Within `serial`, BLAS on all its threads again, for a few large products."""
    if _allowed.get() <= 1:
        yield
        return
    with _blas().limit(limits=_allowed.get(), user_api="blas"):
        yield


def total(n_rows: int, n_columns: int, part: Callable[[slice], np.ndarray]) -> np.ndarray:
    """The sum of `part` over all blocks of records, added up in the same order on every machine; of a training set that
    is shared out (`sums.shared`) over those of all shares.

    >>> total(5, 1 << 17, lambda rows: np.array([rows.stop - rows.start])).tolist()
    [5]
    """
    found = sums.known()
    if found is not None:
        return found
    every = list(blocks(n_rows, n_columns))

    def share(i: int) -> np.ndarray:
        mine = every[i::count]
        out = part(mine[0])
        for rows in mine[1:]:
            out += part(rows)
        return out

    count = PARTS if len(every) >= 2 * PARTS else 1
    if count == 1 or _allowed.get() <= 1:
        own = [share(i) for i in range(count)]
    else:
        own = list(_pool(min(PARTS, _allowed.get())).map(share, range(count)))
    for other in own[1:]:
        own[0] += other
    return sums.met(own[0])


def each(n_rows: int, n_columns: int, part: Callable[[slice], None]) -> None:
    """`part` of every block of records, where each writes what is its own."""
    every = list(blocks(n_rows, n_columns))
    if len(every) < 2 * PARTS or _allowed.get() <= 1:
        for rows in every:
            part(rows)
    else:
        list(_pool(min(PARTS, _allowed.get())).map(part, every))


@cache
def _blas() -> Any:
    return ThreadpoolController().select(user_api="blas")


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="rain-pass")
