"""Which number columns of an answer make a picture, and how."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from rain_debug.complaints import Goal
from rain_debug.debugger import QueryRun
from rain_debug.engines.table import Table
from rain_debug.report.svg import Series, picture
from rain_debug.view.chart import follow, tells_apart

MOST = 4
"""Pictures of one answer."""


def of_answer(answer: Table, keys: Sequence[str], shown: Iterable[str]) -> str:
    """The pictures of an answer's number columns `shown`, over its one key column; empty where there is no such key."""
    key = _key(answer, keys)
    if key is None:
        return ""
    rows, labels, ordered = key
    columns = [n for n in shown if n not in keys and answer[n].kind == "number"]
    made = (Series(n, labels, tuple(_numbers(answer, n)[rows]), ordered=ordered) for n in columns[:MOST])
    return "".join(map(picture, made))


def of_run(queries: Sequence[QueryRun], goals: Sequence[Goal]) -> str:
    """The pictures of `changed`, on top of each other."""
    return "".join(map(picture, changed(queries, goals)))


def changed(queries: Sequence[QueryRun], goals: Sequence[Goal]) -> list[Series]:
    """The number columns of the complained answers that changed, before and after; complained cells are marked."""
    made: list[Series] = []
    for query in queries:
        key = _key(query.before, query.keys)
        if key is None or query.after is None or not query.after.n_rows:
            continue
        rows, labels, ordered = key
        at = {str(v): i for i, v in enumerate(query.after[query.keys[0]].to_list())}
        there = np.array([at.get(label, -1) for label in labels])
        for column in query.before:
            if column in query.keys or query.before[column].kind != "number":
                continue
            was = _numbers(query.before, column)[rows]
            now = np.where(there >= 0, _numbers(query.after, column)[there], np.nan)
            marked = tuple(label in _places(goals, query, column) for label in labels)
            if any(marked) or not np.array_equal(was, now, equal_nan=True):
                made.append(Series(column, labels, tuple(was), tuple(now), marked, ordered))
    return made[:MOST]


def _places(goals: Sequence[Goal], query: QueryRun, column: str) -> set[str]:
    """The rows, by their key, in which a column was complained about."""
    targets = [g.complaint.target for g in goals if g.complaint.query.name == query.name]
    targets += [t.against for t in targets if t.against is not None]
    return {str(dict(t.where).get(query.keys[0])) for t in targets if t.column in (column, None)}


def _numbers(answer: Table, name: str) -> np.ndarray:
    """(n_rows,) float64, NaN for NULL."""
    return np.array([np.nan if v is None else float(v) for v in answer[name].to_list()])


def _key(answer: Table, keys: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...], bool] | None:
    """Rows in the order of the answer's one key column, its values as text, and whether they follow one another."""
    if len(keys) != 1 or keys[0] not in answer or answer.n_rows < 2 or not tells_apart([answer[keys[0]]]):
        return None
    values = answer[keys[0]].to_list()
    ordered = follow(values)
    order = sorted(range(len(values)), key=values.__getitem__) if ordered else list(range(len(values)))
    return np.array(order), tuple(str(values[i]) for i in order), ordered
