"""The page about speed, docs/speed.md, from what the benchmarks left in benchmarks/results.

    python benchmarks/speed.py [--write docs/speed.md] [--run] [--check]

One row a task: seconds, memory, passes over the data, the share of the machine's rates of copying and multiplying that
they amount to, and beside these the fastest peer, plain BLAS and the papers. A task whose benchmark has not been run
has no numbers; `--run` runs them all first, which takes hours.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import protocol

HEAD = (
    "task", "seconds", "memory", "passes", "of the copy rate", "of the product rate",
    "fastest exact peer", "plain BLAS", "the papers",
)  # fmt: skip
NONE = "–"
DOCS = Path(__file__).resolve().parents[1] / "docs" / "speed.md"
RUNS = ("peers", "solves", "prepared", "blocks", "rounds", "cnn", "trees")
"""The benchmarks whose results the page reads."""

PAGE = """# Speed

How long an answer takes, how near that is to what the machine can do, and what else could be used for it. The table
is written by `python benchmarks/speed.py --write docs/speed.md` from the results of the [benchmarks](benchmarks.md);
`--run` runs these first.

{table}

{machine}

- **Seconds** are medians. Where a peer or plain BLAS is compared, both ran in turns in one session, and "8 ×" is the
  median over these pairs of their time by ours.
- **Passes** are readings of all training records: products with the Hessian, one more where it is formed, and the two
  that every ranking needs, for the probabilities and for the scores.
- **Shares** relate the bytes and the multiplications of these passes, which no other order of the same steps can
  avoid, to what the machine reached in the same session in a large copy and in a large product in float64.
- **Peers** are exact where Pearson's r between their scores and the exact ones, in float64, is at least 0.9999.
- **The papers'** seconds are theirs, on 32 virtual cores and four V100s (Rain) or on eight and one (Rain++).

{peers}
"""

PEERS = """## Beside other libraries

Every library has an environment of its own and is handed the same records, parameters, damping and target, the loss
of one row, as `benchmarks/peers.py` and its scripts say. *Error* is what is left after the best scaling.

{tables}

What keeps one from being used as it is: dattri solves with the Hessian of every batch apart and adds the solutions
up, so that scores change with the batch size (here all records are one batch), and its conjugate gradients do not
look at their tolerance; Captum always projects, here to as many directions as it can; TRAK and EK-FAC
put another matrix in the Hessian's place. Tests hold this library to the contrary: scores are the same whatever the
size of a block and the order of the records, the intercept has its part in them, and a solve is within the tolerance
that was asked for or says that it is not.
"""

TASKS = {
    "binary": ("two classes, {n:,} × {d}", NONE),
    "digits": ("ten classes, MNIST, {n:,} × {d}", "0.51 a ranking of 10,000"),
}


@dataclass(frozen=True)
class Line:
    """One row of the table, as text."""

    task: str
    seconds: str = "not measured here"
    memory: str = NONE
    passes: str = NONE
    copy: str = NONE
    product: str = NONE
    peer: str = NONE
    blas: str = NONE
    papers: str = NONE


def rankings(kept: dict[str, Any]) -> list[Line]:
    """Scores of all records for one target, beside the peers."""
    found = kept.get("peers")
    lines = []
    for name, (title, papers) in TASKS.items():
        task = (found or {}).get("tasks", {}).get(name)
        if task is None:
            size = {"binary": (50_000, 100), "digits": (60_000, 784)}[name]
            lines.append(Line(title.format(n=size[0], d=size[1]), papers=papers))
            continue
        own, *others = task["rows"]
        damped = kept.get("solves", {}).get(name, {}).get("damping", {}).get("default")
        passes = f"{own['passes']}"
        if damped:
            passes += f"; solves to 1e-3 in {damped['cold']}, warm in {damped['warm']}"
        measure = "cpu" if found["threads"] == 1 else "seconds"
        exact = [r for r in others if r["peer"] != "blas" and (r.get("r") or 0.0) >= 0.9999]
        blas = [r for r in others if r["peer"] == "blas" and "float32" in r["method"] and "ratio" in r]
        best = min(exact, key=lambda r: r["ratio"], default=None)
        n, width, k = task["n"], task["d"] + 1, 10 if name == "digits" else 1
        flops = own["passes"] * 4 * n * width * k + (n * width * width if k == 1 else 0)
        lines.append(
            Line(
                title.format(n=n, d=task["d"]),
                number(own[measure]),
                size_of(own["bytes"]),
                passes,
                f"{own['passes'] * 8 * n * width / found['copy'] / own[measure]:.0%}",
                f"{flops / found['gemm'] / own[measure]:.0%}",
                f"{best['ratio']:.1f} ×, {best['peer']}" if best else NONE,
                f"{min(r['ratio'] for r in blas):.2f} ×" if blas else NONE,
                papers,
            )
        )
    return lines


def prepared(kept: dict[str, Any]) -> list[Line]:
    """A complaint after `prepare`."""
    titles = {
        "linear": (
            "a complaint, prepared: 1,000,000 × 50, 10,000 queried rows",
            "0.02 with k = 20, <0.01 with all it has",
        ),
        "cnn": ("the same, the papers' CNN, 10,000 images", "0.16; <0.01"),
        "mlp": ("the same, an MLP of 1.8 million parameters, 60,000 images", "0.04; <0.01"),
    }
    found = kept.get("prepared", {})
    return [
        Line(title, number(found[name]["complaint_ms"] / 1e3), papers=papers)
        if name in found
        else Line(title, papers=papers)
        for name, (title, papers) in titles.items()
    ]


def disk(kept: dict[str, Any]) -> list[Line]:
    """A training set in Parquet."""
    title = "from Parquet, {n:,} × 50: create_model and debug"
    sizes = kept.get("blocks", {}).get("sizes", [])
    if not sizes:
        return [Line(title.format(n=20_000_000))]
    largest = max(sizes, key=lambda s: s["records"])
    title = title.format(n=largest["records"])
    return [Line(title, number(largest["total"]), f"{size_of(largest['peak_bytes'])} in all")]


def text(kept: dict[str, Any]) -> list[Line]:
    """Sparse documents, counted already."""
    found = kept.get("solves", {}).get("text")
    title = "sparse text, {documents:,} × {words:,}"
    if found is None:
        return [Line(title.format(documents=100_000, words=200_000))]
    title = title.format(**found)
    first = number(found["create_model"] + found["first"])
    return [
        Line(f"{title}: from the table to a ranking", first),
        Line("the same, the next complaint", number(found["next"])),
    ]


def trees(kept: dict[str, Any]) -> list[Line]:
    """A round of gradient boosting: one ranking, one refit of the real model."""
    title = "a round on Adult, HistGradientBoosting, 6,500 × 11"
    runs = kept.get("trees", {}).get("runs", [])
    mine = [
        r for r in runs if (r["features"], r["model"], r["ranker"]) == ("census", "HistGradientBoosting", "holistic")
    ]
    if not mine:
        return [Line(title)]
    return [Line(title, number(float(np.median([r["rank seconds"] + r["refit seconds"] for r in mine]))))]


def cnn(kept: dict[str, Any]) -> list[Line]:
    """The papers' network, a round at half of the labels wrong."""
    found = kept.get("cnn", {}).get("seconds")
    title = "a round on MNIST, the papers' CNN, 10,000 images"
    return [Line(title, number(found) if found is not None else Line.seconds, papers="3.1")]


def rounds(kept: dict[str, Any]) -> list[Line]:
    """Whole rounds: training, encoding, ranking."""
    titles = {"dblp": "a round on DBLP", "mnist q5": "a round on MNIST, Q5, 10,000 × 784"}
    papers = {"dblp": "0.67", "mnist q5": "0.61"}
    found = kept.get("rounds", {}).get("results", {})
    lines = []
    for name, title in titles.items():
        if name not in found:
            lines.append(Line(title, papers=papers[name]))
            continue
        product, copy = found[name]["shares"]["rank"]
        total = number(found[name]["seconds"]["total"])
        lines.append(
            Line(title, total, copy=f"{copy:.0%}, ranking", product=f"{product:.0%}, ranking", papers=papers[name])
        )
    return lines


PARTS = (rankings, prepared, rounds, cnn, disk, text, trees)


def number(seconds: float) -> str:
    """Two digits."""
    return f"{seconds:.2g}" if seconds < 100 else f"{seconds:,.0f}"


def size_of(n_bytes: float) -> str:
    return f"{n_bytes / 1e6:,.0f} MB"


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]])


def peers(kept: dict[str, Any]) -> str:
    """A table a task of all peers."""
    found = kept.get("peers")
    if found is None:
        return ""
    out, versions = [], {name: _version(name, what) for name, what in found["versions"].items()}
    for name, task in found["tasks"].items():
        measure = "CPU seconds of one thread" if found["threads"] == 1 else "seconds"
        rows = []
        for row in task["rows"]:
            who = f"{versions.get(row['peer'], {'rain': 'Rain', 'blas': 'NumPy, SciPy'}.get(row['peer'], row['peer']))}"
            if "note" in row:
                rows.append((who, row["method"], row["note"].replace("|", "/"), NONE, NONE, NONE, NONE))
                continue
            spent = row["cpu" if found["threads"] == 1 else "seconds"]
            r, error = (f"{row['r']:.6f}", f"{row['error']:.0e}") if row["r"] is not None else (NONE, NONE)
            rows.append((who, row["method"], number(spent), f"{row['ratio']:.2f} ×", r, error, size_of(row["bytes"])))
        title = TASKS[name][0].format(n=task["n"], d=task["d"])
        out.append(f"**{title[0].upper()}{title[1:]}**\n\n")
        out[-1] += table(("library", "method", measure, "by ours", "r", "error", "memory"), rows)
    return PEERS.format(tables="\n\n".join(out))


def _version(name: str, what: list[str]) -> str:
    """The pinned requirement that bears the peer's name, as people write it."""
    pins = [w for w in what if w.replace("traker", "trak").startswith(name)]
    return pins[0].split("[")[0].split("==")[0] + " " + pins[0].split("==")[1] if pins else name


def page(kept: dict[str, Any]) -> str:
    lines = [astuple(line) for part in PARTS for line in part(kept)]
    found = kept.get("peers") or kept.get("rounds") or {}
    rates = ""
    if found:
        rates = f", copying {found['copy'] / 1e9:.0f} GB/s, multiplying {found['gemm'] / 1e9:.0f} GFLOP/s"
        rates += " (one thread)" if found.get("threads") == 1 else ""
    machine = found.get("machine", protocol.machine())
    told = f"Measured on {machine['cores']} cores of {machine['processor']}{rates}; NumPy {machine['numpy']}."
    return PAGE.format(table=table(HEAD, lines), machine=told, peers=peers(kept)).rstrip() + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--write", type=Path, default=DOCS, help="where the page goes")
    parser.add_argument("--run", action="store_true", help="run the benchmarks first, which takes hours")
    parser.add_argument("--out", type=Path, default=protocol.RESULTS, help="where results are kept")
    parser.add_argument("--quick", action="store_true", help="print the page instead of writing it: a smoke test")
    parser.add_argument("--check", action="store_true", help="exit 1 where a task has no result")
    options = parser.parse_args()
    if options.run:
        for name in RUNS:
            script = Path(__file__).with_name(f"{name}.py")
            subprocess.run([sys.executable, str(script), "--out", str(options.out)], check=True)
    files = [options.out / f"{name}.json" for name in RUNS]
    text = page({f.stem: json.loads(f.read_text()) for f in files if f.exists()})
    if options.quick:
        print(text)
    else:
        options.write.write_text(text, encoding="utf-8")
    return 1 if options.check and Line.seconds in text else 0


if __name__ == "__main__":
    sys.exit(main())
