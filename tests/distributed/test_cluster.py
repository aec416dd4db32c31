"""Law 6 beyond one process: a training set that workers share out has the scores, the order and the report of one."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from sklearn.linear_model import Lasso, LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, StandardScaler

import rain_debug as rain
from rain_debug.data.records import Records
from rain_debug.data.sums import shared
from rain_debug.data.threads import total
from rain_debug.distributed import driver, jobs
from rain_debug.distributed.meeting import Meeting
from rain_debug.distributed.messages import Done, Failed, Job, Parted
from rain_debug.distributed.worker import digest
from rain_debug.engines.parquet import ParquetTable, parquet_files
from rain_debug.errors import ClusterError, DataError, EngineError, ModelError, RainError
from rain_debug.rankers import RANKERS

pytest.importorskip("torch", reason="the workers' sums meet by PyTorch")

N, D = 3000, 6
FEATURES = [f"x{j}" for j in range(D)]
QUERY = "SELECT week, count(*) AS n FROM users u WHERE predict(m, u) = 'yes' GROUP BY week ORDER BY week"
USERS = {"id": np.arange(160), "week": np.arange(160) % 4,
         **{n: np.random.default_rng(5).normal(size=160) for n in FEATURES}}  # fmt: skip

REGRESSION: dict[str, Any] = {"label": "x5", "features": FEATURES[:5], "says": "> 0"}
BINS = KBinsDiscretizer(3, encode="onehot-dense", strategy="uniform").fit(np.random.default_rng(0).normal(size=(99, 5)))
"""Three columns of each, which add up to 1: collinear, beside an intercept."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three Parquet files of unlike lengths, the second in several row groups."""
    folder, rng = tmp_path_factory.mktemp("training"), np.random.default_rng(1)
    X = rng.normal(size=(N, D))
    y = np.digitize(X @ np.linspace(1, 2, D) + rng.normal(size=N), [-1.0, 1.0])
    y[(X[:, 0] > 1) & (rng.random(N) < 0.5)] = 0
    rows = {"id": rng.permutation(N) * 7, "y": np.array(["no", "yes", "often"])[y], "two": y > 0,
            "w": rng.uniform(0.5, 2, N), **{n: X[:, j] for j, n in enumerate(FEATURES)}}  # fmt: skip
    for i, part in enumerate((slice(0, 10), slice(10, 2500), slice(2500, N))):
        own = {n: v[part] for n, v in rows.items()}
        with duckdb.connect() as con:
            con.register("own", {n: v.astype(object) if v.dtype.kind == "U" else v for n, v in own.items()})
            con.execute(f"COPY own TO '{folder}/part{i}.parquet' (ROW_GROUP_SIZE 2048)")
    return folder


@pytest.fixture(scope="module")
def workers() -> Iterator[rain.Cluster]:
    """Two workers for all tests here: starting them is what takes the time."""
    with rain.cluster(workers=2) as cluster:
        yield cluster


def ranked(training: Any, storage: Any, estimator: Any = None, ranker: str = "holistic", **options: Any) -> Any:
    """Every round's scores of all records, and the run."""
    seen: list[np.ndarray] = []
    plain = RANKERS[ranker]

    def kept(problem: Any) -> Any:
        ranking = plain(problem)
        seen.append(ranking.scores)
        return ranking

    fix, file = options.pop("fix", "delete"), options.pop("file", {})
    options = {"label": "y", "key": "id", "features": FEATURES, **options}
    says = options.pop("says", "= 'yes'" if options["label"] == "y" else "")
    db = rain.connect({"users": USERS})
    db.create_model("m", estimator or LogisticRegression(C=0.5), training, storage=storage, **options)
    query = db.query(QUERY.replace("= 'yes'", says))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(RANKERS, ranker, kept)
        report = db.debug(query.cell("n", week=1).too_low(), budget=8, step=4, until="budget", ranker=ranker, fix=fix,
                          progress=False, **file)  # fmt: skip
    return seen, report.run


def same(one: Any, other: Any, tolerance: float = 1e-9) -> None:
    for a, b in zip(one[0], other[0], strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * np.abs(a).max())
    for a, b in zip(one[1].rounds, other[1].rounds, strict=True):
        assert [(c.key, c.fix) for c in a.chosen] == [(c.key, c.fix) for c in b.chosen]
        assert [(r.exact, r.resolved) for r in a.readings] == [(r.exact, r.resolved) for r in b.readings]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"label": "two"},
        {"estimator": LogisticRegression(class_weight="balanced"), "weight": "w"},
        {"estimator": make_pipeline(StandardScaler(), LogisticRegression())},
        {"fix": "relabel"},
        {"ranker": "self_influence"},
        {"ranker": "loss"},
        {"ranker": "rain"},
        {"estimator": Ridge(alpha=2.0), "label": "w", "says": "> 1.25"},
        {"estimator": make_pipeline(StandardScaler(), LinearRegression()), "weight": "w", **REGRESSION},
        {"estimator": make_pipeline(BINS, LinearRegression()), **REGRESSION},
    ],
    ids=[
        "classes",
        "two",
        "balanced",
        "pipeline",
        "relabel",
        "self_influence",
        "loss",
        "rain",
        "ridge",
        "ols",
        "collinear",
    ],
)
def test_scores_and_fixes_are_those_of_one_process(files: Path, workers: rain.Cluster, options: dict[str, Any]) -> None:
    one = ranked(f"SELECT * FROM '{files}/*.parquet'", "disk", **options)
    assert np.any(one[0][0] != 0) and one[1].rounds[0].chosen
    same(one, ranked(files, workers, **options))


def test_float32_rows_and_float64_sums(files: Path, workers: rain.Cluster) -> None:
    one = ranked(f"SELECT * FROM '{files}/*.parquet'", "disk", dtype="float32")
    same(one, ranked(files, workers, dtype="float32"))


def test_many_parameters_are_solved_by_conjugate_gradients_there(
    workers: rain.Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1,600 parameters: a fit and a solve of many passes each; nothing but whole solves and the best is asked for."""
    rng, wide = np.random.default_rng(2), [f"x{j}" for j in range(19)]
    X = rng.normal(size=(1600, 19))
    y = (np.argsort(X[:, 0] + 0.3 * rng.normal(size=1600)).argsort() // 20).astype(str).astype(object)
    columns = {"id": np.arange(1600), "y": np.where(y == "7", "yes", y)}
    with duckdb.connect() as con:
        con.register("own", {**columns, **{n: X[:, j] for j, n in enumerate(wide)}})
        con.execute(f"COPY own TO '{tmp_path}/wide.parquet'")
    users = {**USERS, **{n: rng.normal(size=160) for n in wide}}
    kinds: list[str] = []
    sizes: list[int] = []
    ask = driver.Cluster.ask

    def asked(self: Any, share: int, kind: str, **given: Any) -> list[Any]:
        kinds.append(kind)
        found = ask(self, share, kind, **given)
        sizes.extend(len(pickle.dumps(part)) for part in found if kind in ("extent", "best"))
        return found

    monkeypatch.setattr(driver.Cluster, "ask", asked)
    monkeypatch.setitem(globals(), "USERS", users)
    one = ranked(f"SELECT * FROM '{tmp_path}/wide.parquet'", "disk", features=wide)
    other = ranked(str(tmp_path / "wide.parquet"), workers, features=wide)
    assert set(kinds) <= {"fit", "solve", "extent", "best", "rows"} and kinds.count("solve") >= 2
    assert 0 < max(sizes) < 1200, "a few numbers of each worker, not 8 bytes of each of its 800 records"
    same(one, other, tolerance=1e-9)
    assert other[1].rounds[0].outcomes[0].solver_iterations > 5


@pytest.mark.parametrize("options", [{}, {"estimator": Ridge(), **REGRESSION}], ids=["classes", "ridge"])
def test_a_killed_worker_changes_nothing(
    files: Path, workers: rain.Cluster, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    """Killed in the middle of a refit: the others start again, and the run ends with the same numbers, to the bit."""
    undisturbed = ranked(files, workers, **options)
    sums, before = [0], workers.restarts
    keep = driver.Cluster._keep

    def kept(self: Any, epoch: Any, value: np.ndarray) -> None:
        keep(self, epoch, value)
        sums[0] += 1
        refit = {job.kind for job in epoch.jobs} <= {"anew"}
        if epoch.sums and refit and sums[0] > 12 and self.restarts == before:
            os.kill(workers.places[1][1], signal.SIGKILL)

    monkeypatch.setattr(driver.Cluster, "_keep", kept)
    again = ranked(files, workers, **options)
    assert workers.restarts == before + 1
    same(undisturbed, again, tolerance=0)
    assert [r.outcomes for r in again[1].rounds] == [r.outcomes for r in undisturbed[1].rounds]


def test_what_is_wrong_is_said_as_for_one_process(files: Path, workers: rain.Cluster, tmp_path: Path) -> None:
    db = rain.connect({"users": USERS})
    duckdb.sql(f"COPY (SELECT *, CASE WHEN id % 5 = 0 THEN NULL ELSE x1 END AS gap FROM '{files}/*.parquet') "
               f"TO '{tmp_path}/gap.parquet'")  # fmt: skip

    def refused(kind: type[RainError], training: Any, estimator: Any = None, **options: Any) -> RainError:
        options = {"label": "y", "key": "id", "features": FEATURES, **options}
        with pytest.raises(kind) as caught:
            db.create_model("m", estimator or LogisticRegression(), training, storage=workers, **options)
        return caught.value

    gap = refused(DataError, tmp_path / "gap.parquet", features=["x0", "gap"])
    assert "'gap' is NULL in" in gap.message and "records 1 to" in str(gap.where)
    lasso = refused(ModelError, files, Lasso(), label="w")
    assert "does not fit this Lasso: it fits Logistic" in lasso.message and "on one machine" in str(lasso.hint)
    l1 = LogisticRegression(solver="saga", l1_ratio=0.5)
    assert "does not fit this LogisticRegression" in refused(ModelError, files, l1).message
    assert "no Parquet file" in refused(EngineError, tmp_path / "none.parquet").message
    assert "did you mean 'id'" in str(refused(DataError, files, key="ids").hint)
    duckdb.sql(f"COPY (SELECT * FROM '{files}/part0.parquet' LIMIT 1) TO '{tmp_path}/one.parquet'")
    assert "fewer than 2 workers" in refused(DataError, tmp_path / "one.parquet").message
    same(ranked(files, workers), ranked(files, workers), tolerance=0)  # the workers are as good as before


def test_errors_of_a_cluster() -> None:
    with pytest.raises(ClusterError, match="how many workers"):
        rain.cluster()
    with pytest.raises(ClusterError, match="no number of workers"):
        rain.cluster(workers=0)


def test_a_closed_cluster_says_so(files: Path) -> None:
    cluster = rain.cluster(workers=2)
    cluster._epochs[1] = driver.Epoch([])
    cluster.close()
    with pytest.raises(ClusterError, match="closed"):
        cluster.ask(1, "fit")


def test_one_worker_that_fails_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one waits for its sum, and would for good."""
    monkeypatch.setattr(driver, "GRACE", 0.05)
    cluster = rain.cluster(workers=2)
    (ours, silent), (own, theirs) = Pipe(), Pipe()
    cluster._lines, cluster._epochs[1] = [ours, own], driver.Epoch([])
    theirs.send(Failed(1, "DataError", "it holds NaN", "row 7", "fill it"))
    with pytest.raises(DataError, match="it holds NaN"):
        cluster.ask(1, "gradient")
    assert ours.closed and own.closed and silent.recv() == theirs.recv()
    cluster.close()


def test_workers_that_round_differently_are_found_out() -> None:
    cluster = rain.cluster(workers=2)
    (ours, first), (own, second) = Pipe(), Pipe()
    cluster._lines, cluster._epochs[1] = [ours, own], driver.Epoch([])
    theta = np.array([1.0, 2.0])
    first.send(Done(1, theta, True))
    second.send(Done(1, digest(np.nextafter(theta, 3.0)), True))
    with pytest.raises(ClusterError, match="different results from the same sums"):
        cluster.ask(1, "gradient")
    cluster.close()


def test_past_sums_are_given_out_before_any_record_is_read() -> None:
    """What a new worker is told replaces passes, in their order; then its own sums meet the others'."""
    reported: list[np.ndarray] = []
    meeting, read = Meeting(None, reported.append), []
    meeting.remember([np.array([7.0])])

    def part(rows: slice) -> np.ndarray:
        read.append(rows)
        return np.array([float(rows.stop - rows.start)])

    with shared(meeting):
        first, second = total(5, 1, part), total(5, 1, part)
    assert first.tolist() == [7.0] and second.tolist() == [5.0]
    assert len(read) == 1 and [r.tolist() for r in reported] == [[5.0]]


def test_a_share_sees_only_its_own_fixes() -> None:
    y = np.zeros(4, dtype=np.int8)
    records = Records(np.zeros((4, 1)), y, np.ones(4), np.arange(4), rain.Table.of(x=[0.0] * 4), "")
    share = jobs.Share(None, records, 10, Meeting(None, None))  # type: ignore[arg-type]
    given = {
        "relabelled": (np.array([3, 11, 20]), np.array([1, 1, 1], dtype=np.int8)),
        "weight": None,
        "removed": np.array([9, 13, 14]),
    }
    now, keep = share.now(given)
    assert now.y.tolist() == [0, 1, 0, 0] and keep is not None and keep.tolist() == [True, True, True, False]
    assert share.now(given)[0] is now and records.y.tolist() == [0, 0, 0, 0]
    nothing = np.zeros(0, dtype=np.int64)
    none = {"relabelled": (nothing, nothing), "weight": None, "removed": None}
    assert share.now(none) == (records, None)
    weighed = Job(1, 1, "fit", {**none, "weight": Parted((np.zeros(10), np.arange(4.0)))}).of(1)
    assert share.now(weighed.given)[0].weight.tolist() == [0, 1, 2, 3] and records.weight.tolist() == [1, 1, 1, 1]


def test_rows_of_parquet_files(files: Path) -> None:
    table = ParquetTable(parquet_files(files, "here"), "here")
    whole = duckdb.sql(f"SELECT id, x0 FROM '{files}/*.parquet'").fetchnumpy()
    assert table.sizes == (10, 2490, 500) and table["id"].values.tolist() == whole["id"].tolist()
    assert table.part(slice(8, 2503), ["id"])["id"].values.tolist() == whole["id"][8:2503].tolist()
    at = np.array([2999, 0, 11, 11, 2500])
    assert table.take(at)["x0"].values.tolist() == whole["x0"][at].tolist()
    runs = [b["x0"].values.copy() for b in table.runs(slice(5, 2600), ["x0"])]
    assert np.concatenate(runs).tolist() == whole["x0"][5:2600].tolist()


SCRIPT = """
import os, signal, sys
import rain_debug as rain
from rain_debug.distributed import driver

ask, kinds = driver.Cluster.ask, []


def asked(self, share, kind, **given):
    if kinds.count("best") == 2 and kind == "fit" and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
        os.kill(self.places[1][1], signal.SIGKILL)
    kinds.append(kind)
    return ask(self, share, kind, **given)


driver.Cluster.ask = asked
with rain.cluster() as workers:
    sys.path.insert(0, {here!r})
    from test_cluster import ranked

    seen, run = ranked({files!r}, workers, file=dict(run={run!r}, resume=True))
    print(workers.workers, kinds.count("best"), [(c.key, c.score) for r in run.rounds for c in r.chosen])
"""


def test_the_same_program_under_torchrun(files: Path, workers: rain.Cluster, tmp_path: Path) -> None:
    """A rank is killed in the refit after the second round: torchrun starts all again, and the program, which ranks one
    round instead of two, goes on from its file to the numbers of undisturbed workers, to the bit."""
    program, run = tmp_path / "program.py", tmp_path / "run.rain"
    program.write_text(SCRIPT.format(here=str(Path(__file__).parent), files=str(files), run=str(run)))
    words = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--max-restarts=1"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*words, str(program)], capture_output=True, text=True, env=environment, timeout=240)
    assert done.returncode == 0, done.stderr
    calm = ranked(files, workers, file={"run": tmp_path / "calm.rain"})
    assert done.stdout.strip() == f"2 1 {[(c.key, c.score) for r in calm[1].rounds for c in r.chosen]}"
    one = ranked(f"SELECT * FROM '{files}/*.parquet'", "disk")
    assert [c.key for r in one[1].rounds for c in r.chosen] == [c.key for r in calm[1].rounds for c in r.chosen]
