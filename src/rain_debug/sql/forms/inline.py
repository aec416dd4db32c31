"""Columns that are predictions by another name: each use of one becomes the prediction itself."""

from __future__ import annotations

from sqlglot import exp

from rain_debug.sql.forms.reading import Scored
from rain_debug.sql.tokens import PREDICT, PREDICT_PROBA


def inline(select: exp.Select, scored: Scored) -> None:
    """`select` with `alias.column`, or `column` alone, as what it stands for; `*` and `alias.*` bring all of them.

    >>> from sqlglot import parse_one
    >>> tree = parse_one("SELECT d.*, p.score FROM t AS d WHERE score > 1 ORDER BY score")
    >>> inline(tree, Scored("p", (("score", parse_one("f(d)")),)))
    >>> tree.sql()
    'SELECT d.*, F(d) AS score FROM t AS d WHERE F(d) > 1 ORDER BY score'
    """
    items: list[exp.Expr] = []
    everything = [exp.alias_(value.copy(), name) for name, value in scored.columns]
    for item in select.expressions:
        if isinstance(item, exp.Column) and isinstance(item.this, exp.Star) and _same(item.table, scored.alias):
            items += everything
        elif isinstance(item, exp.Star):
            items += [item, *everything]
        elif isinstance(item, exp.Column) and _value(item, select, scored) is not None:
            items.append(exp.alias_(item, item.name))
        else:
            items.append(item)
    select.set("expressions", items)
    named = {i.alias.lower() for i in items}
    parts = [*items, *(select.args.get(p) for p in ("where", "group", "having", "qualify", "order", "distinct"))]
    parts += [join.args.get("on") for join in select.args.get("joins") or []]
    for part in parts:
        for column in list(part.find_all(exp.Column)) if part is not None else []:
            value = _value(column, select, scored)
            ordered = isinstance(part, exp.Order) and not column.table and column.name.lower() in named
            if value is not None and not ordered:
                column.replace(value.copy())


def inline_laterals(tree: exp.Expr) -> None:
    """`FROM t AS u CROSS JOIN LATERAL (SELECT predict(m, u) AS c) AS p` → `FROM t AS u`, `p.c` inlined; APPLY too.

    >>> from sqlglot import parse_one
    >>> tree = parse_one("SELECT p.c FROM t u CROSS JOIN LATERAL (SELECT RAIN_PREDICT(m, u) AS c) AS p")
    >>> inline_laterals(tree); tree.sql()
    'SELECT RAIN_PREDICT(m, u) AS c FROM t AS u'
    """
    for lateral in list(tree.find_all(exp.Lateral)):
        join, body = lateral.parent, lateral.this.unnest() if lateral.this is not None else None
        if (
            not isinstance(join, exp.Join)
            or not isinstance(join.parent, exp.Select)
            or not isinstance(body, exp.Select)
        ):
            continue
        on = join.args.get("on")
        given = lateral.alias_column_names
        names = [*given, *(e.alias_or_name for e in body.expressions[len(given) :])]
        predicts = any(n.name.upper() in (PREDICT, PREDICT_PROBA) for n in body.find_all(exp.Anonymous))
        if {k for k, v in body.args.items() if v} != {"expressions"} or not predicts or body.is_star:
            continue
        if not all(names) or len(names) != len(body.expressions):
            continue
        if on is not None and not (isinstance(on, exp.Boolean) and on.this):
            continue
        columns = zip(names, (e.unalias() for e in body.expressions), strict=True)
        select = join.parent
        scored = Scored(lateral.alias, tuple(columns))
        join.pop()
        inline(select, scored)


def _value(column: exp.Column, select: exp.Select, scored: Scored) -> exp.Expr | None:
    """What `column` stands for; None where it is another table's."""
    owner = column.find_ancestor(exp.Select)
    if column.table:
        if not _same(column.table, scored.alias):
            return None
        while owner is not None and owner is not select:  # a table of that name further inside hides it
            if any(_same(t.alias_or_name, scored.alias) for t in _sources(owner)):
                return None
            owner = owner.find_ancestor(exp.Select)
    elif owner is not select:
        return None
    return next((value for name, value in scored.columns if _same(name, column.name)), None)


def _sources(select: exp.Select) -> list[exp.Expr]:
    first = select.args.get("from_")
    return [*([first.this] if first is not None else []), *(j.this for j in select.args.get("joins") or [])]


def _same(a: str, b: str) -> bool:
    return bool(a) and a.lower() == b.lower()
