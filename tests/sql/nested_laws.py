"""Laws 1 to 3 for each row and each number of a nested query's answer, in worlds that other parameters make."""

from __future__ import annotations

import datetime
import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rain_debug.errors import SQLError
from rain_debug.relax import Target

MOST_WORLDS = 2**10
"""Law 3 is checked where there are at most so many worlds."""
ROUNDED = ("round", "cast", "floor", "ceil")


@dataclass(frozen=True)
class World:
    """The models' parameters, and the rows that DuckDB answers with over the predictions they make."""

    thetas: dict[str, np.ndarray]
    rows: list[tuple[Any, ...]]


@dataclass(frozen=True)
class Checked:
    """How many targets obey the laws; what is refused, by column (None: rows), with message and fragment."""

    n: int
    refused: dict[str | None, tuple[str, str]]


def obeys_nested(db: Any, query: Any, worlds: Sequence[World]) -> Checked:
    """Hold the program of every row, and of every number that predictions move, to the rows of `worlds`."""
    wanted = _targets(query, worlds)
    targets, refused, capture = _captured(query, wanted) if wanted else (wanted, {}, None)
    if not targets:
        return Checked(0, refused)
    program, bounds = capture.program, capture.program.bounds()
    handles = [db._handle(b.model) for b in capture.blocks]
    X = [h.model.encode(b.table, "the test") for h, b in zip(handles, capture.blocks, strict=True)]
    rounding = {c.name for c, o in zip(query.nested.columns, _outputs(query), strict=False) if _rounds(o.expr)}
    smooth = np.array([t.column not in rounding for t in targets])
    for number, world in enumerate(worlds):
        P = [h.model.probabilities(x, world.thetas[h.name]) for h, x in zip(handles, X, strict=True)]
        codes = [h.model.predict(x, world.thetas[h.name]) for h, x in zip(handles, X, strict=True)]
        exact = program.exact(P, codes)
        _same(f"law 1, world {number}", targets, exact, np.array([v[number] for v in targets.values()]))
        one_hot = [np.eye(p.shape[1])[c] if p.shape[1] > 1 else p for p, c in zip(P, codes, strict=True)]
        sharp = program.exact(one_hot, codes)
        known = np.isfinite(sharp) & smooth
        found = program.relaxed(one_hot)
        _same(f"law 2, world {number}", targets, np.where(known, found, 0), np.where(known, sharp, 0))
        within_bounds(bounds, targets, found)
    rng = np.random.default_rng(0)
    inside = [_inside(rng, p) for p in P]
    relaxed = program.relaxed(inside)
    within_bounds(bounds, targets, relaxed)
    for t, x in zip(targets, relaxed, strict=True):
        assert t.kind == "value" or -1e-9 <= x <= 1 + 1e-9, f"{t}: {x} is no probability"
    _slope(program, inside, relaxed, rng)
    loose = np.concatenate([np.array(part.approximate) for part, _ in program.parts])
    if math.prod(p.shape[1] ** len(p) for p in inside) <= MOST_WORLDS and not loose.all():
        given, total = _expectation(program, inside)
        known = ~loose & smooth & np.isfinite(given)
        linear = np.isclose(relaxed, total, rtol=1e-9, atol=1e-9)  # a SUM over no rows is NULL, and counts as 0
        _same("law 3", targets, np.where(known, relaxed, 0), np.where(known, np.where(linear, total, given), 0))
    return Checked(len(targets), refused)


def within_bounds(bounds: Sequence[tuple[float, float]], targets: Iterable[Target], relaxed: np.ndarray) -> None:
    """No relaxed value lies outside the bounds that its program states for it."""
    for t, x, (low, high) in zip(targets, relaxed, bounds, strict=True):
        room = 1e-9 * max(1.0, abs(x))
        assert not np.isfinite(x) or low - room <= x <= high + room, f"{t}: {x} is not within {low} and {high}"


def _outputs(query: Any) -> Sequence[Any]:
    body = query.nested.body
    while hasattr(body, "parts"):
        body = body.parts[0]
    return body.plan.outputs


def _rounds(e: Any) -> bool:
    """True for ROUND, and for a cast to fewer digits: relaxed as what they round."""
    return any(
        x.op in ROUNDED or (x.op == "other" and x.name in ROUNDED)
        for x in e.walk()
        if x.op != "cast" or not any(k in x.name for k in ("DOUBLE", "FLOAT", "REAL"))
    )


def _targets(query: Any, worlds: Sequence[World]) -> dict[Target, list[float]]:
    """Every row of any world and its numbers, each with what stands there in each world: NaN where NULL or absent."""
    names, columns = query.columns, query.nested.columns
    certain = [i for i, c in enumerate(columns) if not c.uncertain]
    found: dict[Target, list[float]] = {}
    places = {tuple(_plain(row[i]) for i in certain): None for w in worlds for row in w.rows}
    for place in places:
        here = [[r for r in w.rows if tuple(_plain(r[i]) for i in certain) == place] for w in worlds]
        where = tuple(zip((names[i] for i in certain), place, strict=True))
        found[Target("present", None, where)] = [float(bool(rows)) for rows in here]
        if max(map(len, here)) > 1:
            continue
        for i, column in enumerate(columns):
            if column.uncertain:
                found[Target("value", names[i], where)] = [_number(rows[0][i]) if rows else math.nan for rows in here]
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, list | dict):
        return str(value)
    if isinstance(value, datetime.datetime | datetime.date):
        return value.isoformat()
    return value


def _number(value: Any) -> float:
    """The number in a cell; infinity for what is none, which must be refused."""
    if value is None:
        return math.nan
    return math.inf if isinstance(value, str | datetime.date | list) else float(value)


def _captured(
    query: Any, targets: dict[Target, list[float]]
) -> tuple[dict[Target, list[float]], dict[str | None, tuple[str, str]], Any]:
    """The targets that have a relaxation, what is said of the others, and the capture of the former."""
    try:
        capture = query.capture(list(targets))
        assert not any(map(math.isinf, itertools.chain(*targets.values()))), "what is no number has a complaint"
        return targets, {}, capture
    except SQLError:
        pass
    kept: dict[Target, list[float]] = {}
    refused: dict[str | None, tuple[str, str]] = {}
    for target, values in targets.items():
        try:
            query.capture([target])
            kept[target] = values
        except SQLError as error:
            refused[target.column] = error.message, error.fragment or ""
    return kept, refused, query.capture(list(kept)) if kept else None


def _inside(rng: np.random.Generator, p: np.ndarray) -> np.ndarray:
    """Probabilities that are neither 0 nor 1; a regressor's numbers as they are."""
    return rng.dirichlet(np.full(p.shape[1], 3.0), len(p)).reshape(p.shape) if p.shape[1] > 1 else p


def _same(what: str, targets: Sequence[Target] | dict[Target, Any], found: np.ndarray, expected: np.ndarray) -> None:
    lines = [
        f"{what}: {t}: {f:.12g}, expected {e:.12g}"
        for t, f, e in zip(targets, found, expected, strict=True)
        if not (math.isclose(f, e, rel_tol=1e-9, abs_tol=1e-9) or (math.isnan(e) and (math.isnan(f) or f == 0)))
    ]  # a COUNT is 0, or NaN, where its group is not there
    assert not lines, "\n".join(lines)


def _expectation(program: Any, P: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Each target over all worlds: given that it is there and not NULL, and with 0 where it is not."""
    choices = [range(p.shape[1]) for p in P for _ in p]
    total, mass = 0.0, 0.0
    for world in itertools.product(*choices):
        codes, at, weight = [], 0, 1.0
        for p in P:
            code = np.array(world[at : at + len(p)], dtype=int)
            codes.append(code)
            at += len(p)
            weight *= float(p[np.arange(len(p)), code].prod()) if p.shape[1] > 1 else 1.0
        exact = program.exact(P, codes)
        total = total + weight * np.nan_to_num(exact)
        mass = mass + weight * np.isfinite(exact)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(total / mass), np.asarray(total)


def _slope(program: Any, P: Sequence[np.ndarray], relaxed: np.ndarray, rng: np.random.Generator) -> None:
    """The gradient against central differences."""
    weights = np.where(np.isfinite(relaxed) & (np.abs(relaxed) > 1e-6), rng.normal(size=len(relaxed)), 0.0)
    gradient, step = program.gradient(P, weights), 1e-5
    for _ in range(2):
        way = [rng.normal(size=p.shape) for p in P]
        way = [d - d.mean(axis=1, keepdims=True) if p.shape[1] > 1 else d for d, p in zip(way, P, strict=True)]
        moved = [program.relaxed([p + s * step * d for p, d in zip(P, way, strict=True)]) for s in (1, -1)]
        slope = float(np.nan_to_num((moved[0] - moved[1]) * weights).sum()) / (2 * step)
        inner = sum(float((g * d).sum()) for g, d in zip(gradient, way, strict=True))
        size = max(1.0, float(np.abs(np.nan_to_num(relaxed)) @ np.abs(weights)))
        assert math.isclose(inner, slope, rel_tol=1e-6, abs_tol=1e-6 * size), f"gradient {inner}, slope {slope}"
