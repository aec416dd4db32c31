"""The exact answer: the query asked of the engine, each prediction read from a table of Rain's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rain_debug.sql import Expr, Plan, render


def answer_sql(plan: Plan, tables: Mapping[tuple[str, ...], str], also: Sequence[Expr] = ()) -> str:
    """The query with each prediction read from its table: plain SQL for the engine.

    Output columns are `o0`, `o1`, …: the plan's outputs, then the group keys in `also`.
    """
    joins = []
    for atom in plan.atoms:
        on = " AND ".join(f"__p{atom.index}.r{i} = {rid}" for i, rid in enumerate(atom.rids))
        joins.append(f"JOIN {tables[atom.identity]} AS __p{atom.index} ON {on}")

    def read(k: int) -> str:
        atom = plan.atoms[k]
        return f"__p{k}.label" if atom.kind == "class" else f"__p{k}.p{atom.class_code}"

    selected = [*(o.expr for o in plan.outputs), *also]
    outputs = ", ".join(f"{render(e.sql, read)} AS o{i}" for i, e in enumerate(selected))
    parts = [plan.with_sql, f"SELECT {outputs} FROM {plan.from_sql}", *joins]
    if plan.conjuncts:
        parts.append("WHERE " + " AND ".join(f"({render(c.sql, read)})" for c in plan.conjuncts))
    if plan.group_by:
        parts.append("GROUP BY " + ", ".join(render(e.sql, read) for e in plan.group_by))
    if plan.order_by:
        parts.append("ORDER BY " + ", ".join(_order(plan, e.sql, suffix, read) for e, suffix in plan.order_by))
    parts.append(plan.limit_sql)
    return " ".join(p for p in parts if p)


def _order(plan: Plan, text: str, suffix: str, read: Callable[[int], str]) -> str:
    bare = text.strip('"').lower()
    for i, output in enumerate(plan.outputs):
        if text == str(i + 1) or output.name.lower() == bare:
            return f"o{i}{suffix}"
    return render(text, read) + suffix
