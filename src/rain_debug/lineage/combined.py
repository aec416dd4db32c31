"""Rows of set operations, and of relations with window functions, over the relations below them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from rain_debug.engines import Engine
from rain_debug.errors import SQLError
from rain_debug.lineage.exports import as_double, kind_of
from rain_debug.lineage.forest import MergeRows, Rows, WindowRows
from rain_debug.lineage.leaves import window_leaves
from rain_debug.lineage.uses import known
from rain_debug.sql import Block, Body, Merge, Windowed
from rain_debug.sql.nodes import quote
from rain_debug.sql.tree import ROW

Array = np.ndarray
Keep = Callable[[str], tuple[str, int]]
"""SQL → a temporary table of its answer, and how many rows it has."""


def parts_of_merge(body: Merge) -> list[Body]:
    """The parts, each row once where duplicates do not count; SQLError where numbers would tell rows apart."""
    if body.all:
        return list(body.parts)
    if any(c.uncertain for c in body.columns):
        first: Body = body
        while isinstance(first, Merge):
            first = first.parts[0]
        text = first.plan.sql
        raise SQLError(f"{body.op.upper()} of numbers that predictions move is not supported", sql=text, start=0,
                       end=len(text.rstrip()), hint="use UNION ALL, or leave the number out")  # fmt: skip
    return [_grouped(p) for p in body.parts]


def _grouped(body: Body) -> Body:
    """A plain SELECT as one that keeps each row once."""
    if isinstance(body, Block) and body.bag and not any(c.uncertain for c in body.columns):
        keys = tuple({o.expr.sql: o.expr for o in body.plan.outputs}.values())
        return replace(body, plan=replace(body.plan, group_by=keys), bag=False)
    return body


def merge_rows(body: Merge, parts: list[Rows], engine: Engine, keep: Keep) -> MergeRows:
    """The rows of a set operation, and where those of each part went."""
    names = [quote(c.name) for c in body.columns if not c.uncertain]
    lists = []
    for part in body.parts:
        own = [c for c, whole in zip(part.columns, body.columns, strict=True) if not whole.uncertain]
        lists.append([quote(c.name) for c in own])
    if not body.all:
        return _matched(body, parts, names, lists, engine, keep)
    return _stacked(body, parts, names, _united(engine, parts, lists), _plain(body, parts, engine), keep)


def _types(engine: Engine, table: str, columns: Sequence[str]) -> list[str]:
    return [t for _, t in engine.types(f"SELECT {', '.join(columns)} FROM {table}")] if columns else []


def _united(engine: Engine, parts: list[Rows], lists: Sequence[Sequence[str]]) -> list[list[str]]:
    """The parts' columns, those of NULLs alone as what the other parts have there."""
    if engine.untyped is None:
        return [list(own) for own in lists]
    kinds = [_types(engine, part.table, own) for part, own in zip(parts, lists, strict=True)]
    known = [next((k for k in column if k != engine.untyped), engine.untyped) for column in zip(*kinds, strict=True)]
    found = []
    for own, kind in zip(lists, kinds, strict=True):
        cells = zip(own, kind, known, strict=True)
        found.append([f"CAST({c} AS {t})" if k == engine.untyped != t else c for c, k, t in cells])
    return found


def _stacked(
    body: Merge,
    parts: list[Rows],
    names: Sequence[str],
    lists: Sequence[Sequence[str]],
    plain: dict[tuple[int, int], Array],
    keep: Keep,
) -> MergeRows:
    """Each part's rows after the other's."""
    offset, texts, maps = 0, [], []
    for made, columns in zip(parts, lists, strict=True):
        pairs = [f"{c} AS {n}" for c, n in zip(columns, names, strict=True)]
        texts.append(f"SELECT {', '.join([f'{ROW} + {offset} AS {ROW}', *pairs])} FROM {made.table}")
        maps.append(np.arange(made.n_rows) + offset)
        offset += made.n_rows
    table, _ = keep(" UNION ALL ".join(texts))
    return MergeRows(body, table, offset, parts, maps, plain)


def _plain(body: Merge, parts: list[Rows], engine: Engine) -> dict[tuple[int, int], Array]:
    """The columns that predictions move in some parts, of those where they do not (see `MergeRows`)."""
    found: dict[tuple[int, int], Array] = {}
    for i, (made, part) in enumerate(zip(parts, body.parts, strict=True)):
        for j, (own, whole) in enumerate(zip(part.columns, body.columns, strict=True)):
            if whole.uncertain and not own.uncertain:
                name = quote(own.name)
                kind = kind_of(dict(engine.types(f"SELECT {name} AS x FROM {made.table}"))["x"])
                text = as_double(engine, *((name, kind) if kind in ("number", "bool") else ("NULL", "number")))
                column = engine.table(f"SELECT {text} AS x FROM {made.table} ORDER BY {ROW}")["x"]
                known = True if column.valid is None else column.valid
                found[i, j] = np.where(known, column.values, np.nan).astype(float)
    return found


def _matched(
    body: Merge, parts: list[Rows], names: Sequence[str], lists: Sequence[Sequence[str]], engine: Engine, keep: Keep
) -> MergeRows:
    """Equal rows of the parts as one."""
    selects = []
    for made, own in zip(parts, _united(engine, parts, lists), strict=True):
        pairs = [f"{c} AS {n}" for c, n in zip(own, names, strict=True)]
        selects.append(f"SELECT {', '.join(pairs)} FROM {made.table}")
    table, n_rows = keep(f"SELECT row_number() OVER () - 1 AS {ROW}, * FROM ({' UNION '.join(selects)})")
    maps = []
    kinds = _types(engine, table, names)
    for made, columns in zip(parts, lists, strict=True):
        cells = zip(columns, names, kinds, strict=True)
        same = [engine.same(f"CAST(p.{c} AS {t})", f"w.{n}") for c, n, t in cells]
        found = engine.table(
            f"SELECT w.{ROW} AS x FROM {made.table} AS p JOIN {table} AS w ON {' AND '.join(same) or 'TRUE'} "
            f"ORDER BY p.{ROW}"
        )
        maps.append(found["x"].values.astype(np.int64))
    return MergeRows(body, table, n_rows, parts, maps, {})


def window_rows(body: Windowed, below: Rows, engine: Engine, keep: Keep) -> WindowRows:
    """The rows below with the orders of the windows over them."""
    source = f"{below.table} AS __w"
    order, partition, peer = [], [], []
    frames: list[tuple[Array, Array] | None] = []
    for window in body.windows:
        split = ", ".join(window.partition)
        by = ", ".join(window.order) if not window.by else ""
        over = (f"PARTITION BY {split}" if split else "") + (f" ORDER BY {by}" if by else "")
        part = f"dense_rank() OVER (ORDER BY {split})" if split else "0"
        if window.ranged:  # the engine knows what lies within an offset: by the numbers of the rows, once sorted
            each = f"SELECT *, {part} AS __part, rank() OVER ({over}) AS __peer FROM {source}"
            at = f"SELECT *, row_number() OVER (ORDER BY __part, __peer, {ROW}) - 1 AS __at FROM ({each}) AS __w"
            within = f"OVER ({over} {window.ranged})"
            found = engine.table(
                f"SELECT {ROW} AS row, __part AS part, __peer AS peer, min(__at) {within} AS low, "
                f"max(__at) {within} + 1 AS high FROM ({at}) AS __w ORDER BY __at"
            )
            frames.append((known(found, "low")[0], known(found, "high")[0]))
        else:
            found = engine.table(
                f"SELECT {ROW} AS row, {part} AS part, rank() OVER ({over}) AS peer "
                f"FROM {source} ORDER BY part, peer, {ROW}"
            )
            frames.append(None)
        order.append(found["row"].values.astype(np.int64))
        partition.append(found["part"].values.astype(np.int64))
        peer.append(found["peer"].values.astype(np.int64))
    texts: dict[str, str] = {}
    items = []
    for leaf in window_leaves(body):
        if leaf.sql not in texts:
            texts[leaf.sql] = f"e_{len(texts)}"
            items.append(f"{leaf.sql} AS e_{len(texts) - 1}")
    types = engine.types(f"SELECT {', '.join(items)} FROM {source}") if items else []
    kinds = {n: kind_of(t) for n, t in types}
    casts = [f"{_number(engine, n, k)} AS {n}" for n, k in kinds.items()]
    ranked = {texts[e.sql] for window in body.windows for e in window.by if e.sql in texts}
    for name in [n for n, k in kinds.items() if n in ranked and k not in ("number", "bool")]:
        casts.append(f"CASE WHEN {name} IS NOT NULL THEN dense_rank() OVER (ORDER BY {name}) END AS {name}_rank")
    inner = f"SELECT {', '.join([ROW, *items])} FROM {source}"
    exports = engine.table(f"SELECT {', '.join([ROW, *casts])} FROM ({inner}) ORDER BY {ROW}")
    outputs = [
        f"{o.expr.sql} AS {quote(c.name)}"
        for o, c in zip(body.plan.outputs, body.columns, strict=True)
        if not c.uncertain
    ]
    table, _ = keep(f"SELECT {', '.join([ROW, *outputs])} FROM {source}")
    by_text = {text: kinds[n] for text, n in texts.items()}
    return WindowRows(body, table, below.n_rows, below, order, partition, peer, frames, exports, texts, by_text)


def _number(engine: Engine, name: str, kind: str) -> str:
    """A column as a number; of what is none, whether it is known."""
    known = kind in ("number", "bool")
    return as_double(engine, name if known else f"({name} IS NOT NULL)", kind if known else "bool")
