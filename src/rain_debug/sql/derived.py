"""Derived tables: whose rows are they?

A subquery or CTE that only filters and projects one table passes that table's row ids on, so that a prediction for its
rows is the same variable as one for the table's. Anything else is computed once, and its rows are their own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from sqlglot import exp

from rain_debug.sql.plan import Relation

RID = "__rain_rid"


@dataclass(frozen=True)
class Exposed:
    """The base table (`identity`) whose row ids a derived table passes on as `__rain_rid`; `origin` maps columns."""

    identity: str
    origin: tuple[tuple[str, str], ...]


def fingerprint(text: str) -> str:
    """A table name made from the text of a query: the same text, the same name.

    >>> fingerprint("SELECT 1") == fingerprint("SELECT 1"), fingerprint("SELECT 1")[:7]
    (True, '__rain_')
    """
    return "__rain_" + hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def expose_row_ids(
    body: exp.Query,
    relation_of: Callable[[exp.Expr], Relation | None],
    body_of: Callable[[exp.Expr], exp.Query | None],
) -> Exposed | None:
    """`body` with its base table's row id in the select list; None (and unchanged) where it has none to pass on."""
    if not isinstance(body, exp.Select) or not _passes_rows_on(body):
        return None
    source = body.args["from_"].this
    relation = relation_of(source)
    if relation is not None and relation.rowid is not None:
        rid: exp.Expr = exp.maybe_parse(relation.row_of(source.alias_or_name))
        identity, origin = relation.name, None
    else:
        below = body_of(source)
        exposed = expose_row_ids(below, relation_of, body_of) if below is not None else None
        if exposed is None:
            return None
        identity, origin = exposed.identity, dict(exposed.origin)
        rid = exp.column(RID, table=source.alias_or_name, quoted=True)
    columns = tuple(
        (e.alias_or_name, origin.get(e.unalias().name, e.unalias().name) if origin else e.unalias().name)
        for e in body.expressions
        if isinstance(e.unalias(), exp.Column) and e.alias_or_name != RID
    )
    # A column that is computed here must not be taken for the base table's of the same name.
    computed = tuple(
        (e.alias_or_name, f"({e.unalias().sql()})") for e in body.expressions if not isinstance(e.unalias(), exp.Column)
    )
    if RID not in body.named_selects:
        body.select(exp.alias_(rid, RID, quoted=True), copy=False)
    return Exposed(identity, columns + computed)


def _passes_rows_on(body: exp.Select) -> bool:
    if body.args.get("from_") is None or body.args.get("joins"):
        return False
    if any(body.args.get(part) for part in ("group", "distinct", "having", "qualify", "laterals", "pivots", "sample")):
        return False
    return not any(e.find(exp.AggFunc, exp.Window, exp.Unnest, exp.Explode) for e in body.expressions)
