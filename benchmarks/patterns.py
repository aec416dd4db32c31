"""Patterns: is what was injected found, how long does it take, does what is foreseen come true, and what of fairness?

    python benchmarks/patterns.py [--seeds 10] [--check] [--quick]

`found` makes labels wrong by a predicate on four sets (shop, adult, enron, dblp), debugs, and looks for the predicate
among the first three patterns: its records, or at least 90% of them and at least 90% of its own. `search` times the
search over 100,000 records and 30 columns. `foreseen` removes prefixes of the ranking, up to 5% of the records, and
compares the complained cells as one Newton step foresees them with a refit; its figure is the calibration plot of the
docs. `fairness` looks for at most 5% of the records that make half of a gap between groups.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import protocol
from sklearn.linear_model import LogisticRegression

import rain_debug
from rain_debug.bench import adult, dblp, enron
from rain_debug.datasets import dblp_scholar, shop
from rain_debug.datasets.corrupt import with_column
from rain_debug.engines.table import Table
from rain_debug.patterns import Effects, find

SHARES = (0.005, 0.01, 0.02, 0.03, 0.04, 0.05)
"""Prefixes of the ranking, as shares of the training records."""
ALIKE = 0.9
FIRST = 3
COLOURS = {"shop": "#1d4ed8", "adult": "#0f9d76", "enron": "#c2410c", "dblp": "#7c3aed"}
FIGURE = Path(__file__).resolve().parent.parent / "docs" / "images" / "patterns-foreseen.svg"


@dataclass(frozen=True, eq=False)
class Set:
    """A database with a model whose labels are wrong where a predicate holds, and complaints about a query.

    `injected` are the keys of the records that meet the predicate and carry the label that it gave, `wrong` of those
    whose label was another one.
    """

    db: Any
    complaints: list[Any]
    injected: np.ndarray
    wrong: np.ndarray
    settings: dict[str, Any]


def the_shop(seed: int) -> Set:
    """The upload of one client says 'no' of each user of the basic plan; the two last weeks are too low."""
    made = shop(seed)
    db = rain_debug.connect(made.frames())
    db.create_model("churn", LogisticRegression(), training="SELECT * FROM churn_training", key="id", label="churned",
                    features=list(made.features))  # fmt: skip
    weekly = db.query(made.query)
    t = made.churn_training
    injected = t["id"].values[(t["source"].values == "import-17") & (t["plan"].values == "basic")]
    complaints = [weekly.cell("n", week=w).too_low() for w in made.fallen]
    return Set(db, complaints, injected, made.truth, {})


def the_adult(seed: int) -> Set:
    """Half of the poor men in their forties are said to be rich."""
    scene = adult.prepare(0.5, seed)
    t = scene.db.models["income"].records.table
    men = (t["gender"].values == "Male") & (t["agedecade"].values == 40) & (t["high"].values == 1)
    return Set(scene.db, adult.both(scene, seed), t["id"].values[men], scene.truth, {})


def the_enron(seed: int) -> Set:
    """Every mail with the word "deal" is said to be spam."""
    scene = enron.prepare("deal", seed)
    t = scene.db.models["filter"].records.table
    held = enron._data().holding("deal")[t["id"].values - 1]
    return Set(scene.db, enron.count("deal", scene, seed), t["id"].values[held], scene.truth, {"step": 50})


def the_dblp(seed: int) -> Set:
    """Every pair with a SIGMOD paper and much the same title is said not to match."""
    made = dblp_scholar().corrupted(0.0, seed)
    t = made.training
    sigmod = np.array(["sigmod" in v for v in t["left_id"].values])
    hit = sigmod & (t["title_title_lev_sim"].values >= 0.6)
    wrong = hit & (t["label"].values == "match")
    labels = t["label"].values.copy()
    labels[hit] = "non-match"
    db = rain_debug.connect({"dblp": made.queried, "dblp_training": with_column(t, "label", labels)})
    db.create_model("matcher", LogisticRegression(), training="SELECT * FROM dblp_training", key="id", label="label",
                    features=list(made.features))  # fmt: skip
    asked = db.query(dblp.SQL).cell("n").should_be(int((made.right == "match").sum()))
    return Set(db, [asked], t["id"].values[hit], t["id"].values[wrong], {})


SETS: dict[str, Callable[[int], Set]] = {
    "shop": the_shop, "adult": the_adult, "enron": the_enron, "dblp": the_dblp,
}  # fmt: skip


def debugged(made: Set) -> Any:
    """The report of the papers' protocol: a tenth more records than are wrong."""
    budget = int(1.1 * len(made.wrong))
    return made.db.debug(made.complaints, budget=budget, until="budget", progress=False, **made.settings)


def alike(a: Sequence[Any], b: Sequence[Any]) -> float:
    """The least of the two shares of keys that both have."""
    both = len(set(a) & set(b))
    return both / max(len(a), len(b), 1)


def found(name: str, seed: int) -> dict[str, Any]:
    """One seed: the first patterns, and which of them is the one injected."""
    made = SETS[name](seed)
    report = debugged(made)
    began = time.perf_counter()
    patterns = find(report.run, report.background)[:FIRST]
    seconds = time.perf_counter() - began
    near = [max(alike(p.keys, made.injected.tolist()), alike(p.keys, made.wrong.tolist())) for p in patterns]
    best = int(np.argmax(near)) if near else -1
    return {
        "set": name, "seed": seed, "patterns": [p.sql for p in patterns], "alike": max(near, default=0.0),
        "which": best + 1, "hit": max(near, default=0.0) >= ALIKE, "seconds": seconds,
    }  # fmt: skip


def foreseen(name: str, seed: int) -> list[dict[str, Any]]:
    """Prefixes of the ranking: how far the complained cells move, foreseen and after a refit."""
    report = debugged(SETS[name](seed))
    effects = Effects(report.run, report.background)
    (model,) = report.background.trained
    chosen = [c.position for r in report.rounds for c in r.chosen]
    n = report.background.trained[model].records.n_records
    rows = []
    for share in SHARES:
        out = np.zeros(n, dtype=bool)
        out[chosen[: int(share * n)]] = True
        a, b = effects.foreseen(model, out), effects.tried(model, out)
        for i, before in enumerate(effects.now.relaxed):
            rows.append({"set": name, "share": share, "removed": int(out.sum()), "cell": i,
                         "foreseen": a.relaxed[i] - before, "verified": b.relaxed[i] - before})  # fmt: skip
    return rows


def wide(records: int, seed: int = 0) -> Set:
    """`records` records of 30 columns: numbers, categories, texts, dates, NULLs; one source's labels are wrong."""
    rng = np.random.default_rng(seed)
    n = records
    columns: dict[str, Any] = {"id": np.arange(n)}
    for i in range(6):
        columns[f"x{i}"] = rng.standard_normal(n)
    for i in range(6):
        values = rng.gamma(2.0, 10.0, n).round(2)
        values[rng.random(n) < 0.05 * i] = np.nan
        columns[f"amount{i}"] = values
    for i, k in enumerate((2, 3, 4, 5, 6, 8, 10, 20, 50, 200)):
        columns[f"kind{i}"] = np.array([f"k{j}" for j in range(k)], dtype=object)[rng.integers(0, k, n)]
    words = np.array(["late", "early", "paid", "open", "new", "old", "returned", "gift", "fast", "slow"], dtype=object)
    columns["note"] = words[rng.integers(0, 10, n)] + " " + words[rng.integers(0, 10, n)] + " order " + columns["kind9"]
    days = np.datetime64("2026-01-01") + rng.integers(0, 300, n)
    columns["uploaded"] = days.astype(str).astype(object)
    for i in range(4):
        columns[f"count{i}"] = rng.poisson(3 * (i + 1), n)
    columns["checked"] = rng.random(n) < 0.3
    columns["source"] = np.array([f"import-{j}" for j in range(20)], dtype=object)[rng.integers(0, 20, n)]
    yes = columns["x0"] + columns["x1"] + 0.2 * rng.standard_normal(n) > 0
    hit = (columns["source"] == "import-7") & (columns["kind2"] == "k1")
    wrong = hit & yes
    columns["label"] = np.where(yes & ~wrong, "yes", "no").astype(object)
    table = Table.of(**columns)
    queried = Table.of(id=np.arange(2000), **{f"x{i}": rng.standard_normal(2000) for i in range(6)})
    db = rain_debug.connect({"rows": queried, "training": table})
    db.create_model("m", LogisticRegression(), training="SELECT * FROM training", key="id", label="label",
                    features=[f"x{i}" for i in range(6)])  # fmt: skip
    asked = db.query("SELECT count(*) AS n FROM rows r WHERE predict(m, r) = 'yes'").cell("n").too_low()
    return Set(db, [asked], columns["id"][hit], columns["id"][wrong], {"step": 200})


def searched(records: int) -> dict[str, Any]:
    """Seconds of the whole search, the least of three, and what it finds."""
    made = wide(records)
    report = debugged(made)
    seconds, patterns = protocol.best(lambda: find(report.run, report.background), 3)
    columns = len(report.background.trained["m"].records.table) - 1
    return {"records": records, "columns": columns, "seconds": seconds, "patterns": [p.sql for p in patterns],
            "alike": max(alike(p.keys, made.wrong.tolist()) for p in patterns)}  # fmt: skip


if __name__ == "__main__":
    print(searched(100_000))
    for name in ("dblp", "shop", "adult"):
        for seed in (0, 1, 2):
            print(found(name, seed))
