"""MNIST, Q5: how many ones? (Fig. 11, logistic regression), and Q4: how many equal pairs? (Fig. 6) of SIGMOD 2020.

    python benchmarks/mnist.py [--seeds 5] [--queries q5 q4] [--check] [--quick]

Ones to train on that say 7. Q4 joins images of 1 to 5 with images of 6 to 9 and 0: no pair should be equal.

Self-influence factorises 7,850 × 7,850 numbers anew each round, and does not look at the complaint: unless --full says
otherwise it runs on Q5 at 50% alone, with one seed.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import numpy as np
import protocol
from sklearn.linear_model import LogisticRegression

import rain_debug
from rain_debug.datasets import mnist

Q5 = "SELECT count(*) AS n FROM mnist m WHERE predict(digits, m) = 1"
Q4 = "SELECT count(*) AS n FROM low l, high h WHERE predict(digits, l) = predict(digits, h)"
PAPER = {
    ("q5", 0.1): {"holistic": 0.933, "loss": 0.156},
    ("q5", 0.3): {"holistic": 0.977, "loss": 0.275},
    ("q5", 0.5): {"holistic": 0.978, "loss": 0.201},
    ("q5", 0.7): {"holistic": 0.958, "loss": 0.071},
    ("q4", 0.5): {"holistic": 0.833, "loss": 0.245},
}
TARGET = {("q5", 0.3): 0.95, ("q5", 0.5): 0.95, ("q4", 0.5): 0.83}


def trial(data: Any, query: str, share: float, seed: int, size: int = 10_000) -> protocol.Trial:
    """Ones that are said to be sevens; the complaint says the count with every digit right."""
    made = data.corrupted(share, seed, records=size, rows=size)
    small = np.isin(made.right, [1, 2, 3, 4, 5])

    def complain() -> tuple[Any, list[Any]]:
        frames = made.frames()
        if query == "q4":
            frames |= {"low": made.queried.take(small), "high": made.queried.take(~small)}
        db = rain_debug.connect(frames)
        db.create_model(
            "digits",
            LogisticRegression(C=1.0),
            training="SELECT * FROM mnist_training",
            key="id",
            label=made.label,
            features=list(made.features),
        )
        if query == "q4":
            return db, [db.query(Q4).cell("n").should_be(0)]
        return db, [db.query(Q5).cell("n").should_be(int((made.right == 1).sum()))]

    return protocol.Trial(made, complain)


def rows(options: argparse.Namespace) -> list[protocol.Measured]:
    data = mnist()
    cases = [("q5", share) for share in options.shares] * ("q5" in options.queries)
    cases += [("q4", 0.5)] * ("q4" in options.queries)
    if options.quick:
        cases = [(query, 0.5) for query, _ in dict.fromkeys((q, 0) for q, _ in cases)]
    size = 1_000 if options.quick else 10_000
    out = []
    for query, share in cases:
        slow = [r for r in options.rankers if r == "self_influence" and not options.full]
        one = argparse.Namespace(**vars(options) | {"seeds": 1})
        for rankers, seeds in (([r for r in options.rankers if r not in slow], options), (slow, one)):
            if not rankers or (seeds is one and (options.quick or (query, share) != ("q5", 0.5))):
                continue
            out += protocol.measure(
                f"mnist {query} {share:.0%}",
                lambda seed, q=query, s=share: trial(data, q, s, seed, size),
                seeds,
                PAPER[query, share],
                None if options.quick else TARGET.get((query, share)),
                rankers,
            )
    return out


def more(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--queries", nargs="+", default=["q5", "q4"], choices=["q5", "q4"])
    parser.add_argument("--full", action="store_true", help="self-influence for every case and seed, for hours")
    parser.add_argument("--shares", nargs="+", type=float, default=[0.1, 0.3, 0.5, 0.7], choices=[0.1, 0.3, 0.5, 0.7])


if __name__ == "__main__":
    sys.exit(protocol.figure("mnist", __doc__, rows, extra=more))
