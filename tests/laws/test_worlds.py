"""Laws 1 to 3: exact = the engine; relaxed at 0/1 = exact; relaxed = the expectation over all possible worlds."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from laws.worlds import Case, Worlds, at_blocks, build, cases, enumerate_worlds, random_probabilities
from rain_debug.relax import Target

CASES = settings(max_examples=int(os.environ.get("RAIN_LAW_CASES", 500)), deadline=None, derandomize=True)


def targets_of(case: Case, worlds: Worlds) -> tuple[list[Target], list[tuple[Any, ...]]]:
    """Targets on every place that some world has."""
    places = sorted({key for answer in worlds.answers for key in answer}, key=repr)
    names = [f"key{i}" for i in range(len(case.keys))]
    found, at = [], []
    for place in places:
        where = tuple(zip(names, place, strict=True))
        found.append(Target("value", "val", where))
        at.append(place)
        if place or not case.aggregate:
            found.append(Target("present", None, where))
            at.append(place)
    return found, at


def in_world(target: Target, place: tuple[Any, ...], answer: dict[tuple[Any, ...], Any], empty: Any) -> float:
    if target.kind == "present":
        return float(place in answer)
    value = answer.get(place, empty)
    return np.nan if value is None else float(value)


def run(case: Case, contract: bool) -> None:
    db = build(case)
    obeys(case, db.query(case.sql()), enumerate_worlds(case, db), contract)


def obeys(case: Case, query: Any, worlds: Worlds, contract: bool) -> None:
    """Laws 1 to 3 for a query whose own engine answered in the worlds."""
    targets, places = targets_of(case, worlds)
    if not targets:
        return
    capture = query.capture(targets, contract=contract)
    program = capture.program
    rng = np.random.default_rng(case.seed)

    # Law 1: exact = the engine, in some worlds; law 2: relaxed at one-hot = exact.
    P = at_blocks(query, capture, random_probabilities(case))
    for world in rng.choice(len(worlds.answers), size=min(6, len(worlds.answers)), replace=False):
        codes = {model: labels[world] for model, labels in worlds.labels.items()}
        hard = at_blocks(query, capture, codes)
        expected = [
            in_world(t, p, worlds.answers[world], case.over_nothing()) for t, p in zip(targets, places, strict=True)
        ]
        exact = program.exact(P, hard)
        for e, x, target in zip(expected, exact, targets, strict=True):
            assert x == pytest.approx(e, nan_ok=True, abs=1e-9), (str(target), case.sql())
        one_hot = [np.eye(p.shape[1])[h] for p, h in zip(P, hard, strict=True)]
        relaxed = program.relaxed(one_hot)
        known = ~np.isnan(exact)
        np.testing.assert_allclose(relaxed[known], exact[known], atol=1e-9, err_msg=case.sql())

    # Law 3: relaxed = the expectation over worlds, and its gradient = finite differences.
    relaxed = program.relaxed(P)
    weight = worlds.probability(random_probabilities(case))
    for t, (target, place) in enumerate(zip(targets, places, strict=True)):
        if not exactly_relaxed(case, target):
            continue
        values = np.array([in_world(target, place, answer, case.over_nothing()) for answer in worlds.answers])
        if target.kind == "value" and (not case.aggregate or case.value.startswith("avg")):
            there = ~np.isnan(values)
            if weight[there].sum() < 1e-9:
                continue
            expected = (weight[there] * values[there]).sum() / weight[there].sum()
        else:
            expected = (weight * np.nan_to_num(values)).sum()
        assert relaxed[t] == pytest.approx(expected, abs=1e-8), (str(target), case.sql())
    gradient_matches(program, P, rng, case.sql())


def exactly_relaxed(case: Case, target: Target) -> bool:
    """Where the relaxed answer is exact: within a tuple, sums of tuples, and tuples that share no variable."""
    independent = len(case.aliases) == 1 or not case.aggregate
    if target.kind == "present" or "avg" in case.value:
        return independent
    return True


def gradient_matches(program: Any, P: list[np.ndarray], rng: np.random.Generator, sql: str) -> None:
    weights = rng.normal(size=len(program.relaxed(P)))
    weights = np.where(np.isnan(program.relaxed(P)), 0.0, weights)
    gradient = program.gradient(P, weights)
    direction = [rng.normal(size=p.shape) for p in P]
    step = 1e-6

    def value(sign: float) -> float:
        moved = program.relaxed([p + sign * step * d for p, d in zip(P, direction, strict=True)])
        return float(np.nan_to_num(moved) @ weights)

    slope = (value(1) - value(-1)) / (2 * step)
    inner = sum(float((g * d).sum()) for g, d in zip(gradient, direction, strict=True))
    assert inner == pytest.approx(slope, rel=1e-5, abs=1e-5), sql


@CASES
@given(cases(aggregate=True))
def test_aggregates_over_pairs_and_tuples(case: Case) -> None:
    run(case, contract=True)


@CASES
@given(cases(aggregate=True))
def test_aggregates_tuple_by_tuple(case: Case) -> None:
    run(case, contract=False)


@CASES
@given(cases(aggregate=False))
def test_rows(case: Case) -> None:
    run(case, contract=False)
