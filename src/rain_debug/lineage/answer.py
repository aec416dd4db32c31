"""The exact answer: predictions materialised as tables of Rain's own, the query asked of the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from rain_debug.engines import Engine, Table
from rain_debug.lineage.variables import feature_list, from_sources
from rain_debug.lineage.weaken import weaken
from rain_debug.sql import Atom, Expr, ModelInfo, Plan, render

Array = np.ndarray
Predict = Callable[[str, Table, bool], tuple[Array, Array | None]]
"""(model, features, whether to give probabilities) → class codes (n,), and probabilities (n, C) or None."""


def prepare_sources(plan: Plan, engine: Engine) -> None:
    """Compute the derived tables whose rows are their own, as temporary tables."""
    for source in plan.sources:
        if source.materialised is not None:
            engine.keep(source.materialised, source.relation)


def predict_rows(plan: Plan, engine: Engine, models: Mapping[str, ModelInfo], atom: Atom) -> Iterator[Table]:
    """Batches of the rows that `atom`'s block may need: row ids `r0`, … and the model's features by name."""
    same = [a for a in plan.atoms if a.identity == atom.identity]
    features = feature_list(atom, models[atom.model].features)
    rids = [f"{rid} AS r{i}" for i, rid in enumerate(atom.rids)]
    if len(atom.aliases) > 1:
        chosen = " UNION ".join(_pairs(plan, a) for a in same)
        on = " AND ".join(f"{rid} = __c.r{i}" for i, rid in enumerate(atom.rids))
        sql = f"SELECT {', '.join(rids)}, {features} FROM {from_sources(plan, atom)} JOIN ({chosen}) AS __c ON {on}"
        return engine.batches(f"{plan.with_sql} {sql}")
    return _own_rows(plan, engine, list({a.aliases: a for a in same}.values()), models[atom.model].features)


def _own_rows(plan: Plan, engine: Engine, uses: Sequence[Atom], features: Sequence[str]) -> Iterator[Table]:
    """Rows of one table that several aliases call for, each once: a later alias leaves out what an earlier one had."""
    seen: list[str] = []
    for atom in uses:
        own, rid = _own_filter(plan, atom), atom.rids[0]
        conditions = [own] if own else []
        conditions += [f"{rid} NOT IN ({rows})" for rows in seen]
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        rows = f"{from_sources(plan, atom)}{where}"
        yield from engine.batches(f"{plan.with_sql} SELECT {rid} AS r0, {feature_list(atom, features)} FROM {rows}")
        if not own and plan.source(atom.aliases[0]).is_whole:
            return
        seen.append(f"SELECT {rid} FROM {from_sources(plan, atom)}" + (f" WHERE {own}" if own else ""))


def _own_filter(plan: Plan, atom: Atom) -> str:
    """The conditions that read this atom's alias alone."""
    own = [c.sql for c in plan.conjuncts if c.is_pure and set(c.aliases) == set(atom.aliases)] if plan.inner else []
    return " AND ".join(f"({c})" for c in own)


def _pairs(plan: Plan, atom: Atom) -> str:
    where = " AND ".join(weaken(c) for c in plan.conjuncts) or "TRUE"
    rids = ", ".join(f"{rid} AS r{i}" for i, rid in enumerate(atom.rids))
    return f"SELECT DISTINCT {rids} FROM {plan.from_sql} WHERE {where}"


def materialise(
    plan: Plan, engine: Engine, models: Mapping[str, ModelInfo], predict: Predict, name: str
) -> dict[tuple[str, ...], str]:
    """Predictions of every block, written as temporary tables `name_0`, …; identity → table name.

    Columns: `r0`, … the row ids, `label` the predicted class, and, where the query asks for them, `p0`, … the
    probabilities.
    """
    names: dict[tuple[str, ...], str] = {}
    prepare_sources(plan, engine)
    for atom in plan.atoms:
        if atom.identity in names:
            continue
        table_name = f"{name}_{len(names)}"
        names[atom.identity] = table_name
        probabilities = any(a.kind == "proba" for a in plan.atoms if a.identity == atom.identity)
        info = models[atom.model]
        parts: list[tuple[list[Array], Array, Array | None]] = []
        for batch in predict_rows(plan, engine, models, atom):
            rids = [np.array(batch[f"r{i}"].values, dtype=np.int64) for i in range(len(atom.rids))]
            codes, proba = predict(atom.model, batch.select(info.features), probabilities)
            parts.append((rids, codes.astype(np.int32), proba))
        _write(engine, table_name, info, parts, len(atom.rids), probabilities)
    return names


def _write(
    engine: Engine,
    name: str,
    info: ModelInfo,
    parts: Sequence[tuple[list[Array], Array, Array | None]],
    n_rids: int,
    probabilities: bool,
) -> None:
    columns: dict[str, Any] = {}
    for i in range(n_rids):
        columns[f"r{i}"] = np.concatenate([p[0][i] for p in parts]) if parts else np.empty(0, np.int64)
    columns["code"] = np.concatenate([p[1] for p in parts]) if parts else np.empty(0, np.int64)
    if probabilities:
        for c in range(len(info.classes)):
            columns[f"p{c}"] = np.concatenate([p[2][:, c] for p in parts]) if parts else np.empty(0)  # type: ignore[index]
    engine.upload(f"{name}_codes", Table.of(**columns))
    labels = ", ".join(engine.literal(c) for c in info.classes)
    kept = ", ".join(c for c in columns if c != "code")
    engine.keep(name, f"SELECT {kept}, ([{labels}])[code + 1] AS label FROM {name}_codes")
    engine.drop(f"{name}_codes")


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
