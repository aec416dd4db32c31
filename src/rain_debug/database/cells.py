"""Every cell of an answer that predictions move, as targets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from rain_debug.errors import RainError
from rain_debug.relax import Target

if TYPE_CHECKING:
    from rain_debug.database.query import Query

MOST_ROWS = 50


def all_targets(query: Query, most: int = MOST_ROWS) -> list[Target]:
    """Every predicted cell of the first `most` rows, and whether these are there."""
    whole = query.keyed_answer
    answer, moving = whole.take(np.arange(min(whole.n_rows, most))), query.moving()
    keys = [n for n in (query.keys or query.columns) if n not in moving]
    targets: list[Target] = []
    places = {tuple(str(row[k]) for k in keys) for row in answer.rows()}
    if len(places) < answer.n_rows:  # classes are keys too, where columns alone do not tell the rows apart
        keys = list(query.keys)
        moving = [n for n in moving if n not in keys]
    for row in answer.rows():
        place = tuple((k, row[k]) for k in keys)
        if query.keys or keys:
            targets.append(Target("present", None, place))
        for name in query.columns:
            if name not in moving or isinstance(row[name], str):
                continue
            targets.append(Target("value", name, place))
    return targets


def without_refused(query: Query, targets: Sequence[Target]) -> tuple[list[Target], dict[str, str]]:
    """The targets of columns that have a rule, and for the other columns why they have none."""
    kept: list[Target] = []
    refused: dict[str, str] = {}
    for name in dict.fromkeys(t.column for t in targets):
        own = [t for t in targets if t.column == name]
        try:
            query.capture(own[:1])
            kept += own
        except RainError as error:
            refused[name or "the row is there"] = error.message
    return kept, refused
