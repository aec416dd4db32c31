"""A run that stops in the middle and is taken up ends as if it had never stopped, whatever it ranks and fixes with."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline

import rain_debug as rain
from rain_debug.debugger.drift import Drift
from rain_debug.debugger.durable import Carried
from rain_debug.debugger.evidence import Assessment, Signs
from rain_debug.debugger.wire import Packed, round_of, round_text
from rain_debug.engines.table import Table
from rain_debug.errors import DebugError, ModelError, RainError, StoreError
from rain_debug.rankers import RANKERS
from rain_debug.store import Journal
from rain_debug.store.journal import SCHEMA, TABLES

N = 240


class Killed(BaseException):
    """Stands in for SIGKILL: nothing of ours may handle it. `tests/durability/kills.py` uses the real one."""


def data(seed: int = 0) -> dict[str, Table]:
    """Two classes, of which a corner of the training labels is wrong."""
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=(2, N))
    y = (x + 0.5 * z + 0.3 * rng.normal(size=N) > 0).astype(int)
    wrong = (x > 0.4) & (z > 0)
    train = {"id": np.arange(N), "x": x, "z": z, "y": np.where(wrong, 0, y), "price": 3 * x - z - 2.0 * wrong}
    a, b = rng.normal(size=(2, N))
    return {"train": Table.of(**train), "now": Table.of(id=np.arange(N), x=a, z=b)}


def database(model: Any = None, source: Any = None) -> Any:
    db = rain.connect(data() if source is None else source)
    db.create_model(
        "m", LogisticRegression() if model is None else model, "SELECT id, x, z, y FROM train", key="id", label="y"
    )
    return db


def complaint(db: Any) -> Any:
    query = db.query("SELECT count(*) AS n FROM now WHERE predict(m, now) = 1", name="q")
    return query.cell("n").too_low(by=25)


def content(path: Path) -> list[str]:
    """All of a run's file but its times."""
    with sqlite3.connect(path) as con:
        assert con.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return [line for line in con.iterdump() if '"clock"' not in line]


def until(number: int) -> Callable[[Any], None]:
    def stop(done: Any) -> None:
        if done.number == number:
            raise Killed

    return stop


def both(path: Path, make: Callable[[], Any], ask: Callable[[Any], Any], at: tuple[int, ...], **settings: Any) -> Any:
    """The report left alone, once one that was stopped after each round of `at` is seen to be the same; those below 1
    count from the last."""
    alone = path / "alone.rain"
    db = make()
    expected = db.debug(ask(db), run=alone, progress=False, **settings)
    again = path / "again.rain"
    for asked in at:
        number = asked if asked > 0 else len(expected.rounds) + asked
        assert len(expected.rounds) > number, "the run is too short to be stopped there"
        db = make()
        with pytest.raises(Killed):
            db.debug(ask(db), run=again, resume=True, progress=False, on_round=until(number), **settings)
    db = make()
    found = db.debug(ask(db), run=again, resume=True, progress=False, **settings)
    assert found.to_json() == expected.to_json()
    assert content(again) == content(alone)
    return expected


@pytest.mark.parametrize("ranker", sorted(RANKERS))
def test_every_ranker_goes_on_where_it_stood(tmp_path: Path, ranker: str) -> None:
    settings = {"budget": 32, "step": 4, "until": "budget"}
    both(tmp_path, database, complaint, (1, 6), ranker=ranker, **settings)


@pytest.mark.parametrize("fix", ["relabel", "auto"])
def test_labels_that_were_changed_stay_changed(tmp_path: Path, fix: str) -> None:
    both(tmp_path, database, complaint, (3,), budget=30, step=5, until="budget", fix=fix)


def test_records_that_were_repaired_stay_repaired(tmp_path: Path) -> None:
    def higher(records: Table) -> dict[str, Any]:
        return {"x": records["x"].values, "z": -np.abs(records["z"].values)}

    report = both(tmp_path, database, complaint, (3,), budget=30, step=5, until="budget", fix=higher)
    assert any(c.fix.kind == "repair" for r in report.rounds for c in r.chosen)


def test_a_regressor_and_a_classifier_go_on_together(tmp_path: Path) -> None:
    def make() -> Any:
        db = database()
        db.create_model("price", Ridge(), "SELECT id, x, z, price FROM train", key="id", label="price")
        return db

    def ask(db: Any) -> Any:
        total = db.query("SELECT sum(predict(price, now)) AS s FROM now", name="p")
        return [complaint(db), total.cell("s").too_high(by=20)]

    both(tmp_path, make, ask, (3,), budget=24, step=4, until="budget", spare={"m": [3, 5]})


def test_trees_are_grown_again(tmp_path: Path) -> None:
    def make() -> Any:
        return database(RandomForestClassifier(5, min_samples_leaf=20, random_state=0))

    both(tmp_path, make, complaint, (3,), budget=15, step=3, until="budget")


def test_factors_of_earlier_rounds_are_no_part_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred million multiply-adds: H is factored in one round and used in others."""
    from rain_debug.debugger import loop

    anew: list[bool] = []
    real = loop.fresh
    monkeypatch.setattr(loop, "fresh", lambda done, every: (anew.append(real(done, every)), anew[-1])[1])
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2600, 200))
    y = (X[:, 0] + X[:, 1] + rng.normal(size=2600) > 0).astype(int)
    y[(y == 1) & (X[:, 2] > 1)] = 0
    names = [f"x{i}" for i in range(200)]
    train = Table.of(y=y, **dict(zip(names, X.T, strict=True)))
    now = Table.of(**dict(zip(names, rng.normal(size=(200, 300)), strict=True)))

    def make() -> Any:
        db = rain.connect({"train": train, "now": now})
        db.create_model("m", LogisticRegression(), "SELECT * FROM train", label="y")
        return db

    def ask(db: Any) -> Any:
        return db.query("SELECT count(*) AS n FROM now WHERE predict(m, now) = 1", name="q").cell("n").too_low(by=40)

    report = both(tmp_path, make, ask, (8,), budget=20, step=2, until="budget", ranker="gradient_similarity")
    assert anew[: len(report.rounds)] == [done in (5, 10) for done in range(len(report.rounds))]


def test_a_solve_begins_where_the_last_one_ended(tmp_path: Path) -> None:
    """More words than are solved for at once: conjugate gradients, whose digits depend on where they begin."""
    rng = np.random.default_rng(0)
    words = np.array([f"w{i}" for i in range(1600)], dtype=object)

    def texts(n: int, y: np.ndarray) -> np.ndarray:
        lean = np.where(y[:, None], np.arange(1600) % 2, 0.5) + 0.2
        return np.array([" ".join(rng.choice(words, 30, p=p / p.sum())) for p in lean[:n]], dtype=object)

    y = rng.integers(0, 2, 200)
    train = Table.of(body=texts(200, y), y=np.where(rng.random(200) < 0.2, 0, y))
    now = Table.of(body=texts(60, rng.integers(0, 2, 60)))

    def make() -> Any:
        db = rain.connect({"train": train, "now": now})
        model = make_pipeline(CountVectorizer(), LogisticRegression())
        db.create_model("m", model, "SELECT * FROM train", label="y", features=["body"])
        return db

    report = both(tmp_path, make, complaint, (3,), budget=15, step=3, until="budget")
    assert any((o.solver_iterations or 0) > 1 for r in report.rounds for o in r.outcomes)


def test_what_there_was_to_say_is_said_again(tmp_path: Path) -> None:
    """A class runs out: its starving is told in one round, that it is cut short there ends the run in the next."""
    source = data()
    source["train"]["y"].values[:] = np.arange(N) % 16 == 0

    def make() -> Any:
        return database(source=source)

    report = both(tmp_path, make, complaint, (-1,), budget=230, step=20, until="budget", ranker="random")
    assert report.stopped == "last of a class" and any("starved" in w for w in report.warnings)


def test_all_that_a_round_leaves_to_the_next_is_read_as_it_was_written() -> None:
    signs = Signs(7, 0.5, float("nan"), 0.1, 3, 0.2, 4, 0.0, "no", "yes")
    drift = Drift("fee", "now", 1e-9, 0.25, "0 to 9", "11")
    left = Carried(
        {"m": np.array([1.0, -0.0]), "k": None},
        {"m": np.array([0.1])},
        {"plan": (np.arange(3), None)},
        ["a class is starved"],
        True,
        Assessment("no evidence", "drift", "words", signs, (drift,)),
    )
    packed = left.packed()
    assert packed is not None and repr(Carried.of(packed)) == repr(left)
    assert all(value != Carried({}, {}).__dict__[name] for name, value in vars(left).items()), (
        "nothing is at its default"
    )


def test_rounds_are_told_once_each(tmp_path: Path) -> None:
    db, seen = database(), []
    with pytest.raises(Killed):
        db.debug(complaint(db), budget=20, step=2, run=tmp_path / "a", on_round=until(4), progress=False)
    db.debug(complaint(db), budget=20, step=2, run=tmp_path / "a", resume=True, on_round=seen.append, progress=False)
    assert [r.number for r in seen] == list(range(1, len(seen) + 1)) and len(seen) > 4


def test_ctrl_c_keeps_the_report_and_the_way_on(tmp_path: Path) -> None:
    db = database()
    whole = db.debug(complaint(db), budget=20, step=2, until="budget", run=tmp_path / "a", progress=False)

    def stop(done: Any) -> None:
        if done.number == 3:
            raise KeyboardInterrupt

    settings = {"budget": 20, "step": 2, "until": "budget", "run": tmp_path / "b", "progress": False}
    assert db.debug(complaint(db), on_round=stop, **settings).stopped == "interrupted"
    assert db.debug(complaint(db), resume=True, **settings).to_json() == whole.to_json()


# -- what breaks in between -------------------------------------------------------------------------------------------


def test_a_model_whose_fit_raises_is_named_and_nothing_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {
        "budget": 15,
        "step": 3,
        "until": "budget",
        "ranker": "loss",
        "run": tmp_path / "run",
        "progress": False,
    }
    db, rounds = database(), []
    model, real = db.models["m"].model, type(db.models["m"].model).fit

    def fit(self: Any, *given: Any) -> Any:
        rounds.append(1)
        if len(rounds) == 3:
            raise MemoryError("no room for the factors\nof H")
        return real(self, *given)

    asked = complaint(db)
    monkeypatch.setattr(type(model), "fit", fit)
    with pytest.raises(ModelError, match=r"model 'm' cannot be fitted after 6 fixes: MemoryError: no room") as error:
        db.debug(asked, **settings)
    assert error.value.where == "round 3" and error.value.hint
    monkeypatch.setattr(type(model), "fit", real)
    found = db.debug(asked, resume=True, **settings)
    assert found.to_json() == db.debug(asked, **{**settings, "run": None}).to_json()


def test_what_changed_in_between_is_seen(tmp_path: Path) -> None:
    settings = {"budget": 20, "step": 2, "until": "budget", "run": tmp_path / "run", "progress": False}
    db = database()
    with pytest.raises(Killed):
        db.debug(complaint(db), on_round=until(4), **settings)
    before = content(tmp_path / "run")
    other = data()
    other["train"]["x"].values[7] += 1e-9
    db = database(source=other)
    with pytest.raises(DebugError, match="the first fit of model 'm' comes out differently from what was kept"):
        db.debug(complaint(db), resume=True, **settings)
    other = data()
    other["now"]["x"].values[7] += 1e-9
    db = database(source=other)
    with pytest.raises(DebugError, match=r"the first answer, n, comes out differently"):
        db.debug(complaint(db), resume=True, **settings)
    assert content(tmp_path / "run") == before, "a refusal writes nothing"


def test_versions_that_changed_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"budget": 20, "step": 2, "until": "budget", "run": tmp_path / "run", "progress": False}
    db = database()
    with pytest.raises(Killed):
        db.debug(complaint(db), on_round=until(2), **settings)
    with sqlite3.connect(tmp_path / "run") as con:
        con.execute(
            "UPDATE about SET value = replace(value, '\"numpy\": \"', '\"numpy\": \"0.') WHERE name = 'made_with'"
        )
        con.execute("UPDATE rounds SET round = replace(round, '\"q\": ', '\"q\": 9') WHERE number = 2")
    with pytest.raises(DebugError, match=rf"round 2 of the run .*\(numpy 0.{np.__version__} became {np.__version__}\)"):
        db.debug(complaint(db), resume=True, **settings)


# -- the file ---------------------------------------------------------------------------------------------------------


def test_another_run_is_not_gone_on_with(tmp_path: Path) -> None:
    db = database()
    with pytest.raises(Killed):
        db.debug(complaint(db), budget=20, run=tmp_path / "run", on_round=until(1), progress=False)
    with pytest.raises(StoreError, match="settings, budget was 20, and is 30"):
        db.debug(complaint(db), budget=30, run=tmp_path / "run", resume=True, progress=False)
    query = db.query("SELECT count(*) AS n FROM now WHERE predict(m, now) = 1", name="q")
    with pytest.raises(StoreError, match=r"complaints was \[.*25.*\], and is \[.*24"):
        db.debug(query.cell("n").too_low(by=24), budget=20, run=tmp_path / "run", resume=True, progress=False)


def test_a_run_is_not_written_over(tmp_path: Path) -> None:
    db = database()
    with pytest.raises(Killed):
        db.debug(complaint(db), budget=20, step=2, run=tmp_path / "run", on_round=until(2), progress=False)
    before = content(tmp_path / "run")
    with pytest.raises(StoreError, match="there is a run in this file that came as far as round 2"):
        db.debug(complaint(db), budget=20, step=2, run=tmp_path / "run", progress=False)
    assert content(tmp_path / "run") == before
    with Journal(tmp_path / "run", overwrite=True) as journal:
        assert journal.rounds == 0 and not journal.ended


@pytest.fixture
def files(tmp_path: Path) -> Iterator[list[Path]]:
    """Files that are somebody's, and not a run's."""
    text, tables, history = (tmp_path / name for name in ("text", "tables", "history"))
    text.write_text("mine")
    with sqlite3.connect(tables) as con:
        con.execute("CREATE TABLE mine (x)")
    with sqlite3.connect(history) as con:
        con.execute(f"PRAGMA application_id = {0x5241494E}")
        con.execute("CREATE TABLE readings (x)")
    before = [p.read_bytes() for p in (text, tables, history)]
    yield [text, tables, history]
    assert [p.read_bytes() for p in (text, tables, history)] == before


@pytest.mark.parametrize("how", [{}, {"resume": True}, {"overwrite": True}])
def test_nothing_of_the_users_is_taken_for_a_run(files: list[Path], how: dict[str, bool]) -> None:
    for path in files:
        with pytest.raises(StoreError, match="is no run that could go on|file is not a database"):
            Journal(path, **how)
    with pytest.raises(StoreError, match="unable to open"):
        Journal(files[0].parent / "no folder" / "run", **how)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE arrays SET data = x'00'",
        "UPDATE arrays SET data = substr(data, 1, length(data) - 8)",
        "UPDATE arrays SET data = x'504b0304'",
        "UPDATE about SET value = '{'",
        'UPDATE state SET value = \'{"pairs": [["theta", 1]]}\'',
        "UPDATE state SET value = '[]'",
        "UPDATE rounds SET round = '{}'",
        "UPDATE rounds SET round = replace(round, '\"delete\"', '\"forget\"')",
        "DELETE FROM arrays",
        "DELETE FROM clock WHERE number = 2",
    ],
)
def test_a_damaged_file_is_a_message(tmp_path: Path, damage: str) -> None:
    db = database()
    with pytest.raises(Killed):
        db.debug(complaint(db), budget=20, step=2, run=tmp_path / "run", on_round=until(3), progress=False)
    with sqlite3.connect(tmp_path / "run") as con:
        con.execute(damage)
    con.close()
    with pytest.raises(RainError) as error:
        db.debug(complaint(db), budget=20, step=2, run=tmp_path / "run", resume=True, progress=False)
    assert error.value.hint and "defect" not in str(error.value)


def test_the_schema_names_its_tables() -> None:
    assert SCHEMA.count("CREATE TABLE") == len(TABLES) and all(f"CREATE TABLE {t} " in SCHEMA for t in TABLES)


def test_what_is_not_plain_is_refused_and_what_is_read_runs_nothing() -> None:
    for value in (object(), np.array([object()]), {1, 2}, np.datetime64("2026-11-23")):
        with pytest.raises(TypeError):
            Packed.of([value])
    with pytest.raises(ValueError, match="no kind of value"):
        _ = Packed('{"__reduce__": ["os.system", "true"]}').value
    value = {"a": np.float64(0.1), "b": [(True, None), float("-inf")], 3: np.zeros((0, 2), dtype=np.int32)}
    found = Packed.of(value).value
    assert repr(found) == repr(value) and found[3].dtype == np.int32 and type(found["a"]) is np.float64


def test_a_ranker_that_remembers_anything_else_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def remembers(problem: Any) -> Any:
        problem.evidence.memory["one of a kind"] = object()
        return RANKERS["loss"](problem)

    monkeypatch.setitem(RANKERS, "holistic", remembers)
    both(tmp_path, database, complaint, (3,), budget=20, step=4, until="budget")


def test_a_round_is_read_as_it_was_written(tmp_path: Path) -> None:
    db = database()
    report = db.debug(complaint(db), budget=12, step=4, ranker="duti", fix="auto", until="budget", progress=False)
    trained = {"m": db.trained("m")}
    for done in report.rounds:
        text = round_text(done, trained)
        again = round_of(text, "[1, 2, 3]", trained, {})
        assert again == done and round_text(again, trained) == text
