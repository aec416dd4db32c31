"""Predictions as tables of Rain's own: rows go to the model in batches, or a linear model's weights go to the rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rain_debug.engines import Engine, Table
from rain_debug.errors import EngineError
from rain_debug.lineage.exports import as_double, kind_of
from rain_debug.lineage.variables import feature_list, from_sources
from rain_debug.lineage.weaken import weaken
from rain_debug.sql import Atom, ModelInfo, Plan

Array = np.ndarray
DOUBTFUL = 1e-9
MOST_KEPT = 4


@dataclass(frozen=True)
class Plane:
    """A model of two classes that predicts the second where intercept + Σ weights · features > 0."""

    weights: tuple[float, ...]
    intercept: float


@dataclass(frozen=True)
class Predictor:
    """How a model's predictions are had.

    `predict(features, whether to give probabilities)` gives class codes (n,) and probabilities (n, C) or None; `plane`
    is the model itself where it is no more than one.
    """

    predict: Callable[[Table, bool], tuple[Array, Array | None]]
    plane: Plane | None = None


def prepare_sources(plan: Plan, engine: Engine, kept: set[str] | None = None) -> None:
    """Compute the derived tables whose rows are their own, as temporary tables.

    Their rows are known by their number, which the engine gives anew, in any order, each time: they are sorted, and
    one capture computes each once, by telling in `kept` which it has.
    """
    for source in plan.sources:
        if source.materialised is not None and (kept is None or source.materialised not in kept):
            engine.keep(source.materialised, source.relation, ordered=True)
            if kept is not None:
                kept.add(source.materialised)


def materialise(
    plan: Plan,
    engine: Engine,
    models: Mapping[str, ModelInfo],
    predictor: Callable[[str], Predictor],
    name: str,
    kept: dict[Any, str] | None = None,
) -> dict[tuple[str, ...], str]:
    """Predictions of every block, written as temporary tables `name_0`, …; identity → table name.

    Columns: `r0`, … the row ids, `label` the predicted class, and, where the query asks for them, `p0`, … the
    probabilities. Where `kept` is given, a table of the same rows and weights is taken from it, or put into it, up to
    `MOST_KEPT`: it must outlive every query that reads it.
    """
    names: dict[tuple[str, ...], str] = {}
    prepare_sources(plan, engine)
    for atom in plan.atoms:
        if atom.identity in names:
            continue
        table = names[atom.identity] = f"{name}_{len(names)}"
        probabilities = any(a.kind == "proba" for a in plan.atoms if a.identity == atom.identity)
        rows, how = row_sources(plan, atom), predictor(atom.model)
        info = models[atom.model]
        inside = how.plane is not None and not probabilities and len(atom.aliases) == 1
        derived = any(plan.source(a).materialised is not None for use, _ in rows for a in use.aliases)
        key = rows_key(plan, atom, how)
        if kept is not None and key in kept and not probabilities:  # those that are kept hold classes alone
            names[atom.identity] = kept[key]
        elif inside and all_numbers(plan, engine, rows):
            names[atom.identity] = table = _inside(plan, engine, info, how, rows, table)
            if kept is not None and not derived and len(kept) < MOST_KEPT:
                kept[key] = table
        else:
            _outside(plan, engine, info, how, rows, table, probabilities)
    return names


def rows_key(plan: Plan, atom: Atom, how: Predictor) -> Any:
    """The same for predictions by the same weights of the same rows."""
    return (atom.identity, plan.with_sql, tuple(source for _, source in row_sources(plan, atom)), how.plane)


def row_sources(plan: Plan, atom: Atom) -> list[tuple[Atom, str]]:
    """FROM … WHERE of the rows that `atom`'s block may need, each row once, with the call whose features they have."""
    uses = list({a.aliases: a for a in plan.atoms if a.identity == atom.identity}.values())
    found: list[tuple[Atom, str]] = []
    if len(atom.aliases) > 1:
        for i, use in enumerate(uses):  # another order of the aliases may read rows that the first does not have
            chosen = " EXCEPT ".join(_pairs(plan, a) for a in [use, *uses[:i]])
            on = " AND ".join(f"{rid} = __c.r{k}" for k, rid in enumerate(use.rids))
            found.append((use, f"{from_sources(plan, use)} JOIN ({chosen}) AS __c ON {on}"))
        return found
    seen: list[str] = []
    for use in uses:
        own, rid, source = _own_filter(plan, use), use.rids[0], from_sources(plan, use)
        conditions = ([own] if own else []) + [f"{rid} NOT IN ({rows})" for rows in seen]
        found.append((use, f"{source} WHERE {' AND '.join(conditions) or 'TRUE'}"))
        if not own and plan.source(use.aliases[0]).is_whole:
            break
        seen.append(f"SELECT {rid} FROM {source}" + (f" WHERE {own}" if own else ""))
    return found


def _own_filter(plan: Plan, atom: Atom) -> str:
    """The conditions that read this atom's alias alone."""
    own = [c.sql for c in plan.conjuncts if c.is_pure and set(c.aliases) == set(atom.aliases)] if plan.inner else []
    return " AND ".join(f"({c})" for c in own)


def _pairs(plan: Plan, atom: Atom) -> str:
    own = [c for c in plan.conjuncts if plan.from_sql or set(c.aliases) <= set(atom.aliases)]
    where = " AND ".join(weaken(c) for c in own) or "TRUE"
    rids = ", ".join(f"{rid} AS r{i}" for i, rid in enumerate(atom.rids))
    return f"SELECT DISTINCT {rids} FROM {plan.from_sql or from_sources(plan, atom)} WHERE {where}"


def all_numbers(plan: Plan, engine: Engine, rows: Sequence[tuple[Atom, str]]) -> bool:
    """True where every feature is a number or a truth value by its type."""
    selects = [f"{plan.with_sql} SELECT {', '.join(atom.features)} FROM {source}" for atom, source in rows]
    return all(kind_of(t) in ("number", "bool") for sql in selects for _, t in engine.types(sql))


def _inside(
    plan: Plan, engine: Engine, info: ModelInfo, how: Predictor, rows: Sequence[tuple[Atom, str]], name: str
) -> str:
    """The engine computes the margins; the model itself those that are NULL, not finite, or too close to call.

    What the table is called in the end.
    """
    assert how.plane is not None
    parts = [
        f"SELECT {atom.rids[0]} AS r0, {margin(plan, engine, atom, how.plane)} AS m FROM {source}"
        for atom, source in rows
    ]
    close = engine.literal(close_to_call(how.plane))
    first, second = (engine.literal(c) for c in info.classes)
    try:
        engine.keep(
            name,
            f"{plan.with_sql} SELECT r0, CASE WHEN m > 0 THEN {second} ELSE {first} END AS label, "
            f"coalesce(m - m = 0 AND abs(m) > {close}, FALSE) AS sure FROM ({' UNION ALL '.join(parts)})",
        )
    except EngineError as error:
        if "out of range" not in error.message:
            raise
        _outside(plan, engine, info, how, rows, name, False)  # where DuckDB has infinity, PostgreSQL has an error
        return name
    if not engine.table(f"SELECT 1 AS x FROM {name} WHERE NOT sure LIMIT 1").n_rows:
        return name
    doubtful = f"SELECT r0 FROM {name} WHERE NOT sure"
    some = [(atom, f"{source} AND {atom.rids[0]} IN ({doubtful})") for atom, source in rows]
    _outside(plan, engine, info, how, some, f"{name}_close", False)
    each = (f"SELECT r0, label FROM {name} WHERE sure", f"SELECT r0, label FROM {name}_close")
    engine.keep(f"{name}_all", " UNION ALL ".join(each))
    engine.drop(name, f"{name}_close")
    return f"{name}_all"


def margin(plan: Plan, engine: Engine, atom: Atom, plane: Plane) -> str:
    """The engine's text of a plane's margin."""
    terms = [engine.literal(plane.intercept)]
    source = f"{plan.with_sql} SELECT {', '.join(atom.features)} FROM {from_sources(plan, atom)}"
    kinds = [kind_of(t) for _, t in engine.types(source)]
    for text, weight, kind in zip(atom.features, plane.weights, kinds, strict=True):
        terms.append(f"{engine.literal(weight)} * {as_double(engine, text, kind)}")
    return " + ".join(terms)


def close_to_call(plane: Plane) -> float:
    """The margin below which rounding could turn a prediction: the engine adds in another order than NumPy.

    Judged by the size of the weights alone, a heuristic: it holds for features up to some 10⁵.
    """
    return DOUBTFUL * (1.0 + abs(plane.intercept) + sum(map(abs, plane.weights)))


def _outside(
    plan: Plan,
    engine: Engine,
    info: ModelInfo,
    how: Predictor,
    rows: Sequence[tuple[Atom, str]],
    name: str,
    probabilities: bool,
) -> None:
    """Hand the rows to the model in batches, and its predictions, classes or numbers, back to the engine."""
    n_rids = len(rows[0][0].rids)
    rids: list[list[Array]] = [[] for _ in range(n_rids)]
    codes: list[Array] = []
    spread: list[Array] = []
    for batch in _batches(plan, engine, info, rows):
        for i in range(n_rids):
            rids[i].append(np.array(batch[f"r{i}"].values, dtype=np.int64))
        code, probability = how.predict(batch.select(info.features), probabilities)
        codes.append(code.astype(np.int64) if info.classes else code)
        if probability is not None:
            spread.append(probability)
    columns: dict[str, Any] = {f"r{i}": _joined(parts, np.int64) for i, parts in enumerate(rids)}
    if not info.classes:
        engine.upload(name, Table.of(**columns, label=_joined(codes, np.float64)))
        return
    columns["code"] = _joined(codes, np.int64)
    if probabilities:
        whole = np.concatenate(spread) if spread else np.empty((0, len(info.classes)))
        columns |= {f"p{c}": whole[:, c].copy() for c in range(len(info.classes))}
    engine.upload(f"{name}_codes", Table.of(**columns))
    labels = " ".join(f"WHEN {i} THEN {engine.literal(c)}" for i, c in enumerate(info.classes))
    kept = ", ".join(c for c in columns if c != "code")
    engine.keep(name, f"SELECT {kept}, CASE code {labels} END AS label FROM {name}_codes")
    engine.drop(f"{name}_codes")


def _batches(plan: Plan, engine: Engine, info: ModelInfo, rows: Sequence[tuple[Atom, str]]) -> Iterator[Table]:
    for atom, source in rows:
        rids = ", ".join(f"{rid} AS r{i}" for i, rid in enumerate(atom.rids))
        sql = f"{plan.with_sql} SELECT {rids}, {feature_list(atom, info.features)} FROM {source}"
        try:
            yield from engine.batches(sql)
        except EngineError as error:
            raise EngineError(
                error.message, where=f"the rows that model '{info.name}' predicts", hint=error.hint
            ) from None


def _joined(parts: Sequence[Array], dtype: Any) -> Array:
    return np.concatenate(parts) if parts else np.empty(0, dtype)
