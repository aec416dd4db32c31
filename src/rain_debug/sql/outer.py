"""Outer joins that predictions decide, as the union of the rows that match and of those that do not."""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from rain_debug.errors import SQLError
from rain_debug.sql.convert import is_atom, sources_of, span
from rain_debug.sql.nodes import meta_of
from rain_debug.sql.rewrite import Names, has_atoms, named

Refuse = Callable[[exp.Expr, str, str], SQLError]


def split(select: exp.Select, refuse: Refuse, names: Names) -> exp.Select:
    """`select` over a union of inner joins and anti joins, where an outer join's matches depend on predictions."""
    joins = select.args.get("joins") or []
    at = next((i for i in range(len(joins) - 1, -1, -1) if _depends(select, i)), None)
    if at is None:
        return select
    if any(j.side for i, j in enumerate(joins) if i != at):
        what = "several outer joins, one of them over predictions, are not supported"
        raise refuse(joins[at], what, joins[at].side)
    if any(not j.kind.upper() == "CROSS" and j.args.get("method") for j in joins):
        raise refuse(joins[at], "this join over predictions is not supported", joins[at].args.get("method") or "")
    alias = names.fresh("__o")
    items: dict[str, tuple[str, exp.Expr]] = {}

    def lift(node: exp.Expr) -> None:
        for child in list(node.iter_expressions()):
            visit(child)

    aliases = {source.alias_or_name for source in sources_of(select)}

    def visit(node: exp.Expr) -> None:
        columns = list(node.find_all(exp.Column)) if isinstance(node, exp.Column) or is_atom(node) else []
        if columns and all(c.table in aliases for c in columns):
            text = node.sql()
            name = items.setdefault(text, (f"c{len(items)}", node.copy()))[0]
            new = exp.column(name, table=alias, quoted=True)
            new.this.meta.update({**node.meta, **meta_of(span(node))})
            node.replace(new)
            return
        lift(node)

    above = select.copy()
    for part in ("from_", "joins", "where", "with_"):
        above.set(part, None)
    lift(above)
    parts = _parts(select, at, refuse)
    for one, absent in parts:
        one.set("expressions", [named(_seen(node, absent), name) for name, node in items.values()])
        for gone in ("group", "having", "qualify", "order", "limit", "offset", "distinct", "with_"):
            one.set(gone, None)
    union: exp.Query = parts[0][0]
    for other, _ in parts[1:]:
        union = exp.Union(this=union, expression=other, distinct=False)
    below = exp.Subquery(this=union, alias=exp.TableAlias(this=exp.to_identifier(alias)))
    above.set("from_", exp.From(this=below))
    above.set("with_", select.args.get("with_"))
    return above


def _depends(select: exp.Select, at: int) -> bool:
    join = select.args["joins"][at]
    side = join.side.upper()
    if not side:
        return False
    on = join.args.get("on")
    if on is not None and has_atoms(on):
        return True
    left = [select.args["from_"].this, *(j.this for j in select.args["joins"][:at])]
    matched = ([join.this] if side in ("LEFT", "FULL") else []) + (left if side in ("RIGHT", "FULL") else [])
    inner = [j for j in select.args["joins"][:at] if side in ("RIGHT", "FULL")]
    return any(isinstance(s, exp.Subquery) and has_atoms(s.this) for s in matched) or any(
        j.args.get("on") is not None and has_atoms(j.args["on"]) for j in inner
    )


def _parts(select: exp.Select, at: int, refuse: Refuse) -> list[tuple[exp.Select, set[str]]]:
    """Each SELECT with the aliases whose columns are NULL in it."""
    join = select.args["joins"][at]
    side = join.side.upper()
    left = {s.alias_or_name for s in [select.args["from_"].this, *(j.this for j in select.args["joins"][:at])]}
    right = {join.this.alias_or_name}
    matched = select.copy()
    matched.args["joins"][at].set("side", None)
    matched.args["joins"][at].set("kind", "INNER")
    found: list[tuple[exp.Select, set[str]]] = [(matched, set())]
    if side in ("LEFT", "FULL"):
        one = select.copy()
        on = one.args["joins"][at].args.get("on") or exp.true()
        source = one.args["joins"][at].this
        one.set("joins", [j for i, j in enumerate(one.args["joins"]) if i != at])
        found.append((_unmatched(one, [source], [], on, right), right))
    if side in ("RIGHT", "FULL"):
        one = select.copy()
        joins = one.args["joins"]
        on = joins[at].args.get("on") or exp.true()
        first, before, source = one.args["from_"].this, joins[:at], joins[at].this
        one.set("from_", exp.From(this=source))
        one.set("joins", joins[at + 1 :])
        found.append((_unmatched(one, [first], before, on, left), left))
    return found


def _unmatched(
    select: exp.Select, sources: list[exp.Expr], joins: list[exp.Expr], on: exp.Expr, absent: set[str]
) -> exp.Select:
    """`select` of the rows that meet none of `sources` joined with `joins` on `on`."""
    inner = exp.Select(expressions=[exp.Literal.number(1)])
    inner.set("from_", exp.From(this=sources[0].copy()))
    inner.set("joins", [j.copy() for j in joins])
    inner.set("where", exp.Where(this=on.copy()))
    for join in select.args.get("joins") or []:
        if join.args.get("on") is not None:
            join.set("on", _seen(join.args["on"], absent))
    where = select.args.get("where")
    if where is not None:
        select.set("where", exp.Where(this=_seen(where.this, absent)))
    met = exp.Exists(this=inner)
    met.meta["outer"] = True
    select.where(exp.Not(this=met), copy=False)
    return select


def _seen(node: exp.Expr, absent: set[str]) -> exp.Expr:
    """`node` with the columns and predictions of rows that are not there as NULL."""
    holder = exp.paren(node.copy())

    def visit(at: exp.Expr) -> None:
        columns = [at] if isinstance(at, exp.Column) else list(at.find_all(exp.Column)) if is_atom(at) else []
        if columns and any(c.table in absent for c in columns):
            at.replace(exp.Null())
            return
        for child in list(at.iter_expressions()):
            visit(child)

    visit(holder.this)
    return holder.this
