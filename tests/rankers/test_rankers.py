"""Rankers and the order they lead to."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from rain_debug.data import Records
from rain_debug.engines.table import Table
from rain_debug.models import Model, adapt
from rain_debug.rankers import RANKERS, Problem, order

N, WRONG = 200, 20


@pytest.fixture(scope="module")
def corrupted() -> tuple[Model, Records, Problem]:
    """200 records, the first 20 of class 1 labelled 0; the complaint: too few rows of class 1."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, 2))
    y = (X[:, 0] > 0).astype(int)
    wrong = np.flatnonzero(y == 1)[:WRONG]
    y[wrong] = 0
    model = adapt(LogisticRegression(), where="model 'm'")
    records = model.bind(Table.of(a=X[:, 0], b=X[:, 1], y=y, wrong=np.isin(np.arange(N), wrong)), "y", ["a", "b"])
    theta = model.fit(records).theta
    queried = rng.normal(size=(100, 2))
    dP = np.tile([1.0, -1.0], (100, 1))
    gradient = model.backprop(queried, theta, dP)
    return model, records, Problem(model, records, np.ones(N, dtype=bool), theta, gradient, seed=3)


ALONE = tuple(name for name in RANKERS if name != "two_step")
"""Those that rank without the queries behind ∇q."""


@pytest.mark.parametrize("name", ALONE)
def test_each_ranks_all_records_and_leaves_the_removed_out(
    name: str, corrupted: tuple[Model, Records, Problem]
) -> None:
    _, records, problem = corrupted
    keep = np.arange(N) % 3 != 0
    ranking = RANKERS[name](Problem(**{**problem.__dict__, "keep": keep}))
    assert ranking.scores.shape == (N,) and np.all(np.isfinite(ranking.scores)) and ranking.note == ""
    assert not ranking.scores[~keep].any()
    found = order(ranking.scores, records.keys, keep)
    assert sorted(found) == np.flatnonzero(keep).tolist()


def test_holistic_finds_the_wrong_labels(corrupted: tuple[Model, Records, Problem]) -> None:
    _, records, problem = corrupted
    wrong = records.table["wrong"].values
    first = {n: order(RANKERS[n](problem).scores, records.keys, problem.keep)[:WRONG] for n in ALONE}
    hits = {name: int(wrong[positions].sum()) for name, positions in first.items()}
    assert hits["holistic"] >= 17 and hits["random"] <= 8
    assert RANKERS["holistic"](problem).scores[first["holistic"]].min() > 0


def test_random_is_its_seeds(corrupted: tuple[Model, Records, Problem]) -> None:
    _, _, problem = corrupted
    other = Problem(**{**problem.__dict__, "seed": 4})
    again, different = RANKERS["random"](problem).scores, RANKERS["random"](other).scores
    assert np.array_equal(again, RANKERS["random"](problem).scores) and not np.array_equal(again, different)


@given(
    values=st.lists(st.integers(-3, 3), min_size=1, max_size=40),
    seed=st.integers(0, 10**6),
    text=st.booleans(),
)
def test_ties_are_broken_by_key_whatever_the_rounding(values: list[int], seed: int, text: bool) -> None:
    rng = np.random.default_rng(seed)
    n = len(values)
    keys = rng.permutation(n)
    names = np.array([f"k{k}" for k in keys], dtype=object) if text else keys
    exact = np.array(values, dtype=float)
    rounded = exact * (1 + 1e-15 * rng.integers(-4, 5, n)) + 1e-16 * rng.integers(-2, 3, n) * np.abs(exact).max()
    keep = rng.random(n) < 0.9
    expected = sorted(np.flatnonzero(keep), key=lambda i: (-exact[i], names[i]))
    assert order(rounded, names, keep).tolist() == expected


def test_keys_sort_as_their_kind() -> None:
    none = np.zeros(3)
    keep = np.ones(3, dtype=bool)
    assert order(none, np.array([10, 9, 1]), keep).tolist() == [2, 1, 0]
    assert order(none, np.array(["10", "9", "1"], dtype=object), keep).tolist() == [2, 0, 1]
    assert order(none, np.array(["b", 1, None], dtype=object), keep).tolist() == [2, 1, 0]
    assert order(np.array([np.nan, 1.0, 2.0]), np.arange(3), keep).tolist() == [2, 1, 0]
    assert order(np.zeros(0), np.zeros(0), np.zeros(0, dtype=bool)).tolist() == []


def test_identical_records_tie_exactly_under_blas() -> None:
    rng = np.random.default_rng(1)
    X = np.repeat(rng.normal(size=(7, 3)), 31, axis=0)
    y = np.repeat([0, 1, 0, 1, 1, 0, 1], 31)
    shuffle = rng.permutation(len(y))
    model = adapt(LogisticRegression(), where="model 'm'")
    table = Table.of(id=rng.permutation(len(y)), a=X[shuffle, 0], b=X[shuffle, 1], c=X[shuffle, 2], y=y[shuffle])
    records = model.bind(table, "y", key="id")
    theta = model.fit(records).theta
    for name in ("holistic", "loss", "self_influence"):
        keep = np.ones(len(y), dtype=bool)
        problem = Problem(model, records, keep, theta, np.arange(4.0))
        found = order(RANKERS[name](problem).scores, records.keys, keep)
        groups = [records.X[found[i : i + 31]] for i in range(0, len(y), 31)]
        assert all(np.all(group == group[0]) for group in groups)
        keys = records.keys[found].reshape(7, 31)
        assert np.all(np.diff(keys, axis=1) > 0)


def test_renewed_records_forget_earlier_fits(corrupted: tuple[Model, Records, Problem]) -> None:
    model, records, _ = corrupted
    fresh = records.renewed()
    assert fresh.X is records.X and "point" in records.cache and "point" not in fresh.cache
    assert np.array_equal(model.fit(fresh).theta, model.fit(records).theta)


def test_gradient_similarity_is_influence_where_the_curvature_is_flat(
    corrupted: tuple[Model, Records, Problem],
) -> None:
    _, _, problem = corrupted
    damped = RANKERS["holistic"](Problem(**{**problem.__dict__, "damping": 1e6})).scores * 1e6
    assert np.allclose(RANKERS["gradient_similarity"](problem).scores, damped, rtol=1e-5)


def test_confident_asks_models_that_were_not_taught_the_record(corrupted: tuple[Model, Records, Problem]) -> None:
    model, records, problem = corrupted
    scores = RANKERS["confident"](problem).scores
    assert np.array_equal(scores, RANKERS["confident"](problem).scores)
    assert not np.array_equal(scores, RANKERS["confident"](Problem(**{**problem.__dict__, "seed": 4})).scores)
    wrong = records.table["wrong"].values
    assert int(wrong[order(scores, records.keys, problem.keep)[:WRONG]].sum()) >= 10
    # What is out of the training set is less believed than what is in it, in the mean over the records.
    assert scores.mean() > model.losses(records, problem.theta).mean()
    few = np.flatnonzero(records.y == 1)[:2]
    keep = np.zeros(N, dtype=bool)
    keep[few] = keep[np.flatnonzero(records.y == 0)[:3]] = True
    assert np.isfinite(RANKERS["confident"](Problem(**{**problem.__dict__, "keep": keep})).scores).all()
