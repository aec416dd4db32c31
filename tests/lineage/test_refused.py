"""Cells that have an answer and no relaxation: refused when they are complained about, the fragment underlined."""

from __future__ import annotations

from pathlib import Path

import pytest

from rain_debug.errors import SQLError
from rain_debug.relax import Target
from sql.test_sql_files import database

P = "predict_proba(churn, u, 'yes')"
YES = "WHERE predict(churn, u) = 'yes'"

CASES = {
    f"SELECT sum(u.fee / {P}) AS v FROM users u": ("a probability in a denominator is not supported", P),
    f"SELECT count(*) AS v FROM users u WHERE {P} > u.x": (
        "a probability is compared with a plain number only",
        f"{P} > u.x",
    ),
    f"SELECT count(*) AS v FROM users u WHERE {P} + u.x > 0.5": (
        "a probability is compared with a plain number only",
        f"{P} + u.x > 0.5",
    ),
    f"SELECT sum(abs({P})) AS v FROM users u": ("ABS of a probability is not supported", f"abs({P})"),
    f"SELECT sum(abs(CASE WHEN u.x > 1 THEN CASE u.plan WHEN 'END' THEN {P} END ELSE 2 END)) AS v FROM users u": (
        "ABS of a probability is not supported",
        f"abs(CASE WHEN u.x > 1 THEN CASE u.plan WHEN 'END' THEN {P} END ELSE 2 END)",
    ),
    f"SELECT count(DISTINCT {P}) AS v FROM users u": (
        "COUNT_DISTINCT of numbers that predictions move is not supported",
        f"count(DISTINCT {P})",
    ),
    "SELECT string_agg(predict(churn, u), ',') AS v FROM users u": (
        "STRING_AGG cannot be complained about: it has no relaxation",
        "string_agg(predict(churn, u), ',')",
    ),
    f"SELECT median(u.x) AS v FROM users u {YES}": (
        "MEDIAN cannot be complained about: it has no relaxation",
        "median(u.x)",
    ),
    f"SELECT sum(u.x) % 2 AS v FROM users u {YES}": (
        "MOD of a number that predictions move is not supported",
        "sum(u.x) % 2",
    ),
    f"SELECT sum(1 / (u.x - 1)) AS v FROM users u {YES}": (
        "SUM of what is infinite or NaN in some row cannot be complained about",
        "sum(1 / (u.x - 1))",
    ),
    f"SELECT avg((u.x - 1) / (u.x - 1)) AS v FROM users u {YES}": (
        "AVG of what is infinite or NaN in some row cannot be complained about",
        "avg((u.x - 1) / (u.x - 1))",
    ),
    f"SELECT var_pop(1 / (u.x - 1)) AS v FROM users u {YES}": (
        "VAR_POP of what is infinite or NaN in some row cannot be complained about",
        "var_pop(1 / (u.x - 1))",
    ),
}


@pytest.mark.parametrize("sql", CASES)
def test_it_is_underlined(sql: str) -> None:
    query = database(Path(__file__).parents[1] / "sql" / "nested.test", "duckdb").query(sql)
    assert len(query.rows()) == 1
    with pytest.raises(SQLError) as caught:
        query.capture([Target("value", "v")])
    assert (caught.value.message, caught.value.fragment) == CASES[sql]
    assert caught.value.hint, "a refusal says what to do instead"
