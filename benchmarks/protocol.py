"""What the figures share: the papers' protocol, seeds and rankers, the table on stdout, the JSON file, the claims.

The protocol: complaints say what the answer is with right labels and are judged by the relaxed answer, residuals are
summed unscaled (L1), ten records go between two refits from the last parameters, ⌊1.1·K⌋ in all, ties by key. One
setting is ours: the damping is the default of `debug`, ten times the penalty's curvature. The papers' code added none,
but cut conjugate gradients off after 80 iterations, which damps too; `--damping 0` solves exactly.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import metrics
import numpy as np
import scipy
import sklearn

from rain_debug.datasets import Corrupted
from rain_debug.errors import DatasetError

RANKERS = ("holistic", "loss", "self_influence", "random")
DAMPING = None
PHASES = ("train", "encode", "rank")
RESULTS = Path(__file__).resolve().parent / "results"


@dataclass(frozen=True)
class Trial:
    """One case to debug: a database, its complaints, and the truth to measure against."""

    corrupted: Corrupted
    complain: Callable[[], tuple[Any, list[Any]]]
    """Makes a fresh database with its model, and the complaints about it."""


@dataclass
class Measured:
    """One row of a figure: a case and a ranker over all seeds, beside the papers' numbers and the target."""

    case: str
    ranker: str
    wrong: int
    auccr: list[float] = field(default_factory=list)
    recall_at_k: list[float] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    curve: list[float] = field(default_factory=list)
    """Mean recall at 5%, 10%, … 100% of K."""
    paper: float | None = None
    target: float | None = None

    @property
    def mean(self) -> float:
        return float(np.mean(self.auccr))


def arguments(description: str, rankers: Sequence[str] = RANKERS) -> argparse.ArgumentParser:
    """The options of every figure."""
    parser = argparse.ArgumentParser(description=description.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=5, help="how many, from 0 on")
    parser.add_argument("--rankers", nargs="+", default=list(rankers), choices=RANKERS, metavar="RANKER")
    parser.add_argument("--damping", type=float, default=DAMPING, help="λ in H + λI")
    parser.add_argument("--check", action="store_true", help="exit 1 where a claim does not hold")
    parser.add_argument("--quick", action="store_true", help="one seed, the least that runs everything: a smoke test")
    parser.add_argument("--out", type=Path, default=RESULTS, help="the folder for the JSON file")
    return parser


def debug(
    db: Any, complaints: list[Any], wrong: int, ranker: str, seed: int, damping: float | None
) -> tuple[list[Any], dict[str, float]]:
    """The keys in the order of removal, and the median seconds of a round by phase."""
    report = db.debug(
        complaints,
        budget=max(1, int(1.1 * wrong)),
        step=10,
        ranker=ranker,
        until="budget",
        judge="relaxed",
        loss="l1",
        scale="none",
        damping=damping,
        seed=seed,
        progress=False,
    )
    rounds = report.run.rounds
    acting = [r for r in rounds if r.chosen] or list(rounds)
    spent = {phase: float(np.median([getattr(r.seconds, phase) for r in acting])) for phase in PHASES}
    return [c.key for r in rounds for c in r.chosen], spent


def measure(
    case: str,
    make: Callable[[int], Trial],
    options: argparse.Namespace,
    paper: dict[str, float],
    target: float | None,
    rankers: Iterable[str] | None = None,
) -> list[Measured]:
    """One row a ranker; `make` gives the trial of a seed, `target` is what Holistic has to reach."""
    rows = {ranker: Measured(case, ranker, 0, paper=paper.get(ranker)) for ranker in rankers or options.rankers}
    curves: dict[str, list[np.ndarray]] = {ranker: [] for ranker in rows}
    spent: dict[str, list[dict[str, float]]] = {ranker: [] for ranker in rows}
    for seed in range(options.seeds):
        trial = make(seed)
        truth = trial.corrupted.truth.tolist()
        db, complaints = trial.complain()
        for ranker, row in rows.items():
            keys, seconds = debug(db, complaints, len(truth), ranker, seed, options.damping)
            curve = metrics.recall(keys, truth)
            row.wrong = len(truth)
            row.auccr.append(metrics.auccr(keys, truth))
            row.recall_at_k.append(float(curve[-1]))
            curves[ranker].append(np.interp(np.linspace(0.05, 1, 20), np.linspace(0, 1, len(curve)), curve))
            spent[ranker].append(seconds)
    for ranker, row in rows.items():
        row.target = target if ranker == "holistic" else None
        row.seconds = {phase: float(np.median([s[phase] for s in spent[ranker]])) for phase in PHASES}
        row.curve = np.round(np.mean(curves[ranker], axis=0), 4).tolist()
        show_row(row)
    return list(rows.values())


HEADER = f"{'case':<26}{'ranker':<16}{'K':>5}{'AUCCR':>9}{'±':>7}{'r@K':>7}{'paper':>8}{'target':>8}   s/round"


def show_row(row: Measured) -> None:
    """One line of the table."""
    number = [f"{x:>8.3f}" if x is not None else f"{'':>8}" for x in (row.paper, row.target)]
    seconds = " + ".join(f"{row.seconds[p]:.3f}" for p in PHASES)
    spread = float(np.std(row.auccr))
    recall = float(np.mean(row.recall_at_k))
    print(
        f"{row.case:<26}{row.ranker:<16}{row.wrong:>5}{row.mean:>9.3f}{spread:>7.3f}{recall:>7.3f}"
        f"{number[0]}{number[1]}   {seconds}",
        flush=True,
    )


def machine() -> dict[str, Any]:
    """What the numbers depend on."""
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "processor": platform.machine(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "scikit-learn": sklearn.__version__,
        "duckdb": duckdb.__version__,
    }


def figure(
    name: str,
    description: str,
    rows: Callable[[argparse.Namespace], list[Measured]],
    argv: Sequence[str] | None = None,
    rankers: Sequence[str] = RANKERS,
    extra: Callable[[argparse.ArgumentParser], None] | None = None,
) -> int:
    """Run one figure: table on stdout, JSON into the folder, exit code 1 where --check finds a claim broken."""
    parser = arguments(description, rankers)
    if extra:
        extra(parser)
    options = parser.parse_args(argv)
    if options.quick:
        options.seeds = 1
    print(description.split("\n")[0] + "\n\n" + HEADER)
    began = time.perf_counter()
    try:
        measured = rows(options)
    except DatasetError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    claims = [claim(row) for row in measured if row.target is not None]
    results = [asdict(row) | {"mean": row.mean, "std": float(np.std(row.auccr))} for row in measured]
    settings = {"seeds": options.seeds, "damping": options.damping, "seconds": time.perf_counter() - began}
    write(options.out, name, settings | {"results": results})
    return verdict(claims, check=options.check)


def claim(row: Measured) -> tuple[str, bool]:
    """A target as a sentence, and whether it is met."""
    return f"{row.case}: {row.ranker} AUCCR {row.mean:.3f} ≥ {row.target}", row.mean >= (row.target or 0.0)


def verdict(claims: Sequence[tuple[str, bool]], *, check: bool) -> int:
    """Print what was claimed; 1 where a claim is broken and was to be checked."""
    print()
    for text, holds in claims:
        print(f"{'holds ' if holds else 'BROKEN'}  {text}")
    return 1 if check and not all(holds for _, holds in claims) else 0


def write(folder: Path, name: str, content: dict[str, Any]) -> Path:
    """The JSON file of a figure, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    partial = path.with_suffix(".tmp")
    text = json.dumps({"figure": name, "machine": machine(), **content}, indent=1, default=_plain)
    partial.write_text(text + "\n", encoding="utf-8")
    os.replace(partial, path)
    print(f"\nwritten: {path}")
    return path


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else str(value)
