"""Influence of every record on one target: this library beside what a user would pick instead, and beside plain BLAS.

    python benchmarks/peers.py [--only pydvl captum] [--tasks binary] [--threads 1] [--check] [--quick]

Every peer has an environment of its own, made once in `--cache`, and runs `benchmarks/peers/NAME.py` there on the same
records, parameters, damping and target: the loss of one row, which all of them take. Each run of a peer comes right
after one of ours; what is compared are medians over these pairs. A run that takes more CPU seconds than `--limit` is
ended.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import select
import subprocess
import sys
import time
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import protocol
import tasks
from threadpoolctl import threadpool_limits

HERE = Path(__file__).resolve().parent / "peers"
REACHED = 0.9999
"""Pearson's r with the exact scores from which on a method counts as exact."""
AHEAD = {"binary": 8.0, "digits": 15.0}
"""How many times faster than the fastest exact peer."""


@dataclass(frozen=True)
class Peer:
    """What pip installs: with what it requires, and alone where that would bring another torch or torchvision."""

    plain: tuple[str, ...] = ()
    alone: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()


BASE = ("torch==2.13.0", "numpy==2.4.6", "scipy==1.17.1", "scikit-learn==1.9.1", "tqdm==4.70.1", "einops==0.8.2")
PEERS = {
    "pyinfluence": Peer(("pyinfluence==0.5.0",), methods=("explicit",)),
    "dattri": Peer(
        ("pyyaml==6.0.3",), ("dattri==0.3.0",), ("cg, 10 steps", "cg, 40 steps", "cg, 300 steps", "explicit")
    ),
    "pydvl": Peer(("pydvl[influence]==0.10.0", "torch==2.13.0"), methods=("cg", "cg, Nyström", "direct")),
    "curvlinops": Peer(
        ("opt-einsum==3.4.0", "jaxtyping==0.3.11", "wadler-lindig==0.1.8"),
        ("curvlinops-for-pytorch==3.0.1", "backpack-for-pytorch==1.7.1", "einconv==0.1.0", "linear_operator==0.6.1"),
        ("cg", "kfac"),
    ),
    "captum": Peer(("captum==0.9.0", "torch==2.13.0"), methods=("explicit", "arnoldi")),
    "kronfluence": Peer(
        ("opt-einsum==3.4.0", "safetensors==0.8.0", "accelerate==1.15.0", "torch==2.13.0"),
        ("kronfluence==1.0.1", "einconv==0.1.0"),
        ("ek-fac",),
    ),
    "trak": Peer((), ("traker==0.3.2",), ("no projection", "2,048 dimensions")),
}
OURS = ("rain", "to 1e-3")
BLAS = ("float32", "float64", "10 passes, float32", "10 passes, float64")


def environment(name: str, cache: Path) -> Path:
    """The Python of a peer's environment; it sees torch and NumPy of one that they share."""
    shared = _made(cache / "base", BASE, (), None)
    return _made(cache / name, PEERS[name].plain, PEERS[name].alone, shared)


def _made(folder: Path, plain: tuple[str, ...], alone: tuple[str, ...], shared: Path | None) -> Path:
    python, stamp, text = folder / "bin" / "python", folder / "made", json.dumps([plain, alone])
    if stamp.exists() and stamp.read_text() == text:
        return python
    print(f"making {folder} (once)", file=sys.stderr)
    venv.create(folder, with_pip=shared is None, clear=True, symlinks=True)
    pip = [str(python), "-m", "pip"]
    if shared is not None:
        where = "import site; print(site.getsitepackages()[0])"
        sites = [subprocess.check_output([str(p), "-c", where], text=True).strip() for p in (python, shared)]
        (Path(sites[0]) / "shared.pth").write_text(sites[1] + "\n")
        pip = [str(shared), "-m", "pip", "--python", str(python)]
    for options, what in (([], plain), (["--no-deps"], alone)):
        if what:
            subprocess.run([*pip, "install", "--quiet", "--disable-pip-version-check", *options, *what], check=True)
    stamp.write_text(text)
    return python


class Runner:
    """One method in a process of its own, that runs when it is told to."""

    def __init__(self, python: Path, peer: str, method: str, folder: Path, threads: int, limit: float) -> None:
        counts = {f"{lib}_NUM_THREADS": str(threads) for lib in ("OMP", "OPENBLAS", "MKL")}
        self.limit, self.log = limit, folder / f"log-{peer}.txt"
        self.scores = folder / f"scores-{peer}.npy"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [str(python), "-P", str(HERE / "serve.py"), peer, method, str(folder)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=os.environ | counts,
            )  # fmt: skip
        self._answer()

    def run(self) -> dict[str, Any]:
        """Seconds, CPU seconds and bytes of one run; `RuntimeError` says why there are none."""
        assert self.process.stdin is not None
        print(self.scores, file=self.process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        spent = self._cpu() + self.limit
        while not select.select([self.process.stdout], [], [], 1.0)[0]:
            if self._cpu() > spent:
                self.close()
                raise RuntimeError(f"not done after {self.limit:.0f} CPU seconds")
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            last = [x for x in self.log.read_text().splitlines() if x.strip()] or ["it ended without a word"]
            if "MemoryError" in last[-1] or "allocate memory" in last[-1]:
                raise RuntimeError("more than 6 GB of memory")
            raise RuntimeError(last[-1].removeprefix("NotImplementedError: ")[:200])
        return json.loads(line)

    def _cpu(self) -> float:
        """CPU seconds so far: on a busy machine the clock says little."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()


def exported(name: str, quick: bool, cache: Path) -> Path:
    """The task's folder for `serve.py`; made once for each version of `tasks.py`."""
    kind, version = (tasks.binary, tasks.digits)[name == "digits"], Path(tasks.__file__).read_bytes()
    n = {"binary": 50_000, "digits": 60_000}[name] // (20 if quick else 1)
    folder = cache / f"{name}-{n}-{hashlib.sha256(version).hexdigest()[:8]}"
    if (folder / "task.json").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    # What peers are handed is float32; the exact answer and ours are of the same numbers.
    made = kind(n)
    task = tasks.Task(made.name, made.X.astype(np.float32).astype(float), made.y, made.n_classes, made.C, made.damping,
                      made.queried[:1].astype(np.float32).astype(float))  # fmt: skip
    model, records = tasks.bound(task)
    theta = model.fit(records).theta.reshape(task.n_margins, -1)
    p = task.probabilities(task.queried, theta)[0]
    label = int(p.argsort()[-2])  # a row that is, to the model, of the wrong class
    residual = (p - (np.arange(task.n_classes) == label))[-task.n_margins :]
    gradient = np.outer(residual, np.append(task.queried[0], 1.0))
    _, exact = task.exact(theta, gradient)
    arrays = {"y": task.y, "theta": theta, "gradient": gradient, "exact": exact}
    arrays |= {"X": task.X.astype(np.float32), "query_x": task.queried[0].astype(np.float32)}
    for key, value in arrays.items():
        np.save(folder / f"{key}.npy", value)
    described = {"binary": task.n_margins == 1, "classes": task.n_classes, "C": task.C, "l2": 1 / (task.C * n)}
    described |= {"damping": task.damping, "query_y": label}
    (folder / "task.json").write_text(json.dumps(described))
    return folder


def accuracy(folder: Path, peer: str) -> tuple[float | None, float | None]:
    """|r| with the exact scores, and the relative error after the best scaling: signs and factors differ.

    None where only time was measured.
    """
    exact, found = np.load(folder / "exact.npy"), np.load(folder / f"scores-{peer}.npy")
    if len(found) != len(exact):
        return None, None
    if not np.isfinite(found).all():
        raise RuntimeError("scores that are no numbers")
    scale = float(found @ exact) / max(float(found @ found), 1e-300)
    error = float(np.linalg.norm(scale * found - exact) / np.linalg.norm(exact))
    return abs(float(np.corrcoef(found, exact)[0, 1])), error


def paired(
    ours: Runner, python: Path, peer: str, method: str, folder: Path, options: argparse.Namespace
) -> dict[str, Any]:
    """Medians of both sides and of their ratios; a `note` alone where there is no result."""
    try:
        theirs = Runner(python, peer, method, folder, options.threads, options.limit)
    except RuntimeError as error:
        return {"peer": peer, "method": method, "note": str(error)}
    measure, pairs = "cpu" if options.threads == 1 else "seconds", []
    try:
        before, first = ours.run(), theirs.run()
        r, error = accuracy(folder, peer)
        # A first run loads and compiles what later ones have; where it is long that counts for nothing.
        pairs = [(before, first)] if first["cpu"] > 20 else []
        while not pairs or (len(pairs) < options.runs and first["cpu"] <= 20):
            pairs.append((ours.run(), theirs.run()))
    except RuntimeError as failure:
        return {"peer": peer, "method": method, "note": str(failure)}
    finally:
        theirs.close()
    median = {k: float(np.median([t[k] for _, t in pairs])) for k in ("seconds", "cpu")} | {"bytes": first["bytes"]}
    ratio = float(np.median([t[measure] / o[measure] for o, t in pairs]))
    own = float(np.median([o[measure] for o, _ in pairs]))
    return {"peer": peer, "method": method, "r": r, "error": error, "ratio": ratio, "ours": own, **median}


def compare(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """All rows of one task."""
    folder = exported(name, options.quick, options.cache)
    n, d = np.load(folder / "X.npy", mmap_mode="r").shape
    measure = "cpu" if options.threads == 1 else "seconds"
    print(f"\n{name}: {n:,} × {d}; {'CPU seconds of one thread' if measure == 'cpu' else 'seconds by the clock'}")
    ours, rows = Runner(Path(sys.executable), *OURS, folder, options.threads, 600), []
    try:
        first, *spent = [ours.run() for _ in range(options.runs + 1)]
        r, error = accuracy(folder, "rain")
        own = {k: float(np.median([s[k] for s in spent])) for k in ("seconds", "cpu")} | {"bytes": first["bytes"]}
        own |= {"passes": first["passes"], "r": r, "error": error, "ratio": 1.0, "ours": own[measure]}
        rows.append({"peer": "rain", "method": OURS[1], **own})
        show(rows[-1], measure)
        for peer, method in contestants(options):
            python = Path(sys.executable) if peer == "blas" else environment(peer, options.cache)
            rows.append(paired(ours, python, peer, method, folder, options))
            show(rows[-1], measure)
    finally:
        ours.close()
    return {"n": n, "d": d, "rows": rows}


def contestants(options: argparse.Namespace) -> list[tuple[str, str]]:
    every = [("blas", m) for m in BLAS] + [(name, m) for name, peer in PEERS.items() for m in peer.methods]
    return [(name, m) for name, m in every if not options.only or name in options.only]


def show(row: dict[str, Any], measure: str) -> None:
    head = f"  {row['peer']:<12}{row['method']:<20}"
    if "note" in row:
        print(f"{head}{row['note']}", flush=True)
        return
    text = f"{head}{row[measure]:>9.3f} s  {row['ratio']:>8.2f} ×  {row['bytes'] / 1e6:>7,.0f} MB"
    told = f"   r {row['r']:.6f}  error {row['error']:.0e}" if row["r"] is not None else ""
    print(text + told, flush=True)


def claims(results: dict[str, Any]) -> list[tuple[str, bool]]:
    """Against the fastest peer that is exact."""
    out = []
    for name, result in results.items():
        exact = [r for r in result["rows"] if r["peer"] not in ("rain", "blas") and (r.get("r") or 0.0) >= REACHED]
        if exact and name in AHEAD:
            best, own = min(exact, key=lambda r: r["ratio"]), result["rows"][0]
            text = f"{name}: the fastest peer with r ≥ {REACHED}, {best['peer']} ({best['method']}), takes "
            out.append(
                (f"{text}{best['ratio']:.1f} × as long, at least {AHEAD[name]:.0f}", best["ratio"] >= AHEAD[name])
            )
            out.append((f"{name}: r = {own['r']:.6f} ≥ {REACHED}", own["r"] >= REACHED))
    return out


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", nargs="+", choices=["blas", *PEERS], help="these alone")
    parser.add_argument("--tasks", nargs="+", choices=list(AHEAD), default=list(AHEAD))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--limit", type=float, default=300.0, help="CPU seconds after which a run is ended")
    parser.add_argument(
        "--cache", type=Path, default=Path.home() / ".cache" / "rain-peers", help="environments and tasks"
    )
    parser.add_argument("--check", action="store_true", help="exit 1 where a claim does not hold")
    parser.add_argument("--quick", action="store_true", help="a twentieth of the records, one run: a smoke test")
    parser.add_argument("--out", type=Path, default=protocol.RESULTS)
    options = parser.parse_args()
    options.runs = 1 if options.quick else options.runs
    print(__doc__.split("\n")[0])
    with threadpool_limits(options.threads):
        clock = time.process_time if options.threads == 1 else time.perf_counter
        rates = {"gemm": protocol.gemm_rate(clock=clock), "copy": protocol.copy_rate(clock=clock)}
    content = rates | {"threads": options.threads, "versions": {k: p.plain + p.alone for k, p in PEERS.items()}}
    results: dict[str, Any] = {}
    for name in options.tasks:
        results[name] = compare(name, options)
        protocol.write(options.out, "peers", content | {"tasks": results})
    return protocol.verdict(claims(results), check=options.check)


if __name__ == "__main__":
    sys.exit(main())
