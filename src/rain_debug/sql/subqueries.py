"""Subqueries over predictions in a condition: what they read from outside, and the SELECT grouped by that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from sqlglot import exp

from rain_debug.errors import SQLError
from rain_debug.sql import rewrite
from rain_debug.sql.convert import atom_number, is_atom, sources_of
from rain_debug.sql.marks import READS, is_placed
from rain_debug.sql.nodes import add_source, meta_of, quote, without
from rain_debug.sql.plan import Source
from rain_debug.sql.rewrite import has_atoms
from rain_debug.sql.scopes import Scopes
from rain_debug.sql.tree import EVENT, ROW


def event_select(node: exp.Expr, query: exp.Query, name: str, scopes: Scopes) -> tuple[exp.Select, list[exp.Expr]]:
    """The subquery of EXISTS or IN as a SELECT that groups by the event; and the texts outside that it needs."""
    keys: list[exp.Expr] = []
    if isinstance(query, exp.Select) and query.args.get("limit") and isinstance(node, exp.In):
        raise scopes.refuse_tree(node, "IN over a subquery with LIMIT and predictions is not supported")
    plain = rewrite.is_simple(without(query, "distinct", "order", "limit")) if isinstance(query, exp.Select) else False
    if plain:
        assert isinstance(query, exp.Select)
        keys = correlated(query, name, scopes)
        inner = without(query, "distinct", "order", "limit")
    else:
        if correlated(query.copy(), name, scopes):
            raise scopes.refuse_tree(node, "a correlated subquery with groups, over predictions, is not supported")
        alias = scopes.names.fresh("__s")
        table = exp.Subquery(this=without(query, "order"), alias=exp.TableAlias(this=exp.to_identifier(alias)))
        inner = exp.Select(expressions=[exp.column(n, table=alias, quoted=True) for n in query.named_selects])
        inner.set("from_", exp.From(this=table))
    if isinstance(node, exp.In):
        lefts = list(node.this.expressions) if isinstance(node.this, exp.Tuple) else [node.this]
        negated = _is_negated(node, scopes.refuse_tree)
        for left, item in zip(lefts, inner.expressions, strict=True):
            outside, value = exp.column(f"x{len(keys)}", table=name), exp.paren(item.unalias().copy())
            match: exp.Expr = exp.EQ(this=value, expression=outside)
            if negated:  # NOT IN fails where NULL leaves a match open, too
                nulls = [exp.Is(this=side.copy(), expression=exp.null()) for side in (value, outside)]
                match = exp.or_(match, *nulls, copy=False)
            match.meta.update(meta_of(scopes.convert.extent(node)))
            inner.where(match, copy=False)
            _refuse_moving(left, scopes)
            keys.append(left.copy())
    add_source(inner, name)
    inner.set("expressions", [exp.alias_(exp.column(ROW, table=name), "event")])
    inner.set("group", exp.Group(expressions=[exp.column(ROW, table=name)]))
    return inner, keys


def correlated(query: exp.Expr, name: str, scopes: Scopes) -> list[exp.Expr]:
    """What `query` reads from outside, each replaced by a column of the events' table."""
    inside = {s.alias_or_name for q in query.find_all(exp.Select) for s in sources_of(q)}
    keys: list[exp.Expr] = []
    texts: list[str] = []
    met = _met(query, inside, scopes)

    def external(node: exp.Expr) -> bool:
        columns = list(node.find_all(exp.Column))
        return bool(columns) and all(c.table and c.table not in inside for c in columns)

    def visit(node: exp.Expr) -> None:
        if (isinstance(node, exp.Column) or is_atom(node)) and external(node):
            text = node.sql(scopes.dialect)
            if text not in texts:
                _refuse_moving(node, scopes)
                texts.append(text)
                keys.append(node.copy())
            node.replace(exp.column(f"x{texts.index(text)}", table=name))
            return
        for child in list(node.iter_expressions()):
            visit(child)

    visit(query)
    if met is not None:
        keys.append(exp.maybe_parse(str(met.rid), dialect=scopes.dialect))
        scopes.around[name] = _around(met, name, keys, scopes.dialect)
    return keys


def _met(query: exp.Expr, inside: set[str], scopes: Scopes) -> Source | None:
    """The source outside whose rows calls of `query` read together with its own; None where there is none, or several,
    or where its rows may be missing, or have no number in the database."""
    met: set[str] = set()
    for node in (n for n in query.find_all(exp.Anonymous) if is_atom(n) and not is_placed(n)):
        read = {c.table for a in node.expressions[1:] for c in a.find_all(exp.Column)}
        if read & inside and node.find_ancestor(exp.Select) is query:
            met |= read - inside
    if len(met) != 1:
        return None
    alias = met.pop()
    select, source = scopes.find_source(query, alias)
    joins = select.args.get("joins") or []
    if select is not query.find_ancestor(exp.Select) or alias.startswith(EVENT) or any(j.side for j in joins):
        return None
    if isinstance(source, exp.Subquery) and has_atoms(source.this):
        return None
    found = scopes.predicted_source(select, source)
    if found.materialised is not None:
        return None
    if isinstance(source, exp.Table) and "relation" not in source.meta:  # a CTE, which the subquery need not see
        text = f"({scopes.with_sql(source)} SELECT * FROM {found.from_sql}) AS {quote(alias)}"
        return replace(found, from_sql=text)
    return found


def _around(met: Source, name: str, keys: Sequence[exp.Expr], dialect: str) -> Source:
    """The rows of a source outside under the names that they have in the events' table `name`: its keys, the row's
    number last."""
    mine = {f"x{i}": k for i, k in enumerate(keys[:-1]) if isinstance(k, exp.Column) and k.table == met.alias}
    rid = f"x{len(keys) - 1}"
    items = [f"{k.sql(dialect)} AS {x}" for x, k in mine.items()] + [f"{met.rid} AS {rid}"]
    return replace(
        met, alias=name, rid=f"{quote(name)}.{rid}", columns=tuple(mine),
        origin=tuple((x, met.base_column(k.name)) for x, k in mine.items()),
        from_sql=f"(SELECT {', '.join(items)} FROM {met.from_sql}) AS {quote(name)}",
    )  # fmt: skip


def _refuse_moving(key: exp.Expr, scopes: Scopes) -> None:
    """SQLError where what a subquery reads from outside is a probability or a regressor's number."""
    for node in key.find_all(exp.Anonymous):
        if is_atom(node) and not is_placed(node):
            call = scopes.calls[atom_number(node)]
            if call.kind == "proba" or not call.model.classes:
                raise scopes.refuse_tree(node, READS)


def _is_negated(node: exp.Expr, refuse: Callable[[exp.Expr, str], SQLError]) -> bool:
    """True where the condition stands under an odd number of NOTs; SQLError where NULL and FALSE would differ."""
    negated, above = False, node.parent
    while isinstance(above, exp.And | exp.Or | exp.Not | exp.Paren):
        negated ^= isinstance(above, exp.Not)
        above = above.parent
    if not isinstance(above, exp.Where | exp.Join | exp.Having | exp.Qualify | exp.If):
        raise refuse(node, "IN (SELECT …) over predictions is supported as a condition only")
    return negated
