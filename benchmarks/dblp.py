"""DBLP-Scholar, Q1: how many pairs match? Fig. 3 (recall) and Fig. 5 (seconds a round) of SIGMOD 2020.

python benchmarks/dblp.py [--seeds 5] [--check] [--quick]
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import protocol
from sklearn.linear_model import LogisticRegression

import rain_debug
from rain_debug.datasets import dblp_scholar

SQL = "SELECT count(*) AS n FROM dblp d WHERE predict(matcher, d) = 'match'"
PAPER = {
    0.3: {"holistic": 1.006, "loss": 0.669, "self_influence": 0.575},
    0.5: {"holistic": 0.987, "loss": 0.355, "self_influence": 0.298},
    0.7: {"holistic": 0.947, "loss": 0.221, "self_influence": 0.021},
}
TARGET = {0.3: 1.00, 0.5: 0.98, 0.7: 0.94}


def trial(data: Any, share: float, seed: int) -> protocol.Trial:
    """Matches to train on that say 'non-match'; the complaint says how many pairs really match."""
    made = data.corrupted(share, seed)

    def complain() -> tuple[Any, list[Any]]:
        db = rain_debug.connect(made.frames())
        db.create_model(
            "matcher",
            LogisticRegression(C=1.0),
            training="SELECT * FROM dblp_training",
            key="id",
            label=made.label,
            features=list(made.features),
        )
        return db, [db.query(SQL).cell("n").should_be(int((made.right == "match").sum()))]

    return protocol.Trial(made, complain)


def rows(options: argparse.Namespace) -> list[protocol.Measured]:
    data = dblp_scholar()
    out = []
    for share in [0.5] if options.quick else [0.3, 0.5, 0.7]:
        out += protocol.measure(
            f"dblp {share:.0%}", lambda seed, s=share: trial(data, s, seed), options, PAPER[share], TARGET[share]
        )
    return out


if __name__ == "__main__":
    sys.exit(protocol.figure("dblp", __doc__, rows))
