"""Law 6: where the training set lies, and in how many blocks it is read, changes no score, no order and no message."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, PolynomialFeatures, StandardScaler

import rain_debug as rain
from rain_debug.data import StoredDesign, blocks, narrow, threads
from rain_debug.database import training
from rain_debug.engines import Table
from rain_debug.engines.lazy import ArrayTable, LazyTable, PickedTable
from rain_debug.engines.scratch import Scratch
from rain_debug.errors import DataError, DebugError, EngineError, ModelError, RainError
from rain_debug.rankers import RANKERS

N, D = 1200, 5
FEATURES = [f"x{j}" for j in range(D)]
QUERY = "SELECT week, count(*) AS n FROM users u WHERE predict(m, u) = 'yes' GROUP BY week ORDER BY week"
TOTAL = "SELECT week, sum(predict(m, u)) AS n FROM users u GROUP BY week ORDER BY week"


def made(classes: tuple[str, ...] = ("no", "yes")) -> dict[str, np.ndarray]:
    """A training set whose source 'b' says 'no' where it should not; keys are numbers in no order, or text."""
    rng = np.random.default_rng(3)
    X = rng.normal(size=(N, D)).round(3)
    code = np.digitize(X @ np.linspace(1, 2, D) + rng.normal(size=N), np.linspace(-1, 1, len(classes) + 1)[1:-1])
    source = np.array(["a", "b", "c"], dtype=object)[rng.integers(0, 3, N)]
    y = np.array(classes, dtype=object)[np.where((source == "b") & (X[:, 0] > 0), 0, code)]
    own = {"id": rng.permutation(N) * 3, "name": np.array([f"r{i:05}" for i in rng.permutation(N)], dtype=object)}
    amount = X @ np.linspace(1, 2, D) + rng.normal(size=N)
    return {**own, "source": source, "y": y, "amount": amount, "w": rng.uniform(0.5, 2, N).round(2),
            **{n: X[:, j] for j, n in enumerate(FEATURES)}}  # fmt: skip


ROWS = {"id": np.arange(120), "week": np.arange(120) % 4,
        **{n: np.random.default_rng(9).normal(size=120) for n in FEATURES}}  # fmt: skip


def ranked(
    estimator: Any,
    given: Any,
    tables: Any = None,
    *,
    sql: str = QUERY,
    label: str = "y",
    ranker: str = "holistic",
    fix: Any = "delete",
    **options: Any,
) -> tuple[np.ndarray, list[Any], Any]:
    """Scores of all records in the first round, the keys fixed, and the report."""
    seen: list[np.ndarray] = []
    plain = RANKERS[ranker]

    def kept(problem: Any) -> Any:
        ranking = plain(problem)
        seen.append(ranking.scores)
        return ranking

    options = {"key": "id", "features": FEATURES, **options}
    db = rain.connect({"users": ROWS, **(tables or {})})
    db.create_model("m", estimator, given, label=label, **options)
    query = db.query(sql)
    complaint = query.cell("n", week=1).too_low()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(RANKERS, ranker, kept)
        report = db.debug([complaint], budget=12, step=6, until="budget", ranker=ranker, fix=fix, progress=False)
    return seen[0], [c.key for r in report.run.rounds for c in r.chosen], report


def same(one: tuple[np.ndarray, list[Any], Any], other: tuple[np.ndarray, list[Any], Any]) -> None:
    np.testing.assert_allclose(other[0], one[0], rtol=0, atol=1e-9 * np.abs(one[0]).max())
    assert other[1] == one[1]
    assert other[2].ranking.column("label") == one[2].ranking.column("label")
    verdicts = [getattr(r[2].run.assessment, "verdict", None) for r in (one, other)]
    assert verdicts[0] == verdicts[1]


@pytest.fixture(scope="module")
def data() -> dict[str, np.ndarray]:
    return made()


@pytest.fixture(scope="module")
def memory(data: dict[str, np.ndarray]) -> tuple[np.ndarray, list[Any], Any]:
    return ranked(LogisticRegression(), "SELECT * FROM t", {"t": data})


@pytest.mark.parametrize("rows", [1, N // 100, N])
def test_blocks_do_not_matter(rows: int, data: Any, memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "blocks", lambda n, columns: blocks(n, 1, cells=rows))
    if rows == 1:
        data = {n: v[:60] for n, v in data.items()}
        memory = ranked(LogisticRegression(), data)
    same(memory, ranked(LogisticRegression(), "SELECT * FROM t", {"t": data}, storage="disk"))


def test_every_home_gives_the_same_ranking(data: Any, memory: Any, tmp_path: Path) -> None:
    parquet = tmp_path / "t.parquet"
    con = duckdb.connect()
    con.register("t", data)
    con.execute(f"COPY (SELECT * FROM t) TO '{parquet}' (FORMAT parquet)")
    con.execute("CREATE TABLE kept AS SELECT * FROM t")
    lite = sqlite3.connect(":memory:")
    lite.execute(f"CREATE TABLE t ({', '.join(data)})")
    rows = zip(*(v.tolist() for v in data.values()), strict=True)
    lite.executemany(f"INSERT INTO t VALUES ({', '.join('?' * len(data))})", rows)
    homes: dict[str, Any] = {
        "Parquet": f"SELECT * FROM '{parquet}'",
        "a path": parquet,
        "a DuckDB cursor": con.execute("SELECT * FROM kept"),
        "a DB-API cursor": lite.execute("SELECT * FROM t"),
        "arrays": data,
        "a Table": Table.of(**data),
    }
    for home, given in homes.items():
        found = ranked(LogisticRegression(), given, storage="disk")
        assert isinstance(found[2].background.trained["m"].records.X, StoredDesign), home
        same(memory, found)
    same(memory, ranked(LogisticRegression(), lite.execute("SELECT * FROM t")))


def test_memory_mapped_arrays_stay_where_they_are(data: Any, memory: Any, tmp_path: Path) -> None:
    X = np.column_stack([data[n] for n in FEATURES])
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    rest = {n: v for n, v in data.items() if n not in FEATURES}
    found = ranked(LogisticRegression(), {**rest, "x": mapped})
    records = found[2].background.trained["m"].records
    assert isinstance(records.table, ArrayTable)
    assert records.X.rows.path == tmp_path / "x.npy", "the design is the file itself"
    same(memory, found)
    columns = {}
    for n in FEATURES:
        np.save(tmp_path / f"{n}.npy", data[n])
        columns[n] = np.load(tmp_path / f"{n}.npy", mmap_mode="r")
    same(memory, ranked(LogisticRegression(), {**rest, **columns}))
    same(memory, ranked(LogisticRegression(), {**rest, "x": mapped}, storage="memory"))
    part = np.load(tmp_path / "x.npy", mmap_mode="r")[5:]  # a view begins elsewhere than its file
    table = ArrayTable({"x": part}, Scratch())
    assert table.take(np.array([0]))["x1"].values[0] == X[5, 1]


@pytest.mark.parametrize(
    ("estimator", "options"),
    [
        (LogisticRegression(C=0.3, fit_intercept=False), {"weight": "w"}),
        (LogisticRegression(class_weight="balanced"), {"key": "name"}),
        (make_pipeline(StandardScaler(), MinMaxScaler(), LogisticRegression()), {}),
        (Ridge(alpha=2.0), {"label": "amount", "sql": TOTAL, "weight": "w"}),
        (LinearRegression(), {"label": "amount", "sql": TOTAL}),
    ],
    ids=["weights", "balanced", "pipeline", "ridge", "least squares"],
)
def test_every_model_that_stores(estimator: Any, options: dict[str, Any], data: Any) -> None:
    one = ranked(estimator, "SELECT * FROM t", {"t": data}, **options)
    same(one, ranked(estimator, "SELECT * FROM t", {"t": data}, storage="disk", **options))


def test_many_classes_by_conjugate_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    data = made(("no", "perhaps", "yes"))
    one = ranked(LogisticRegression(), data)
    same(one, ranked(LogisticRegression(), data, storage="disk"))
    for module in ("linear", "streamed"):  # nothing is small enough to be formed: passes and Kronecker's factors alone
        monkeypatch.setattr(f"rain_debug.models.{module}.SMALL", 0)
        monkeypatch.setattr(f"rain_debug.models.{module}.MEDIUM", 0)
    other = ranked(LogisticRegression(), data, storage="disk")
    np.testing.assert_allclose(other[0], one[0], atol=3e-4 * np.abs(one[0]).max())  # what the solve is asked for
    monkeypatch.setattr("rain_debug.models.streamed.WIDE", 0)
    other = ranked(LogisticRegression(), data, storage="disk")
    np.testing.assert_allclose(other[0], one[0], atol=3e-4 * np.abs(one[0]).max())  # what the solve is asked for


def test_modules(data: Any) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(D, 3), torch.nn.Tanh(), torch.nn.Linear(3, 2)).double()
    one = ranked(module, "SELECT * FROM t", {"t": data})
    same(one, ranked(module, "SELECT * FROM t", {"t": data}, storage="disk"))


@pytest.mark.parametrize("ranker", ["rain", "loss", "self_influence", "confident"])
def test_other_rankers(ranker: str, data: Any) -> None:
    one = ranked(LogisticRegression(), data, ranker=ranker)
    same(one, ranked(LogisticRegression(), data, ranker=ranker, storage="disk"))


def test_relabelling_and_patterns(data: Any) -> None:
    one = ranked(LogisticRegression(), data, fix="relabel")
    other = ranked(LogisticRegression(), data, fix="relabel", storage="disk")
    same(one, other)
    assert [p.sql for p in one[2].patterns()] == [p.sql for p in other[2].patterns()]


def test_patterns_of_a_large_set_are_looked_for_in_a_sample(data: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    report = ranked(LogisticRegression(), data, storage="disk")[2]
    whole = {p.sql: p.keys for p in report.patterns(columns=("source",))}
    monkeypatch.setattr("rain_debug.patterns.finding.SAMPLE", N // 2)
    some = report.patterns(columns=("source",))
    assert some and all(whole[p.sql] == p.keys for p in some), "records are counted among all"


def test_single_precision(data: Any, memory: Any) -> None:
    for storage in ("disk", "memory"):
        found = ranked(LogisticRegression(), data, storage=storage, dtype="float32")
        assert found[2].background.trained["m"].records.X.rows.dtype == np.float32
        np.testing.assert_allclose(found[0], memory[0], rtol=0, atol=1e-5 * np.abs(memory[0]).max())
        assert found[1] == memory[1]


def test_a_fit_ahead_and_an_assessment_on_a_sample(data: Any, memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("models.classifier", "debugger.evidence"):
        monkeypatch.setattr(f"rain_debug.{module}.SAMPLE", 200)
    scores, keys, report = ranked(LogisticRegression(), data, storage="disk")
    np.testing.assert_allclose(scores, memory[0], rtol=0, atol=1e-9 * np.abs(memory[0]).max())
    assert keys == memory[1]
    assert report.run.assessment.signs is None or report.run.assessment.signs.n_inside < 200


BAD: dict[str, tuple[str, dict[str, Any]]] = {
    "NULL feature": ("SELECT * REPLACE (CASE WHEN id % 50 = 3 THEN NULL ELSE x2 END AS x2) FROM t", {}),
    "NULL whole number": ("SELECT * REPLACE (CASE WHEN id % 50 = 3 THEN NULL ELSE 1 END AS x2) FROM t", {}),
    "NaN": ("SELECT * REPLACE (CASE WHEN id > 3000 THEN 'nan'::DOUBLE ELSE x3 END AS x3) FROM t", {}),
    "infinite": ("SELECT * REPLACE (CASE WHEN id > 3500 THEN 'inf'::DOUBLE ELSE x3 END AS x3) FROM t", {}),
    "huge": ("SELECT * REPLACE (CASE WHEN id > 3500 THEN 1e200 ELSE x3 END AS x3) FROM t", {}),
    "text": ("SELECT * FROM t", {"features": ["x1", "source"]}),
    "NULL label": ("SELECT * REPLACE (CASE WHEN id % 50 = 3 THEN NULL ELSE y END AS y) FROM t", {}),
    "one class": ("SELECT * FROM t WHERE y = 'no'", {}),
    "no rows": ("SELECT * FROM t WHERE id < 0", {}),
    "a quantity": ("SELECT * FROM t", {"label": "amount"}),
    "no such label": ("SELECT * FROM t", {"label": "z"}),
    "no such feature": ("SELECT * FROM t", {"features": ["x1", "z"]}),
    "no such key": ("SELECT * FROM t", {"key": "z"}),
    "doubled key": ("SELECT * REPLACE (id // 6 AS id) FROM t", {}),
    "doubled text": ("SELECT * REPLACE (substr(name, 1, 5) AS name) FROM t", {"key": "name"}),
    "NULL key": ("SELECT * REPLACE (CASE WHEN id % 50 = 3 THEN NULL ELSE id END AS id) FROM t", {}),
    "negative weight": ("SELECT * REPLACE (w - 1 AS w) FROM t", {"weight": "w"}),
    "no table": ("SELECT * FROM nothing", {}),
    "no query": ("DROP TABLE t", {}),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_data_gives_the_same_message(case: str, data: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rain_debug.engines.lazy.PART_CELLS", 700)  # no part tells the whole story
    sql, options = BAD[case]
    said = []
    for storage in ("memory", "disk"):
        db = rain.connect({"t": data})
        with pytest.raises(RainError) as error:
            db.create_model(
                "m", LogisticRegression(), sql, **{"key": "id", "label": "y", "features": FEATURES, **options},
                storage=storage,
            )  # fmt: skip
        said.append((type(error.value), str(error.value)))
    assert said[0] == said[1]


def test_what_cannot_be_stored_says_so(data: Any) -> None:
    db = rain.connect({"t": data})
    ask: dict[str, Any] = {"training": "SELECT * FROM t", "key": "id", "label": "y", "features": FEATURES}
    with pytest.raises(ModelError, match="all at once"):
        db.create_model("m", RidgeClassifier(), **ask, storage="disk")
    with pytest.raises(ModelError, match="'polynomialfeatures'.*fitted to all records at once"):
        db.create_model(
            "m", make_pipeline(PolynomialFeatures(), LogisticRegression(max_iter=500)), **ask, storage="disk"
        )
    with pytest.raises(ModelError, match="storage='tape' is not known"):
        db.create_model("m", LogisticRegression(), **ask, storage="tape")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="dtype='float16' is not known"):
        db.create_model("m", LogisticRegression(), **ask, dtype="float16")  # type: ignore[arg-type]
    fitted = make_pipeline(PolynomialFeatures(), LogisticRegression(max_iter=500))
    fitted[:-1].fit(np.column_stack([data[n] for n in FEATURES]))
    db.create_model("m", fitted, **ask, storage="disk")
    assert db.trained("m").records.X.shape == (N, 21)
    query = db.query(QUERY.replace("users", "t").replace("week", "source"))
    with pytest.raises(DebugError, match="all records at once, and these are left on disk"):
        db.debug(query.cell("n", source="b").too_low(), budget=5, fix=lambda t: t, progress=False)


def test_a_column_called_rowid() -> None:
    db = rain.connect({"t": {"row": np.arange(50), "x": np.arange(50.0), "y": np.arange(50) % 2}})
    with pytest.raises(EngineError, match="'rowid' cannot be told"):
        db.create_model("m", LogisticRegression(), "SELECT row AS RowId, x, y FROM t", label="y", storage="disk")


def test_the_disk_and_its_end(data: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ask: dict[str, Any] = {"training": "SELECT * FROM t", "key": "id", "label": "y", "storage": "disk"}
    db = rain.connect({"t": data})
    db.create_model("m", LogisticRegression(), **ask, features=FEATURES)
    records = db.trained("m").records
    folder = records.table.scratch.folder  # type: ignore[attr-defined]
    assert {p.suffix for p in folder.iterdir()} >= {".duckdb", ".bin"}
    db.close()
    assert not folder.exists()
    with pytest.raises(DataError, match="not there any more"):
        records.X[:5]
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=300_000_000))
    monkeypatch.setattr("rain_debug.engines.scratch.SPARE", 300_000_000)
    with pytest.raises(DataError, match=r"needs about 0\.\d+ MB on disk, and 0 MB are free"):
        rain.connect({"t": data}).create_model("m", LogisticRegression(), **ask, features=FEATURES)


def test_a_set_that_would_fill_the_memory_is_stored(data: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "_free_memory", lambda: 3 * 8 * N * len(data))
    ask: dict[str, Any] = {"training": "SELECT * FROM t", "key": "id", "label": "y", "features": FEATURES}
    db = rain.connect({"t": data})
    db.create_model("stored", LogisticRegression(), **ask)
    db.create_model("kept", RidgeClassifier(), **ask)
    monkeypatch.setattr(training, "_free_memory", lambda: 9 * 8 * N * len(data))
    db.create_model("small", LogisticRegression(), **ask)
    lazy = {name: isinstance(db.trained(name).records.table, LazyTable) for name in db.models}
    assert lazy == {"stored": True, "kept": False, "small": False}
    assert training._free_memory.__name__ == "<lambda>"
    monkeypatch.undo()
    assert training._free_memory() > 1 << 20


def test_a_locked_database_stores_too(data: Any, memory: Any) -> None:
    from rain_debug.engines import lock

    db = rain.connect({"t": data})
    lock(db.engine)
    db.create_model(
        "m", LogisticRegression(), "SELECT * FROM t", key="id", label="y", features=FEATURES, storage="disk"
    )
    np.testing.assert_array_equal(db.trained("m").records.keys, data["id"])


def test_a_cursor_that_changes_its_kind() -> None:
    class Cursor:
        description = (("x",), ("y",))
        parts = iter([[(1.0, 0), (2.0, 1)], [("three", 1)], []])

        def fetchmany(self, n: int) -> list[Any]:
            return next(self.parts)

    with pytest.raises(EngineError, match="Could not convert"):
        rain.connect().create_model("m", LogisticRegression(), Cursor(), label="y", storage="disk")


def test_one_record_and_its_neighbours(data: Any) -> None:
    found = []
    for storage in ("memory", "disk"):
        db = rain.connect({"users": ROWS, "t": data})
        db.create_model("m", LogisticRegression(), "SELECT * FROM t", key="id", label="y", features=FEATURES,
                        storage=storage)  # fmt: skip
        record = db.record("m", int(data["id"][7]))
        near, query = record.alike(5), db.query(QUERY)
        behind = query.records_behind(query.cell("n", week=1), 5)
        own = str(record), near["key"].to_list(), record.moves(query)["cell"].to_list(), behind["key"].to_list()
        found.append((own, near["distance"].values))
    assert found[0][0] == found[1][0]
    np.testing.assert_allclose(found[0][1], found[1][1])


def test_a_lazy_table_is_a_table(data: Any) -> None:
    plain = Table.of(**data)
    table = ArrayTable({**{n: v for n, v in data.items() if v.dtype != object}, "m": np.eye(N)[:, :2]}, Scratch())
    assert list(table)[-2:] == ["m0", "m1"] and len(table) == len(list(table)) and "w" in table and "zz" not in table
    for rows in (slice(3, 9), slice(2, 40, 5), np.array([5, 1, 5]), np.arange(N) % 100 == 0, np.array([-1])):
        for name in ("id", "w"):
            np.testing.assert_array_equal(table.take(rows)[name].values, plain[name].values[rows])
    assert table.row(4)["w"] == plain.row(4)["w"] and len(table.rows()) == N
    np.testing.assert_array_equal(table["x3"].values, plain["x3"].values)
    with pytest.raises(KeyError):
        table["zz"]
    picked = PickedTable(table, np.array([9, 2]))
    assert picked.take(np.array([1, 0]))["id"].to_list() == plain["id"].values[[2, 9]].tolist()
    assert picked.select(["w"])["w"].to_list() == plain["w"].values[[9, 2]].tolist()
    assert "more rows" in repr(table.select(["id"]))


def test_a_stored_design_is_a_matrix() -> None:
    rng = np.random.default_rng(0)
    A, v, V = rng.normal(size=(50, 4)), rng.normal(size=4), rng.normal(size=(4, 3))
    X, u, U = StoredDesign(A), rng.normal(size=50), rng.normal(size=(3, 50))
    np.testing.assert_allclose(X @ v, A @ v)
    np.testing.assert_allclose(X @ V, A @ V)
    np.testing.assert_allclose(X.T @ u, A.T @ u)
    np.testing.assert_allclose(V.T @ X.T, V.T @ A.T)
    np.testing.assert_allclose(X.T @ U.T, A.T @ U.T)
    np.testing.assert_array_equal(X[3], A[3])
    np.testing.assert_array_equal(X[u > 0], A[u > 0])
    with pytest.raises(TypeError, match="in blocks"):
        np.asarray(X)
    assert narrow(np.array([0, 1 << 40])).dtype == np.int64 and narrow(np.array([0.5])).dtype == np.float64


def test_quadratic_forms_beyond_an_exact_factor(data: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rain_debug.models.selfproduct.DENSE", 1)
    three = made(("no", "perhaps", "yes"))
    for given in (data, three):
        one = ranked(LogisticRegression(), given, ranker="self_influence")
        same(one, ranked(LogisticRegression(), given, ranker="self_influence", storage="disk"))
    monkeypatch.setattr("rain_debug.models.adapter.DENSE", 1)
    monkeypatch.setattr("rain_debug.models.adapter.WIDE", 1)
    with pytest.raises(ModelError, match="6 parameters needs the squares of all features"):
        ranked(LogisticRegression(), data, ranker="self_influence", storage="disk")
