"""A SELECT with window functions as two: what the windows read below, the windows above it."""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from rain_debug.sql import rewrite
from rain_debug.sql.convert import ATOM, conjuncts
from rain_debug.sql.marks import take_values
from rain_debug.sql.nodes import bare, meta_of, without
from rain_debug.sql.plan import Atom, OutputColumn, Plan
from rain_debug.sql.rewrite import has_atoms
from rain_debug.sql.scopes import Scopes
from rain_debug.sql.tree import ROW, Below, Body, OutColumn, Window, Windowed
from rain_debug.sql.windows import lift_window, window_of


def windowed(
    select: exp.Select, names: tuple[str, ...], scopes: Scopes, body_of: Callable[[exp.Expr], Body]
) -> Windowed:
    """The window functions of `select` above the rest of it, whose tree `body_of` makes."""
    convert, alias = scopes.convert, "__w"
    items: dict[str, tuple[str, exp.Expr]] = {}

    def lift(node: exp.Expr) -> exp.Expr:
        if all(w.find_ancestor(exp.Query) for w in node.find_all(exp.Window)):  # none, or a subquery's own
            if not node.find(exp.Column, exp.AggFunc) and not has_atoms(node):
                return node
            text = node.sql(scopes.dialect)
            name = items.setdefault(text, (f"w{len(items)}", node.copy()))[0]
            lifted = exp.column(name, table=alias, quoted=True)
            lifted.this.meta.update(meta_of(convert.extent(node)))
            return lifted
        if isinstance(node, exp.Window):
            lift_window(node, lift)
            return node
        for child in list(node.iter_expressions()):
            new = lift(child)
            if new is not child:
                child.replace(new)
        return node

    outputs = [lift(bare(e.copy())) for e in select.expressions]
    qualify = [lift(c.copy()) for c in conjuncts(select.args["qualify"].this)] if select.args.get("qualify") else []
    distinct = select.args.get("distinct")
    if distinct is not None:
        raise scopes.refuse_tree(distinct, "DISTINCT beside window functions over predictions is not supported")
    inner = without(select, "qualify", "order", "limit", "offset")
    inner.set("expressions", [rewrite.named(n, w) for w, n in items.values()])
    name = f"__rain_below_{next(scopes.numbers)}"
    below = Below(name, body_of(inner))
    outer = exp.Select(expressions=[rewrite.named(o, n) for o, n in zip(outputs, names, strict=True)])
    outer.set(
        "from_",
        exp.From(this=exp.Table(this=exp.to_identifier(name), alias=exp.TableAlias(this=exp.to_identifier(alias)))),
    )
    if qualify:
        outer.set("where", exp.Where(this=exp.and_(*qualify)))
    atoms: list[Atom] = []
    take_values(outer, {alias: below}, atoms, scopes)
    windows: list[Window] = []
    for node in [w for w in outer.find_all(exp.Window) if w.find_ancestor(exp.Select) is outer]:
        number = len(atoms)
        windows.append(window_of(node, convert, scopes.refuse_tree, scopes.dialect))
        identity, extent = ("window", str(len(windows) - 1)), convert.extent(node)
        atoms.append(Atom(number, "window", "", (), (alias,), identity, (f"{alias}.{ROW}",), *extent))
        mark = exp.Anonymous(this=ATOM, expressions=[exp.Literal.number(number)])
        mark.meta.update(meta_of(extent), done=True)
        node.replace(mark)
    out = tuple(OutputColumn(n, convert(e.unalias())) for n, e in zip(names, outer.expressions, strict=True))
    conditions = conjuncts(outer.args["where"].this) if qualify else []
    plan = Plan(
        sql=scopes.sql, with_sql="", from_sql=f"{name} AS {alias}", sources=(), atoms=tuple(atoms),
        conjuncts=(), outputs=out, group_by=None, order_by=(), limit_sql="", inner=True,
    )  # fmt: skip
    columns = tuple(OutColumn(o.name, bool(o.expr.atoms), not o.expr.atoms) for o in out)
    return Windowed(below, plan, tuple(windows), columns, tuple(convert(c) for c in conditions))
