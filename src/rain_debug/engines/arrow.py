"""Arrow batches → NumPy columns, through the Arrow PyCapsule interface; numbers are not copied value by value."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import nanoarrow as na
import numpy as np
from nanoarrow.iterator import UnregisteredExtensionWarning

from rain_debug.engines.table import Column, Table
from rain_debug.errors import EngineError

_NUMBERS = {
    "int8": np.int8,
    "int16": np.int16,
    "int32": np.int32,
    "int64": np.int64,
    "uint8": np.uint8,
    "uint16": np.uint16,
    "uint32": np.uint32,
    "uint64": np.uint64,
    "float": np.float32,
    "double": np.float64,
}

Broken: type[Exception] = na._utils.NanoarrowException
"""What a stream raises where the one that fills it fails after the first batch, with its message."""


def batches(stream: Any, *, copy: bool = True) -> Iterator[Table]:
    """Tables of the batches that an object with `__arrow_c_stream__` gives; none where it is empty.

    With `copy=False` numbers are views into the batch: they hold until the next one is asked for.
    """
    for batch in na.ArrayStream(stream):
        names = [f.name for f in batch.schema.fields]
        for struct, children in zip(batch.iter_chunk_views(), [list(batch.iter_children())], strict=True):
            columns = [_column(struct.child(i), children[i], copy) for i in range(len(names))]
            yield Table(dict(zip(names, columns, strict=True)), n_rows=struct.length)


def _column(view: Any, array: Any, copy: bool) -> Column:
    kind = "dictionary" if view.dictionary is not None else view.storage_type
    logical = array.schema.type.name
    valid = _valid(view)
    if kind == "dictionary":
        words = np.empty(view.dictionary.length + 1, dtype=object)
        words[:-1] = _texts(view.dictionary)
        codes = _numbers(view, _NUMBERS[view.storage_type]).astype(np.int64)
        return Column(words[codes if valid is None else np.where(valid, codes, -1)], "text", valid)
    if logical in ("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64", "FLOAT", "DOUBLE"):
        numbers = _numbers(view, _NUMBERS[kind])
        floating = numbers.dtype.kind == "f" or valid is not None
        values = numbers.astype(np.float64 if floating else np.int64, copy=copy)
        if valid is not None:
            values = np.where(valid, values, np.nan)
        return Column(values, "number", valid)
    if logical == "BOOL":
        bits = np.unpackbits(np.frombuffer(view.buffer(1), dtype=np.uint8), bitorder="little")
        flags = bits[view.offset : view.offset + view.length].astype(bool)
        return Column(flags if valid is None else flags & valid, "bool", valid)
    objects = np.empty(view.length, dtype=object)
    if logical in ("STRING", "LARGE_STRING"):
        objects[:] = _texts(view)
        if valid is not None:
            objects[~valid] = None
        return Column(objects, "text", valid)
    try:
        with warnings.catch_warnings():  # JSON and its like come as what they are stored as: nothing to warn of
            warnings.simplefilter("ignore", UnregisteredExtensionWarning)
            objects[:] = array.to_pylist()
    except (OverflowError, ValueError) as error:  # 'infinity', and years beyond 9999, are dates to a database
        raise EngineError(
            f"a column holds a {logical.lower().rstrip('0123456789')} that Python has no value for: {error}",
            hint="CAST it to VARCHAR in the query, or leave such rows out",
        ) from None
    return Column(objects, "other", valid)


def _valid(view: Any) -> np.ndarray | None:
    if view.null_count == 0:
        return None
    if view.storage_type in ("na", "null"):
        return np.zeros(view.length, dtype=bool)
    bits = np.frombuffer(view.buffer(0), dtype=np.uint8)
    if not len(bits):
        return None
    valid = np.unpackbits(bits, bitorder="little")[view.offset : view.offset + view.length].astype(bool)
    return None if valid.all() else valid


def _numbers(view: Any, dtype: Any) -> np.ndarray:
    return np.frombuffer(view.buffer(1), dtype=dtype)[view.offset : view.offset + view.length]


def _texts(view: Any) -> list[str]:
    wide = view.storage_type == "large_string"
    ends = np.frombuffer(view.buffer(1), dtype=np.int64 if wide else np.int32)
    ends = ends[view.offset : view.offset + view.length + 1].tolist()
    data = bytes(view.buffer(2))
    if data.isascii():
        text = data.decode("ascii")
        return [text[a:b] for a, b in pairwise(ends)]
    return [data[a:b].decode("utf-8", "replace") for a, b in pairwise(ends)]


def concatenate(tables: list[Table], names: list[str]) -> Table:
    """One table of many; no rows and unknown kinds where there are none."""
    if not tables:
        return Table({n: Column(np.empty(0), "number") for n in names})
    if len(tables) == 1:
        return tables[0]
    columns: dict[str, Column] = {}
    for name in tables[0]:
        parts = [t[name] for t in tables]
        values = np.concatenate([p.values for p in parts])
        valid = None
        if any(p.valid is not None for p in parts):
            valid = np.concatenate([np.ones(len(p), bool) if p.valid is None else p.valid for p in parts])
        columns[name] = Column(values, parts[0].kind, valid)
    return Table(columns)
