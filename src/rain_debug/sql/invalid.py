"""What is wrong with a query that SQL itself does not allow, underlined."""

from __future__ import annotations

from sqlglot import exp

from rain_debug.errors import SQLError, nearest
from rain_debug.sql.nodes import own_windows
from rain_debug.sql.plan import Catalog
from rain_debug.sql.read import read
from rain_debug.sql.refusals import refuse_ungrouped
from rain_debug.sql.scopes import Scopes


def invalid(sql: str, catalog: Catalog, dialect: str = "duckdb") -> SQLError | None:
    """What is wrong with a query that the engine refused, underlined; None where nothing is found."""
    try:
        _check(Scopes(sql, catalog, dialect))
    except SQLError as error:
        return error
    return None


def _check(scopes: Scopes) -> None:
    """SQLError for what SQL itself does not allow."""
    tree = scopes.qualified(read(scopes.sql, scopes.dialect, scopes.catalog))
    scopes.name_aggregates(tree)
    for merged in tree.find_all(exp.SetOperation):
        if len(merged.left.named_selects) != len(merged.right.named_selects):
            one, two = len(merged.left.named_selects), len(merged.right.named_selects)
            what = f"{merged.key.upper()} of {one} and {two} columns"
            raise scopes.convert.refuse(merged.right, what, "select as many columns on both sides")
    for column in tree.find_all(exp.Column):
        around = column.find_ancestor(exp.Select)
        shown = [n.lower() for n in around.named_selects] if around is not None else []
        if not column.table and column.name.lower() not in shown and not isinstance(column.this, exp.Star):
            hint = nearest(column.name, [*shown, *(c for r in scopes.relations.values() for c, _ in r.columns)])
            raise scopes.convert.refuse(column, f"there is no column '{column.name}'", hint)
    for select in tree.find_all(exp.Select):
        for found in (n for n in select.find_all(exp.AggFunc) if n.find_ancestor(exp.Select) is select):
            if found.find_ancestor(exp.Where) is not None and found.find_ancestor(exp.Filter) is None:
                hint = "conditions on groups stand in HAVING"
                raise scopes.convert.refuse(found, "an aggregate cannot stand in WHERE", hint)
            inner = found.find_ancestor(exp.AggFunc, exp.Window, exp.Select)
            if isinstance(inner, exp.AggFunc):
                what = "an aggregate inside an aggregate is not supported"
                raise scopes.convert.refuse(inner, what, "compute the inner one in a CTE")
        if select.args.get("group") is None or not list(own_windows(select)):
            refuse_ungrouped(select, scopes.convert, scopes.calls)
