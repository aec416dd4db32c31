"""A prepared complaint is ranked as the first round of a run ranks it, whatever was solved before."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

import rain_debug as rain
from rain_debug import datasets, influence
from rain_debug.errors import ComplaintError, DebugError
from rain_debug.prepared.effects import Effects


def shop() -> tuple[Any, Any]:
    made = datasets.shop()
    db = rain.connect(made.frames())
    training = "SELECT * FROM churn_training"
    db.create_model("churn", LogisticRegression(), training, key="id", label="churned", features=list(made.features))
    return db, db.query(made.query)


COMPLAINTS: dict[str, Callable[[Any], Any]] = {
    "a direction": lambda q: q.cell("n", week="2026-11-09").too_low(),
    "a value, and a move": lambda q: [
        q.cell("n", week="2026-11-09").at_least(60),
        q.cell("n", week="2026-11-02").too_low(by=10),
    ],
    "a gap": lambda q: q.cell("n", week="2026-11-09").should_equal(q.cell("n", week="2026-10-05")),
    "a ratio": lambda q: q.cell("n", week="2026-11-09").ratio_to(q.cell("n", week="2026-10-05")).at_least(0.9),
    "what is right beside what is not": lambda q: [
        q.cell("n", week="2026-11-09").too_low(),
        q.cell("n", week="2026-10-05").is_right(),
    ],
    "a group, which is not among the numbers": lambda q: q.row(week="2026-11-09").should_not_exist(),
}


@pytest.mark.parametrize("kind", COMPLAINTS)
def test_the_order_and_the_scores_are_those_of_a_first_round(kind: str) -> None:
    db, query = shop()
    ready = db.prepare(query)
    assert len(ready) == 12
    complaints = COMPLAINTS[kind](query)
    expected = db.debug(complaints, budget=300, step=300, until="budget", progress=False).run.rounds[0].chosen
    found = ready.rank(complaints)
    keys = found.trained["churn"].records.keys
    assert keys[found.order(n=300)].tolist() == [c.key for c in expected]
    got = found.scores["churn"][[c.position for c in expected]]
    assert np.allclose(got, [c.score for c in expected], rtol=1e-5, atol=0)
    table = found.first(5)
    assert table.column("key") == [c.key for c in expected[:5]] and "source" in table.columns


def two_models(con: Any = None, n: int = 300) -> Any:
    rng = np.random.default_rng(3)
    x, z = rng.normal(size=(2, n))
    past = {
        "id": np.arange(n),
        "x": x,
        "z": z,
        "kind": np.where(x + z + rng.normal(size=n) > 0, "a", "b").astype(object),
        "price": 3 * x - z + rng.normal(size=n),
    }
    now = {"id": np.arange(150), "day": np.arange(150) // 50, "x": rng.normal(size=150), "z": rng.normal(size=150)}
    con = con or duckdb.connect()
    for name, frame in {"past": past, "now": now}.items():
        held = pd.DataFrame(frame)
        con.execute(f"CREATE TABLE {name} AS SELECT * FROM held")
        del held
    db = rain.connect(con)
    db.create_model("kind", LogisticRegression(), "SELECT * FROM past", key="id", label="kind", features=["x", "z"])
    db.create_model("price", Ridge(), "SELECT * FROM past", key="id", label="price", features=["x", "z"])
    return db


def test_two_queries_and_two_models_share_one_ranking() -> None:
    db = two_models()
    counts = db.query("SELECT day, count(*) AS n FROM now WHERE predict(kind, now) = 'a' GROUP BY day", name="counts")
    sums = db.query("SELECT day, sum(predict(price, now)) AS s FROM now GROUP BY day", name="sums")
    complaints = [counts.cell("n", day=1).too_high(), sums.cell("s", day=2).too_low(by=5.0)]
    expected = db.debug(complaints, budget=40, step=40, until="budget", progress=False).run.rounds[0].chosen
    found = db.prepare(counts, sums).rank(complaints).first(40)
    assert [(r["model"], r["key"]) for r in found] == [(c.model, c.key) for c in expected]
    one = db.prepare(counts).rank(complaints).first(40)
    assert [(r["model"], r["key"]) for r in one] == [(c.model, c.key) for c in expected]


def many_classes() -> tuple[Any, Any]:
    """A model of 1,610 parameters, whose curvature is not factored."""
    rng = np.random.default_rng(5)
    X, names = rng.normal(size=(400, 160)), [f"f{i}" for i in range(160)]
    label = np.char.add("c", (np.abs(X[:, :10]).argmax(axis=1)).astype(str)).astype(object)
    past = {"id": np.arange(400), "label": label, **{n: X[:, i] for i, n in enumerate(names)}}
    now = {"id": np.arange(90), "g": np.arange(90) // 30, **{n: rng.normal(size=90) for n in names}}
    db = rain.connect({"past": past, "now": now})
    db.create_model("m", LogisticRegression(C=0.1), "SELECT * FROM past", key="id", label="label", features=names)
    assert not db.models["m"].model.hessian(db.trained("m").records, None, db.models["m"].theta).cheap
    return db, db.query("SELECT g, count(*) AS n FROM now WHERE predict(m, now) = 'c3' GROUP BY g")


def test_conjugate_gradients_for_many_cells_end_where_those_for_one_do() -> None:
    db, query = many_classes()
    complaint = query.cell("n", g=1).too_high()
    expected = db.debug(complaint, budget=30, step=30, until="budget", progress=False).run.rounds[0].chosen
    found = db.prepare(query).rank(complaint)
    top = found.order("m", 30)
    assert np.allclose(found.scores["m"][top], [c.score for c in expected], rtol=2e-3)
    assert found.doubt == ""


def test_a_solve_that_falls_short_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    db, query = many_classes()
    strict = functools.partial(influence.ihvps, tolerance=1e-30)
    monkeypatch.setattr(influence, "ihvps", strict)
    found = db.prepare(query).rank(query.cell("n", g=1).too_high())
    assert re.match(r"the influence solves stopped after \d+ iterations at a residual of \d", found.doubt)
    assert str(found).startswith(found.doubt)


def test_all_eigenpairs_are_the_curvature_and_some_are_near_it() -> None:
    db, query = shop()
    complaint = COMPLAINTS["a direction"](query)
    exact, found = (db.prepare(query, eigenpairs=k).rank(complaint) for k in (None, 6))
    assert np.allclose(found.scores["churn"], exact.scores["churn"], rtol=1e-4, atol=1e-9)
    assert "by the 6 leading eigenpairs" in found.doubt and found.doubt in str(found)
    db, query = many_classes()
    complaint = query.cell("n", g=1).too_high()
    exact, few, more = (db.prepare(query, eigenpairs=k).rank(complaint).scores["m"] for k in (None, 20, 300))
    assert 0.2 < np.corrcoef(few, exact)[0, 1] < np.corrcoef(more, exact)[0, 1] - 0.2


def test_with_eigenpairs_any_place_costs_a_contraction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    db, query = many_classes()
    ready = db.prepare(query, eigenpairs=20, folder=tmp_path)

    def never(*given: Any) -> Any:
        raise AssertionError("the records were passed over")

    for name in ("products", "ihvps", "ihvp"):
        monkeypatch.setattr(influence, name, never)
    said = db.query("SELECT predict(m, now) AS p FROM now WHERE id = 5").rows()[0]["p"]
    complaint = db.prediction("m", 5, table="now").should_be("c3" if said != "c3" else "c4")
    found = ready.rank(complaint).scores["m"]
    assert found.any()
    again, same = many_classes()
    kept = again.prepare(same, eigenpairs=20, folder=tmp_path)
    other = again.prediction("m", 5, table="now").should_be("c3" if said != "c3" else "c4")
    assert np.allclose(kept.rank(other).scores["m"], found, rtol=1e-4, atol=1e-9)


def solved(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many columns each call solves from now on."""
    counts: list[int] = []
    plain = Effects._solved

    def counted(self: Effects, G: np.ndarray, start: Any) -> Any:
        counts.append(G.shape[1])
        return plain(self, G, start)

    monkeypatch.setattr(Effects, "_solved", counted)
    return counts


def test_without_records_it_is_as_if_they_had_never_been_there() -> None:
    db, query = shop()
    gone = [3, 14, 159, 265]
    ready = db.prepare(query, damping=0.01).without(gone).without({"churn": [358]})
    made = datasets.shop()
    fewer = rain.connect(made.frames())
    named = ", ".join(map(str, [*gone, 358]))
    rest = f"SELECT * FROM churn_training WHERE id NOT IN ({named})"
    fewer.create_model("churn", LogisticRegression(), rest, key="id", label="churned", features=list(made.features))
    alike = fewer.query(made.query)
    found = ready.rank(COMPLAINTS["a direction"](query))
    expected = fewer.prepare(alike, damping=0.01).rank(COMPLAINTS["a direction"](alike))
    keys = found.trained["churn"].records.keys
    left = ~np.isin(keys, [*gone, 358])
    assert np.allclose(found.scores["churn"][left], expected.scores["churn"], rtol=1e-5, atol=1e-12)
    assert not found.scores["churn"][~left].any()
    assert len(found.order()) == left.sum()
    with pytest.raises(DebugError, match="there is no record 99999 to remove"):
        ready.without([99999])


def test_rows_that_come_cost_only_the_cells_that_they_change(monkeypatch: pytest.MonkeyPatch) -> None:
    con = duckdb.connect()
    db = two_models(con)
    query = db.query("SELECT day, count(*) AS n FROM now WHERE predict(kind, now) = 'a' GROUP BY day")
    ready = db.prepare(query)
    counts = solved(monkeypatch)
    ready.refresh()
    assert sum(counts) == 0
    con.execute("INSERT INTO now SELECT id + 1000, 3, -x, z + 0.1 FROM now WHERE day = 0")
    con.execute("INSERT INTO now SELECT id + 2000, 1, -x, z - 0.1 FROM now WHERE day = 0")
    ready.refresh()
    assert sum(counts) == 2 and len(ready) == 4
    again = db.query(query.sql)
    for day in range(4):
        found = ready.rank(query.cell("n", day=day).too_high())
        expected = db.prepare(again).rank(again.cell("n", day=day).too_high())
        assert np.allclose(found.scores["kind"], expected.scores["kind"], rtol=1e-5, atol=1e-14)


def test_a_folder_keeps_it_for_the_next_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    db, query = shop()
    complaint = COMPLAINTS["a direction"](query)
    first = db.prepare(query, folder=tmp_path).rank(complaint)
    (file,) = tmp_path.iterdir()
    counts = solved(monkeypatch)
    other, again = shop()
    found = other.prepare(again, folder=tmp_path).rank(COMPLAINTS["a direction"](again))
    assert sum(counts) == 0 and np.array_equal(found.scores["churn"], first.scores["churn"])
    other.prepare(again, folder=tmp_path, damping=0.5)
    assert sum(counts) == 12 and len(list(tmp_path.iterdir())) == 2
    file.write_bytes(file.read_bytes()[:1000])
    found = other.prepare(again, folder=tmp_path).rank(COMPLAINTS["a direction"](again))
    assert sum(counts) == 24 and np.array_equal(found.scores["churn"], first.scores["churn"])


def test_a_changed_label_is_another_file(tmp_path: Path) -> None:
    db, query = shop()
    db.prepare(query, folder=tmp_path)
    made = datasets.shop()
    other = "CASE WHEN id <> 7 THEN churned WHEN churned = 'no' THEN 'yes' ELSE 'no' END"
    flipped = f"SELECT * REPLACE ({other} AS churned) FROM churn_training"
    changed = rain.connect(made.frames())
    how: dict[str, Any] = {"key": "id", "label": "churned", "features": list(made.features)}
    changed.create_model("churn", LogisticRegression(), flipped, **how)
    changed.prepare(changed.query(made.query), folder=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_in_the_background(monkeypatch: pytest.MonkeyPatch) -> None:
    db, query = shop()
    ready = db.prepare(query, background=True)
    assert ready.rank(COMPLAINTS["a direction"](query)).first(1).column("key")
    assert ready.done and repr(ready) == "<Prepared: 12 cells>"

    def broken(self: Effects, G: np.ndarray, start: Any) -> Any:
        raise MemoryError("no memory left")

    monkeypatch.setattr(Effects, "_solved", broken)
    failing = db.prepare(query, background=True)
    with pytest.raises(MemoryError, match="no memory left"):
        failing.rank(COMPLAINTS["a direction"](query))


def test_a_model_made_anew_is_prepared_anew() -> None:
    db, query = shop()
    ready = db.prepare(query)
    before = ready.rank(COMPLAINTS["a direction"](query))
    made = datasets.shop()
    training = "SELECT * FROM churn_training"
    how: dict[str, Any] = {"key": "id", "label": "churned", "features": list(made.features)}
    db.create_model("churn", LogisticRegression(C=0.01), training, **how)
    complaint = COMPLAINTS["a direction"](query)
    after = ready.rank(complaint)
    expected = db.debug(complaint, budget=10, until="budget", progress=False).run.rounds[0].chosen
    assert not np.allclose(before.scores["churn"], after.scores["churn"], rtol=0.1)
    assert after.first(10).column("key") == [c.key for c in expected]


def test_what_is_not_ready_is_made_so_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    db, query = shop()
    ready = db.prepare(query, most=1)
    counts = solved(monkeypatch)
    complaint = COMPLAINTS["a direction"](query)
    expected = db.prepare(query).rank(complaint)
    del counts[:]
    found = ready.rank(complaint)
    assert sum(counts) == 1 and len(ready) == 2
    assert np.allclose(found.scores["churn"], expected.scores["churn"], rtol=1e-5, atol=1e-14)
    ready.rank(complaint)
    assert sum(counts) == 1


def test_mistakes_are_told() -> None:
    db, query = shop()
    with pytest.raises(ComplaintError, match="there is no query to prepare"):
        db.prepare()
    with pytest.raises(ComplaintError, match="'SELECT 1' is not a query"):
        db.prepare("SELECT 1")
    for name in ("most", "eigenpairs"):
        with pytest.raises(DebugError, match=f"{name}=0 is not a whole number of at least 1"):
            db.prepare(query, **{name: 0})
    ready = db.prepare(query)
    with pytest.raises(ComplaintError, match="met before anything is removed"):
        ready.rank(query.cell("n", week="2026-11-09").at_least(1))
    with pytest.raises(DebugError, match="the complaints depend on no model 'chur'"):
        ready.rank(query.cell("n", week="2026-11-09").too_low()).order("chur")
    with pytest.raises(ComplaintError, match="holds no number and no row that predictions move"):
        db.prepare(db.query("SELECT string_agg(predict(churn, u), ',') AS all_of_them FROM users u"))
