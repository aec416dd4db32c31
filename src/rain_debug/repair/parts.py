"""A program falls into parts that share nothing: each is solved by itself, and like ones only once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from rain_debug.repair.forms import Array
from rain_debug.repair.merge import Merged


@dataclass(frozen=True, eq=False)
class Part:
    """Some rows of a `Merged` with all of their options and columns; fields as there, numbered anew.

    `rows` and `options` are the numbers in the whole.
    """

    rows: Array
    options: Array
    moves: sparse.csc_matrix
    extra: sparse.csc_matrix
    low: Array
    high: Array
    group: Array
    size: Array
    ways: Array
    upper: Array
    whole: Array

    @property
    def key(self) -> bytes:
        """Equal for parts that ask the same."""
        m, e = self.moves, self.extra
        matrices = (m.indptr, m.indices, m.data, e.indptr, e.indices, e.data)
        arrays = (self.low, self.high, self.group, self.size, self.ways, self.upper, self.whole)
        return b"|".join(np.asarray(a).tobytes() for a in (*matrices, *arrays))


def parts(merged: Merged) -> tuple[list[Part], Array]:
    """The independent parts, and the rows that nothing can move."""
    m = merged
    n_rows, n_groups = m.moves.shape[0], len(m.size)
    member = sparse.csr_matrix((np.ones(len(m.group)), (np.arange(len(m.group)), m.group)), (len(m.group), n_groups))
    touching = sparse.hstack([abs(m.moves) @ member, abs(m.extra)], format="csr")
    idle = np.flatnonzero(np.diff(touching.indptr) == 0)
    graph = sparse.bmat([[None, touching], [touching.T, None]], format="csr")
    if not graph.shape[0]:
        return [], idle
    _, label = connected_components(graph, directed=False)
    row_label, group_label = label[:n_rows], label[n_rows : n_rows + n_groups]
    extra_label = label[n_rows + n_groups :]
    option_label = group_label[m.group]
    row_order = np.delete(np.arange(n_rows), idle)
    row_order = row_order[np.argsort(row_label[row_order], kind="stable")]
    group_order, option_order, extra_order = (
        np.argsort(x, kind="stable") for x in (group_label, option_label, extra_label)
    )
    moves = m.moves[row_order][:, option_order].tocsc()
    extra = m.extra[row_order][:, extra_order].tocsc()
    names = np.unique(row_label[row_order])
    cuts = [
        np.stack([np.searchsorted(sorted_, names, side) for side in ("left", "right")], axis=1).tolist()
        for sorted_ in (
            row_label[row_order], group_label[group_order], option_label[option_order], extra_label[extra_order]
        )
    ]  # fmt: skip
    place = np.empty(n_groups, dtype=np.int64)
    place[group_order] = np.arange(n_groups)
    low, high = m.low[row_order], m.high[row_order]
    group, ways = place[m.group[option_order]], m.ways[option_order]
    size, upper, whole = m.size[group_order], m.upper[extra_order], m.whole[extra_order]
    found = []
    for (r0, r1), (g0, g1), (o0, o1), (x0, x1) in zip(*cuts, strict=True):
        found.append(
            Part(
                row_order[r0:r1], option_order[o0:o1], _cut(moves, r0, r1, o0, o1), _cut(extra, r0, r1, x0, x1),
                low[r0:r1], high[r0:r1], group[o0:o1] - g0, size[g0:g1], ways[o0:o1], upper[x0:x1], whole[x0:x1],
            )
        )  # fmt: skip
    return found, idle


def _cut(matrix: sparse.csc_matrix, r0: int, r1: int, c0: int, c1: int) -> sparse.csc_matrix:
    """Columns c0 … c1, all of whose entries lie in the rows r0 … r1."""
    if c0 == c1:
        return sparse.csc_matrix((r1 - r0, 0))
    begin, end = matrix.indptr[c0], matrix.indptr[c1]
    parts = (matrix.data[begin:end], matrix.indices[begin:end] - r0, matrix.indptr[c0 : c1 + 1] - begin)
    return sparse.csc_matrix(parts, shape=(r1 - r0, c1 - c0))
