"""How far relaxed answers are from the expectations they stand for: each rule against worlds drawn at random.

    python benchmarks/accuracy.py [--draws 10] [--worlds 100000] [--quick] [--check] [--write docs/accuracy.md]

A case has tuples that are there when one or two prediction variables take class 1, and a value a tuple. For each of a
number of random probabilities the relaxed answer, computed by the rule that a query would use, is compared with the
mean over worlds in which every variable is drawn. Errors are in the unit of each rule: a probability, standard
deviations of the values, or a fraction of the result. What is drawn is itself known to some `resolution` only, its
standard error.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rain_debug.relax import grids
from rain_debug.relax.outcomes import Outcomes
from rain_debug.relax.program import Builder

Array = np.ndarray
Rates = Callable[[np.random.Generator, int], Array]
CELLS = 4_000_000
BUDGET = 60_000_000


@dataclass(frozen=True)
class Tuples:
    """Tuple t is there when all variables of `of[t]` are of class 1; `value` (n,)."""

    n_variables: int
    of: Array
    value: Array


@dataclass(frozen=True)
class Case:
    """A rule in one setting: what the program computes, and what it is to be in one world of tuples."""

    rule: str
    setting: str
    unit: str
    exact: bool
    tuples: Tuples
    rates: Rates
    relaxed: Callable[[Outcomes, Tuples, Array], int]
    world: Callable[[Array, Tuples, Array], Array]
    """From (worlds, tuples) 0/1, tuples and thresholds to (worlds,), NaN where the answer is NULL."""
    thresholds: tuple[float, ...] = (0.0,)
    """In standard deviations from the mean of the sum."""
    known: bool = False
    """The truth is not drawn, but the exact rule beyond the sizes where a query uses it."""


@dataclass(frozen=True)
class Measured:
    """Errors of one case over all draws, and the largest standard error of what they are measured against."""

    rule: str
    setting: str
    unit: str
    exact: bool
    mean: float
    largest: float
    resolution: float
    beyond: float
    """The largest error in standard errors of what it is measured against."""


def single(n: int, seed: int = 0) -> Tuples:
    """n tuples of one variable each, with normal values."""
    return Tuples(n, np.arange(n)[:, None], np.random.default_rng(seed).normal(size=n))


def pairs(left: int, right: int, seed: int = 0) -> Tuples:
    """Every pair of `left` and `right` variables: a join on predictions, each variable in many tuples."""
    a, b = np.divmod(np.arange(left * right), right)
    return Tuples(left + right, np.stack([a, left + b], axis=1), np.random.default_rng(seed).normal(size=left * right))


def even(rng: np.random.Generator, n: int) -> Array:
    """Probabilities anywhere between 0.02 and 0.98."""
    return rng.uniform(0.02, 0.98, n)


def sharp(rng: np.random.Generator, n: int) -> Array:
    """A confident model: most probabilities near 0 or 1."""
    return rng.beta(0.3, 0.3, n).clip(0.001, 0.999)


def about(expected: float) -> Rates:
    """Small probabilities: about so many variables of class 1 are expected."""
    return lambda rng, n: rng.uniform(0.5, 1.5, n) * expected / n


def program(case: Case, thresholds: Array) -> Callable[[Array], float]:
    """The relaxed answer as a function of the variables' probabilities of class 1."""
    t = case.tuples
    b = Builder([(t.n_variables, 2)])
    leaf, weight = b.leaf("classes", 0), None
    for column in t.of.T:
        part = b.op("at", leaf, attrs=(column, np.ones(len(column), dtype=np.int64)))
        weight = part if weight is None else b.op("mul", weight, part)
    assert weight is not None
    place = np.zeros(len(t.of), dtype=np.int64)
    codes = [np.ones(len(t.of), dtype=np.int64) for _ in t.of.T]
    outcomes = Outcomes.of_alternatives(b, weight, place, 1, [c + 1 for c in t.of.T], codes)
    built = b.program([(case.relaxed(outcomes, t, thresholds), 0)])
    return lambda p: float(built.relaxed([np.stack([1 - p, p], axis=1)])[0])


def drawn(
    case: Case, p: Array, thresholds: list[Array], worlds: int, rng: np.random.Generator
) -> list[tuple[float, float]]:
    """For each threshold the mean over random worlds, and its standard error."""
    t = case.tuples
    parts: list[list[Array]] = [[] for _ in thresholds]
    size = max(len(t.of), t.n_variables)
    worlds = min(worlds, BUDGET // size)
    at_once = max(1, CELLS // size)
    for start in range(0, worlds, at_once):
        n = min(at_once, worlds - start)
        classes = rng.random((n, t.n_variables), dtype=np.float32) < p.astype(np.float32)
        there = classes[:, t.of[:, 0]]
        for column in t.of.T[1:]:
            there = there & classes[:, column]
        for part, threshold in zip(parts, thresholds, strict=True):
            part.append(case.world(there, t, threshold))
    found = []
    for part in parts:
        values = np.concatenate(part)
        known = values[~np.isnan(values)]
        found.append((float(known.mean()), float(known.std() / np.sqrt(len(known)))))
    return found


def enumerated(case: Case, p: Array, thresholds: list[Array]) -> list[tuple[float, float]]:
    """For each threshold what the exact rule says, whatever it costs; known to its last digits."""
    limits = grids.MOST_STATES, grids.MOST_WORK
    grids.MOST_STATES, grids.MOST_WORK = 10**6, 1e12
    try:
        return [(program(case, threshold)(p), 1e-9) for threshold in thresholds]
    finally:
        grids.MOST_STATES, grids.MOST_WORK = limits


def measure(case: Case, draws: int, worlds: int, seed: int = 1) -> Measured:
    """Errors over `draws` random probabilities and all thresholds."""
    rng, t = np.random.default_rng(seed), case.tuples
    errors, resolutions = [], []
    for _ in range(draws):
        p = case.rates(rng, t.n_variables)
        joint = np.prod(p[t.of], axis=1)
        unit = t.value if case.unit == "value" else np.ones(len(t.of))
        spread = np.sqrt((joint * (1 - joint) * unit**2).sum())
        middles = [(joint * unit).sum() + z * spread for z in case.thresholds]
        thresholds = [np.array([m if case.unit == "value" else np.floor(m)]) for m in middles]
        rights = enumerated(case, p, thresholds) if case.known else drawn(case, p, thresholds, worlds, rng)
        for threshold, (right, resolution) in zip(thresholds, rights, strict=True):
            scale = (
                1.0 if case.unit in ("probability", "value") else right if case.unit == "fraction" else t.value.std()
            )
            errors.append(abs(program(case, threshold)(p) - right) / scale)
            resolutions.append(resolution / scale)
    units = {"value": "probability", "deviation": "σ of the values", "fraction": "of the result"}
    return Measured(
        case.rule,
        case.setting,
        units.get(case.unit, case.unit),
        case.exact,
        float(np.mean(errors)),
        float(np.max(errors)),
        float(np.max(resolutions)),
        float(np.max(np.array(errors) / np.maximum(resolutions, 1e-9))),
    )


def mean_of(there: Array, t: Tuples, _: Array) -> Array:
    with np.errstate(invalid="ignore"):
        return (there @ t.value) / there.sum(axis=1)


def spread_of(less: int, root: bool) -> Callable[[Array, Tuples, Array], Array]:
    def of(there: Array, t: Tuples, _: Array) -> Array:
        n, s, q = there.sum(axis=1), there @ t.value, there @ t.value**2
        value = np.maximum(q - s**2 / np.maximum(n, 1), 0) / np.where(n > less, n - less, 1)
        return np.where(n > less, np.sqrt(value) if root else value, np.nan)

    return of


def largest_of(there: Array, t: Tuples, _: Array) -> Array:
    best = np.where(there, t.value, -np.inf).max(axis=1)
    return np.where(np.isfinite(best), best, np.nan)


def average(o: Outcomes, t: Tuples, _: Array) -> int:
    return o.mean(np.ones(len(t.value)), t.value)


def spread(kind: str) -> Callable[[Outcomes, Tuples, Array], int]:
    return lambda o, t, _: o.variance(np.ones(len(t.value)), t.value, t.value**2, kind)


def count_above(o: Outcomes, t: Tuples, threshold: Array) -> int:
    return o.tail(np.ones(len(t.value)), ">", threshold)


def sum_above(o: Outcomes, t: Tuples, threshold: Array) -> int:
    return o.tail(t.value, ">", threshold)


def cases() -> list[Case]:
    """Every rule, where it is exact and where it is not."""
    out: list[Case] = []

    def add(
        rule: str, setting: str, unit: str, exact: bool, t: Tuples, rates: Rates, relaxed, world, *z: float, known=False
    ) -> None:
        out.append(Case(rule, setting, unit, exact, t, rates, relaxed, world, z or (0.0,), known))

    for n, exact in ((10, True), (100, True), (200, False), (2000, False)):
        add("AVG", f"{n} tuples", "deviation", exact, single(n), even, average, mean_of)
    add("AVG", "200 tuples, confident model", "deviation", False, single(200), sharp, average, mean_of)
    for expected in (20, 5):
        add(
            "AVG",
            f"200 tuples, {expected} expected",
            "deviation",
            False,
            single(200),
            about(expected),
            average,
            mean_of,
        )
    add("AVG", "8 × 8 pairs, variables shared", "deviation", False, pairs(8, 8), even, average, mean_of)

    def more(there: Array, t: Tuples, threshold: Array) -> Array:
        return (there.sum(axis=1) > threshold[0]).astype(float)

    def larger(there: Array, t: Tuples, threshold: Array) -> Array:
        return (there @ t.value > threshold[0]).astype(float)

    z = (-1.0, 0.0, 1.5)
    add("HAVING COUNT(*) > c", "100 tuples", "probability", True, single(100), even, count_above, more, *z)
    add(
        "HAVING COUNT(*) > c",
        "20,000 tuples",
        "probability",
        False,
        single(20_000),
        even,
        count_above,
        more,
        *z,
        known=True,
    )
    add(
        "HAVING COUNT(*) > c",
        "10,000 tuples, 5 expected",
        "probability",
        True,
        single(10_000),
        about(5),
        count_above,
        more,
        *z,
    )
    for n, exact in ((10, True), (30, False), (300, False), (2000, False)):
        add("HAVING SUM(x) > c", f"{n} tuples", "value", exact, single(n), even, sum_above, larger, *z)
    add("HAVING SUM(x) > c", "300 tuples, 5 expected", "value", False, single(300), about(5), sum_above, larger, *z)
    shared = "20 × 20 pairs, variables shared"
    add("HAVING COUNT(*) > c", shared, "probability", False, pairs(20, 20), even, count_above, more, *z)
    for n in (10, 200):
        add(
            "MIN, MAX", f"{n} tuples", "deviation", True, single(n), even,
            lambda o, t, _: o.extreme(np.ones(len(t.value), dtype=bool), t.value, 1.0), largest_of,
        )  # fmt: skip
    add(
        "MIN, MAX", "8 × 8 pairs, variables shared", "deviation", False, pairs(8, 8), even,
        lambda o, t, _: o.extreme(np.ones(len(t.value), dtype=bool), t.value, 1.0), largest_of,
    )  # fmt: skip
    for n, rates, words, exact in (
        (10, even, "", True), (200, even, "", True), (200, about(5), ", 5 expected", True),
        (2000, even, "", False), (2000, about(5), ", 5 expected", False),
    ):  # fmt: skip
        t, setting = single(n), f"{n} tuples{words}"
        add("VAR_SAMP", setting, "fraction", exact, t, rates, spread("var_samp"), spread_of(1, False))
        add("VAR_POP", setting, "fraction", exact, t, rates, spread("var_pop"), spread_of(0, False))
        add("STDDEV_SAMP", setting, "fraction", False, t, rates, spread("stddev_samp"), spread_of(1, True))

    def some(there: Array, t: Tuples, _: Array) -> Array:
        return there.any(axis=1).astype(float)

    star = Tuples(21, np.stack([np.zeros(20, dtype=np.int64), np.arange(1, 21)], axis=1), np.ones(20))
    rule = "DISTINCT, EXISTS, “is there”"
    for setting, tuples, rates, exact in (
        ("20 tuples", single(20), about(1), True),
        ("5 × 5 pairs, each likely", pairs(5, 5), even, False),
        ("5 × 5 pairs, each rare", pairs(5, 5), about(2), False),
        ("20 pairs that share one variable", star, even, False),
    ):
        add(rule, setting, "probability", exact, tuples, rates, lambda o, t, _: o.any(), some)
    return out


def table(rows: list[Measured]) -> str:
    """As Markdown."""
    lines = ["| rule | setting | | mean error | largest error | unit |", "|---|---|---|---|---|---|"]
    for r in rows:
        numbers = [
            (f"{x:.4f}" if x >= 1e-4 else "< 0.0001") + " (as drawn)" * (r.beyond <= 4) for x in (r.mean, r.largest)
        ]
        said = "exact" if r.exact else "approximate"
        lines.append(f"| {r.rule} | {r.setting} | {said} | {numbers[0]} | {numbers[1]} | {r.unit} |")
    return "\n".join(lines)


PAGE = """# Accuracy

What a relaxed answer is compared with is the expectation over all worlds in which every prediction variable takes a
class with its probability. `query.explain()` says of each rule whether it is exact. Where it is not, this is how far
off it is: `benchmarks/accuracy.py --write docs/accuracy.md` draws {draws} random sets of probabilities a case, computes
the relaxed answer by the rule that a query would use, and averages the exact answer over up to {worlds:,} random
worlds (of 20,000 tuples, over all of them). *As drawn* marks an error that this average cannot tell from none. AVG,
MIN, MAX, VAR and STDDEV are expectations over the worlds in which they are not NULL.

{table}

The rules:

- **AVG** is E[Σx/Σ1] by quadrature for up to 128 independent predictions and 480 tuples; beyond that, the ratio of the
  expectations with its second-order correction, which wants more than a few tuples to be expected.
- **HAVING** is the tail of a Poisson-binomial: exact for values that are multiples of a common step (counts, whole
  numbers, decimals) up to 4,095 tuples of a COUNT, further where the threshold is low, and for sums that take up to
  1,024 different values. Beyond that, sums of up to some 200 tuples are put on a fine lattice, and larger ones taken
  as normal with their mean and variance, corrected for continuity where the values have a step.
- **MIN, MAX** are order statistics, exact for independent tuples.
- **VAR** is exact for up to 1,000 independent tuples; beyond that, an expansion to second order where many tuples are
  expected. **STDDEV** is its root, so a little too large where few tuples are expected.
- **Variables shared** by several tuples, as in a join on predictions, are taken as independent once the tuples with the
  same variables have been put together. Sums do not mind; tails, extremes and “is there” do, as the table shows.
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--worlds", type=int, default=100_000)
    parser.add_argument("--quick", action="store_true", help="the least that runs everything: a smoke test")
    parser.add_argument("--check", action="store_true", help="exit 1 where a rule said to be exact is not")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent / "results")
    parser.add_argument("--write", type=Path, help="the page to write")
    options = parser.parse_args()
    draws, worlds = (2, 2000) if options.quick else (options.draws, options.worlds)
    rows = []
    for case in cases():
        began = time.perf_counter()
        rows.append(measure(case, draws, worlds))
        print(f"{rows[-1].rule:30} {rows[-1].setting:35} {time.perf_counter() - began:6.1f} s", file=sys.stderr)
    print(table(rows))
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "accuracy.json").write_text(json.dumps([r.__dict__ for r in rows], indent=2), encoding="utf-8")
    if options.write is not None:
        options.write.write_text(PAGE.format(draws=draws, worlds=worlds, table=table(rows)), encoding="utf-8")
    wrong = [r for r in rows if r.exact and r.beyond > 5]
    for r in wrong:
        print(f"{r.rule}, {r.setting}: said to be exact, and off by {r.largest:.4f}", file=sys.stderr)
    return 1 if options.check and wrong else 0


if __name__ == "__main__":
    sys.exit(main())
