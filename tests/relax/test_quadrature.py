"""AVG over rows of which many hang on one prediction, against all worlds."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import rain_debug
from rain_debug.relax import Target
from rain_debug.relax.outcomes import Outcomes
from rain_debug.relax.program import Builder
from relax.outcomes import Clusters, expectation


@pytest.mark.parametrize("chance", [1.0, 0.5, 1.0 - 1e-16, 0.0])
@pytest.mark.parametrize("tall", [1, 30, 250, 900])
def test_mean(chance: float, tall: int) -> None:
    """Up to 480 tuples it is exact; so it is beyond, where each prediction is certain."""
    n = np.array([tall, tall // 2 + 1, 3, 1], dtype=float)
    w = np.array([chance, 1.0, chance, 1.0])
    v = np.array([1.0, 2.0, 4.0, 8.0])
    rows = np.repeat(np.arange(4), n.astype(int))
    b, place = Builder([(4, 2)]), np.zeros(len(rows), dtype=np.int64)
    ones = np.ones(len(rows), dtype=np.int64)
    weight = b.op("at", b.leaf("classes", 0), attrs=(rows, ones))
    o = Outcomes.of_alternatives(b, weight, place, 1, [rows + 1], [ones])
    exact = o.mean_exact(np.ones(len(rows)))
    assert exact == (n.sum() <= 480)
    program = b.program([(o.mean(np.ones(len(rows)), v[rows]), 0)])
    P = np.stack([1 - w, w], axis=1)
    c = Clusters(np.arange(4), np.zeros(4, dtype=np.int64), 1, w, n, v)

    def mean(happens: np.ndarray, _: int) -> float:
        return float(n[happens] @ v[happens] / n[happens].sum()) if len(happens) else np.nan

    expected = expectation(c, w, mean, given=True)
    if exact or chance in (0.0, 1.0):
        np.testing.assert_allclose(program.relaxed([P]), expected, rtol=1e-9)
    assert np.isfinite(program.gradient([P], np.ones(1))[0]).all()


def test_of_a_join_with_one_sure_row() -> None:
    """Each of two users has 400 orders; the model is sure."""
    users = {"id": [1, 2], "x": [90.0, -90.0]}
    orders = {"uid": [1] * 400 + [2] * 400, "amount": [float(i % 7) for i in range(800)]}
    db = rain_debug.connect({"users": users, "orders": orders})
    training = {"x": [-2.0, -1.0, 1.0, 2.0], "churn": ["no", "no", "yes", "yes"]}
    db.create_model("churn", LogisticRegression(C=100.0), training=training, label="churn")
    query = db.query(
        "SELECT avg(o.amount) AS a FROM users u JOIN orders o ON o.uid = u.id WHERE predict(churn, u) = 'yes'"
    )
    program = query.capture([Target("value", "a", ())]).program
    P = [np.array([[0.0, 1.0], [1.0, 0.0]])]
    np.testing.assert_allclose(program.relaxed(P), [np.mean(orders["amount"][:400])], rtol=1e-9)
