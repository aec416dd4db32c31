"""The rankers that are a line, and how rankers are made known and given their options."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from sklearn.model_selection import KFold, StratifiedKFold

from rain_debug.errors import DebugError
from rain_debug.rankers import BLIND, OPTIONS, RANKERS, Problem, Ranking, checked, register
from rain_debug.rankers.duti import DutiOptions
from rankers.small import Plain, small


def test_who_may_be_fixed_next() -> None:
    p = replace(small(n=4), keep=np.array([True, True, False, False]))
    assert p.eligible.tolist() == [True, True, False, False]
    assert replace(p, open=np.array([True, False, True, False])).eligible.tolist() == [True, False, False, False]


@pytest.mark.parametrize("classes", [1, 2, 3])
def test_each_is_its_formula(classes: int) -> None:
    p = small(classes, damping=0.3)
    plain, n = Plain(p), p.keep.sum()
    gradients = plain.gradients(p.theta)
    inverse = np.linalg.inv(plain.hessian(p.theta, np.ones(24)))
    formulas = {
        "loss": plain.losses(p.theta),
        "gradient_similarity": -gradients @ p.query_gradient / n,
        "self_influence": np.einsum("ij,jk,ik->i", gradients, inverse, gradients) / n,
        "random": 1 - np.random.default_rng(0).random(24),
    }
    for name, formula in formulas.items():
        found = RANKERS[name](p)
        np.testing.assert_allclose(found.scores, np.where(p.keep, formula, 0.0), rtol=1e-5, err_msg=name)
        assert found.along is (p.query_gradient if name == "gradient_similarity" else None)


@pytest.mark.parametrize(("counts", "stratified"), [((5, 3), True), ((3, 7), True), ((4, 4), False), ((2, 2), False)])
def test_confident_is_the_loss_to_models_of_the_other_folds(counts: tuple[int, int], stratified: bool) -> None:
    """Five folds, or one a record where there are fewer; in proportion as soon as a class has a record for each."""
    p = small(n=24, seed=3)
    codes = p.records.y
    kept = np.sort(np.concatenate([np.flatnonzero(codes == c)[:m] for c, m in enumerate(counts)]))
    keep = np.isin(np.arange(24), kept)
    p = replace(p, keep=keep, seed=7)
    kind = StratifiedKFold if stratified else KFold
    expected = np.zeros(24)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for taught, asked in kind(min(5, len(kept)), shuffle=True, random_state=7).split(kept, codes[kept]):
            plain = Plain(replace(p, keep=np.isin(np.arange(24), kept[taught])))
            expected[kept[asked]] = plain.losses(plain.fit(p.theta, np.ones(24)))[kept[asked]]
        found = RANKERS["confident"](p)
    assert found.note == ""
    np.testing.assert_allclose(found.scores, expected, rtol=1e-4)


@dataclass(frozen=True)
class Options:
    near: int = 5


@pytest.fixture
def mine() -> Iterator[str]:
    yield "by_hand"
    for known in (RANKERS, OPTIONS):
        known.pop("by_hand", None)
    BLIND.discard("by_hand")


def test_the_same_name_again_replaces_all_of_it(mine: str) -> None:
    def scores(problem: Problem) -> Ranking:
        return Ranking(np.ones(problem.records.n_records))

    register(mine, scores, options=Options, blind=True)
    assert OPTIONS[mine] is Options and mine in BLIND
    register(mine, scores)
    assert mine not in OPTIONS and mine not in BLIND and mine in RANKERS


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (Ranking(np.ones(3)), r"its scores are of shape \(3,\), not \(24,\)"),
        (Ranking(np.ones(24), priority=np.ones((24, 1))), r"its priority are of shape \(24, 1\), not \(24,\)"),
        (np.ones(24), "it returned a ndarray"),
    ],
)
def test_what_it_returns_is_looked_at(mine: str, made: Any, message: str) -> None:
    register(mine, lambda _: made)
    with pytest.raises(DebugError, match=message) as error:
        RANKERS[mine](small())
    assert error.value.where == "ranker 'by_hand', model 'm'"
    with pytest.raises(DebugError) as error:
        RANKERS[mine](replace(small(), name=""))
    assert error.value.where == "ranker 'by_hand'"


def test_options_become_what_the_ranker_knows() -> None:
    assert checked("duti", {"trust": 2, "steps": 1}, OPTIONS) == DutiOptions(2, steps=1)
    assert checked("duti", {}, OPTIONS) == DutiOptions()
    assert checked("loss", {}, OPTIONS) is None
