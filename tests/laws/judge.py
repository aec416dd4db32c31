"""One generated query held to the laws: what Rain answers against what its twins do.

The verdict is "refused", "same", or what differs. Anything but a refusal by name (`REFUSALS`) is a difference.
"""

from __future__ import annotations

import math
import re
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from laws.shops import CLASSES, PAIRED, REGRESSOR, Case, Label
from laws.twins import Row, Twins, Worlds, differ
from rain_debug.errors import ComplaintError, EngineError, LineageError, SQLError
from rain_debug.relax import Target

REFUSALS = (SQLError, ComplaintError, LineageError)
MISLED = re.compile(r"there is no table|there is no column|is neither grouped by")
"""What a refusal may not say: the database accepts every generated query."""
DECIDED = frozenset({"limit", "rank", "row_number", "qualify"})
"""Features that the relaxed reading decides by the exact answer: their cells hold in the predicted world only."""
TARGETS = 8
"""Targets of one query at most."""


@dataclass(frozen=True)
class Verdict:
    """What came of one check: `why` names the refusal or the difference; how many targets were checked, how many of
    them the program calls exact, whether SQLite was asked too, and how far each approximate cell was off: its rule, and
    the error as a share of the cell's range or size over all worlds."""

    kind: Literal["same", "refused", "different"]
    why: str = ""
    n_targets: int = 0
    n_exact: int = 0
    in_sqlite: bool = False
    errors: tuple[tuple[str, float], ...] = ()


def _failure(error: Exception) -> Verdict:
    if isinstance(error, EngineError) and "INTERNAL Error" in str(error):
        return Verdict("refused", "DuckDB cannot run what Rain asks it: an INTERNAL error of its own")
    if isinstance(error, REFUSALS) and not MISLED.search(str(error)):
        return Verdict("refused", str(error).split("\n")[0])
    last = traceback.extract_tb(error.__traceback__)[-1]
    at = f"{last.filename.rpartition('rain_debug/')[2]}:{last.lineno}"
    return Verdict("different", f"{type(error).__name__} at {at}: {str(error)[:600]}")


def exact_verdict(twins: Twins, case: Case) -> Verdict:
    """Law 1: the rows that Rain answers with are those of DuckDB, and of SQLite, over predictions."""
    expected = twins.expected(case)
    lite = twins.in_sqlite(case)
    if lite is not None and (difference := differ(lite, expected)) and twins.is_stable(case):
        expected = twins.unoptimised(case)
        if differ(lite, expected):
            return Verdict("different", f"SQLite: {difference}")
    return replace(_answered(twins, case, expected), in_sqlite=lite is not None)


def _answered(twins: Twins, case: Case, expected: list[Row]) -> Verdict:
    try:
        return _as_expected(twins, case, twins.rain.query(case.sql()), expected)
    except Exception as error:
        return _failure(error)


def _as_expected(twins: Twins, case: Case, query: Any, expected: list[Row]) -> Verdict:
    found = [tuple(row.values()) for row in query.rows()]
    columns = tuple(query.columns)
    if columns != tuple(case.columns):
        return Verdict("different", f"columns {columns}, not {tuple(case.columns)}")
    difference = differ(found, expected, ordered="order_by" in case.features)
    if difference and twins.is_stable(case):
        return Verdict("different", difference)
    return Verdict("same")


def chances_of(twins: Twins, case: Case, seed: int) -> list[dict[Label, np.ndarray]]:
    """Two choices of the probabilities (n_rows, n_classes) of each label; alike where a query reads the numbers."""
    rng = np.random.default_rng([seed, 1])
    both: list[dict[Label, np.ndarray]] = [{}, {}]
    for label in sorted(case.used | case.chances):
        drawn = [rng.dirichlet(np.full(len(CLASSES[label[1]]), 2.0), len(twins.shop.codes(label))) for _ in both]
        for chances, new in zip(both, drawn, strict=True):
            chances[label] = drawn[0] if label in case.chances else new
    return both


def worlds_verdict(
    twins: Twins, case: Case, worlds: Worlds, chances: list[dict[Label, np.ndarray]], seed: int
) -> Verdict | None:
    """Laws 1 to 3: the answer is DuckDB's; relaxed at 0/1 is exact; relaxed is the expectation over all worlds, where
    the program says that it is exact; the gradient is the slope, always. None where no cell of the answer differs
    between worlds."""
    wanted = targets_of(case, worlds)
    if "limit" in case.features:  # a row that other rows keep out is there for Rain: worlds are those without LIMIT
        wanted = {t: v for t, v in wanted.items() if t.kind != "present"}
    if not wanted:
        return None
    try:
        query = twins.rain.query(case.sql())
        answer = _as_expected(twins, case, query, twins.expected(case))
        if answer.kind == "different":
            return answer
        targets, capture = _captured(query, list(wanted))
        if capture is None:
            return Verdict("refused", "no target can be captured")
        values = [wanted[t] for t in targets]
        return _held(case, worlds, targets, values, capture, np.random.default_rng(seed), twins, chances)
    except Exception as error:
        return _failure(error)


def targets_of(case: Case, worlds: Worlds) -> dict[Target, np.ndarray]:
    """Targets on places that predictions decide; for each, (2, n_worlds): its value in every world, NaN where NULL or
    absent, and whether its row is there."""
    columns = list(case.columns)
    names = tuple(columns) if case.key is None else case.key
    places = worlds.places(columns, names)
    found: dict[Target, np.ndarray] = {}
    for key in sorted(places or {}, key=repr):
        rows = places[key]  # type: ignore[index]
        where = tuple(zip(names, key, strict=True))
        there = np.array([row is not None for row in rows], dtype=float)
        here = []
        if (there.min() < 1 or case.reads_numbers) and where:
            here.append((Target("present", None, where), np.array([there, np.ones(len(rows))])))
        for i, (column, kind) in enumerate(case.columns.items()):
            if column in names:
                continue
            cells = [None if row is None else row[i] for row in rows]
            moves = len(set(cells)) > 1 or (case.reads_numbers and kind in ("int", "num", "bool"))
            if not moves or (len(set(cells)) == 2 and None in cells and kind in ("text", "date")):
                continue
            if kind in ("int", "num", "bool"):
                numbers = np.array([math.nan if c is None else float(c) for c in cells])
                here.append((Target("value", column, where), np.array([numbers, there])))
            elif kind == "text":
                value = next(c for c in cells if c is not None)
                equal = np.array([float(c == value) for c in cells])
                here.append((Target("is", column, where, value), np.array([equal, there])))
        if len(found) + len(here) > TARGETS:
            break
        found.update(here)
    return found


def _captured(query: Any, targets: list[Target]) -> tuple[list[Target], Any]:
    """The targets that are not refused, and their capture."""
    try:
        return targets, query.capture(targets)
    except ComplaintError:
        pass
    kept = []
    for target in targets:
        try:
            query.capture([target])
            kept.append(target)
        except ComplaintError:
            continue
    return kept, query.capture(kept) if kept else None


def _held(
    case: Case,
    worlds: Worlds,
    targets: list[Target],
    values: list[np.ndarray],
    capture: Any,
    rng: Any,
    twins: Twins,
    chances: list[dict[Label, np.ndarray]],
) -> Verdict:
    program = capture.program
    at = [_rows_of(twins, block) for block in capture.blocks]
    predicted = {label: np.array(twins.shop.codes(label), dtype=int) for label in case.used}
    home = next(
        w for w in range(len(worlds.answers)) if all((worlds.labels[x][w] == predicted[x]).all() for x in predicted)
    )
    P = [_per_variable(twins, chances[0], block.model, rows) for block, rows in zip(capture.blocks, at, strict=True)]
    known, there = np.moveaxis(np.array(values), 1, 0)
    absent = np.isnan(known)
    spread = np.array(["Φ" in " ".join(map(str, rule)) for rule in program.rules()])  # of a regressor's residuals
    others = rng.choice(len(worlds.answers), size=min(5, len(worlds.answers)), replace=False).tolist()
    for world in [home, *others]:
        codes = [
            _codes(twins, worlds, world, block.model, rows) for block, rows in zip(capture.blocks, at, strict=True)
        ]
        exact = program.exact(P, codes)
        comparable = not DECIDED & case.features or (world == home and not case.chances)
        if comparable:
            wrong = ~absent[:, world] & ~np.isclose(exact, known[:, world], rtol=1e-9, atol=1e-9)
            if wrong.any():
                what = f"law 1: exact in world {_world(worlds, world)}"
                return _different(what, targets, exact, known[:, world], wrong)
        one_hot = [p if p.shape[1] == 1 else np.eye(p.shape[1])[c] for p, c in zip(P, codes, strict=True)]
        exact = program.exact(one_hot, codes) if case.chances else exact
        relaxed = program.relaxed(one_hot)
        root = 1e-7 if "variance" in case.features else 1e-9
        wrong = np.isfinite(exact) & ~np.isclose(relaxed, exact, rtol=1e-9, atol=root) & ~spread
        if wrong.any() and comparable:
            return _different(f"law 2: relaxed at world {_world(worlds, world)}", targets, relaxed, exact, wrong)

    relaxed = program.relaxed(P)
    approximate, errors = np.array(program.approximate, dtype=bool), []
    again = program.relaxed(
        [_per_variable(twins, chances[1], b.model, rows) for b, rows in zip(capture.blocks, at, strict=True)]
    )
    weights = [worlds.probability(chance) for chance in chances]
    bounds = program.bounds()
    for t, target in enumerate(targets):
        if approximate[t]:
            ends = bounds[t] if target.kind == "value" else (0.0, 1.0)
            # Of two tuples with a chance of 1e-9 to be there, rounding leaves seven digits.
            digits = 1e-6 if "variance" in case.features else 1e-9
            if problem := _outside(known[t], (relaxed[t], again[t]), *ends, digits):
                return Verdict("different", f"law 3: {target}: {problem}")
            if not np.isfinite(relaxed[t]) or absent[t].all():
                continue
            ends = float(np.nanmin(known[t])), float(np.nanmax(known[t]))
            size = max(ends[1] - ends[0], *map(abs, ends)) if target.kind == "value" else 1.0
            size = size if size > 1e-9 else 1.0  # a cell that is always 0
            off = min(abs(relaxed[t] - e) for e in _expectations(known[t], there[t], weights[0]))
            errors.append((program.rules()[t][0], float(off / size)))
            continue
        if not _is_expected(known[t], there[t], weights, (relaxed[t], again[t])):
            given, sums, _ = zip(*(_expectations(known[t], there[t], w) for w in weights), strict=True)
            what = f"relaxed {relaxed[t]:.12g}, {again[t]:.12g}; expected {given} given that it is there, {sums} in all"
            return Verdict("different", f"law 3: {target}: {what}")
    if problem := _slope(program, P, relaxed, rng):
        return Verdict("different", problem)
    return Verdict("same", n_targets=len(targets), n_exact=int((~approximate).sum()), errors=tuple(errors))


def _outside(values: np.ndarray, relaxed: tuple[float, float], low: float, high: float, digits: float) -> str | None:
    """What leaves the bound that is stated for a cell: its value in a world, or its relaxed value."""
    slack = digits * max(abs(x) for x in (low, high, 1.0) if math.isfinite(x))
    for what, found in (("in a world it is", values), ("relaxed it is", np.array(relaxed))):
        wrong = np.isfinite(found) & ~((low - slack <= found) & (found <= high + slack))
        if wrong.any():
            return f"{what} {found[wrong][0]:.12g}, out of [{low:.12g}, {high:.12g}]"
    return None


def _expectations(values: np.ndarray, there: np.ndarray, weight: np.ndarray) -> tuple[float, float, float]:
    """Of a cell where it is known; of the cell with 0 where it is not; and of that where its row is there."""
    known = ~np.isnan(values)
    total, chance = float(weight[known] @ values[known]), float(weight @ there)
    return (
        total / float(weight[known].sum()) if known.any() else math.nan,
        total,
        total / chance if chance else math.nan,
    )


def _is_expected(
    values: np.ndarray, there: np.ndarray, weights: Sequence[np.ndarray], relaxed: tuple[float, float]
) -> bool:
    """The expectation of the cell where it is known; where its row is there, NULL as 0; or in all worlds, with one
    constant where the row is not there, as the value of a COUNT over nothing is; NULL where it always is."""
    if np.isnan(values).all() and np.isnan(relaxed).all():
        return True
    both = [_expectations(values, there, w) for w in weights]
    for reading in (0, 2):
        pairs = zip(relaxed, [b[reading] for b in both], strict=True)
        if all(math.isclose(r, e, rel_tol=1e-9, abs_tol=1e-9) for r, e in pairs):
            return True
    missing = [float(w[np.isnan(values)].sum()) for w in weights]
    if min(missing) < 1e-9:
        return False
    fills = [(r - total) / m for r, (_, total, _), m in zip(relaxed, both, missing, strict=True)]
    return math.isclose(*fills, rel_tol=1e-6, abs_tol=1e-6)


def _slope(program: Any, P: list[np.ndarray], relaxed: np.ndarray, rng: Any) -> str | None:
    smooth = np.isfinite(relaxed) & (np.abs(relaxed) > 1e-6)  # at 0 a root of a spread has no slope
    weights = np.where(smooth, rng.normal(size=len(relaxed)), 0.0)
    gradient = program.gradient(P, weights)
    step = 1e-5

    def change(step: float, direction: list[np.ndarray]) -> float:
        moved = [program.relaxed([p + s * step * d for p, d in zip(P, direction, strict=True)]) for s in (1, -1)]
        return float(np.nan_to_num((moved[0] - moved[1]) * weights).sum())

    for _ in range(2):
        moves = [rng.normal(size=p.shape) for p in P]
        direction = [  # probabilities go on adding up to 1
            m - m.mean(axis=1, keepdims=True) if m.shape[1] > 1 else m for m in moves
        ]
        near, far = change(step / 2, direction) / step, change(step, direction) / (2 * step)
        slope = (4 * near - far) / 3  # what curves is left out
        inner = sum(float((g * d).sum()) for g, d in zip(gradient, direction, strict=True))
        size = max(1.0, float(np.abs(np.nan_to_num(relaxed)) @ np.abs(weights)))
        own = 3 * abs(near - far)  # a difference that two steps do not agree on, as of a chance of 1e-9, is rounding
        rounding = abs(change(1e-12, direction))  # so is what there is next to nothing, unless it is a jump
        own += 30 * rounding / step if rounding < 1e-6 * size else 0.0
        if not math.isclose(inner, slope, rel_tol=1e-6, abs_tol=1e-6 * size + own):
            return f"gradient: {inner:.12g} along a direction, the slope is {slope:.12g}"
    return None


def _rows_of(twins: Twins, block: Any) -> list[tuple[str, int]]:
    """The table and row of each variable of a block, or the tables and the pair of rows, told by its features."""
    model, shop = block.model, twins.shop
    homes = [t for t, table in shop.tables.items() if model in table.labels]
    if model == PAIRED:
        places = [f"{a}*{b}" for a in homes for b in homes]
        where = {pair: (place, i) for place in places for i, pair in enumerate(shop.pairs(place))}
        return [where[pair] for pair in zip(block.table["one"].to_list(), block.table["other"].to_list(), strict=True)]
    found = {shop.feature(t, model, row): (t, row) for t in homes for row in range(len(shop.tables[t].rows))}
    return [found[round(float(v), 6)] for v in block.table[f"f_{model}"].to_list()]


def _numbers(twins: Twins, rows: list[tuple[str, int]]) -> np.ndarray:
    return np.array([twins.shop.feature(t, REGRESSOR, row) for t, row in rows])


def _per_variable(
    twins: Twins, chances: dict[Label, np.ndarray], model: str, rows: list[tuple[str, int]]
) -> np.ndarray:
    """(n, n_classes) probabilities; (n, 1) numbers of the regressor."""
    if model == REGRESSOR:
        return _numbers(twins, rows).reshape(-1, 1)
    return np.array([chances[t, model][row] for t, row in rows]).reshape(len(rows), len(CLASSES[model]))


def _codes(twins: Twins, worlds: Worlds, world: int, model: str, rows: list[tuple[str, int]]) -> np.ndarray:
    """(n,) the class of each variable in a world; the regressor's number."""
    if model == REGRESSOR:
        return _numbers(twins, rows)
    known = {t: worlds.labels[t, model][world] if (t, model) in worlds.labels else twins.shop.codes((t, model))
             for t, _ in rows}  # fmt: skip
    return np.array([known[t][row] for t, row in rows], dtype=int)


def _world(worlds: Worlds, world: int) -> str:
    return ", ".join(f"{t}.{m} = {[CLASSES[m][c] for c in codes[world]]}" for (t, m), codes in worlds.labels.items())


def _different(what: str, targets: list[Target], found: np.ndarray, expected: np.ndarray, wrong: np.ndarray) -> Verdict:
    lines = [
        f"{t}: {f:.12g}, expected {e:.12g}" for t, f, e, w in zip(targets, found, expected, wrong, strict=True) if w
    ]
    return Verdict("different", f"{what}: " + "; ".join(lines[:4]))


def rows_text(rows: list[Row]) -> list[str]:
    """Rows as the `.test` files write them."""
    return [
        ", ".join("NULL" if v is None else str(v).lower() if isinstance(v, bool) else str(v) for v in row)
        for row in rows
    ]
