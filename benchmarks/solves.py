"""Seconds and passes of a ranking's solve, beside plain NumPy on the same arrays: dense, ten classes, and sparse text.

    python benchmarks/solves.py [--only binary digits text] [--check] [--quick]

binary   50,000 × 100, scores of all records for one target, beside the plain float32 way to the same: the exact Hessian
         by one matrix product, Cholesky, one product with the design.
digits   MNIST, 60,000 × 784 × 10: passes over the data to 1e-3 of the exact solution, from nothing and after ten
         records were removed and the model refitted (a preconditioner reads 8,000 of the records: that is not counted);
         a pass beside two bare matrix products in blocks of rows; sixteen complaints together. By damping: ten times
         the penalty's curvature, the default, is the hardest.
text     100,000 documents, 200,000 words, counted already: from the table to the first ranking, and the next complaint.

Times are medians of runs that alternate with what they are compared to; ratios are medians of the pairs' ratios.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import protocol
import scipy.linalg as la
import tasks
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import rain_debug
from rain_debug import influence
from rain_debug.curvature import Damped
from rain_debug.data import Records, threads
from rain_debug.models import Model

Claims = list[tuple[str, bool]]
LASTING = ("active", "point", "scale")
"""What a fit leaves in the records' cache beside preconditioners."""


def paired(ours: Callable[[], Any], theirs: Callable[[], Any], repeats: int) -> tuple[float, float, float]:
    """Median seconds of each, in turns, and the median ratio."""
    seconds = np.array([[_timed(ours), _timed(theirs)] for _ in range(repeats)])
    mine, other = np.median(seconds, axis=0)
    return float(mine), float(other), float(np.median(seconds[:, 0] / seconds[:, 1]))


def _timed(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def cold(records: Records) -> Records:
    """The records as a fit leaves them, without any preconditioner."""
    return replace(records, cache={name: value for name, value in records.cache.items() if name in LASTING})


# ---- two classes --------------------------------------------------------------------------------------------------


def binary(quick: bool) -> tuple[dict[str, Any], Claims]:
    task = tasks.binary(5000, 50) if quick else tasks.binary()
    model, records = tasks.bound(task)
    theta, n, keep = model.fit(records).theta, len(task.y), np.ones(len(task.y), dtype=bool)
    target = task.targets(theta[None], 2)
    exact = task.exact(theta[None], target[0])[1]

    X = np.column_stack([task.X, np.ones(n)]).astype(np.float32)
    labels, at, slope = (a.astype(np.float32) for a in (task.y, theta, target[0][0]))
    ridge = (task.penalty[0] + task.damping).astype(np.float32)

    def plain() -> np.ndarray:
        p = expit(X @ at)
        A = X * np.sqrt(p * (1 - p) / n)[:, None]
        H = A.T @ A
        H[np.diag_indices(len(H))] += ridge
        v = la.cho_solve(la.cho_factor(H, check_finite=False), slope, check_finite=False)
        return (labels - p) * (X @ v) / n

    def ranked(records: Records, gradient: np.ndarray) -> np.ndarray:
        solved = influence.ihvp(model, records, keep, theta, gradient, task.damping)
        return influence.scores(influence.products(model, records, keep, theta, solved.value), keep)

    def first() -> np.ndarray:
        return ranked(cold(records), target[0].ravel())

    repeats = 3 if quick else 31
    seconds, theirs, ratio = paired(first, plain, repeats)
    ranked(records, target[0].ravel())
    next_seconds, _, next_ratio = paired(lambda: ranked(records, target[1].ravel()), plain, repeats)
    r = {name: float(np.corrcoef(call(), exact)[0, 1]) for name, call in (("ours", first), ("plain", plain))}
    print(f"{'binary':<10}{seconds:>10.4f} s, plain {theirs:.4f} s: {ratio:.2f} ×; next complaint {next_ratio:.2f} ×")
    found = {
        "rows": n,
        "seconds": seconds,
        "plain": theirs,
        "ratio": ratio,
        "next": next_seconds,
        "next_ratio": next_ratio,
        "pearson": r,
    }
    return found, [
        (f"binary: {ratio:.2f} × the plain float32 way ≤ 1.5 ×", ratio <= 1.5),
        (f"binary: r = {r['ours']:.6f} ≥ 0.9999", r["ours"] >= 0.9999),
    ]


# ---- ten classes --------------------------------------------------------------------------------------------------


def passes_to(
    model: Model,
    records: Records,
    keep: np.ndarray,
    theta: np.ndarray,
    gradient: np.ndarray,
    damping: float,
    exact: np.ndarray,
    start: np.ndarray | None = None,
) -> tuple[int, float, np.ndarray]:
    """The least passes after which a solve is within 1e-3 of the exact solution, its error, and the solution.

    A tolerance is on the residual, so the loosest that does is looked for; each solve begins with the same cache.
    """
    before = dict(records.cache)
    for tolerance in np.logspace(-2, -6, 33):
        records.cache.clear()
        records.cache.update({k: dict(v) if isinstance(v, dict) else v for k, v in before.items()})
        solved = influence.ihvp(model, records, keep, theta, gradient, damping, start, float(tolerance))
        error = float(np.linalg.norm(solved.value - exact) / np.linalg.norm(exact))
        if error <= 1e-3:
            return solved.iterations, error, solved.value
    raise SystemExit("no solve came within 1e-3")


def digits(quick: bool) -> tuple[dict[str, Any], Claims]:
    task = tasks.digits(6000 if quick else 60_000)
    model, whole = tasks.bound(task)
    fit = model.fit(whole)
    shape, n, keep = (10, task.X.shape[1] + 1), len(task.y), np.ones(len(task.y), dtype=bool)
    theta = fit.theta
    found: dict[str, Any] = {"rows": n, "fit_seconds": fit.seconds, "fit_products": fit.products, "damping": {}}
    claims: Claims = []
    for name, damping in (("default", task.damping), ("1e-3", 1e-3), ("1e-2", 1e-2)):
        damped, records = replace(task, damping=damping), cold(whole)
        g = damped.targets(theta.reshape(shape), 1)[0]
        exact, scores = damped.exact(theta.reshape(shape), g)
        first, error, v = passes_to(model, records, keep, theta, g.ravel(), damping, exact.ravel())
        r = float(np.corrcoef(damped.scores(theta.reshape(shape), v.reshape(shape)), scores)[0, 1])
        left = keep.copy()
        left[np.argsort(-scores)[:10]] = False
        again = model.fit(records, left, theta).theta
        less = replace(damped, X=task.X[left], y=task.y[left], C=task.C)
        g = less.targets(again.reshape(shape), 1)[0]
        later = less.exact(again.reshape(shape), g)[0].ravel()
        moved = float(np.linalg.norm(later - exact.ravel()) / np.linalg.norm(exact))
        warm, _, _ = passes_to(model, records, left, again, g.ravel(), damping, later, v)
        print(f"digits, damping {name}: {first} passes (r = {r:.6f}), after ten removed {warm} (moved by {moved:.0%})")
        found["damping"][name] = {"cold": first, "error": error, "pearson": r, "warm": warm, "moved": moved}
        claims += [
            (f"digits, damping {name}: {first} passes from nothing ≤ 10", first <= 10),
            (f"digits, damping {name}: {warm} passes after ten records ≤ 4", warm <= 4),
        ]
    repeats = 3 if quick else 9
    pass_, bare, ratio = paired(*_passes(model, whole, theta, task), repeats)
    print(f"digits: a pass {pass_:.4f} s, two bare products {bare:.4f} s: {ratio:.2f} ×")
    G = task.targets(theta.reshape(shape), 16).reshape(16, -1).T
    records = cold(whole)
    influence.ihvp(model, records, keep, theta, G[:, 0], task.damping)
    turn = itertools.cycle(range(16))
    together, _, share = paired(
        lambda: influence.ihvps(model, records, keep, theta, G, task.damping),
        lambda: [influence.ihvp(model, records, keep, theta, G[:, next(turn)], task.damping) for _ in range(4)],
        2 if quick else 5,
    )
    share /= 4
    print(f"digits: sixteen complaints together {together:.3f} s, each {share:.2f} × alone")
    found |= {"pass": pass_, "bare": bare, "pass_ratio": ratio, "sixteen": together, "each_of_sixteen": share}
    return found, [
        *claims,
        (f"digits: a pass is {ratio:.2f} × two bare products ≤ 1.3 ×", ratio <= 1.3),
        (f"digits: each of sixteen complaints costs {share:.2f} × alone ≤ 0.5 ×", share <= 0.5),
    ]


def _passes(
    model: Model, records: Records, theta: np.ndarray, task: tasks.Task
) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """A product with H, and two products with the design in blocks of 512 rows on the same threads."""
    H = Damped(model.hessian(records, None, theta), task.damping)
    v = np.random.default_rng(0).normal(size=model.n_params)
    X, W, R = records.X, np.ascontiguousarray(v.reshape(10, -1)[:, :-1]), np.ones((10, 512))

    def part(rows: slice) -> np.ndarray:
        x = X[rows]
        _ = W @ x.T
        out: np.ndarray = R[:, : len(x)] @ x
        return out

    def ours() -> None:
        with threads.serial():
            H.matvec(v)

    def bare() -> None:
        with threads.serial():
            threads.total(len(X), (1 << 18) // 512, part)

    return ours, bare


# ---- sparse text --------------------------------------------------------------------------------------------------


def text(quick: bool) -> tuple[dict[str, Any], Claims]:
    """The documents are rows of a table; a pipeline's first step looks their words up, as a vectoriser that was run."""
    task = tasks.text(2000, 4000) if quick else tasks.text()
    n, rows = len(task.y), task.queried.shape[0]
    words = FunctionTransformer(lambda at: _looked_up(task, at))
    training = {"id": np.arange(n), "doc": np.arange(n), "spam": np.where(task.y == 1, "yes", "no")}
    queried = {"id": np.arange(rows), "doc": n + np.arange(rows), "week": np.arange(rows) % 20}
    db = rain_debug.connect({"training": training, "mails": queried})
    source = "SELECT id, doc, spam FROM training"
    began = time.perf_counter()
    db.create_model(
        "m",
        make_pipeline(words, LogisticRegression()),
        training=source,
        key="id",
        label="spam",
    )
    created = time.perf_counter() - began
    sql = "SELECT week, count(*) AS n FROM mails u WHERE predict(m, u) = 'yes' GROUP BY week ORDER BY week"
    seconds: list[float] = []
    for week in (3, 4):
        query = db.query(sql)
        complaint = query.cell("n", week=week).too_high()
        report = db.debug([complaint], budget=10, step=10, until="budget", progress=False)
        seconds.append(sum(getattr(report.run.rounds[0].seconds, phase) for phase in protocol.PHASES))
    whole = created + seconds[0]
    print(f"text: create_model {created:.1f} s, first ranking {seconds[0]:.2f} s, next complaint {seconds[1]:.2f} s")
    found = {
        "documents": n,
        "words": task.X.shape[1],
        "numbers": int(task.X.nnz),
        "create_model": created,
        "first": seconds[0],
        "next": seconds[1],
    }
    return found, [
        (f"text: the first ranking after {whole:.1f} s ≤ 30 s", whole <= 30.0),
        (f"text: the next complaint {seconds[1]:.2f} s ≤ 1 s", seconds[1] <= 1.0),
    ]


def _looked_up(task: tasks.Task, at: Any) -> Any:
    rows, n = np.asarray(at).ravel().astype(np.int64), len(task.y)
    return task.X[rows] if rows.max(initial=0) < n else task.queried[rows - n]


def main() -> int:
    parts = {"binary": binary, "digits": digits, "text": text}
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", nargs="+", default=list(parts), choices=parts, metavar="NAME")
    parser.add_argument("--check", action="store_true", help="exit 1 where a claim does not hold")
    parser.add_argument("--quick", action="store_true", help="small tasks: a smoke test")
    parser.add_argument("--out", type=Path, default=protocol.RESULTS)
    options = parser.parse_args()
    print(__doc__.split("\n")[0] + "\n")
    found: dict[str, Any] = {}
    claims: Claims = []
    for name in options.only:
        found[name], own = parts[name](options.quick)
        claims += own
    protocol.write(options.out, "solves", found)
    return protocol.verdict(claims, check=options.check and not options.quick)


if __name__ == "__main__":
    sys.exit(main())
