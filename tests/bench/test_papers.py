"""The papers' experiments on their data, in small: what complaints ask for, and that Holistic finds wrong labels."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from rain_debug.bench import EXPERIMENTS, Case, Scene, jobs, protocol
from rain_debug.bench.mnist import cnn, counts, joins, labels, scene

RECORDS = 600


def of(case: Case, folder: str) -> Scene:
    """The case's scene; the test is skipped where its data is not at hand: tests download nothing."""
    if not (Path(os.environ.get("RAIN_DATA", "none")) / folder).is_dir():
        pytest.skip(f"{folder} is in no folder that RAIN_DATA names; rain_debug.datasets says where it comes from")
    return case.corruption.scene(0)


@pytest.mark.parametrize(
    ("name", "folder", "wrong"), [("dblp 50%", "dblp_scholar", 66), ("adult 50% both", "adult", 268)]
)
def test_holistic_finds_the_wrong_records(name: str, folder: str, wrong: int) -> None:
    case = next(c for e in EXPERIMENTS.values() for c in e.cases if c.name == name)
    result = protocol.measure(case, of(case, folder), "holistic", 0)
    assert case.target is not None and result.auccr >= case.target
    assert result.wrong == wrong


@pytest.fixture(scope="module")
def digits() -> Scene:
    return of(Case("small", scene.corruption(0.3, RECORDS), counts.count), "mnist")


def test_mnist_is_the_papers(digits: Scene) -> None:
    ones = int((digits.right == 1).sum())
    assert abs(len(digits.truth) - 0.3 * ones) <= 1  # training and queried images are drawn alike
    assert counts.count(digits, 0)[0].value == ones


def test_rows_have_one_side_mispredicted(digits: Scene) -> None:
    ids, *known = (v.tolist() for v in scene.predicted(digits))
    shows, said = (dict(zip(ids, values, strict=True)) for values in known)
    complaints = joins.rows(0.0, digits, 0)
    assert complaints and all(c.says == "not_exist" for c in complaints)
    for c in complaints:
        left, right = (dict(c.target.where)[side] for side in "lr")
        assert (shows[left], shows[right]) == (1, 7) and said[left] == said[right]
        assert (said[left] == 1) != (said[right] == 7)
        assert c.query.read(c.query.answer, c.target) == 1.0


def test_a_share_of_the_rows_becomes_two_predictions_each(digits: Scene) -> None:
    plain, mixed = joins.rows(0.0, digits, 0), joins.rows(0.5, digits, 0)
    direct = [c for c in mixed if c.says == "is"]
    replaced = round(0.5 * len(plain))
    assert len(mixed) - len(direct) == len(plain) - replaced
    assert 0 < len(direct) <= 2 * replaced


@pytest.mark.parametrize("mix", [0.0, 0.25])
def test_joins_are_disjoint_and_ask_for_the_true_pairs(digits: Scene, mix: float) -> None:
    (complaint,) = joins.join(mix, digits, 0)
    lot, right = digits.rows["lot"].values, digits.right
    left = (right >= 1) & (right <= 5) & ~((right == 1) & (lot < mix))
    true = sum(int((left & (right == d)).sum()) * int((~left & (right == d)).sum()) for d in range(10))
    assert complaint.value == true and (true > 0) == (mix > 0)


@pytest.mark.parametrize("pool", labels.POOLS)
def test_more_labels_hold_the_fewer(digits: Scene, pool: str) -> None:
    few, many = ({c.target.where for c in labels.labels(pool, n, digits, 0)} for n in (5, 20))
    assert len(few) == 5 and len(many) == 20 and few < many
    right = dict(zip(*(v.tolist() for v in scene.predicted(digits)[:2]), strict=True))
    for c in labels.labels(pool, 20, digits, 0):
        assert c.target.value == right[dict(c.target.where)["id"]]
        if pool == "mispredicted":
            assert c.query.read(c.query.answer, c.target) == 0.0


def test_wrong_complaints_lie_where_they_say(digits: Scene) -> None:
    true = float((digits.right == 1).sum())
    over, partial, wrong = (
        counts.wrong(how, digits, 0)[0].value for how in ("overshoot", "partial", "wrong direction")
    )
    assert over == pytest.approx(1.2 * true) and wrong < partial < true


@pytest.mark.parametrize("name", [e.name for e in EXPERIMENTS.values() if e.family == "mnist"])
def test_mnist_runs(digits: Scene, name: str) -> None:
    small = replace(digits, truth=digits.truth[:9])  # a budget of nine records: one round and the answer after it
    result = protocol.measure(EXPERIMENTS[name].cases[-1], small, "holistic", 0)
    assert (result.rounds, result.stopped) == (2, "budget")


@pytest.mark.parametrize(("parameters", "size", "least"), [("all", 300, 0.2), ("last", 120, 0.0)])
def test_the_network_is_the_papers(parameters: cnn.Looked, size: int, least: float) -> None:
    torch = pytest.importorskip("torch")
    case = Case("small", cnn.corruption(parameters, 0.5, size), counts.count)
    small = of(case, "mnist")
    handle = small.db.models["digits"]
    layers = handle.estimator.module
    assert sum(p.numel() for p in layers.parameters()) == handle.model.n_params == 607_394
    assert layers(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
    assert torch.equal(cnn.network(3)[0].weight, cnn.network(3)[0].weight)
    assert not torch.equal(cnn.network(3)[0].weight, cnn.network(4)[0].weight)

    few = replace(small, truth=small.truth[:9])  # one round and the answer after it
    result = protocol.measure(case, few, "holistic", 0)
    assert (result.rounds, result.stopped) == (2, "budget")
    assert result.recall >= least  # by chance 9 of 300 would be found, one in thirty


def test_networks_run_only_where_they_are_asked_for() -> None:
    names = {"mnist_cnn", "mnist_cnn_last"}
    assert names <= set(EXPERIMENTS) and not jobs([EXPERIMENTS[n] for n in names])
    assert len(jobs([EXPERIMENTS["mnist_cnn"]], ["holistic"])) == 4 * 5
