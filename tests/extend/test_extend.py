"""What others bring along: the examples of the documentation, what is refused, and checks that bite."""

from __future__ import annotations

import re
import runpy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import HuberRegressor, LogisticRegression, PoissonRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import rain_debug as rain
from projects import shop_project
from rain_debug import config, extend
from rain_debug.config.build import build
from rain_debug.datasets import shop
from rain_debug.errors import ConfigError, DebugError, ModelError, RainError, SQLError
from rain_debug.models import adapt
from rain_debug.models.adapt import ADAPTERS
from rain_debug.rankers import BLIND, RANKERS, Problem, Ranking
from rain_debug.rankers.known import OWN
from rain_debug.relax import functions

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples" / "extend"


# ---- the examples ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ranker", "function", "model"])
def test_an_example_is_short_and_on_its_page(name: str) -> None:
    text = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 60
    assert text in (ROOT / "docs" / "extending.md").read_text(encoding="utf-8"), f"the page shows another {name}.py"


def test_what_the_page_quotes_stands_there() -> None:
    page = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    rule = page[page.index("def classify") :].split("```")[0]
    assert rule in (ROOT / "src" / "rain_debug" / "sql" / "forms" / "functions.py").read_text(encoding="utf-8")
    case = page[page.index("case the papers") :].split("```")[0]
    assert case in (ROOT / "tests" / "sql" / "forms.test").read_text(encoding="utf-8")
    for name in set(re.findall(r"`((?:tests|docs)/[\w/]+\.\w+|[a-z_]+/[\w/]+\.py)`", page)):
        assert (ROOT / name).exists() or (ROOT / "src" / "rain_debug" / name).exists(), name


def test_the_ranker_finds_the_batch() -> None:
    report = runpy.run_path(str(EXAMPLES / "ranker.py"))["main"]()
    assert report.resolved and report.settings.ranker == "by_batch"
    sources = report.ranking.column("source")
    assert sources[:50] == ["import-17"] * 50
    assert not any("batch" in w or "column" in w for w in report.warnings)


def test_the_function_is_ranked_by(tmp_path: Path) -> None:
    example = runpy.run_path(str(EXAMPLES / "function.py"))
    query, report = example["main"](tmp_path)
    assert report.resolved and not any("defect" in w for w in report.warnings)
    assert "SATURATION by value" in str(query.explain())
    assert set(query.rows()[0]) == {"week", "busy"}


def test_the_model_is_the_estimator() -> None:
    example = runpy.run_path(str(EXAMPLES / "model.py"))
    assert example["main"]().resolved
    rng = np.random.default_rng(1)
    X = rng.normal(size=(150, 3))
    y = X @ [1.0, -2.0, 0.5] + 0.3 * rng.normal(size=150) + 6 * (np.arange(150) < 15)
    table = rain.Table.of(a=X[:, 0], b=X[:, 1], c=X[:, 2], y=y, w=rng.uniform(0.5, 2, 150))
    extend.check_model(HuberRegressor(alpha=0.5, epsilon=1.5), table, "y", weight="w")
    model = adapt(HuberRegressor(alpha=0.5), where="model 'm'")
    records = model.bind(table, "y", ["a", "b", "c"])
    theirs = HuberRegressor(alpha=0.5, tol=1e-10, max_iter=10_000).fit(X, y)
    np.testing.assert_allclose(model.fit(records).theta[:3], theirs.coef_, atol=1e-4)
    piped = make_pipeline(StandardScaler(), HuberRegressor())
    extend.check_model(piped, rain.Table.of(a=X[:, 0], b=10 * X[:, 1], y=y), "y")


# ---- a ranker -------------------------------------------------------------------------------------------------------


def small_debug(**settings: Any) -> rain.Report:
    x = np.r_[np.arange(40.0), 30.0, 31.0]
    db = rain.connect({"people": {"id": np.arange(20), "x": np.linspace(10, 30, 20)}})
    training = rain.Table.of(id=np.arange(42), x=x, y=np.where(np.r_[x[:40] > 19, False, False], "yes", "no"))
    db.create_model("m", LogisticRegression(), training=training, key="id", label="y", features=["x"])
    query = db.query("SELECT count(*) AS n FROM people p WHERE predict(m, p) = 'yes'")
    return db.debug(query.cell("n").too_low(by=1), budget=4, step=2, **settings)


@dataclass(frozen=True)
class Settings:
    factor: float = 1.0
    flip: bool = False


def test_a_ranker_has_its_options_and_is_known_by_name() -> None:
    seen = []

    @extend.ranker("mine", options=Settings)
    def mine(problem: Problem) -> Ranking:
        seen.append(Settings(**problem.options))
        return extend.along_gradient(problem, problem.query_gradient)

    report, holistic = small_debug(ranker="mine", options={"factor": 2}), small_debug()
    assert seen[0] == Settings(factor=2) and report.ranking.column("key") == holistic.ranking.column("key")
    with pytest.raises(DebugError, match="no option 'factr'"):
        small_debug(ranker="mine", options={"factr": 2})
    with pytest.raises(DebugError, match="is not True or False"):
        small_debug(ranker="mine", options={"flip": 1})
    assert small_debug(ranker="mine", fix="relabel").ranking.column("fix")[0].startswith("relabel")


def test_a_project_file_knows_the_rankers_that_rain_brings_along() -> None:
    assert set(config.project.RANKERS) == OWN == set(RANKERS)


def test_a_blind_ranker_only_deletes() -> None:
    @extend.ranker("oldest", blind=True)
    def oldest(problem: Problem) -> Ranking:
        return Ranking(np.where(problem.keep, np.arange(problem.records.n_records, 0.0, -1), 0.0))

    assert small_debug(ranker="oldest").ranking.column("key")[:4] == [0, 1, 2, 3]
    with pytest.raises(DebugError, match="tells which records to delete"):
        small_debug(ranker="oldest", fix="relabel")
    extend.ranker("oldest")(oldest)  # again, and now it is not blind
    assert "oldest" not in BLIND


def uneven(problem: Problem) -> Ranking:
    return Ranking(np.zeros(3))


def infinite(problem: Problem) -> Ranking:
    return Ranking(np.where(problem.keep, np.inf, 0.0))


def absent(problem: Problem) -> Ranking:
    return Ranking(problem.records.table["no such column"].values)


def unlike(problem: Problem) -> Ranking:
    return Ranking(np.random.default_rng().random(problem.records.n_records) * problem.keep)


def forgetful(problem: Problem) -> Ranking:
    return Ranking(np.ones(problem.records.n_records))


BROKEN: list[tuple[Any, str]] = [
    (uneven, r"its scores are of shape \(3,\)"),
    (infinite, "120 finite numbers"),
    (unlike, "other scores"),
    (forgetful, "that was removed has a score"),
]


@pytest.mark.parametrize(("ranker", "law"), BROKEN)
def test_the_check_of_rankers_bites(ranker: Any, law: str) -> None:
    extend.ranker("mine")(ranker)
    with pytest.raises(DebugError, match=law):
        extend.check_ranker("mine")


def test_a_ranker_that_fails_says_so_by_its_name() -> None:
    extend.ranker("mine")(absent)
    with pytest.raises(DebugError, match="it failed: KeyError") as caught:
        small_debug(ranker="mine")
    assert caught.value.where == "ranker 'mine', model 'm'" and isinstance(caught.value.__cause__, KeyError)
    extend.ranker("mine")(lambda problem: np.zeros(problem.records.n_records))  # type: ignore[arg-type, return-value]
    with pytest.raises(DebugError, match="it returned a ndarray"):
        small_debug(ranker="mine")


def test_what_a_ranker_refuses_stays_in_its_words() -> None:
    said = ModelError("no distance between texts", hint="encode them")

    def refuses(problem: Problem) -> Ranking:
        raise said

    extend.ranker("mine")(refuses)
    with pytest.raises(ModelError) as caught:
        small_debug(ranker="mine")
    assert caught.value is said


# ---- a function -----------------------------------------------------------------------------------------------------


def with_macros() -> rain.Database:
    connection = duckdb.connect()
    connection.execute("CREATE MACRO twice(x) AS 2 * x; CREATE MACRO steps(x) AS floor(x / 2)")
    connection.execute("CREATE TABLE people AS SELECT i AS id, i * 1.0 AS x FROM range(20) t(i)")
    db = rain.connect(connection)
    training = rain.Table.of(x=np.arange(20.0), y=np.arange(20) > 8)
    db.create_model("m", LogisticRegression(), training=training, label="y")
    return db


def relaxed(db: rain.Database, expression: str) -> float:
    query = db.query(f"SELECT {expression} AS v FROM people p WHERE predict(m, p)")
    return float(db.debug(query.cell("v").too_low(by=1), budget=1, step=1).rounds[0].readings[0].relaxed)


def test_an_unknown_function_is_named_and_a_registered_one_is_its_value() -> None:
    db = with_macros()
    query = db.query("SELECT twice(count(*)) AS v FROM people p WHERE predict(m, p)")
    assert query.rows()[0]["v"] == 22
    with pytest.raises(SQLError, match="TWICE of a number that predictions move is not supported"):
        db.debug(query.cell("v").too_low(by=1), budget=1)
    extend.function("twice", lambda x: 2 * x, lambda x: np.full(np.shape(x), 2.0))
    assert relaxed(db, "twice(count(*))") == pytest.approx(2 * relaxed(db, "count(*)"))
    assert relaxed(db, "twice(sum(p.x) + 1)") == pytest.approx(2 * relaxed(db, "sum(p.x)") + 2)


def test_a_stand_in_says_what_the_function_really_is() -> None:
    """The exact reading of steps(11) is 5, as the database's; without `exact` the run would be called a defect."""
    db = with_macros()
    extend.function("steps", lambda x: x / 2, lambda x: np.full(np.shape(x), 0.5), exact=lambda x: np.floor(x / 2))
    assert relaxed(db, "steps(count(*))") == pytest.approx(relaxed(db, "count(*)") / 2)
    extend.function("steps", lambda x: x / 2, lambda x: np.full(np.shape(x), 0.5))
    with pytest.raises(RainError, match="defect"):
        relaxed(db, "steps(count(*))")


def test_a_function_that_fails_says_so_by_its_name() -> None:
    def picky(x: np.ndarray) -> np.ndarray:
        if np.any(x > 5):
            raise ValueError("too large")
        return 2 * x

    extend.function("twice", picky, np.ones_like)
    with pytest.raises(SQLError, match="value of TWICE fails for 1 array: ValueError: too large"):
        relaxed(with_macros(), "twice(count(*))")


def test_the_wrong_number_of_arguments_is_refused() -> None:
    db = with_macros()
    extend.function("twice", lambda x, y: x * y, lambda x, y: (y, x), arguments=2)
    with pytest.raises(SQLError, match="TWICE of a number"):
        relaxed(db, "twice(count(*))")


def test_the_check_of_functions_bites() -> None:
    extend.function("cubed", lambda x: x**3, lambda x: 2 * x**2)
    with pytest.raises(SQLError, match=r"(?s)CUBED.* is the derivative of its value.*Number 1 is 2, and should be 3"):
        extend.check_function("cubed", [[1.0, 2.0]])
    extend.function("weighed", lambda x, y: x * y, lambda x, y: (y, y), arguments=2)
    with pytest.raises(SQLError, match="argument 2"):
        extend.check_function("weighed", [[1.0, 2.0], [3.0, 4.0]])
    with pytest.raises(SQLError, match="no function CUBED of 2 arguments"):
        extend.check_function("cubed", [[1.0], [2.0]])


# ---- a model --------------------------------------------------------------------------------------------------------


class Own(LogisticRegression):
    """A class of the user's own."""


class Softmax(extend.SmallModel):
    """A softmax over all classes, C = 1, as the shared laws know it: to compare with."""

    kind = "classifier"

    def size(self, columns: int) -> int:
        return len(self.classes) * (columns + 1)

    def _logits(self, X: np.ndarray, theta: np.ndarray) -> np.ndarray:
        T = theta.reshape(len(self.classes), -1)
        Z = X @ T[:, :-1].T + T[:, -1]
        return Z - np.log(np.exp(Z).sum(axis=1, keepdims=True))

    def record_losses(self, X: np.ndarray, y: np.ndarray, theta: np.ndarray) -> np.ndarray:
        return -self._logits(X, theta)[np.arange(len(X)), y]

    def record_gradients(self, X: np.ndarray, y: np.ndarray, theta: np.ndarray) -> np.ndarray:
        R = np.exp(self._logits(X, theta)) - np.eye(len(self.classes))[y]
        return (R[:, :, None] * np.column_stack([X, np.ones(len(X))])[:, None, :]).reshape(len(X), -1)

    def penalty(self) -> np.ndarray:
        each = np.ones((len(self.classes), self.n_params // len(self.classes)))
        each[:, -1] = 1e-9  # one number added to all intercepts changes nothing
        return each.ravel()

    def filled(self, theta: np.ndarray) -> Any:
        fitted, T = Own(), theta.reshape(len(self.classes), -1)
        fitted.coef_, fitted.intercept_, fitted.classes_ = T[:, :-1].copy(), T[:, -1].copy(), np.asarray(self.classes)
        return fitted


class Crooked(Softmax):
    """Its gradient is another loss's."""

    def record_gradients(self, X: np.ndarray, y: np.ndarray, theta: np.ndarray) -> np.ndarray:
        return super().record_gradients(X, y, theta) + 0.1 * np.cos(theta)


def irises() -> rain.Table:
    rng = np.random.default_rng(5)
    y = rng.integers(0, 3, 90)
    X = rng.normal(size=(90, 2)) + np.array([[0, 0], [1, 0], [0, 1]])[y]
    return rain.Table.of(a=X[:, 0], b=X[:, 1], y=np.array(["x", "y", "z"])[y], w=rng.uniform(0.5, 2, 90))


def test_a_small_model_ranks_as_the_large_one_does() -> None:
    extend.model(Own)(Softmax)
    extend.check_model(Own(), irises(), "y", features=["a", "b"], weight="w")
    found = []
    for estimator in (Own(), LogisticRegression()):
        model = adapt(estimator, where="model 'm'")
        records = model.bind(irises(), "y", ["a", "b"], weight="w")
        theta = model.fit(records).theta
        P = model.probabilities(records.X, theta)
        gradient = model.backprop(records.X, theta, np.eye(3)[0] - P * 0)
        problem = Problem(model, records, np.arange(90) > 4, theta, gradient, damping=0.01)
        scores = {name: RANKERS[name](problem).scores for name in ("holistic", "loss", "self_influence")}
        found.append((P, model.class_jvp(records, theta, theta), scores))
    (P, slopes, scores), (P_, slopes_, scores_) = found
    np.testing.assert_allclose(P, P_, atol=1e-6)
    np.testing.assert_allclose(slopes, slopes_, atol=1e-5)
    for name in scores:
        np.testing.assert_allclose(scores[name], scores_[name], rtol=1e-4, atol=1e-8)


def test_the_check_of_models_bites() -> None:
    extend.model(Own)(Crooked)
    with pytest.raises(ModelError, match="fit does not end|does not hold"):
        extend.check_model(Own(), irises(), "y", features=["a", "b"])


def test_a_registered_estimator_is_listed_and_only_it() -> None:
    extend.model(Own)(Softmax)
    with pytest.raises(ModelError, match="registered: Own"):
        adapt(PoissonRegressor(), where="model 'm'")
    model = adapt(Own(), where="model 'm'")
    model.bind(irises(), "y", ["a", "b"])
    with pytest.raises(ModelError, match="12 parameters|9 parameters|3 features|parameters"):
        fitted = Softmax(Own(), where="model 'm'")
        fitted._initial = np.zeros(12)
        fitted.bind(irises(), "y", ["a", "b"])


# ---- what is refused ------------------------------------------------------------------------------------------------


@dataclass
class Wrong:
    names: tuple[str, ...] = ()


REFUSED: dict[str, tuple[Any, type[RainError], str]] = {
    "a ranker of Rain's own": (lambda: extend.ranker("holistic")(forgetful), DebugError, "Rain's own"),
    "a ranker without a name": (lambda: extend.ranker("my ranker")(forgetful), DebugError, "cannot be called"),
    "a ranker that is none": (lambda: extend.ranker("mine")(3), DebugError, "no function"),  # type: ignore[arg-type]
    "options that are none": (lambda: extend.ranker("mine", options=Wrong)(forgetful), DebugError, "no dataclass"),
    "a ranker that is not there": (lambda: extend.check_ranker("nobody"), DebugError, "no ranker 'nobody'"),
    "a function of Rain's own": (lambda: extend.function("EXP", np.exp, np.exp), SQLError, "EXP has a relaxation"),
    "a function without a name": (lambda: extend.function("a b", np.exp, np.exp), SQLError, "cannot be called"),
    "a value that is none": (lambda: extend.function("f", 3, np.exp), SQLError, "value of F fails"),  # type: ignore[arg-type]
    "too many arguments": (
        lambda: extend.function("f", lambda x: x, np.ones_like, arguments=2),
        SQLError,
        "F fails for 2 arrays",
    ),
    "one slope of two": (
        lambda: extend.function("f", lambda x, y: x * y, lambda x, y: y, arguments=2),
        SQLError,
        "slopes of F gives something else than 2 arrays",
    ),
    "a slope of another length": (lambda: extend.function("f", np.exp, lambda x: x[:-1][:0]), SQLError, "slopes of F"),
    "an estimator of Rain's own": (lambda: extend.model(LogisticRegression)(Softmax), ModelError, "Rain's own"),
    "trees": (lambda: extend.model(RandomForestClassifier)(Softmax), ModelError, "Rain's own"),
    "an estimator, not its class": (lambda: extend.model(Own())(Softmax), ModelError, "no class"),  # type: ignore[arg-type]
    "an adapter that is none": (lambda: extend.model(Own)(Own), ModelError, "no TabularModel"),  # type: ignore[type-var]
    "an adapter that says little": (
        lambda: extend.model(Own)(extend.SmallModel),
        ModelError,
        "does not say: filled, record_gradients, record_losses, size, kind",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_slips_are_messages(name: str) -> None:
    call, kind, text = REFUSED[name]
    with pytest.raises(kind, match=text) as caught:
        call()
    assert caught.value.hint
    assert "mine" not in RANKERS and "f" not in functions._REGISTERED and Own not in ADAPTERS


# ---- in a project file ----------------------------------------------------------------------------------------------

PROJECT = 'trust_python = true\nextensions = ["house_rankers"]\n' + shop_project(
    "too_low = 10", debug='budget = 20\nranker = "by_batch"\n[debug.options]\ncolumn = "plan"'
)


def test_a_project_file_names_its_extensions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    shop().write(tmp_path / "shop.duckdb")
    (tmp_path / "house_rankers.py").write_text((EXAMPLES / "ranker.py").read_text(encoding="utf-8"), encoding="utf-8")
    project = config.parse(PROJECT, tmp_path / "shop.toml")
    session = build(project)
    report = session.db.debug(session.complaints, **project.debug)
    assert len({*report.ranking.column("plan")[:10]}) == 1
    with pytest.raises(ConfigError, match="trust_python = true"):
        config.parse(PROJECT.replace("trust_python = true", ""), tmp_path / "shop.toml")
    with pytest.raises(ConfigError, match="'no_such_module' cannot be imported"):
        build(config.parse(PROJECT.replace("house_rankers", "no_such_module"), tmp_path / "shop.toml"))
    (tmp_path / "broken_rankers.py").write_text("1 / 0\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="'broken_rankers' cannot be imported: ZeroDivisionError"):
        build(config.parse(PROJECT.replace("house_rankers", "broken_rankers"), tmp_path / "shop.toml"))
    made = PROJECT.replace('estimator = "logistic_regression"\nscale = true', 'python = "house_models:make"')
    (tmp_path / "house_models.py").write_text("def make():\n    return 1 / 0\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="'house_models:make' failed: ZeroDivisionError"):
        build(config.parse(made, tmp_path / "shop.toml"))
    without = PROJECT.replace('extensions = ["house_rankers"]', "")
    with pytest.raises(ConfigError, match="by_batch"):
        config.parse(without, tmp_path / "shop.toml")
