"""Looking inside a query: the plan and its rules, the formula of a cell, the rows behind it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

import rain_debug as rain
from rain_debug.engines import Table
from rain_debug.errors import ComplaintError, LineageError
from rain_debug.relax import Target

COUNT = "SELECT plan, count(*) AS n FROM users u WHERE predict(churn, u) = 'yes' GROUP BY plan ORDER BY plan"


@pytest.fixture(scope="module")
def db() -> Any:
    users = {
        "id": np.arange(6),
        "plan": np.array(["pro", "free", "free", "pro", "free", "pro"], dtype=object),
        "fee": np.array([5.0, 1.0, 2.0, 7.0, 3.0, 6.0]),
        "visits": np.array([2.0, 1.5, -0.5, 1.0, -1.0, 3.0]),
    }
    db = rain.connect({"users": users})
    visits = np.linspace(-2, 2, 40)
    records = {"visits": visits, "left": np.where(visits > 0.2, "yes", "no"), "worth": 3 * visits + 5}
    db.create_model("churn", LogisticRegression(), records, label="left", features=["visits"])
    db.create_model("worth", Ridge(), records, label="worth", features=["visits"])
    return db


def formula(db: Any, sql: str, column: str, **place: Any) -> list[str]:
    query = db.query(sql)
    return str(query.provenance(query.cell(column, **place))).split("\n")


def rules(db: Any, sql: str) -> dict[str, str]:
    """Column → its rules, as explain() prints them."""
    text = db.query(sql).explain().partition("\nrules\n")[2]
    found: dict[str, str] = {}
    for line in text.strip("\n").split("\n"):
        for word in ("exact", "approximate", "refused"):
            name, sign, rule = line.partition(f"  {word} ")
            if sign:
                found[name.strip()] = f"{word}: {rule.strip()}"
                break
    return found


def test_rows_and_variables_are_counted_once_however_many_cells_read_them(db: Any) -> None:
    text = db.query(COUNT).explain()
    assert "6 candidate tuples" in text
    assert "6 prediction variables of model 'churn'" in text


def test_the_formula_of_a_group(db: Any) -> None:
    assert formula(db, COUNT, "n", plan="free") == [
        "n where plan = 'free' =",
        "  count(*)  over",
        "    [churn(row 1) = 'yes']",
        "    [churn(row 2) = 'yes']",
        "    [churn(row 4) = 'yes']",
    ]


def test_the_formula_of_a_window_names_each_row_that_it_reads(db: Any) -> None:
    sql = f"WITH w AS ({COUNT}) SELECT plan, n - lag(n) OVER (ORDER BY plan) AS d FROM w"
    lines = formula(db, sql, "d", plan="pro")
    assert lines[1] == "  n - lag(n) OVER (ORDER BY plan)  over these rows"
    assert {f"churn(row {i}) = 'yes'" for i in range(6)} == {x.strip("[] ") for x in lines if "churn" in x}


def test_the_formula_of_an_aggregate_of_aggregates_goes_down_to_the_predictions(db: Any) -> None:
    sql = "WITH w AS (SELECT plan, sum(fee) AS s FROM users u WHERE predict(churn, u) = 'yes' GROUP BY plan) "
    lines = formula(db, sql + "SELECT max(s) AS m FROM w", "m")
    assert lines[1] == "  max(s)  over"
    assert "      sum(fee)  over" in lines
    assert {x.strip() for x in lines if "row 3" in x} == {"[churn(row 3) = 'yes']  fee = 7"}


def test_the_formula_of_a_number_names_its_prediction(db: Any) -> None:
    lines = formula(db, "SELECT id, predict(worth, u) AS w FROM users u", "w", id=2)
    assert lines[-1] == "    [always]  predict(worth, u) = worth(row 2)"


def test_a_formula_that_is_too_long_names_the_parts_of_the_query() -> None:
    n = 100
    db = rain.connect({"users": {"id": np.arange(n), "visits": np.linspace(-1, 1, n)}})
    records = {"visits": np.linspace(-2, 2, 40), "left": np.linspace(-2, 2, 40) > 0}
    db.create_model("churn", LogisticRegression(), records, label="left")
    query = db.query("WITH w AS (SELECT id % 2 AS k, count(*) AS n FROM users u WHERE predict(churn, u) GROUP BY k) "
                     "SELECT sum(n) AS s FROM w")  # fmt: skip
    with pytest.raises(LineageError) as caught:
        query.provenance(query.cell("s"))
    assert "query.part('w')" in str(caught.value.hint)
    assert query.parts == ("w",)


@pytest.mark.parametrize("look", ["provenance", "rows_behind"])
def test_what_is_no_cell_is_refused(db: Any, look: str) -> None:
    query, other = db.query(COUNT), db.query(COUNT)
    with pytest.raises(ComplaintError, match="a cell or a row was expected, not str"):
        getattr(query, look)("n")
    with pytest.raises(ComplaintError, match="belongs to another query"):
        getattr(query, look)(other.cell("n", plan="pro"))


def test_rows_behind_are_ordered_by_how_much_they_move_the_cell(db: Any) -> None:
    query = db.query("SELECT sum(fee) AS s FROM users u WHERE predict(churn, u) = 'yes'")
    table = query.rows_behind(query.cell("s"), limit=4)
    moved = table["sensitivity"].values
    assert np.all(np.diff(moved) <= 0)
    assert sorted(moved.tolist()) == [3.0, 5.0, 6.0, 7.0]
    assert table["row"].to_list() == ["3", "5", "0", "4"]


def test_a_table_prints_its_first_rows_below_names_and_kinds() -> None:
    lines = repr(Table.of(id=np.arange(12), name=["a", None] * 6)).split("\n")
    assert [line.split() for line in lines[:4]] == [["id", "name"], ["number", "text"], ["0", "a"], ["1", "NULL"]]
    assert len(lines) == 13 and lines[-1] == "… 2 more rows"


def test_each_column_has_its_own_rules(db: Any) -> None:
    found = rules(db, f"WITH w AS ({COUNT}) SELECT plan, n, n - lag(n) OVER (ORDER BY plan) AS d FROM w")
    assert found["n"].startswith("exact") and "LAG" not in found["n"]
    assert found["d"].startswith("approximate") and "LAG OVER by linearity" in found["d"]


@pytest.mark.parametrize(
    ("item", "rule"),
    [
        ("avg(CASE WHEN predict(churn, u) = 'yes' THEN 1 ELSE 0 END)", "exact: AVG by linearity"),
        ("avg(CASE WHEN predict(churn, u) = 'yes' THEN 1 END)", "approximate: AVG as a corrected ratio"),
        ("avg(predict(worth, u))", "exact: a group is there: 1 − Π(1 − w); AVG by linearity"),
        ("sum(predict(worth, u)) / avg(predict(worth, u))", "approximate: "),
    ],
)
def test_an_average_over_certain_rows_is_exact(db: Any, item: str, rule: str) -> None:
    assert rules(db, f"SELECT plan, {item} AS a FROM users u GROUP BY plan")["a"].startswith(rule)


@pytest.mark.parametrize(
    ("item", "word"),
    [
        ("lag(predict_proba(churn, u, 'yes')) OVER (ORDER BY id)", "exact"),
        ("avg(predict_proba(churn, u, 'yes')) OVER (ORDER BY id ROWS 2 PRECEDING)", "exact"),
        ("sum(predict(worth, u)) OVER (PARTITION BY plan)", "exact"),
        ("rank() OVER (ORDER BY predict_proba(churn, u, 'yes'))", "approximate"),
        ("predict(worth, u) / sum(predict(worth, u)) OVER ()", "approximate"),
    ],
)
def test_linear_windows_over_certain_rows_are_exact(db: Any, item: str, word: str) -> None:
    assert rules(db, f"SELECT id, {item} AS a FROM users u")["a"].startswith(word)
    uncertain = rules(db, f"SELECT id, {item} AS a FROM users u WHERE predict(churn, u) = 'yes'")
    assert uncertain["a"].startswith("approximate")


@pytest.mark.parametrize(
    "key", ["predict_proba(churn, u, 'yes') > 0.7", "NOT predict_proba(churn, u, 'yes') > 0.7 AND u.fee > 0"]
)
def test_a_threshold_may_be_the_group(db: Any, key: str) -> None:
    query = db.query(f"SELECT {key} AS likely, count(*) AS n FROM users u GROUP BY {key}")
    inside = db.query(f"SELECT likely, count(*) AS n FROM (SELECT {key} AS likely FROM users u) t GROUP BY likely")
    assert sorted(query.rows(), key=str) == sorted(inside.rows(), key=str)
    for row in query.rows():
        cell = query.cell("n", likely=row["likely"])
        assert len(query.rows_behind(cell)["row"]) == 6
    assert set(rules(db, query.sql)) == {"the row is there", "n"}


@pytest.mark.parametrize("name", ["max", "min"])
@pytest.mark.parametrize("op", ["<", "<=", ">", ">=", "=", "<>"])
def test_a_condition_on_an_extreme_is_exact(db: Any, name: str, op: str) -> None:
    query = db.query(f"SELECT plan, count(*) AS n FROM users u WHERE predict(churn, u) = 'yes' "
                     f"GROUP BY plan HAVING {name}(fee) {op} 6")  # fmt: skip
    fees = np.array([5.0, 7.0, 6.0])  # of the plan 'pro'
    capture = query.capture([Target("present", None, (("plan", "pro"),))])
    (block,) = capture.blocks
    p = np.array([0.3, 0.6, 0.9])[: block.n]
    fee = dict(zip([0, 3, 5], fees, strict=True))
    here = [fee[int(r)] for r in block.rids[:, 0]]
    holds = {
        "<": np.less,
        "<=": np.less_equal,
        ">": np.greater,
        ">=": np.greater_equal,
        "=": np.equal,
        "<>": np.not_equal,
    }
    expected = 0.0
    for world in np.ndindex(*(2,) * block.n):
        there = [x for x, w in zip(here, world, strict=True) if w]
        if there and holds[op](max(there) if name == "max" else min(there), 6.0):
            expected += float(np.prod([q if w else 1 - q for q, w in zip(p, world, strict=True)]))
    relaxed = capture.program.relaxed([np.stack([1 - p, p], axis=1)])
    assert relaxed[0] == pytest.approx(expected, abs=1e-12)
    assert capture.program.approximate == (False,)
