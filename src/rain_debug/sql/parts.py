"""Parts of a query that have a name: CTEs and subqueries in FROM, as queries of their own."""

from __future__ import annotations

from sqlglot import exp

from rain_debug.errors import SQLError, nearest
from rain_debug.sql.plan import Catalog
from rain_debug.sql.read import read
from rain_debug.sql.tokens import PREDICT, PREDICT_PROBA


def parts_of(sql: str, catalog: Catalog, dialect: str) -> tuple[str, ...]:
    """The names of a query's CTEs and subqueries in FROM."""
    return tuple(n.alias for n in _parts(read(sql, dialect, catalog)).values())


def part_of(sql: str, name: str, catalog: Catalog, dialect: str) -> str:
    """The text of the CTE or subquery `name` of a query; SQLError lists those that there are."""
    tree = read(sql, dialect, catalog)
    found = _parts(tree)
    if name.lower() not in found:
        hint = nearest(name, [n.alias for n in found.values()]) if found else "name a CTE or a subquery in FROM"
        raise SQLError(f"this query has no part called '{name}'", hint=hint)
    part = found[name.lower()]
    inner = part.this.copy()
    with_ = tree.args.get("with_")
    if with_ is not None and not inner.args.get("with_"):
        ctes = [c.copy() for c in with_.expressions if c is not part]
        if isinstance(part, exp.CTE):
            ctes = [c.copy() for c in with_.expressions[: with_.expressions.index(part)]]
        if ctes:
            inner.set("with_", exp.With(expressions=ctes, recursive=with_.recursive))
    text = str(inner.sql(dialect))
    return text.replace(PREDICT_PROBA + "(", "predict_proba(").replace(PREDICT + "(", "predict(")


def _parts(tree: exp.Expr) -> dict[str, exp.Expr]:
    found: dict[str, exp.Expr] = {}
    for node in tree.find_all(exp.CTE, exp.Subquery):
        if node.alias:
            found.setdefault(node.alias.lower(), node)
    return found
