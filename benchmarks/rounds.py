"""One round of train, encode, rank on DBLP and on MNIST Q5: seconds by phase, and how near the machine's limits.

    python benchmarks/rounds.py [--rounds 12] [--check] [--quick]

The papers took 0.67 s (DBLP, Fig. 5) and 0.61 s (MNIST Q5, logistic regression, Fig. 12) a round. The shares relate the
arithmetic and the bytes that a round cannot do without, by its own count of passes over the records, to what this
machine reaches in a large matrix product and in a copy.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import protocol

from rain_debug.bench import Case, Corruption, Scene, dblp
from rain_debug.bench.mnist.counts import count
from rain_debug.bench.mnist.scene import SIZE, corruption
from rain_debug.bench.protocol import SETTINGS

PAPER = {"dblp": 0.67, "mnist q5": 0.61}
ALLOWED = {"dblp": 0.67 / 20, "mnist q5": 0.61}


def seconds(case: Case, scene: Scene, rounds: int) -> dict[str, float]:
    """The median round by phase, the first one left out: it trains from scratch and reads the database."""
    report = scene.db.debug(case.complain(scene, 0), budget=10 * rounds, progress=False, **SETTINGS)
    acting = [r for r in report.run.rounds if r.chosen][1:]
    out = {p: float(np.median([getattr(r.seconds, p) for r in acting])) for p in protocol.PHASES}
    out["total"] = sum(out.values())
    solves = [o.solver_iterations or 0 for r in acting for o in r.outcomes]
    return out | {"solver_iterations": float(np.mean(solves))}


def refit(model: Any, records: Any) -> dict[str, float]:
    """What a warm refit after ten removals does: seconds, iterations, Hessian-vector products."""
    keep = np.ones(records.n_records, dtype=bool)
    theta = model.fit(records, keep, None).theta
    keep[:10] = False
    fit = model.fit(records, keep, theta)
    return {"iterations": fit.iterations, "products": fit.products, "params": model.n_params}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--check", action="store_true", help="exit 1 where a claim does not hold")
    parser.add_argument("--quick", action="store_true", help="few rounds on few records: a smoke test")
    parser.add_argument("--out", type=Path, default=protocol.RESULTS)
    options = parser.parse_args()
    rounds, size = (3, 1_000) if options.quick else (options.rounds, SIZE)
    gemm, copy = protocol.gemm_rate(), protocol.copy_rate()
    print(f"{__doc__.split(chr(10))[0]}\n\nmatrix product {gemm / 1e9:.1f} GFLOP/s, copy {copy / 1e9:.1f} GB/s\n")
    results, claims = {}, []
    cases = {
        "dblp": Case("dblp", Corruption("dblp", dblp.prepare, (0.5,)), dblp.count),
        "mnist q5": Case("mnist q5", corruption(0.5, size), count),
    }
    for name, case in cases.items():
        scene = case.corruption.scene(0)
        (trained,) = scene.db.models.values()
        spent, counts = seconds(case, scene, rounds), refit(trained.model, trained.records.renewed())
        n, d = trained.records.n_records, len(trained.model.features) + 1
        margins = max(1, round(counts["params"] / d))
        # A pass is one product with the records or with their transpose. Newton: margins and gradient an iteration, two
        # a Hessian product. Solve: two a step. Besides, ∇q over the queried rows, and one product for all scores.
        train = 2 * counts["iterations"] + 2 * counts["products"]
        rank = 2 * spent["solver_iterations"] + 2
        work, read = 2 * n * d * margins, 8 * n * d
        shares = {
            "train": (train * work / gemm / spent["train"], train * read / copy / spent["train"]),
            "rank": (rank * work / gemm / spent["rank"], rank * read / copy / spent["rank"]),
        }
        print(f"{name}: {n:,} × {d} × {margins}, the papers {PAPER[name]} s")
        for phase in (*protocol.PHASES, "total"):
            text = f"  {phase:<8}{1000 * spent[phase]:>10.2f} ms"
            if phase in shares:
                text += f"   {shares[phase][0]:>6.0%} of the product rate, {shares[phase][1]:>5.0%} of the copy rate"
            print(text)
        results[name] = {"seconds": spent, "refit": counts, "shares": shares, "paper": PAPER[name]}
        claims.append(
            (f"{name}: a round takes {spent['total']:.4f} s ≤ {ALLOWED[name]:.4f} s", spent["total"] <= ALLOWED[name])
        )
    protocol.write(options.out, "rounds", {"gemm": gemm, "copy": copy, "results": results})
    return protocol.verdict(claims, check=options.check)


if __name__ == "__main__":
    sys.exit(main())
