"""Prediction variables of all complained queries, numbered once: equal inputs of one model are one variable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from rain_debug.errors import RepairError

Array = np.ndarray


class Block(Protocol):
    """What is asked of a block of prediction variables; see `rankers.base.Predicted`."""

    @property
    def model(self) -> str: ...
    @property
    def P(self) -> Array: ...
    @property
    def hard(self) -> Array: ...
    @property
    def identity(self) -> tuple[str, ...] | None: ...
    @property
    def rids(self) -> Array | None: ...


@dataclass(frozen=True, eq=False)
class Variables:
    """All variables: the predicted `code` (n,), the number of classes `size` (n,), and `home` (n, 2): block and row.

    The 0/1 column of variable v and class c is `first[v] + c`. `number[b]` (n_b,) are the variables of block b, counted
    through all queries.
    """

    code: Array
    size: Array
    first: Array
    home: Array
    number: tuple[Array, ...]
    models: tuple[str, ...]

    @property
    def n(self) -> int:
        """How many."""
        return len(self.code)

    @property
    def n_columns(self) -> int:
        """How many 0/1 columns."""
        return int(self.first[-1] + self.size[-1]) if len(self.first) else 0

    def owner(self) -> tuple[Array, Array]:
        """The variable and the class of each column."""
        variable = np.repeat(np.arange(self.n), self.size)
        return variable, np.arange(self.n_columns) - self.first[variable]


def number_variables(queries: Sequence[Sequence[Block]]) -> Variables:
    """The variables of the blocks of each query; RepairError for a model that predicts numbers."""
    blocks = [b for blocks in queries for b in blocks]
    for b in blocks:
        if b.P.shape[1] < 2:
            raise RepairError(
                f"model '{b.model}' predicts numbers: no smallest number of predictions to change can be found",
                hint="use ranker='holistic'",
            )
    spaces: dict[object, list[int]] = {}
    for i, b in enumerate(blocks):
        key = (b.model, b.identity) if b.identity is not None and b.rids is not None else i
        spaces.setdefault(key, []).append(i)
    number: list[Array] = [np.zeros(0, dtype=np.int64)] * len(blocks)
    code, size, home = [], [], []
    start = 0
    for members in spaces.values():
        rows = np.concatenate([np.arange(len(blocks[i].hard)) for i in members])
        block = np.repeat(members, [len(blocks[i].hard) for i in members])
        if len(members) == 1:
            inverse, first = rows, rows
        else:
            rids = np.concatenate([np.asarray(blocks[i].rids) for i in members])
            _, first, inverse = np.unique(rids, axis=0, return_index=True, return_inverse=True)
            inverse = inverse.reshape(-1)
        ends = np.cumsum([len(blocks[i].hard) for i in members])[:-1]
        for i, part in zip(members, np.split(inverse, ends), strict=True):
            number[i] = part + start
        every = np.concatenate([np.asarray(blocks[i].hard, dtype=np.int64) for i in members])
        code.append(every[first])
        size.append(np.full(len(first), blocks[members[0]].P.shape[1]))
        home.append(np.stack([block[first], rows[first]], axis=1))
        start += len(first)
    none = np.zeros(0, dtype=np.int64)
    sizes = np.concatenate([none, *size])
    return Variables(
        np.concatenate([none, *code]),
        sizes,
        np.cumsum(sizes) - sizes,
        np.concatenate([none.reshape(0, 2), *home]),
        tuple(number),
        tuple(b.model for b in blocks),
    )
