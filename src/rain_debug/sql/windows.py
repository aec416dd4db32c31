"""Window functions: what they compute over which rows, read from the tree."""

from __future__ import annotations

import math
from collections.abc import Callable

from sqlglot import exp

from rain_debug.errors import SQLError
from rain_debug.sql.convert import Converter, is_atom
from rain_debug.sql.tree import Window

_FUNCTIONS = {
    "sum": "sum", "avg": "avg", "count": "count", "min": "min", "max": "max", "lag": "lag", "lead": "lead",
    "firstvalue": "first_value", "first_value": "first_value", "lastvalue": "last_value", "last_value": "last_value",
    "first": "first_value", "last": "last_value",
    "rownumber": "row_number", "row_number": "row_number", "rank": "rank", "denserank": "dense_rank",
    "dense_rank": "dense_rank",
}  # fmt: skip


def expand_windows(tree: exp.Expr) -> None:
    """OVER w, for a window of the WINDOW clause, as OVER (…)."""
    for select in tree.find_all(exp.Select):
        named = {w.name.lower(): w for w in select.args.get("windows") or []}
        for node in list(select.find_all(exp.Window)):
            over = node.args.get("alias")
            if over is None or over.name.lower() not in named or node.find_ancestor(exp.Select) is not select:
                continue
            for part in ("partition_by", "order", "spec"):
                found = named[over.name.lower()].args.get(part)
                if found and not node.args.get(part):
                    copies = [f.copy() for f in found] if isinstance(found, list) else found.copy()
                    node.set(part, copies)
            node.set("alias", None)
        select.set("windows", None)


def lift_window(node: exp.Window, lift: Callable[[exp.Expr], exp.Expr]) -> None:
    """Replace what a window function reads by what `lift` makes of it."""
    function = node.this
    for child in list(function.iter_expressions()):
        new = lift(child)
        if new is not child:
            child.replace(new)
    for part in list(node.args.get("partition_by") or []):
        part.replace(lift(part))
    order = node.args.get("order")
    for item in order.expressions if order is not None else []:
        item.this.replace(lift(item.this))


def window_of(
    node: exp.Window, convert: Converter, refuse: Callable[[exp.Expr, str], SQLError], dialect: str
) -> Window:
    """The window function that `node` is; SQLError where it has no rule."""
    function = node.this
    name = _FUNCTIONS.get((function.name if isinstance(function, exp.Anonymous) else function.key).lower())
    if isinstance(function, exp.Filter):
        raise refuse(node, "FILTER in a window function over predictions is not supported")
    if name is None or node.args.get("alias") is not None or isinstance(function, exp.IgnoreNulls):
        raise refuse(
            node, f"the window function {function.sql(dialect).split('(')[0]} over predictions is not supported"
        )
    partition = node.args.get("partition_by") or []
    order = node.args.get("order")
    ordered = list(order.expressions) if order is not None else []
    ranks = name in ("rank", "dense_rank", "row_number")
    uncertain = [e for e in [*partition, *(o.this for o in ordered)] if any(is_atom(n) for n in e.walk())]
    if uncertain and (not ranks or any(e in uncertain for e in partition)):
        raise refuse(node, "a window that is partitioned or ordered by a number that predictions move is not supported")
    by = tuple(convert(o.this) for o in ordered) if uncertain else ()
    args, offset, default = [], 1, math.nan
    items = list(function.iter_expressions())
    if name in ("lag", "lead"):
        items = [function.this]
        given = function.args.get("offset")
        offset = int(given.name) if isinstance(given, exp.Literal) else 1
        outside = _number(function.args.get("default"))
        if outside is None or (given is not None and not isinstance(given, exp.Literal)):
            raise refuse(node, f"{name.upper()} with a default or an offset that is no plain number is not supported")
        default = outside
    elif (name == "count" and (not items or isinstance(items[0], exp.Star))) or ranks:
        items = []
    if any(isinstance(i, exp.Distinct) for i in items):
        raise refuse(node, "DISTINCT in a window function over predictions is not supported")
    args = [convert(i) for i in items[:1]]
    start = min(convert.extent(function)[0], convert.extent(node)[0])
    start, end = convert.closed(start, convert.extent(node)[1])
    texts = tuple(o.sql(dialect) for o in ordered)
    ways = tuple((bool(o.args.get("desc")), bool(o.args.get("nulls_first"))) for o in ordered)
    spec = node.args.get("spec")
    if spec is not None and any(is_atom(n) for n in spec.walk()):
        raise refuse(node, "a window frame whose bounds predictions move is not supported")
    ranged = _range_of(spec, dialect)
    return Window(
        name, tuple(args), tuple(p.sql(dialect) for p in partition), texts, by, ways,
        ("RANGE", None, None) if ranged else _frame(node, bool(ordered), refuse),
        -offset if name == "lead" else offset, start, end, default, ranged,
    )  # fmt: skip


def _number(default: exp.Expr | None) -> float | None:
    """What LAG and LEAD are outside of the partition, NaN for NULL; None where that is no plain number."""
    if default is None or isinstance(default, exp.Null):
        return math.nan
    sign, literal = (-1, default.this) if isinstance(default, exp.Neg) else (1, default)
    return sign * float(literal.name) if isinstance(literal, exp.Literal) and not literal.is_string else None


def _range_of(spec: exp.Expr | None, dialect: str) -> str:
    """The text of a RANGE with a bound that is neither UNBOUNDED nor CURRENT ROW; empty for other frames."""
    if spec is None or (spec.args.get("kind") or "").upper() != "RANGE" or spec.args.get("exclude"):
        return ""
    bounds = [b for b in (spec.args.get("start"), spec.args.get("end")) if b is not None]
    offset = any(isinstance(b, exp.Expr) or str(b).upper() not in ("UNBOUNDED", "CURRENT ROW") for b in bounds)
    return str(spec.sql(dialect)) if offset else ""


def _frame(
    node: exp.Window, ordered: bool, refuse: Callable[[exp.Expr, str], SQLError]
) -> tuple[str, int | None, int | None]:
    spec = node.args.get("spec")
    if spec is None:
        return ("RANGE", None, 0) if ordered else ("ROWS", None, None)
    kind = (spec.args.get("kind") or "").upper()
    if spec.args.get("exclude"):
        raise refuse(node, "EXCLUDE in a window frame over predictions is not supported")
    low = _bound(spec.args.get("start"), spec.args.get("start_side"), node, refuse)
    high = _bound(spec.args.get("end"), spec.args.get("end_side"), node, refuse) if spec.args.get("end") else 0
    if kind != "ROWS" and not (low is None and high in (None, 0)):
        raise refuse(node, f"a {kind} frame with an offset over predictions is not supported")
    return (kind, low, high)


def _bound(bound: object, side: object, node: exp.Window, refuse: Callable[[exp.Expr, str], SQLError]) -> int | None:
    text = str(bound.name if isinstance(bound, exp.Expr) else bound or "").upper()
    if text.startswith("CURRENT"):
        return 0
    if text.startswith("UNBOUNDED"):
        return None
    if text.isdigit():
        return -int(text) if str(side).upper() == "PRECEDING" else int(text)
    raise refuse(node, "a window frame whose bounds are no plain numbers is not supported")
