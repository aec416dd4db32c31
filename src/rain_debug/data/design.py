"""Design matrices in memory: dense float64 in row-major order, or CSR; nothing else gets past `as_design`."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp

from rain_debug.data.threads import total

Design: TypeAlias = Any
"""(n_rows, n_columns) float64: a `numpy.ndarray` in C order, a `scipy.sparse.csr_array`, or a `StoredDesign`."""


def as_design(X: Any) -> Design:
    """`X` as a float64 design matrix, without a copy where it already is one.

    >>> as_design([[1, 2]]).dtype
    dtype('float64')
    """
    if sp.issparse(X):
        return sp.csr_array(X, dtype=np.float64)
    return np.ascontiguousarray(X, dtype=np.float64)


def block(X: Design, rows: slice) -> Design:
    """The rows `rows`, one after the other, for reading: of a dense or sparse design no number is copied.

    >>> block(sp.csr_array(np.eye(3)), slice(1, 3)).toarray()
    array([[0., 1., 0.],
           [0., 0., 1.]])
    """
    if not sp.issparse(X):
        return X[rows]
    start, stop, _ = rows.indices(X.shape[0])
    if stop - start == X.shape[0]:
        return X
    first, last = X.indptr[start], X.indptr[stop]
    stored = (X.data[first:last], X.indices[first:last], X.indptr[start : stop + 1] - first)
    return sp.csr_array(stored, shape=(stop - start, X.shape[1]))


def rows_everywhere(X: Design) -> int:
    """The records of the training set that `X` is all of, or one share of.

    >>> rows_everywhere(np.zeros((3, 2)))
    3
    """
    return int(getattr(X, "everywhere", X.shape[0]))


def max_abs(X: Design) -> float:
    """The largest magnitude in `X`; NaN where there is a NaN, 0 where there is nothing.

    >>> max_abs(np.array([[-3.0, 2.0]]))
    3.0
    """
    values = X.data if sp.issparse(X) else X
    return float(max(-values.min(), values.max())) if values.size else 0.0


def gram(X: Design, weight: np.ndarray, intercept: bool, centre: np.ndarray | None = None) -> np.ndarray:
    """X̃ᵀ diag(weight) X̃, (n_columns[+1], n_columns[+1]), where X̃ has a last column of ones if `intercept`.

    `centre` (n_columns,) is subtracted from every row first.

    A sum over blocks: besides X itself only one block of √weight·X exists at a time. A sparse X is made dense a block
    at a time when its columns are few enough for the result to be dense.

    >>> gram(np.array([[1.0], [2.0]]), np.array([1.0, 0.5]), intercept=True)
    array([[3. , 2. ],
           [2. , 1.5]])
    """
    n, d = X.shape

    def part(rows: slice) -> np.ndarray:
        x, out = X[rows], np.empty((d + intercept, d + intercept))
        root = np.sqrt(np.maximum(weight[rows], 0.0))
        dense = x.toarray() if sp.issparse(x) else x
        # numpy sends A.T @ A to SYRK, half the work of GEMM.
        scaled = (dense if centre is None else dense - centre) * root[:, None]
        out[:d, :d] = scaled.T @ scaled
        if intercept:
            out[d, :d] = out[:d, d] = root @ scaled
            out[d, d] = root @ root
        return out

    return total(n, d, part) if n else np.zeros((d + intercept, d + intercept))
