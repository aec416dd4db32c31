"""Laws 1 to 3 on random dashboards: every answer that is not refused is DuckDB's, and every relaxed cell that is
called exact is the expectation over all worlds; one that is not lies within its stated bound. `make fuzz` goes on where
these stop."""

from __future__ import annotations

import os

import pytest

from laws.dashboards import random_cases
from laws.fuzz import PER_SHOP, as_test, verdict_of
from laws.shops import FEATURES
from laws.tally import Count
from laws.twins import Twins, differ

EXACT = int(os.environ.get("RAIN_EXACT_CASES", 3000))
WORLDS = int(os.environ.get("RAIN_WORLDS_CASES", 500))
"""Queries whose answer alone is judged, and small ones that all worlds judge as well: with the 1,500 of `test_worlds`,
5,000 queries in all, and 2,000 that all worlds judge."""
PARTS = 10
"""Each law's cases are dealt to so many tests, which run side by side."""

ALLOWED: dict[str, tuple[float, float]] = {
    "cte_twice": (0.25, 0.4), "nested": (0.2, 0.3), "predicted_below_and_above": (0.2, 0.25), "full_join": (0.22, 0.3),
    "right_join": (0.2, 0.3), "left_join": (0.17, 0.27), "self_join": (0.18, 0.25), "predicted_in_on": (0.18, 0.27),
    "predicted_nullable": (0.18, 0.3), "where_on_aggregate": (0.2, 0.7), "aggregate_of_aggregate": (0.17, 0.45),
    "having": (0.1, 0.37), "scalar_subquery": (0.17, 0.48), "rollup": (0.12, 0.3), "cube": (0.12, 0.35),
    "grouping_sets": (0.12, 0.4), "min_max": (0.1, 0.3), "bool_aggregate": (0.1, 0.25), "variance": (0.1, 0.27),
    "regressor": (0.12, 0.36), "probability": (0.13, 0.36), "threshold": (0.14, 0.35), "sum_distinct": (0.12, 0.37),
    "pair_model": (0.1, 0.3),
}  # fmt: skip
"""Feature → the largest share of the queries with it that may be refused by name: as an answer, and as a cell."""
OTHERS = (0.12, 0.25)
"""For features that are not in the table."""


def run(law: str, seed: int, cases: int) -> Count:
    """So many cases; what came of them. Fails with the first differences as cases of the `.test` files."""
    count, shop, failed = Count(), 0, []
    while count.total < cases:
        made, numbered = random_cases(seed, shop, PER_SHOP, small=law == "worlds")
        twins = Twins(made, as_file=shop % 4 > 0)
        for i, case in numbered:
            verdict = verdict_of(twins, case, law, i) if count.total < cases else None
            if verdict is None:
                continue
            count.add(case, verdict)
            if verdict.kind == "different":
                again = f"python tests/laws/fuzz.py --law {law} --seed {seed} --shop {shop} --case {i}"
                failed.append(f"{verdict.why}\n{as_test(twins, case, case.sql()[:60])}\n\n{again}")
        twins.close()
        shop += 1
    assert not failed, f"{len(failed)} of {count.total} differ:\n" + "\n\n".join(failed[:3])
    return count


def allowed(count: Count, law: int) -> None:
    """No feature is refused more often than the table allows, by more than chance."""
    shares = count.shares()
    limits = {f: ALLOWED.get(f, OTHERS)[law] + 1.5 / count.features[f] ** 0.5 for f in shares}
    over = {f: f"{share:.0%}" for f, share in shares.items() if share > limits[f]}
    assert not over, f"refused more often than allowed: {over}"


@pytest.mark.parametrize("part", range(PARTS))
def test_the_answer_is_the_databases(part: int) -> None:
    count = run("exact", 1000 + part, EXACT // PARTS)
    assert count.total == EXACT // PARTS
    allowed(count, 0)


@pytest.mark.parametrize("part", range(PARTS))
def test_the_relaxed_answer_is_the_expectation_over_all_worlds(part: int) -> None:
    count = run("worlds", 2000 + part, WORLDS // PARTS)
    assert count.total == WORLDS // PARTS
    allowed(count, 1)


def test_the_generator_covers_its_features_and_sqlite_agrees_with_duckdb() -> None:
    count, same = Count(), 0
    for shop in range(20):
        made, numbered = random_cases(3000, shop, PER_SHOP)
        twins = Twins(made)
        for i, case in numbered:
            count.features.update(case.features)
            expected, lite = twins.expected(case), twins.in_sqlite(case)
            if lite is not None:
                assert differ(lite, expected) is None or not twins.is_stable(case), (shop, i, case.plain())
                same += 1
        twins.close()
    rare = {f: count.features[f] for f in FEATURES if count.features[f] < 0.01 * 20 * PER_SHOP}
    assert not rare, f"features in less than one case of a hundred: {rare}"
    assert same > 0.75 * 20 * PER_SHOP
