"""The exact answer of a nested query as one text for the engine, predictions being columns of the tables in it."""

from __future__ import annotations

from typing import Any

from sqlglot import exp

from rain_debug.sql import rewrite
from rain_debug.sql.convert import is_atom
from rain_debug.sql.expr import Expr
from rain_debug.sql.nodes import bare
from rain_debug.sql.plan import Atom, Plan, Source
from rain_debug.sql.scopes import Scopes
from rain_debug.sql.tree import Reader


def exact_answer(tree: exp.Query, scopes: Scopes) -> tuple[str, str, Plan, tuple[Reader, ...]]:
    """The query with each predicted source as a table that holds its predictions, and a plan of those sources."""
    atoms: list[Atom] = []
    sources: dict[str, Source] = {}
    filters: dict[str, Expr] = {}
    seen: dict[tuple[Any, ...], int] = {}
    selects: dict[str, exp.Expr] = {}
    for node in [n for n in tree.find_all(exp.Anonymous) if is_atom(n)]:
        aliases = scopes.aliases_read(node)
        for alias in aliases:
            if alias not in sources:
                select, source = scopes.find_source(node, alias)
                sources[alias] = scopes.predicted_source(select, source)
                selects[alias] = source
                for condition in scopes.own_conditions(select, aliases):
                    filters.setdefault(condition.sql, condition)
        atom = scopes.atom(node, aliases, sources, len(atoms))
        key = (atom.kind, atom.class_code, atom.identity, atom.aliases)
        if key not in seen:
            seen[key] = len(atoms)
            atoms.append(atom)
        number = seen[key]
        node.set("expressions", [exp.Literal.number(number)])
    readers: list[Reader] = []
    for alias, standing in selects.items():
        mine = tuple(a.index for a in atoms if a.aliases == (alias,))
        name = f"__rain_reader_{len(readers)}"
        home = sources[alias]
        readers.append(Reader(name, alias, home.from_sql, str(home.rid), mine))
        table = exp.Table(this=exp.to_identifier(name))
        rewrite.set_alias(table, alias)
        standing.replace(table)
    rows = Plan(
        sql=scopes.sql, with_sql=scopes.with_sql(tree), from_sql="", sources=tuple(sources.values()),
        atoms=tuple(atoms),
        conjuncts=tuple(filters.values()), outputs=(), group_by=None, order_by=(), limit_sql="", inner=True,
    )  # fmt: skip
    _number_outputs(tree)
    whole = tree.sql(scopes.dialect)
    for part in ("limit", "offset"):
        tree.set(part, None)
    return whole, tree.sql(scopes.dialect), rows, tuple(readers)


def _number_outputs(tree: exp.Query) -> None:
    """Call the answer's columns o0, o1, …, also where ORDER BY names them."""
    first: exp.Expr = tree
    while isinstance(first, exp.SetOperation | exp.Subquery):
        first = first.this
    assert isinstance(first, exp.Select)
    new: dict[str, str] = {}
    items = []
    for i, item in enumerate(first.expressions):
        new.setdefault(item.alias_or_name.lower(), f"o{i}")
        items.append(exp.Alias(this=bare(item), alias=exp.to_identifier(f"o{i}")))
    first.set("expressions", items)
    for select in (tree, first):
        order = select.args.get("order")
        for column in list(order.find_all(exp.Column)) if order is not None else []:
            if not column.table and column.name.lower() in new:
                column.replace(exp.column(new[column.name.lower()]))
