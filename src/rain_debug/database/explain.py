"""What a query does and how exactly: its plan, its lineage, its rules."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from rain_debug.database.capture import Capture
from rain_debug.database.cells import all_targets, without_refused
from rain_debug.errors import RainError

if TYPE_CHECKING:
    from rain_debug.database.query import Query


def explain(query: Query) -> str:
    """The plan of a query as text, the same every time: see `Query.explain`."""
    lines = [f"{query.name}: {' '.join(query.sql.split())}", "", "answer, asked of the database"]
    lines += [f"  {query.answer_text()}", "", "plan"]
    lines += [f"  {line}" for line in re.sub(r"RAIN_ATOM\((\d+)\)", r"p\1", query.plan_text()).split("\n")]
    targets = all_targets(query)
    if not targets:
        return "\n".join([*lines, "", "no row of the answer depends on a prediction"])
    refused: dict[str, str] = {}
    try:
        capture = query.capture(targets)
    except RainError as error:
        targets, refused = without_refused(query, targets)
        if not targets:
            hint = [f"  {error.hint}"] if error.hint else []
            return "\n".join([*lines, "", f"refused: {error.message}", *hint])
        capture = query.capture(targets)
    lines += ["", f"lineage of {len(targets)} cell{'s' * (len(targets) != 1)}"]
    lines += [f"  {text}" for text in dict.fromkeys(_renamed(capture.lineage))]
    lines += [f"  {capture.tuples:,} candidate tuples, {capture.merged:,} after merging"]
    lines += [f"  {n:,} prediction variables of model '{name}'" for name, n in sorted(_variables(capture).items())]
    lines += ["", "rules"]
    rows: dict[tuple[str, str], tuple[float, float] | None] = {}
    bounds = capture.program.bounds() if any(capture.program.approximate) else np.zeros((len(targets), 2))
    for target, (rule, loose), (low, high) in zip(targets, capture.program.rules(), bounds.tolist(), strict=True):
        what = target.column if target.kind != "present" and target.column is not None else "the row is there"
        key = what, f"{'approximate' if loose else 'exact':<12} {rule}"
        known = rows.setdefault(key, (low, high) if loose and target.kind == "value" else None)
        if known is not None:
            rows[key] = min(low, known[0]), max(high, known[1])
    for name, message in refused.items():
        rows[name, f"{'refused':<12} {message}"] = None
    width = max(len(what) for what, _ in rows)
    lines += [f"  {what:<{width}}  {rule}{_between(ends)}" for (what, rule), ends in rows.items()]
    return "\n".join(lines)


def _between(ends: tuple[float, float] | None) -> str:
    """The bound of an approximate number, in words."""
    if ends is None:
        return ""
    low, high = ends
    if math.isinf(low) and math.isinf(high):
        return "; no bound is known"
    if math.isinf(low) or math.isinf(high):
        return f"; at most {high:g}" if math.isinf(low) else f"; at least {low:g}"
    return f"; between {low:g} and {high:g}"


def _variables(capture: Capture) -> dict[str, int]:
    """How many variables there are of each model; those of several targets count once."""
    rids: dict[tuple[str, tuple[str, ...]], list[np.ndarray]] = {}
    for block in capture.blocks:
        rids.setdefault((block.model, block.identity), []).append(block.rids)
    found: dict[str, int] = {}
    for (model, _), rows in rids.items():
        found[model] = found.get(model, 0) + len(np.unique(np.concatenate(rows), axis=0))
    return found


def _renamed(texts: Sequence[str]) -> list[str]:
    """Texts without the numbers of temporary tables."""
    return [re.sub(r"__rain_\d+(_\d+)*\b", "__rain_table", text) for text in texts]
