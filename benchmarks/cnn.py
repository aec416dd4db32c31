"""A round of the papers' network on MNIST, Q5: seconds to refit, to encode and to rank, on two threads.

    python benchmarks/cnn.py [--rounds 4] [--check] [--quick]

Half of the ones among 10,000 images say seven; the rounds are those of `rain bench mnist_cnn` and `mnist_cnn_last`,
without the first, whose fit starts from nothing. What the whole run finds is for these to tell.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import protocol

from rain_debug.bench.mnist.cnn import SETTINGS, SHARES, SOLVE, network
from rain_debug.bench.mnist.counts import count
from rain_debug.bench.mnist.scene import SIZE, of_model
from rain_debug.models.torch import TorchClassifier

SHARE = SHARES[2]
MOST = 3.0


def measured(parameters: str, size: int, rounds: int) -> dict[str, Any]:
    """Median seconds of a round by phase; `first` is the first fit's."""
    how: dict[str, Any] = {**SETTINGS, **SOLVE[parameters], "parameters": parameters, "threads": 2}
    classifier = TorchClassifier(network(0), input_shape=(1, 28, 28), classes=range(10), **how)
    scene = of_model(classifier, SHARE, size, 0)
    report = scene.db.debug(
        count(scene, 0), budget=10 * rounds, until="budget", judge="relaxed", progress=False
    )  # fmt: skip
    seconds = [r.seconds for r in report.run.rounds[1:-1]]
    found = {phase: float(np.median([getattr(s, phase) for s in seconds])) for phase in protocol.PHASES}
    return {"total": sum(found.values()), **found}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--check", action="store_true", help="exit 1 where a claim does not hold")
    parser.add_argument("--quick", action="store_true", help="300 images: a smoke test")
    parser.add_argument("--out", type=Path, default=protocol.RESULTS)
    options = parser.parse_args()
    print(__doc__.split("\n")[0] + "\n")
    results: dict[str, Any] = {}
    for parameters in ("last", "all"):
        found = results[parameters] = measured(parameters, 300 if options.quick else SIZE, options.rounds)
        print(f"{parameters:<6}" + ", ".join(f"{name} {value:.2f} s" for name, value in found.items()))
    seconds = results["last"]["total"]
    protocol.write(options.out, "cnn", {"seconds": seconds, "share": SHARE, **results})
    return protocol.verdict([(f"a round {seconds:.2f} s ≤ {MOST:g} s", seconds <= MOST)], check=options.check)


if __name__ == "__main__":
    sys.exit(main())
