"""The exact answer: the query asked of the engine, each prediction read from a table of Rain's own."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from rain_debug.engines import Engine
from rain_debug.lineage.predictions import Predictor, all_numbers, close_to_call, margin
from rain_debug.sql import Expr, ModelInfo, Nested, Plan, mark, render

DOUBT = "a prediction is too close to call"
_WIDE = 1e300


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

    return _block(plan, also, read, [plan.from_sql, *joins])


def one_pass_sql(
    plan: Plan,
    engine: Engine,
    models: Mapping[str, ModelInfo],
    predictor: Callable[[str], Predictor],
    also: Sequence[Expr] = (),
) -> str | None:
    """The query with its one linear model of two classes evaluated as it reads its one table; None for any other.

    The engine raises an error that says `DOUBT` where a margin is NULL, not finite, or so small that rounding could
    turn it: then the model itself has to say.
    """
    atom = plan.atoms[0]
    texts = [e.sql for e in (*(o.expr for o in plan.outputs), *also, *plan.conjuncts, *(e for e, _ in plan.order_by))]
    plane = predictor(atom.model).plane
    fail = engine.failure(DOUBT)
    if len(plan.sources) > 1 or len(plan.atoms) > 1 or atom.kind != "class" or plane is None or fail is None:
        return None
    if sum(mark(0) in text for text in texts) != 1 or not all_numbers(plan, engine, [(atom, plan.from_sql)]):
        return None
    first, second = (engine.literal(c) for c in models[atom.model].classes)
    close, wide = engine.literal(close_to_call(plane)), engine.literal(_WIDE)
    alias = plan.sources[0].alias.replace('"', '""')
    source = f'(SELECT *, {margin(plan, engine, atom, plane)} AS __m FROM {plan.from_sql}) AS "{alias}"'

    def choose(second: str, first: str) -> str:
        above, below = f"__m > {close} AND __m < {wide}", f"__m < -{close} AND __m > -{wide}"
        return f"CASE WHEN {above} THEN {second} WHEN {below} THEN {first} ELSE {fail} END"

    def holds(text: str) -> str:
        return choose(render(text, lambda k: second), render(text, lambda k: first)) if mark(0) in text else text

    return _block(plan, also, lambda k: choose(second, first), [source], holds)


def _block(
    plan: Plan,
    also: Sequence[Expr],
    read: Callable[[int], str],
    sources: Sequence[str],
    holds: Callable[[str], str] | None = None,
) -> str:
    selected = [*(o.expr for o in plan.outputs), *also]
    outputs = ", ".join(f"{render(e.sql, read)} AS o{i}" for i, e in enumerate(selected))
    parts = [plan.with_sql, f"SELECT {outputs} FROM", *sources]
    if plan.conjuncts:
        parts.append(
            "WHERE " + " AND ".join(f"({holds(c.sql) if holds else render(c.sql, read)})" for c in plan.conjuncts)
        )
    if plan.group_by:
        parts.append("GROUP BY " + ", ".join(render(e.sql, read) for e in plan.group_by))
    if plan.order_by:
        parts.append("ORDER BY " + ", ".join(_order(plan, e.sql, suffix, read) for e, suffix in plan.order_by))
    parts.append(plan.limit_sql)
    return " ".join(p for p in parts if p)


def nested_answer(nested: Nested, tables: Mapping[tuple[str, ...], str], *, limited: bool = True) -> str:
    """The whole text of a tree of blocks, each predicted source read together with its predictions."""
    atoms = nested.rows.atoms

    def label(k: int, table: str) -> str:
        return f"{table}.label" if atoms[k].kind != "proba" else f"{table}.p{atoms[k].class_code}"

    def read(k: int) -> str:
        atom = atoms[k]
        if len(atom.aliases) == 1:
            return f'"{_escaped(atom.aliases[0])}"."__rain_p{k}"'
        on = " AND ".join(f'__p.r{i} = "{_escaped(a)}"."__rain_id"' for i, a in enumerate(atom.aliases))
        return f"(SELECT {label(k, '__p')} FROM {tables[atom.identity]} AS __p WHERE {on})"

    def source(match: re.Match[str]) -> str:
        reader = nested.readers[int(match[1])]
        items = [f'"{_escaped(reader.alias)}".*', f'{reader.rid} AS "__rain_id"']
        joins = []
        for k in reader.atoms:
            items.append(f'{label(k, f"__p{k}")} AS "__rain_p{k}"')
            joins.append(f"LEFT JOIN {tables[atoms[k].identity]} AS __p{k} ON __p{k}.r0 = {reader.rid}")
        return f"(SELECT {', '.join(items)} FROM {reader.from_sql} {' '.join(joins)})"

    return re.sub(r'"?\b__rain_reader_(\d+)\b"?', source, render(nested.answer if limited else nested.unlimited, read))


def _escaped(name: str) -> str:
    return name.replace('"', '""')


def _order(plan: Plan, text: str, suffix: str, read: Callable[[int], str]) -> str:
    bare = text.strip('"').lower()
    for i, output in enumerate(plan.outputs):
        if text == str(i + 1) or output.name.lower() == bare:
            return f"o{i}{suffix}"
    return render(text, read) + suffix
