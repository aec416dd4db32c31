"""Rows → the page `docs/evaluation.md`: what was measured, beside what the authors published."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from rain_debug.bench import protocol
from rain_debug.bench.authors import published
from rain_debug.bench.case import Experiment
from rain_debug.bench.figures import draw
from rain_debug.bench.summary import Row, caught_up, comparisons, shared

HEAD = """\
# Evaluation

The experiments of *Complaint-driven Training Data Debugging for Query 2.0* (SIGMOD 2020), run by `rain bench`, beside
the authors' own figures. `rain bench all --page docs/evaluation.md` writes this page from the results in
`benchmarks/results`, once it has run what is missing there.

Labels are made wrong on purpose; a complaint says what the answer of a query is with right ones; a ranker orders the
training records. Ten records are removed a round, 1.1·K in all, K being the number of wrong labels; complaints are
judged by the relaxed answer. *Recall* is the share of the K that is among the records removed. *AUCCR* is
(2/K) Σ recall@k over k ≤ K: (K + 1)/K for an order that puts every wrong record first, about K/n for a random one.

Two settings are not the authors'. H is [damped](benchmarks.md#the-protocol); their code cuts the solve off instead. A
label (Fig. 9) counts by |1 − p|, p being the probability of the class that it names; in their code by cross-entropy.

Numbers are mean ± standard deviation over five seeds (ten of `two_step`), or over as many as stand in brackets; below
them, in small type, what the authors published, with `≠` where it is more than two standard errors away. The same can
be run [on your own data](benchmarks.md#your-own-data).
"""
CLOSE = 0.005
"""Two AUCCR so near each other count as equally good."""


def write(path: Path, experiments: Iterable[Experiment], rows: Sequence[Row]) -> Path:
    """The page at `path` and its figures in `images` beside it, of all experiments that have results."""
    there = {(r.experiment, r.case) for r in rows}
    measured = [e for e in experiments if any((e.name, c.name) in there for c in e.cases if c.at or not e.over_numbers)]
    measured.sort(key=lambda e: not e.over_numbers)
    sections = [_section(e, rows, path.parent / "images") for e in measured]
    parts = [HEAD, *sections, _beside_holistic(rows), _automatic(rows)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(p for p in parts if p), encoding="utf-8")
    return path


def _section(experiment: Experiment, rows: Sequence[Row], images: Path) -> str:
    own = [r for r in rows if r.experiment == experiment.name]
    picture = draw(experiment, own, images / f"evaluation-{experiment.name}.svg")
    parts = [
        f"## {experiment.title}\n\n*{experiment.shows}.* {experiment.about}\n",
        f"![{experiment.title}](images/{picture.name})\n",
        _labels(experiment, own) if experiment.over_numbers else _cases(own),
    ]
    return "\n".join([*parts, experiment.notes + "\n"] if experiment.notes else parts)


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """
    >>> print(_table(["a || b"], [["1"]]), end="")
    | a \\|\\| b |
    | --- |
    | 1 |
    """
    rows = [[cell.replace("|", r"\|") for cell in row] for row in (head, ["---"] * len(head), *lines)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _cases(rows: Sequence[Row]) -> str:
    """A line a ranker, a column a case."""
    cell = {(r.ranker, r.case): _cell(r) for r in rows}
    cases = {r.case: f"{r.case}<br><small>K = {r.wrong}</small>" for r in rows}
    rankers = list(dict.fromkeys(r.ranker for r in rows))
    return _table(["", *cases.values()], ([f"`{k}`", *(cell.get((k, c), "") for c in cases)] for k in rankers))


def _cell(row: Row) -> str:
    """
    >>> _cell(Row("dblp", "dblp 30%", "loss", 39, 2, 0.5, 0.01, 0.6, (), (), {}, 1.0))
    '0.500 ± 0.010 (2)'
    """
    runs = "" if row.runs == len(protocol.seeds(row.ranker, None)) else f" ({row.runs})"
    text = f"{row.auccr:.3f} ± {row.std:.3f}{runs}" if row.runs > 1 else f"{row.auccr:.3f}{runs}"
    if row.authors is None:
        return text
    spread = "" if row.authors.std is None else f" ± {row.authors.std:.3f}"
    return f"{text}<br><small>{row.authors.auccr:.3f}{spread}{' ≠' if row.differs else ''}</small>"


def _labels(experiment: Experiment, rows: Sequence[Row]) -> str:
    """A sentence a curve, then a line a number of labels."""
    at = {c.name: c.at for c in experiment.cases if c.at is not None}
    points = [(r, *at[r.case]) for r in rows if r.case in at]
    out = []
    for level in (r for r in rows if r.case not in at):
        for pool in dict.fromkeys(pool for _, pool, _ in points):
            curve = {n: r.auccr for r, where, n in points if (r.ranker, where) == (level.ranker, pool)}
            if curve:
                out.append(_catching_up(level, pool, curve))
    cell = {(r.ranker, pool, n): _cell(r) for r, pool, n in points}
    for case, (pool, n) in at.items():
        authors = published(case, "two_step")
        if authors and ("two_step", pool, n) not in cell:
            cell["two_step", pool, n] = f"<small>{authors.auccr:.3f}</small>"
    curves = list(dict.fromkeys((ranker, pool) for ranker, pool, _ in cell))
    numbers = sorted({n for _, _, n in cell})
    lines = ([str(n), *(cell.get((ranker, pool, n), "") for ranker, pool in curves)] for n in numbers)
    return "\n".join([*out, "", _table(["labels", *(f"`{ranker}`, {pool}" for ranker, pool in curves)], lines)])


def _catching_up(level: Row, pool: str, curve: dict[int, float]) -> str:
    """With how many labels the curve reaches what the one complaint does.

    >>> level = Row("ones", "ones 10%", "holistic", 9, 2, 0.9, 0, 0, (), (), {}, 1)
    >>> _catching_up(level, "mispredicted", {10: 0.5, 32: 0.95})
    '- `holistic`: one complaint reaches 0.900; labels of images mispredicted catch up with 32 (0.950).'
    """
    met, most = caught_up(level.auccr, curve), max(curve)
    says = f"do not catch up with {most} ({curve[most]:.3f})"
    if met is not None:
        says = f"catch up with {met} ({curve[met]:.3f})"
    return f"- `{level.ranker}`: one complaint reaches {level.auccr:.3f}; labels of images {pool} {says}."


def _beside_holistic(rows: Sequence[Row]) -> str:
    """All rankers beside Holistic, over all cases at once; '' where there is nothing to compare."""
    lines = [
        [
            f"`{c.ranker}`", str(c.cases), f"{c.mean:.3f}", f"{c.holistic:.3f}", f"{c.best:.3f}",
            "" if math.isnan(c.closed) else f"{c.closed:.0%}", f"{c.worst} ({-c.loss:+.3f})",
        ]
        for c in comparisons(rows)
    ]  # fmt: skip
    if not lines:
        return ""
    text = (
        "## Beside Holistic\n\nMeans over experiments, each the mean of its cases, where both rankers have results for "
        "the same seeds. *Best* is what no order passes: (K + 1)/K, and on Adult the bound of its duplicates. *Closed* "
        "is the share of the way from Holistic to the best.\n\n"
    )
    head = ["ranker", "cases", "mean AUCCR", "Holistic's", "best", "closed", "worst case"]
    return text + _table(head, lines)


def _automatic(rows: Sequence[Row]) -> str:
    """How often `auto` is as good as the better of the two that it chooses from; '' where it was not run."""
    found = {(r.case, r.ranker): r for r in rows}
    lines = []
    for case in dict.fromkeys(r.case for r in rows):
        three = [found[case, name] for name in ("auto", "two_step", "holistic") if (case, name) in found]
        if len(three) < 3:
            continue
        auto, two_step, holistic = shared(*three)
        if len(auto):
            lost = np.maximum(two_step, holistic) - auto
            lines.append((case, len(lost), int((lost <= CLOSE).sum()), float(lost.mean())))
    if not lines:
        return ""
    runs, good = sum(n for _, n, _, _ in lines), sum(k for _, _, k, _ in lines)
    text = (
        "## Auto\n\n`auto` takes `two_step` where the smallest repair leaves hardly a choice of the predictions to "
        "change, else `holistic`. "
        f"In {good} of {runs} runs it was as good as the better of the two (within {CLOSE}).\n\n"
    )
    head = ["case", "runs", "as good as the better", "mean AUCCR lost"]
    return text + _table(head, ([case, str(n), str(k), f"{lost:.3f}"] for case, n, k, lost in lines))
