"""A ranker of one's own: whole batches first, those whose records lower the complaint most on average.

    python examples/extend/ranker.py

Wrong labels often come together, from one client or one day. Influence judges records one by one; its mean over a batch
says which batch to look at, and within one the records follow by their own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from sklearn.linear_model import LogisticRegression

import rain_debug as rain
from rain_debug import extend
from rain_debug.datasets import shop


@dataclass(frozen=True)
class Options:
    """`column`: which column of the training table says what batch a record came in."""

    column: str = "source"


@extend.ranker("by_batch", options=Options)
def by_batch(problem: extend.Problem) -> extend.Ranking:
    """Records by their batch's mean influence, then by their own; the score is the influence."""
    column = Options(**problem.options).column
    ranking = extend.along_gradient(problem, problem.query_gradient)
    if column not in problem.records.table:
        return replace(ranking, note=f"there is no column '{column}': each record is ranked by itself")
    _, batch = np.unique(problem.records.table[column].values.astype(str), return_inverse=True)
    sums = np.bincount(batch, ranking.scores)
    means = sums / np.maximum(1, np.bincount(batch, problem.keep))
    place = np.empty(len(batch))
    place[np.lexsort((ranking.scores, means[batch]))] = np.arange(len(batch))
    return replace(ranking, priority=place)


def main() -> rain.Report:
    data = shop(seed=0)
    db = rain.connect(data.frames())
    db.create_model("churn", LogisticRegression(), training="SELECT * FROM churn_training", key="id", label="churned",
                    features=list(data.features))  # fmt: skip
    complaint = db.query(data.query).cell("n", week=data.fallen[0]).at_least(80)
    return db.debug(complaint, budget=250, step=50, ranker="by_batch", options={"column": "source"})


if __name__ == "__main__":
    extend.check_ranker("by_batch")
    print(main())
