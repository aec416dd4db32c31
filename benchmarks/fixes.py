"""Fixes beside each other: how many records resolve the complaint, and what held-out rows say then, and after K.

    python benchmarks/fixes.py [--seeds 10] [--first 0] [--sets shop …] [--out FOLDER] [--check] [--quick]

Labels are made wrong on five sets (shop, dblp, mnist, adult, enron), K of them. The same complaint is given to every
fix, as users give it: with `until="resolved"` and a budget of 2K, whose run ends with the first round that resolves it,
and whose shortest prefix is found by bisection; and with `until="budget"` and a budget of K. After each the accuracy on
rows that were not trained on, with their true labels, is compared with deletion's, seed by seed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import protocol
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import rain_debug
from rain_debug.bench import adult, dblp, enron
from rain_debug.bench.case import Scene
from rain_debug.bench.mnist import scene as mnist
from rain_debug.data.columns import label_codes
from rain_debug.datasets import shop
from rain_debug.datasets.corrupt import with_column
from rain_debug.datasets.shop import Shop
from rain_debug.debugger.prefixes import Prefixes, shortest
from rain_debug.engines.table import Table
from rain_debug.errors import DatasetError

FIXES = ("delete", "relabel", "auto")
AFTER = ("resolved", "shortest", "K")
HELD = 20_000
"""Records of another shop that are held out."""


@dataclass(frozen=True, eq=False)
class Set:
    """A database whose training labels are wrong at the keys `wrong`, where they should be `right`; `held` out rows."""

    db: Any
    complaints: list[Any]
    wrong: frozenset[Any]
    right: Any
    held: Table
    step: int = 10


def true_labels(made: Shop) -> Table:
    """A shop's training records as they should be: who is called wrong did churn."""
    labels = made.churn_training["churned"].values.copy()
    labels[made.truth - 1] = "yes"
    return with_column(made.churn_training, "churned", labels)


def the_shop(seed: int) -> Set:
    """Both fallen weeks are 85 at least."""
    made = shop(seed)
    db = rain_debug.connect(made.frames())
    db.create_model("churn", make_pipeline(StandardScaler(), LogisticRegression()),
                    training="SELECT * FROM churn_training", key="id", label="churned",
                    features=list(made.features))  # fmt: skip
    weekly = db.query(made.query)
    complaints = [weekly.cell("n", week=w).at_least(85) for w in made.fallen]
    return Set(db, complaints, frozenset(made.truth.tolist()), "yes", true_labels(shop(seed + 100, records=HELD)))


def of_scene(scene: Scene, model: str, complaints: list[Any], right: Any, step: int = 10) -> Set:
    """A scene of the papers': what is queried is what is held out."""
    held = with_column(scene.rows, scene.db.trained(model).label, scene.right)
    return Set(scene.db, complaints, frozenset(scene.truth.tolist()), right, held, step)


def the_dblp(share: float) -> Callable[[int], Set]:
    """A share of the matches says the opposite; 115 of 132 matches at least."""

    def made(seed: int) -> Set:
        scene = dblp.prepare(share, seed)
        return of_scene(scene, "matcher", [scene.db.query(dblp.SQL).cell("n").at_least(115)], "match")

    return made


def the_mnist(seed: int) -> Set:
    """Half of the ones say seven; at least 85% as many ones as there are."""
    scene = mnist.prepare(0.5, 2000, seed)
    ones = scene.db.query("SELECT count(*) AS n FROM mnist m WHERE predict(digits, m) = 1").cell("n")
    return of_scene(scene, "digits", [ones.at_least(0.85 * int((scene.right == 1).sum()))], 1)


def the_adult(seed: int) -> Set:
    """Half of the poor men in their forties are said to be rich; the averages are the true ones at most."""
    scene = adult.prepare(0.5, seed)
    men, forties = scene.rows["gender"].values == "Male", scene.rows["agedecade"].values == 40
    complaints = [
        scene.db.query(adult.GENDER).cell("high", gender="Male").at_most(float(scene.right[men].mean())),
        scene.db.query(adult.AGE).cell("high", agedecade=40).at_most(float(scene.right[forties].mean())),
    ]
    return of_scene(scene, "income", complaints, 0)


def the_enron(seed: int) -> Set:
    """Every mail with the word "deal" says spam; as many of them as are spam at most."""
    scene = enron.prepare("deal", seed)
    spam = scene.right[enron._data().holding("deal")[scene.rows["id"].values - 1]] == "spam"
    deals = scene.db.query(enron.SQL.format(holding=enron.HOLDING.format(word="deal"))).cell("n")
    return of_scene(scene, "filter", [deals.at_most(int(spam.sum()))], "ham", step=50)


SETS: dict[str, Callable[[int], Set]] = {
    "shop": the_shop, "dblp 30%": the_dblp(0.3), "dblp 50%": the_dblp(0.5), "dblp 70%": the_dblp(0.7),
    "mnist": the_mnist, "adult": the_adult, "enron": the_enron,
}  # fmt: skip


def accuracy(made: Set, run: Any, background: Any, records: int) -> float:
    """On the rows held out, after the first fixes of a run."""
    (model,) = run.models
    t = made.db.trained(model.name)
    theta = Prefixes(run, background).refitted(records)[model.name]
    y = label_codes(made.held, t.label, t.model.classes)
    return float((t.model.predict(t.model.encode(made.held, "rows held out"), theta) == y).mean())


def measured(made: Set, fix: Any) -> dict[str, Any]:
    """One seed and one fix: how many records, what share of them was wrong, and the accuracies."""
    how = {"fix": fix, "step": made.step, "progress": False}
    wrong, most = len(made.wrong), made.db.trained(next(iter(made.db.models))).records.n_records // 2
    ends = {
        "resolved": made.db.debug(made.complaints, budget=min(2 * wrong, most), until="resolved", **how),
        "K": made.db.debug(made.complaints, budget=wrong, until="budget", **how),
    }
    out: dict[str, Any] = {"wrong": wrong, "all met": ends["resolved"].run.stopped == "resolved"}
    found = shortest(Prefixes(ends["resolved"].run, ends["resolved"].background))
    counts = {name: sum(len(r.chosen) for r in report.rounds) for name, report in ends.items()}
    counts["shortest"] = counts["resolved"] if found is None else found.records
    for name in AFTER:
        report = ends["K" if name == "K" else "resolved"]
        first = [c for r in report.rounds for c in r.chosen][: counts[name]]
        true = [c for c in first if c.key in made.wrong]
        out[name] = {
            "records": len(first), "found": len(true),
            "true labels": float(np.mean([c.fix.to == made.right for c in true if c.fix.kind == "relabel"] or [1.0])),
            "accuracy": accuracy(made, report.run, report.background, counts[name]),
        }  # fmt: skip
    return out


def paired(rows: list[dict[str, Any]], fix: str, after: str, what: str) -> tuple[float, float]:
    """The mean over seeds of a fix's value less deletion's, and its standard error."""
    ours, theirs = ([r[after][what] for r in rows if r["fix"] == f] for f in (fix, "delete"))
    d = np.array(ours, dtype=float) - np.array(theirs, dtype=float)
    return float(d.mean()), float(d.std(ddof=1) / len(d) ** 0.5) if len(d) > 1 else 0.0


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """A set's means over its seeds, each fix beside deletion."""
    out: dict[str, Any] = {"seeds": len(rows) // len(FIXES)}
    for fix in FIXES:
        own = [r for r in rows if r["fix"] == fix]
        out[fix] = {"all met": sum(r["all met"] for r in own)}
        for after in AFTER:
            out[fix][after] = {k: float(np.mean([r[after][k] for r in own])) for k in own[0][after]}
            out[fix][after]["more accurate"], out[fix][after]["standard error"] = paired(rows, fix, after, "accuracy")
    return out


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=0, help="the first of the seeds")
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--quick", action="store_true", help="the least that runs everything: a smoke test")
    parser.add_argument("--check", action="store_true", help="exit 1 where a claim does not hold")
    parser.add_argument("--out", type=Path, default=protocol.RESULTS)
    options = parser.parse_args()
    seeds, sets = (1, ["shop"]) if options.quick else (options.seeds, options.sets)
    claims: list[tuple[str, bool]] = []
    kept = options.out / "fixes.json"  # what is not run now stays as it was measured
    results: dict[str, Any] = json.loads(kept.read_text())["results"] if kept.is_file() and not options.quick else {}
    for name in sets:
        rows = []
        try:
            for seed in range(options.first, options.first + seeds):
                made = SETS[name](seed)
                rows += [{"seed": seed, "fix": fix, **measured(made, fix)} for fix in FIXES]
        except DatasetError as error:
            print(f"{name}: left out, {error.message}")
            continue
        results[name] = found = {**summary(rows), "rows": rows}
        for fix in FIXES:
            parts = [f"{a} {found[fix][a]['records']:.1f} records ({found[fix][a]['found']:.1f} wrong), "
                     f"{found[fix][a]['accuracy']:.4f} ({found[fix][a]['more accurate']:+.4f} "
                     f"± {found[fix][a]['standard error']:.4f})" for a in AFTER]  # fmt: skip
            print(f"{name:9s} {fix:8s} " + "; ".join(parts), flush=True)
        for fix in FIXES[1:]:
            one = found[fix]
            fewer = one["shortest"]["records"] < found["delete"]["shortest"]["records"]
            claims.append((f"{name}, {fix}: fewer records than deletion resolve the complaint", fewer))
            claims.append((f"{name}, {fix}: 90% true labels", one["K"]["true labels"] >= 0.9))
            for after in AFTER:
                held = one[after]["more accurate"] >= -one[after]["standard error"]
                claims.append((f"{name}, {fix}: accuracy, {after}, not below deletion's by a standard error", held))
        protocol.write(options.out, "fixes", {"results": results})
    return protocol.verdict(claims, check=options.check)


if __name__ == "__main__":
    sys.exit(main())
