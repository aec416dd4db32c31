"""Label flips on real data: the label that is suggested, how many records it takes, and what held-out rows say."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from rain_debug import Report, connect
from rain_debug.bench import dblp
from rain_debug.bench.mnist import scene as mnist
from rain_debug.complaints import Cell
from rain_debug.data.columns import label_codes
from rain_debug.datasets import shop
from rain_debug.datasets.shop import Shop
from rain_debug.debugger.prefixes import Prefixes
from rain_debug.engines.table import Table
from rain_debug.report.trust import at_hand


def needs(folder: str) -> None:
    if not (Path(os.environ.get("RAIN_DATA", "")) / folder).is_dir():
        pytest.skip(f"{folder} is in no folder that RAIN_DATA names; rain_debug.datasets says where it comes from")


def right_labels(made: Shop) -> Table:
    """A shop's training records with their true labels."""
    table, wrong = made.churn_training, set(made.truth.tolist())
    other = {"yes": "no", "no": "yes"}
    pairs = zip(table["id"].to_list(), table["churned"].to_list(), strict=True)
    return Table({**table, "churned": Table.of(y=[other[y] if k in wrong else y for k, y in pairs])["y"]})


def of_shop(seed: int) -> tuple[Any, list[Cell], float, np.ndarray, Callable[[int], Any], Table]:
    made = shop(seed=seed)
    db = connect(made.frames())
    db.create_model("churn", make_pipeline(StandardScaler(), LogisticRegression()),
                    training="SELECT * FROM churn_training", key="id", label="churned",
                    features=list(made.features))  # fmt: skip
    weekly = db.query(made.query)
    true = dict(zip(made.churn_training["id"].to_list(), right_labels(made)["churned"].to_list(), strict=True))
    cells = [weekly.cell("n", week=w) for w in made.fallen]
    return db, cells, 85, made.truth, true.__getitem__, right_labels(shop(seed=seed + 100))


def of_dblp(seed: int) -> tuple[Any, list[Cell], float, np.ndarray, Callable[[int], Any], Table]:
    needs("dblp_scholar")
    made = dblp.prepare(0.5, seed)
    held = Table({**made.rows, "label": Table.of(y=made.right)["y"]})
    cells = [made.db.query(dblp.SQL).cell("n")]
    return made.db, cells, 115, made.truth, lambda key: "match", held


def of_mnist(seed: int) -> tuple[Any, list[Cell], float, np.ndarray, Callable[[int], Any], Table]:
    needs("mnist")
    made = mnist.prepare(0.5, 2000, seed)
    label = made.db.trained("digits").label
    held = Table({**made.rows, label: Table.of(y=made.right)["y"]})
    cells = [made.db.query("SELECT count(*) AS n FROM mnist m WHERE predict(digits, m) = 1").cell("n")]
    return made.db, cells, 0.85 * int((made.right == 1).sum()), made.truth, lambda key: 1, held


def accuracy(db: Any, report: Report, held: Table, records: int) -> float:
    """On held-out rows, after the first fixes of a run."""
    (model,) = report.run.models
    t = db.trained(model.name)
    theta = Prefixes(report.run, at_hand(report.background)).refitted(records)[model.name]
    y = label_codes(held, t.label, t.model.classes)
    return float((t.model.predict(t.model.encode(held, "rows held out"), theta) == y).mean())


@pytest.mark.parametrize(
    ("make", "seed"),
    [(of_shop, 0), (of_shop, 1), (of_dblp, 0), (of_dblp, 1), (of_mnist, 0)],
    ids=lambda v: getattr(v, "__name__", str(v)),
)
def test_relabelling_finds_the_true_label_and_takes_fewer_records(make: Any, seed: int) -> None:
    db, cells, least, truth, right, held = make(seed)
    wrong = set(truth.tolist())
    complaints = [c.at_least(least) for c in cells]
    how = {"budget": len(wrong), "step": max(1, len(wrong) // 20), "until": "budget", "progress": False}
    delete, relabel = (db.debug(complaints, fix=fix, **how) for fix in ("delete", "relabel"))
    found = [c for r in relabel.rounds for c in r.chosen if c.key in wrong]
    assert len(found) >= 0.8 * len(wrong)
    assert np.mean([c.fix.to == right(c.key) for c in found]) >= 0.9
    few, many = relabel.shortest_prefix().records, delete.shortest_prefix().records
    assert few < many
    before, after, deleted = (accuracy(db, r, held, k) for r, k in ((relabel, 0), (relabel, few), (delete, many)))
    chance = (after * (1 - after) / held.n_rows) ** 0.5
    assert after >= deleted - chance and after > before + 2 * chance
