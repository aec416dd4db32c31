"""What the engine can do before any prediction is known."""

from __future__ import annotations

from rain_debug.sql import Expr, Plan


def weaken(e: Expr, positive: bool = True) -> str:
    """SQL that is true wherever `e` could be, whatever the predictions: each prediction's part becomes TRUE or FALSE.

    >>> p = Expr("atom", (), "RAIN_ATOM(0)", (0,), False, 0, 0)
    >>> x = Expr("pure", (), "u.x", (), True, 0, 0)
    >>> weaken(Expr("and", (x, Expr("not", (p,), "", (0,), True, 0, 0)), "", (0,), True, 0, 0))
    '(u.x AND NOT FALSE)'
    """
    if e.is_pure:
        return f"({e.sql})" if e.op == "pure" and not e.sql.replace(".", "").replace('"', "").isidentifier() else e.sql
    if e.op in ("and", "or"):
        return "(" + f" {e.op.upper()} ".join(weaken(a, positive) for a in e.args) + ")"
    if e.op == "not":
        return f"NOT {weaken(e.args[0], not positive)}"
    return "TRUE" if positive else "FALSE"


def one_group_a_row(plan: Plan, dialect: str) -> str:
    """GROUP BY of rows that are apart by their ids, where FROM is one source alone; nothing for most plans.

    It changes no row but their order: below an aggregate, and there alone, DuckDB semi-joins the tables of NOT EXISTS
    with the rows that are left; elsewhere it reads those tables as a whole.
    """
    alone = len(plan.sources) == 1 and plan.inner and plan.from_sql == plan.sources[0].from_sql
    if dialect != "duckdb" or not alone:
        return ""
    unmet = any(c.is_pure and "NOT EXISTS" in c.sql for c in plan.conjuncts)
    return " GROUP BY ALL ORDER BY ALL" if unmet else ""
