"""Trees: the wrong records that a leaf surrogate finds, beside the model's own loss, and whether a refit bears it out.

    python benchmarks/trees.py [--seeds 3] [--quick] [--check]

Adult as in SIGMOD 2020, §6.5: a fifth to train on, the rest queried, a share of the poor men in their forties is said
to be rich; complaints: the average prediction of men, and of people in their forties, should be the true one. The
`census` trees see eleven columns as they are (numbers, and words as numbers), the `paper` ones its 18 binary features,
of which only 118 rows differ. As many records are removed as are wrong, in steps of a tenth; the real model is
refitted for every step. AUCCR is of the order of removal; accuracy that of the real model on the queried rows' true
labels, refitted without what was removed; a complaint is how far the average of its rows is from the true one.
"""

from __future__ import annotations

import argparse
import functools
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import protocol
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

from rain_debug import connect
from rain_debug.bench import adult
from rain_debug.bench.case import Scene
from rain_debug.bench.metrics import auccr, recall
from rain_debug.datasets import adult as census
from rain_debug.engines.table import Column, Table

NUMBERS = ("age", "education_num", "capital_gain", "capital_loss", "hours_per_week")
WORDS = ("workclass", "marital_status", "occupation", "relationship", "race", "sex")
SHARES = (0.3, 0.5)
TIMES = 2.0
"""What the surrogate's AUCCR has to be of the loss's."""
LEAST = 0.1
"""And at least: twice nothing is nothing."""


def boosting(name: str, kind: str, **settings: Any) -> Callable[[int], Any]:
    """An estimator of a library that need not be installed."""

    def made(seed: int) -> Any:
        return getattr(__import__(name), kind)(random_state=seed, n_jobs=1, **settings)

    return made


MODELS: dict[str, Callable[[int], Any]] = {
    "HistGradientBoosting": lambda seed: HistGradientBoostingClassifier(random_state=seed),
    "LightGBM": boosting("lightgbm", "LGBMClassifier", verbose=-1),
    "XGBoost": boosting("xgboost", "XGBClassifier"),
    "RandomForest": lambda seed: RandomForestClassifier(random_state=seed),
}
"""All with their libraries' default settings."""


def scene(features: str, estimator: Any, share: float, seed: int) -> Scene:
    """The corrupted census with that model in it."""
    made = adult._data().corrupted(share, seed)
    named, frames = list(made.features), made.frames()
    if features == "census":
        extra, named = _columns(), [f"c_{n}" for n in (*NUMBERS, *WORDS)]
        frames = {n: Table({**t, **extra.take(t["id"].values - 1)}) for n, t in frames.items()}
    db = connect(frames)
    db.create_model("income", estimator, training="SELECT * FROM adult_training", key="id", label=made.label,
                    features=named)  # fmt: skip
    return Scene(db, made.truth, made.right, frames["adult"])


@functools.cache
def _columns() -> Table:
    """Eleven columns of the census by id: a word is its number in the alphabet, '?' is −1."""
    t = census().train
    known = {n: sorted({v for v in t[n].values if v is not None}) for n in WORDS}
    words = {n: [known[n].index(v) if v is not None else -1 for v in t[n].values] for n in WORDS}
    numbers = {f"c_{n}": Column(t[n].values, "number") for n in NUMBERS}
    return Table(numbers | {f"c_{n}": Column(np.array(v, dtype=np.int64), "number") for n, v in words.items()})


def measure(features: str, model: str, share: float, ranker: str, seed: int) -> dict[str, Any]:
    """One run, and what the real model says before and after it."""
    began = time.perf_counter()
    made = scene(features, MODELS[model](seed), share, seed)
    wrong = len(made.truth)
    report = made.db.debug(
        adult.both(made, seed), budget=wrong, step=-(-wrong // 10), until="budget", ranker=ranker, seed=seed,
        judge="relaxed", progress=False,
    )  # fmt: skip
    rounds = report.run.rounds
    chosen = [c.key for r in rounds for c in r.chosen]
    handle = made.db.models["income"]
    X = handle.model.encode(made.rows, "the queried rows")
    before, after = (
        float(np.mean(handle.model.predict(X, theta) == made.right))
        for theta in (report.run.models[0].before, report.run.models[0].after)
    )
    off = [[r.exact - g.complaint.value for r, g in zip(x.readings, report.run.goals, strict=True)] for x in
           (rounds[0], rounds[-1])]  # fmt: skip
    return {
        "features": features, "model": model, "share": share, "ranker": ranker, "seed": seed, "wrong": wrong,
        "auccr": auccr(recall(chosen, made.truth.tolist())),
        "recall": float(np.isin(made.truth, chosen).mean()),
        "accuracy before": before, "accuracy after": after, "off before": off[0], "off after": off[1],
        "note": rounds[0].outcomes[0].note, "seconds": round(time.perf_counter() - began, 2),
        "refit seconds": float(np.median([r.seconds.train for r in rounds[1:]])),
        "rank seconds": float(np.median([r.seconds.rank for r in rounds if r.chosen])),
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--first", type=int, default=1, help="the first seed; 0 is the one that settings were chosen by"
    )
    parser.add_argument("--check", action="store_true", help="exit 1 where a claim is broken")
    parser.add_argument("--quick", action="store_true", help="one seed, half of the labels wrong, census alone")
    parser.add_argument("--models", nargs="*", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--features", nargs="*", default=["census", "paper"], choices=["census", "paper"])
    parser.add_argument("--output", type=Path, default=protocol.RESULTS)
    asked = parser.parse_args()
    warnings.filterwarnings("ignore", category=FutureWarning)
    seeds = range(asked.first, asked.first + (1 if asked.quick else asked.seeds))
    shares, kinds = (SHARES[-1:], asked.features[:1]) if asked.quick else (SHARES, asked.features)
    runs, claims = [], []
    print(f"{'features':<9}{'model':<27}{'wrong':>6}{'loss':>8}{'leaves':>8}   accuracy        off (men, forties)")
    for features in kinds:
        for model in asked.models:
            for share in shares:
                some = [measure(features, model, share, r, seed) for seed in seeds for r in ("loss", "holistic")]
                runs += some
                claims += judge(features, model, share, some)
    write(asked.output, runs, seeds)
    return protocol.verdict(claims, check=asked.check)


def judge(features: str, model: str, share: float, runs: list[dict[str, Any]]) -> list[tuple[str, bool]]:
    """A line of the table, and what it is to show."""
    own, ours = ([r for r in runs if r["ranker"] == name] for name in ("loss", "holistic"))
    mean = {n: float(np.mean([r["auccr"] for r in some])) for n, some in (("loss", own), ("leaves", ours))}
    accuracy = [float(np.mean([r[f"accuracy {when}"] for r in ours])) for when in ("before", "after")]
    off = [np.abs(np.mean([r[f"off {when}"] for r in ours], axis=0)) for when in ("before", "after")]
    print(
        f"{features:<9}{model:<27}{share:>6.0%}{mean['loss']:>8.3f}{mean['leaves']:>8.3f}   "
        f"{accuracy[0]:.3f} → {accuracy[1]:.3f}   "
        + ", ".join(f"{a:.3f} → {b:.3f}" for a, b in zip(*off, strict=True)),
        flush=True,
    )
    name = f"{features}, {model}, {share:.0%}"
    return [
        (f"{name}: AUCCR {mean['leaves']:.3f} is at least {TIMES:g} × {mean['loss']:.3f}, and at least {LEAST}",
         mean["leaves"] >= max(TIMES * mean["loss"], LEAST)),
        (f"{name}: the refitted model is right more often, {accuracy[0]:.3f} → {accuracy[1]:.3f}",
         accuracy[1] > accuracy[0]),
        (f"{name}: the complaints are nearer to being met, {off[0].sum():.3f} → {off[1].sum():.3f} off in all",
         bool(off[1].sum() < off[0].sum())),
    ]  # fmt: skip


def write(folder: Path, runs: list[dict[str, Any]], seeds: range) -> None:
    protocol.write(folder, "trees", {"seeds": list(seeds), "runs": runs})


if __name__ == "__main__":
    sys.exit(main())
