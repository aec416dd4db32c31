"""What was chosen with the papers' sets in view, judged on others: Telco churn, breast cancer, digits.

    python benchmarks/aside.py [--seeds 5] [--quick] [--check]

Holistic's AUCCR by λ in multiples of the curvature of the model's own penalty, 1/(C·n), of which the default of `debug`
is ten times and 0 solves exactly; and rain's beside it at the default. Half of every set is trained on, a share of one
class's labels there is made wrong, half is queried; one complaint a case: how many rows are predicted to be of a class,
as the true labels count them.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import protocol
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from rain_debug import connect
from rain_debug.bench import Case, Corruption, Scene
from rain_debug.bench import protocol as papers
from rain_debug.datasets import telco_churn
from rain_debug.datasets.corrupt import draw, relabelled, with_column
from rain_debug.debugger.choosing import PRIORS
from rain_debug.engines.table import Table, column

FACTORS = (0.0, 1.0, PRIORS, 100.0, 1000.0)


@dataclass(frozen=True)
class Set:
    """A set to be spoilt: `wrong` picks the records whose label `says` something else; `asked` is the class counted."""

    name: str
    load: Callable[[], Table]
    label: str
    wrong: Callable[[Table], np.ndarray]
    says: Any
    asked: Any
    shares: tuple[float, ...]


def bundled(load: Callable[..., Any]) -> Table:
    """A set that scikit-learn brings along."""
    x, y = load(return_X_y=True)
    return Table({**{f"x{j}": column(x[:, j].tolist()) for j in range(x.shape[1])}, "y": column(y.tolist())})


def fibre(customers: Table) -> np.ndarray:
    """Those who left, of the customers that pay by the month for a fibre line."""
    return (
        (customers["Churn"].values == "Yes")
        & (customers["Contract"].values == "Month-to-month")
        & (customers["InternetService"].values == "Fiber optic")
    )


def electronic(customers: Table) -> np.ndarray:
    """Those who stayed, of the customers that pay by electronic check."""
    return (customers["Churn"].values == "No") & (customers["PaymentMethod"].values == "Electronic check")


SETS = (
    Set("telco, fibre", lambda: telco_churn().customers, "Churn", fibre, "No", "Yes", (0.3, 0.6)),
    Set("telco, e-check", lambda: telco_churn().customers, "Churn", electronic, "Yes", "Yes", (0.3, 0.6)),
    Set("cancer", lambda: bundled(load_breast_cancer), "y", lambda t: t["y"].values == 0, 1, 0, (0.3, 0.5)),
    Set("digits", lambda: bundled(load_digits), "y", lambda t: t["y"].values == 1, 7, 1, (0.3, 0.5, 0.7)),
)


def prepare(name: str, share: float, seed: int) -> Scene:
    """Half to train on with wrong labels, half to query."""
    chosen = next(s for s in SETS if s.name == name)
    whole = _table(name)
    lot = np.random.default_rng(np.random.SeedSequence([seed, 40])).permutation(whole.n_rows)
    training, queried = (whole.take(np.sort(part)) for part in np.array_split(lot, 2))
    hit = draw(np.flatnonzero(chosen.wrong(training)), share, seed)
    spoilt = with_column(training, chosen.label, relabelled(training[chosen.label].values, hit, chosen.says))
    features = [c for c in whole if c not in ("id", "customerID", chosen.label)]
    right = queried[chosen.label].values
    db = connect({"training": spoilt, "queried": queried})
    numeric = make_pipeline(SimpleImputer(), StandardScaler())
    words = OneHotEncoder(handle_unknown="ignore")
    head = make_column_transformer(
        (numeric, make_column_selector(dtype_include="number")), (words, make_column_selector(dtype_exclude="number"))
    )
    model = make_pipeline(head, LogisticRegression(C=1.0))
    db.create_model("m", model, training="SELECT * FROM training", key="id", label=chosen.label, features=features)
    return Scene(db, spoilt["id"].values[hit], right, chosen.asked)


@functools.cache
def _table(name: str) -> Table:
    table = next(s for s in SETS if s.name == name).load()
    return with_column(table, "id", np.arange(table.n_rows))


def complain(scene: Scene, seed: int) -> list[Any]:
    """As many rows of the class as there really are."""
    asked = f"'{scene.rows}'" if isinstance(scene.rows, str) else scene.rows
    query = scene.db.query(f"SELECT count(*) AS n FROM queried q WHERE predict(m, q) = {asked}")
    return [query.cell("n").should_be(float((scene.right == scene.rows).sum()))]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--check", action="store_true", help="exit 1 where the default loses")
    parser.add_argument("--quick", action="store_true", help="one seed: a smoke test")
    parser.add_argument("--out", type=Path, default=protocol.RESULTS)
    options = parser.parse_args()
    seeds = 1 if options.quick else options.seeds
    print(__doc__.split("\n")[0] + "\n")
    print(f"{'':<22}" + "".join(f"{name:>18}" for name in (*(f"{f:g}/(C·n)" for f in FACTORS), "rain")))
    found: dict[str, list[list[float]]] = {}
    for chosen in SETS:
        for share in chosen.shares:
            case = Case(f"{chosen.name} {share:.0%}", Corruption("", prepare, (chosen.name, share)), complain)
            rows = []
            for seed in range(seeds):
                scene = case.corruption.scene(seed)
                handle = scene.db.models["m"]
                unit = handle.model.prior(handle.records.n_records)
                row = [papers.measure(case, scene, "holistic", seed, f * unit).auccr for f in FACTORS]
                rows.append([*row, papers.measure(case, scene, "rain", seed).auccr])
            found[case.name] = rows
            mean, spread = np.mean(rows, axis=0), np.std(rows, axis=0, ddof=min(1, seeds - 1))
            print(f"{case.name:<22}" + "".join(f"{m:>10.3f} ±{s:>6.3f}" for m, s in zip(mean, spread, strict=True)))
    means = np.array([np.mean(rows, axis=0) for rows in found.values()])
    print(f"\n{'mean':<22}" + "".join(f"{m:>10.3f}{'':>8}" for m in means.mean(axis=0)))
    protocol.write(options.out, "aside", {"factors": FACTORS, "seeds": seeds, "auccr": found})
    own = FACTORS.index(PRIORS)
    against, ahead = means[:, own] - means[:, 0], means[:, -1] - means[:, own]
    claims = [
        (
            f"AUCCR {means[:, own].mean():.3f} in the mean, {means[:, 0].mean():.3f} of an exact solve",
            bool(against.mean() > 0),
        ),
        (f"never below an exact solve by more than 0.03 (worst {against.min():+.3f})", bool(against.min() >= -0.03)),
        (
            f"rain ahead of Holistic by {ahead.mean():.3f} in the mean (from {ahead.min():+.3f} to {ahead.max():+.3f})",
            bool(ahead.mean() > 0),
        ),
    ]
    return protocol.verdict(claims, check=options.check)


if __name__ == "__main__":
    sys.exit(main())
