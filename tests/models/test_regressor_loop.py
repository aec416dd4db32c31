"""Train → rank → fix over a regressor's predictions: a sum and a threshold, through the rankers and the debugger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from rain_debug.complaints import Cell
from rain_debug.debugger import Trained, debug
from rain_debug.engines.table import Table
from rain_debug.models import Model, adapt
from rain_debug.rankers import RANKERS, Problem, order
from rain_debug.relax.target import Target
from rain_debug.report import Report

N, WRONG, SPREAD = 300, 25, 0.5


@dataclass
class Part:
    model: str
    table: Table
    identity: None = None
    rids: None = None


class Prices:
    """SELECT sum(predict(price, l)) AS total, count(*) FILTER (WHERE predict(price, l) > 3) AS dear FROM listings l."""

    name, sql, keys = "prices", "SELECT …", ()

    def __init__(self, model: str, X: np.ndarray) -> None:
        self.model, self.X = model, X

    def capture(self, targets: Sequence[Target]) -> Any:
        return Captured(self, targets)

    def answer(self, y: np.ndarray) -> Table:
        return Table.of(total=[float(y.sum())], dear=[int((y > 3).sum())])

    def read(self, answer: Table, target: Target) -> float:
        return float(answer[str(target.column)].values[0])


class Captured:
    def __init__(self, query: Prices, targets: Sequence[Target]) -> None:
        self.columns = [t.column for t in targets]
        self.blocks = [Part(query.model, Table.of(a=query.X[:, 0], b=query.X[:, 1]))]
        self.program = self

    def exact(self, P: list[np.ndarray], hard: list[np.ndarray]) -> np.ndarray:
        assert P[0].shape == (len(hard[0]), 1) and hard[0].dtype == np.float64
        return np.array([hard[0].sum() if c == "total" else (hard[0] > 3).sum() for c in self.columns], dtype=float)

    def relaxed(self, P: list[np.ndarray]) -> np.ndarray:
        y = P[0][:, 0]
        return np.array([y.sum() if c == "total" else norm.cdf((y - 3) / SPREAD).sum() for c in self.columns])

    def gradient(self, P: list[np.ndarray], weights: np.ndarray) -> list[np.ndarray]:
        y = P[0][:, 0]
        slopes = [np.ones(len(y)) if c == "total" else norm.pdf((y - 3) / SPREAD) / SPREAD for c in self.columns]
        return [sum(w * s for w, s in zip(weights, slopes, strict=True))[:, None]]


class Shop:
    """A front door with one regressor."""

    def __init__(self, model: Model, records: Any, query: Prices) -> None:
        self.of = Trained(model, records, model.fit(records).theta)
        self.query = query

    def trained(self, model: str) -> Trained:
        return self.of

    def answers(self, queries: Sequence[Any], thetas: Mapping[str, np.ndarray]) -> Sequence[Table]:
        X = self.of.model.encode(Table.of(a=self.query.X[:, 0], b=self.query.X[:, 1]), "listings")
        return [q.answer(self.of.model.predict(X, thetas["price"])) for q in queries]


def shop(estimator: Any, wrong: int = WRONG, n: int = N) -> tuple[Shop, np.ndarray]:
    """Listings whose prices are right but for `wrong` large ones, entered without their last digit."""
    rng = np.random.default_rng(0)
    X = rng.normal([1.0, 2.0], size=(n, 2))
    y = X @ [1.5, 0.5] + 0.3 * rng.normal(size=n)
    rows = np.flatnonzero(X[:, 0] > 1.5)[:wrong]
    y[rows] /= 10
    model = adapt(estimator, where="model 'price'")
    table = Table.of(id=1000 + np.arange(n), a=X[:, 0], b=X[:, 1], y=y, wrong=np.isin(np.arange(n), rows))
    return Shop(
        model, model.bind(table, "y", ["a", "b"], key="id"), Prices("price", rng.normal([1.0, 2.0], size=(80, 2)))
    ), rows


@pytest.mark.parametrize(
    "estimator", [Ridge(), LinearRegression(), make_pipeline(StandardScaler(), Ridge())], ids=lambda e: type(e).__name__
)
@pytest.mark.parametrize("column", ["total", "dear"])
def test_the_wrong_prices_are_found(estimator: Any, column: str) -> None:
    session, wrong = shop(estimator)
    run = debug(
        session, Cell(session.query, column, ()).too_low(), budget=WRONG, step=5, until="budget", progress=False
    )
    chosen = [c.position for r in run.rounds for c in r.chosen]
    assert len(chosen) == WRONG and len(set(chosen) & set(wrong.tolist())) >= 0.8 * WRONG
    assert run.rounds[-1].readings[0].exact > run.rounds[0].readings[0].exact and not run.warnings
    y = session.of.records.y
    assert run.models[0].labels == tuple(float(y[i]) for i in chosen)
    assert all(o.converged and o.solver_converged is not False for r in run.rounds for o in r.outcomes)
    assert next(iter(Report(run).ranking))["label"] == float(y[chosen[0]])


def test_the_total_ends_where_sklearn_ends() -> None:
    session, _ = shop(Ridge(alpha=2.0))
    total = Cell(session.query, "total", ())
    run = debug(session, total.at_least(200.0), budget=60, step=10, damping=0.0, progress=False)
    gone = [c.position for r in run.rounds for c in r.chosen]
    keep = np.setdiff1d(np.arange(N), gone)
    records = session.of.records
    fitted = Ridge(alpha=2.0).fit(records.X[keep], records.y[keep])
    assert run.rounds[-1].readings[0].exact == pytest.approx(float(fitted.predict(session.query.X).sum()), rel=1e-9)
    # Σŷ is linear in θ, so the first round's scores say what removing each record alone does, nearly.
    first = run.rounds[0].chosen[0]
    alone = np.arange(N) != first.position
    without = Ridge(alpha=2.0).fit(records.X[alone], records.y[alone]).predict(session.query.X).sum()
    moved = (without - run.rounds[0].readings[0].exact) / max(200.0, run.rounds[0].readings[0].exact)
    assert first.score == pytest.approx(moved, rel=0.1)


@pytest.mark.parametrize("ranker", [name for name in RANKERS if name != "two_step"])
def test_every_ranker_runs(ranker: str) -> None:
    session, wrong = shop(Ridge())
    cell = Cell(session.query, "total", ())
    run = debug(session, cell.too_low(), budget=20, step=10, ranker=ranker, until="budget", progress=False)
    chosen = {c.position for r in run.rounds for c in r.chosen}
    assert len(chosen) == 20
    assert len(chosen & set(wrong.tolist())) >= (0 if ranker == "random" else 16)


def test_a_regressor_keeps_two_records() -> None:
    session, _ = shop(Ridge(), wrong=1, n=5)
    cell = Cell(session.query, "total", ())
    run = debug(session, cell.too_low(), budget=4, step=4, until="budget", progress=False)
    assert run.stopped == "last of a class" and sum(len(r.chosen) for r in run.rounds) == 3
    assert any("is one of the last two that model 'price' has" in w for w in run.warnings)


def test_an_exact_fit_names_nobody() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 2))
    model = adapt(LinearRegression(), where="model 'price'")
    records = model.bind(Table.of(a=X[:, 0], b=X[:, 1], y=X @ [1.0, 2.0] + 3), "y")
    session = Shop(model, records, Prices("price", X))
    run = debug(session, Cell(session.query, "total", ()).too_low(), budget=10, progress=False)
    assert run.stopped == "no positive score" and not any(r.chosen for r in run.rounds)
    assert "meets its labels" in run.rounds[0].outcomes[0].note


def test_a_classifier_beside_a_regressor_shares_the_signature() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 2)), rng.normal(size=60)
    for estimator, label in ((Ridge(), y), (LogisticRegression(), (y > 0).astype(int))):
        model = adapt(estimator, where="model 'm'")
        records = model.bind(Table.of(a=X[:, 0], b=X[:, 1], y=label), "y")
        theta = model.fit(records).theta
        P = model.probabilities(X, theta)
        problem = Problem(model, records, np.ones(60, dtype=bool), theta, model.backprop(X, theta, np.ones_like(P) * P))
        for name in set(RANKERS) - {"two_step"}:
            assert len(order(RANKERS[name](problem).scores, records.keys, problem.keep)) == 60
