"""The strongest filter that the engine can apply before any prediction is known."""

from __future__ import annotations

from rain_debug.sql import Expr


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
