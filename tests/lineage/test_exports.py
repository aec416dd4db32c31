"""Expressions over captured tuples mean what the engine means by them, for each row and each way predictions may be."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from lineage.small import database, infos, query
from rain_debug.errors import SQLError
from rain_debug.lineage import Axis
from rain_debug.lineage import exports as exports_module
from rain_debug.lineage.exports import Exports, Reading, as_double, kind_of
from rain_debug.sql import Expr, Plan, render

CLASS = "predict(m, u)"
TRUE = "predict(b, u)"
GRADE = "predict(k, s)"
P = "predict_proba(m, u, 'yes')"
P_NO = "predict_proba(m, u, 'no')"
Q = "predict_proba(k, s, 1)"


def read(*texts: str) -> tuple[Plan, Exports, list[Expr]]:
    """Expressions over t u and s, their plan, and what will be asked for."""
    items = ", ".join(f"{text} AS v{i}" for i, text in enumerate(texts))
    found = query(f"SELECT u.id, s.sid, predict(m, u) AS c, {items} FROM t u CROSS JOIN s")
    models = {name: info.classes for name, info in infos(found).items()}
    return found.plan, Exports(found.plan, database().engine, models), [o.expr for o in found.plan.outputs[3:]]


def fetched(plan: Plan, exports: Exports) -> Reading:
    items = ", ".join(exports.select_list() or ["1 AS one"])
    return Reading(exports, database().engine.table(f"SELECT {items} FROM {plan.from_sql} ORDER BY u.id, s.sid"))


def ways(plan: Plan, exports: Exports, e: Expr) -> list[tuple[dict[int, Any], list[int]]]:
    """The values of the predictions in `e`, in every combination, and where each lies on the axes.

    Of a probability those at its cuts and on both sides of each.
    """
    spaces: list[list[tuple[Any, str, int]]] = []
    for atom in (plan.atoms[k] for k in e.atoms):
        if atom.kind == "class":
            spaces.append([(label, "class", i) for i, label in enumerate(exports.classes[atom.model])])
            continue
        number = exports.axis(atom.index, "bin")
        cuts = exports.axes[number].cuts if number is not None else ()
        values = sorted({0.25, *(v + d for v, _ in cuts for d in (-0.01, 0.0, 0.01))})
        spaces.append([(p, "bin", sum(p > v or (p == v and not strict) for v, strict in cuts)) for p in values])
    found = []
    for way in itertools.product(*spaces):
        at = [0] * len(exports.axes)
        for k, (_, kind, state) in zip(e.atoms, way, strict=True):
            if (number := exports.axis(k, kind)) is not None:
                at[number] = state
        found.append(({k: value for k, (value, _, _) in zip(e.atoms, way, strict=True)}, at))
    return found


def expected(plan: Plan, e: Expr, every: list[dict[int, Any]]) -> list[list[Any]]:
    """What the engine says for each of these values of the predictions, by row."""
    engine = database().engine
    texts = [render(e.sql, lambda k, way=way: engine.literal(way[k])) for way in every]  # type: ignore[misc]
    items = ", ".join(f"{text} AS v{i}" for i, text in enumerate(texts))
    found = engine.table(f"SELECT {items} FROM {plan.from_sql} ORDER BY u.id, s.sid")
    return [found[f"v{i}"].to_list() for i in range(len(every))]


def cell(array: np.ndarray, row: int, at: list[int]) -> Any:
    return array[tuple(i if n > 1 else 0 for i, n in zip([row, *at], array.shape, strict=True))]


NUMBERS = {
    "predictions alone: a small table": [
        f"{CLASS} = 'yes'",
        f"CASE WHEN {CLASS} = 'no' THEN 3 WHEN {GRADE} > 1 THEN NULL ELSE {GRADE} END",
        f"{CLASS} LIKE 'y%'",
        f"{TRUE}",
        f"NOT {TRUE}",
        f"{GRADE} + 1",
        f"{GRADE} IN (0, 2)",
        f"nullif({GRADE}, 1)",
        "NULL",
        "2.5",
    ],
    "columns alone: the engine's": [
        "u.x",
        "u.fee * 2",
        "u.flag",
        "u.n + s.n",
        "u.seg IS NULL",
        "u.seg = s.seg",
        "u.day > DATE '2026-01-05'",
    ],
    "both, put together here": [
        f"{CLASS} = 'yes' AND u.flag",
        f"{CLASS} = 'yes' OR u.flag",
        f"NOT ({CLASS} = 'yes' AND u.flag)",
        f"u.flag = {TRUE}",
        f"u.n < {GRADE}",
        f"u.n <= {GRADE}",
        f"{GRADE} > u.n",
        f"{GRADE} >= u.n",
        f"{GRADE} <> u.n",
        f"({CLASS} = 'no' OR u.n > 0) AND ({GRADE} = 1 OR s.z > 1)",
        f"{GRADE} + u.n",
        f"{GRADE} - u.n",
        f"u.n - {GRADE}",
        f"-({GRADE} + u.n)",
        f"{GRADE} * u.fee",
        f"u.n / ({GRADE} + 1)",
        f"{GRADE} / u.x",
        f"({GRADE} + u.n) IS NULL",
        f"({GRADE} + u.n) IS NOT NULL",
        f"coalesce(u.n, {GRADE})",
        f"coalesce({GRADE} + u.n, s.n, -1)",
        f"CASE WHEN {CLASS} = 'yes' THEN u.fee END",
        f"CASE WHEN u.flag THEN {GRADE} WHEN {TRUE} THEN u.n ELSE -u.x END",
        f"CASE WHEN {CLASS} = 'yes' THEN u.flag ELSE {TRUE} END",
        f"CASE {GRADE} WHEN u.n THEN 1 WHEN 1 THEN u.x ELSE 7 END",
    ],
    "anything else: a column a combination": [
        f"u.seg = {CLASS}",
        f"u.seg || {CLASS} = 'ano'",
        f"abs(u.n - {GRADE})",
        f"greatest(u.n, {GRADE})",
        f"length({CLASS} || u.seg)",
        f"u.seg IN ({CLASS}, 'a')",
        f"({CLASS} || u.seg) IS NULL",
        f"{GRADE} % (u.n + 7)",
        f"CAST(u.x + {GRADE} AS INTEGER)",
        f"u.n BETWEEN {GRADE} AND 2",
        f"CASE WHEN u.seg || {CLASS} = 'ano' THEN {GRADE} * s.n ELSE u.n END",
        f"length(CASE WHEN {CLASS} = 'yes' THEN u.seg ELSE 'xyz' END)",
        f"coalesce({CLASS}, u.seg) = 'no'",
    ],
    "probabilities as numbers": [
        P,
        f"{P} + u.x",
        f"u.n - {P}",
        f"{P} * u.fee",
        f"{P} * {P}",
        f"({P} + {Q}) * ({P} - 2 * {Q})",
        f"-{P}",
        f"{P} / u.n",
        f"CASE WHEN u.flag THEN {P} ELSE u.n END",
        f"CASE WHEN {CLASS} = 'yes' THEN {P} * u.n WHEN u.flag THEN {Q} END",
        f"coalesce(u.n, {P})",
        f"coalesce({P} * u.n, {Q})",
        f"{P} - {P}",
    ],
    "probabilities in thresholds": [
        f"{P} > 0.5",
        f"{P} < 0.5",
        f"{P} >= 0.5",
        f"{P} <= 0.5",
        f"{P} = 0.5",
        f"{P} <> 0.5",
        f"0.5 > {P}",
        f"0.5 < {P}",
        f"0.5 >= {P}",
        f"0.5 <= {P}",
        f"0.5 = {P}",
        f"0.5 <> {P}",
        f"{P} > 0.3 AND {P} <= 0.6",
        f"NOT {P} > 0.5 OR u.flag",
        f"{P} BETWEEN 0.2 AND 0.4 OR {Q} > 0.4",
        f"CASE WHEN {P} > 0.5 AND u.flag THEN {P} WHEN {P} >= 0.5 THEN 2 ELSE u.n END",
        f"{P_NO} > 0.5 AND {P} > 0.2",
    ],
}


@pytest.mark.parametrize("what", NUMBERS)
def test_a_number_or_truth_value_is_what_the_engine_says(what: str) -> None:
    plan, exports, every = read(*NUMBERS[what])
    for e in every:
        exports.want(e)
    reading = fetched(plan, exports)
    for e in every:
        found, tried = reading.number(e), ways(plan, exports, e)
        assert found.null.ndim == reading.ndim == 1 + len(exports.axes)
        for (values, at), wanted in zip(tried, expected(plan, e, [values for values, _ in tried]), strict=True):
            for row, want in enumerate(wanted):
                assert cell(found.null, row, at) == (want is None), (e.sql, row, values)
                if want is not None:
                    have = sum(cell(c, row, at) * np.prod([values[k] for k in m]) for m, c in found.terms.items())
                    assert have == pytest.approx(float(want), nan_ok=True), (e.sql, row, values)


RAW = [
    CLASS,
    "u.seg",
    "u.day",
    "u.n",
    "NULL",
    f"{CLASS} || '!'",
    f"{CLASS} || u.seg",
    f"coalesce(u.seg, {CLASS})",
    f"CASE WHEN {CLASS} = 'yes' THEN u.seg ELSE {CLASS} END",
    f"{GRADE} * u.n",
    f"u.day + {GRADE}",
    "u.flag",
    f"u.seg < {CLASS}",
    f"CASE WHEN {P} > 0.5 THEN 'high' ELSE 'low' END",
    f"CASE WHEN {P} > 0.5 THEN u.seg WHEN {P} > 0.2 THEN {CLASS} END",
    f"CASE WHEN {P} <= 0.3 THEN 'low' WHEN u.flag THEN u.seg || {CLASS} WHEN {Q} > 0.4 THEN NULL ELSE 'other' END",
    f"CASE WHEN {P} > 0.5 THEN u.n ELSE {GRADE} END",
]


def test_a_value_of_any_type_is_what_the_engine_says() -> None:
    plan, exports, every = read(*RAW)
    for e in every:
        exports.want_raw(e)
    reading = fetched(plan, exports)
    for e in every:
        (values, null), tried = reading.raw(e), ways(plan, exports, e)
        for (way, at), wanted in zip(tried, expected(plan, e, [way for way, _ in tried]), strict=True):
            for row, want in enumerate(wanted):
                assert bool(cell(null, row, at)) == (want is None), (e.sql, row, way)
                if want is not None:
                    have = cell(values, row, at)
                    assert have == want and isinstance(have, str) == isinstance(want, str), (e.sql, row, way)


FETCHED = {
    "u.x + 1": ['"u"."x" + 1'],
    f"{GRADE} + 1": [],
    f"u.flag AND ({CLASS} = 'yes' OR u.n > {GRADE})": ['"u"."flag"', '"u"."n"'],
    f"coalesce(u.n, {GRADE} * u.n)": ['"u"."n"'],
    f"CASE WHEN u.flag THEN {P} ELSE u.x END": ['"u"."flag"', '"u"."x"'],
    f"abs(u.n - {TRUE}::INT)": [
        'ABS("u"."n" - CAST(FALSE AS INT))',
        'ABS("u"."n" - CAST(TRUE AS INT))',
    ],
    f"(u.seg || {CLASS}) IS NULL": ['("u"."seg" || \'no\') IS NULL', '("u"."seg" || \'yes\') IS NULL'],
    f"{P} > 0.5 AND u.flag": ['"u"."flag"'],
}


FETCHED_RAW = {
    CLASS: [],
    "u.seg": ['"u"."seg"'],
    f"CASE WHEN {CLASS} = 'yes' THEN u.seg END": [
        """CASE WHEN 'no' = 'yes' THEN "u"."seg" END""",
        """CASE WHEN 'yes' = 'yes' THEN "u"."seg" END""",
    ],
    f"CASE WHEN {P} > 0.5 AND u.flag THEN u.seg WHEN {CLASS} = 'no' THEN {CLASS} ELSE s.seg END": [
        '"u"."flag"',
        '"u"."seg"',
        '"s"."seg"',
    ],
}


def test_columns_are_asked_for_once_each() -> None:
    for text, columns in FETCHED_RAW.items():
        _, exports, (e,) = read(text)
        exports.want_raw(e)
        exports.want_raw(e)
        assert list(exports.columns) == columns, text
    for text, columns in FETCHED.items():
        _, exports, (e,) = read(text)
        exports.want(e)
        exports.want(e)
        assert exports.select_list() == [f"{c} AS c{i}" for i, c in enumerate(columns)], text


CUTS = {
    f"{P} > 0.5": [(0.5, True)],
    f"{P} <= 0.5": [(0.5, True)],
    f"{P} >= 0.5": [(0.5, False)],
    f"{P} < 0.5": [(0.5, False)],
    f"0.5 > {P}": [(0.5, False)],
    f"0.5 <= {P}": [(0.5, False)],
    f"0.5 < {P}": [(0.5, True)],
    f"{P} = 0.5": [(0.5, False), (0.5, True)],
    f"0.5 <> {P}": [(0.5, False), (0.5, True)],
    f"{P} > 0.1 + 0.5 AND {P} < 0.2": [(0.2, False), (0.6, True)],
    f"abs(CASE WHEN {P} > 0.9 THEN 1 ELSE u.x END)": [(0.9, True)],
}


def test_thresholds_cut_a_probability() -> None:
    for text, cuts in CUTS.items():
        plan, exports, _ = read(text)
        number = next(a.index for a in plan.atoms if a.kind == "proba")
        label = next(a.index for a in plan.atoms if a.kind == "class")
        axes = [(x.atom, x.kind, x.size) for x in exports.axes]
        assert axes == [(label, "class", 2), (number, "bin", len(cuts) + 1)], text
        assert exports.axes[1].cuts == tuple((pytest.approx(v), strict) for v, strict in cuts), text
        assert (exports.axis(label), exports.axis(number, "bin"), exports.axis(number)) == (0, 1, None)


def test_axes_stand_for_conditions_and_groups_too() -> None:
    some = f"CASE WHEN {P} >= 0.75 THEN u.seg END"
    found = query(f"SELECT count(*) FILTER (WHERE {P_NO} < 0.5) AS n FROM t u WHERE {P} > 0.25 GROUP BY {some}")
    exports = Exports(found.plan, database().engine, {"m": ("no", "yes")})
    assert exports.axes == (
        Axis(0, "bin", 3, ((0.25, True), (0.75, False))),
        Axis(1, "bin", 2, ((0.5, False),)),
    )


KINDS = {
    "u.x": "number",
    "u.fee": "number",
    "u.flag": "bool",
    "u.seg": "other",
    "u.day": "other",
    "NULL": "null",
    "null": "null",
    "1": "number",
    "'a'": "other",
    "TRUE": "bool",
    CLASS: "other",
    TRUE: "bool",
    GRADE: "number",
    P: "number",
    "u.x > 1": "bool",
    f"{CLASS} = 'yes' AND u.flag": "bool",
    f"({GRADE} + u.n) IS NULL": "bool",
    f"{GRADE} + u.n": "number",
    f"{GRADE} + NULL": "number",
    f"u.day + {GRADE}": "other",
    f"CASE WHEN {CLASS} = 'yes' THEN u.seg END": "other",
    f"CASE WHEN {CLASS} = 'yes' THEN u.x END": "number",
    f"CASE WHEN {CLASS} = 'yes' THEN u.x ELSE u.flag::INT END": "number",
    f"CASE WHEN {CLASS} = 'yes' THEN u.flag END": "bool",
    f"coalesce({GRADE} + u.n, NULL)": "number",
    f"CASE WHEN u.flag THEN {GRADE} ELSE u.n END": "number",
    f"CASE WHEN {CLASS} = 'yes' THEN NULL END": "number",
    f"abs({GRADE} - u.n)": "number",
    f"{CLASS} || u.seg": "other",
    f"abs({P})": "number",
}


def test_the_kind_of_a_value() -> None:
    _, exports, every = read(*KINDS)
    assert {e.sql: exports.kind(e) for e in every} == dict(zip((e.sql for e in every), KINDS.values(), strict=True))


def test_the_kind_of_a_type() -> None:
    types = {
        "number": ("TINYINT", "integer", "HUGEINT", "DOUBLE PRECISION", "FLOAT", "REAL", "numeric", "DECIMAL(3, 1)"),
        "bool": ("BOOLEAN", "bool"),
        "null": ("NULL", '"NULL"', "SQLNULL"),
        "other": ("VARCHAR", "DATE", "INTERVAL", "INTEGER[]", "DECIMAL(3, 1)[]", "TIMESTAMP", "BLOB"),
    }
    assert {kind: {kind_of(n) for n in names} for kind, names in types.items()} == {kind: {kind} for kind in types}


def test_numbers_and_truth_values_as_floats() -> None:
    engine = database().engine
    assert as_double(engine, "x", "number") == "CAST(x AS DOUBLE)"
    assert as_double(engine, "x", "bool") == "CAST(CAST(x AS INTEGER) AS DOUBLE)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"u.x / {P}", "a probability in a denominator is not supported"),
        (f"{P} > u.x", "a probability is compared with a plain number only"),
        (f"u.x < {P} + 1", "a probability is compared with a plain number only"),
        (f"sqrt({P} + u.x)", "SQRT of a probability is not supported"),
        (f"CASE WHEN u.flag THEN {P} ELSE u.seg END", "CASE of a probability is not supported"),
    ],
)
def test_what_cannot_be_put_together_is_refused(text: str, message: str) -> None:
    _, exports, (e,) = read(text)
    with pytest.raises(SQLError) as caught:
        exports.want(e)
    assert caught.value.message == message
    assert caught.value.hint


def test_text_is_no_number() -> None:
    plan, exports, (e,) = read(CLASS)
    with pytest.raises(SQLError) as caught:
        fetched(plan, exports).number(e)
    assert (caught.value.message, caught.value.fragment) == ("a value that is text is used as a number", CLASS)


def test_constants_are_asked_for_once_and_kept_by_the_engine_unless_they_vary(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    engine = database().engine
    for name in ("table", "constant"):
        ask = getattr(type(engine), name)
        monkeypatch.setattr(engine, name, lambda sql, name=name, ask=ask: asked.append(name) or ask(engine, sql), False)
    for text, how in (("1 + 2", "constant"), ("abs(2)", "table"), ("CURRENT_DATE", "table"), ("'local'", "table")):
        _, exports, (e,) = read(text)
        asked.clear()
        exports.scalar(e)
        assert asked[0] == how, text
        asked.clear()
        exports.scalar(e)
        assert asked == [], text


def test_few_combinations_of_classes_are_columns_and_many_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    plan, exports, (mixed, alone) = read(f"abs(u.n - {GRADE} - {TRUE}::INT)", f"abs({GRADE} - {TRUE}::INT)")
    monkeypatch.setattr(exports_module, "MAX_COMBINATIONS", 6)
    exports.want(mixed)
    assert len(exports.columns) == 6 and exports.class_only(alone)
    monkeypatch.setattr(exports_module, "MAX_COMBINATIONS", 5)
    with pytest.raises(SQLError) as caught:
        exports.want(mixed)
    assert caught.value.message == "this expression mixes columns with predictions of too many classes"
    assert caught.value.fragment == plan.sql[mixed.start : mixed.end]
    for most in (6, 5):
        monkeypatch.setattr(exports_module, "MAX_TABLE", most)
        assert exports.class_only(alone) == (most == 6)
