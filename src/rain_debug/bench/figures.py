"""Rows → figures as the papers draw them, SVG: curves of recall with bands, AUCCR with error bars."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rain_debug.bench.authors import published
from rain_debug.bench.case import Experiment
from rain_debug.bench.metrics import POINTS
from rain_debug.bench.summary import Row, caught_up

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: small files that can be searched
    "svg.hashsalt": "rain",  # the same figure is the same file
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "legend.frameon": False,
}
COLOURS = {
    "rain": "#1d4ed8",
    "holistic": "#0f9d76",
    "two_step": "#c2410c",
    "auto": "#7c3aed",
    "loss": "#616e7c",
    "self_influence": "#b7791f",
    "random": "#9aa5b1",
    "tracin": "#be185d",
    "confident": "#0e7490",
}
OTHERS = ("#4d7c0f", "#a16207", "#6d28d9", "#be123c")
ACROSS = 4


def draw(experiment: Experiment, rows: Sequence[Row], path: Path) -> Path:
    """The experiment's figure as SVG at `path`: curves and bars of its cases, or AUCCR over numbers of complaints."""
    with mpl.rc_context(STYLE):
        figure = _numbers(experiment, rows) if experiment.over_numbers else _cases(experiment, rows)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="svg", metadata={"Date": None, "Title": experiment.title}, transparent=False)
    return path


def _cases(experiment: Experiment, rows: Sequence[Row]) -> Figure:
    """A panel of recall curves for each case, and one of bars for all."""
    cases = [c.name for c in experiment.cases if any(r.case == c.name for r in rows)]
    rankers = list(dict.fromkeys(r.ranker for r in rows))
    down = -(-(len(cases) + 1) // ACROSS)
    figure = Figure(figsize=(3 * min(ACROSS, len(cases) + 1), 2.7 * down + 0.3), layout="constrained")
    panels = figure.subplots(down, min(ACROSS, len(cases) + 1), squeeze=False).ravel()
    for panel, case in zip(panels, cases, strict=False):
        _curves(panel, [r for r in rows if r.case == case], case)
    _bars(panels[len(cases)], rows, cases, rankers)
    for panel in panels[len(cases) + 1 :]:
        panel.set_axis_off()
    handles = {line.get_label(): line for panel in panels for line in panel.get_lines() if line.get_label() in rankers}
    figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=len(handles))
    return figure


def _curves(panel: Axes, rows: Sequence[Row], title: str) -> None:
    """Mean recall over the share of K that is removed, a band of one standard deviation around it."""
    x = np.arange(POINTS + 1) / POINTS
    panel.plot([0, 1], [0, 1], color="#cbd2d9", linewidth=0.8, linestyle=":")
    for row in rows:
        mean, spread = (np.concatenate([[0.0], v]) for v in (row.curve, row.spread))
        panel.plot(x, mean, color=_colour(row.ranker), label=row.ranker, linewidth=1.6)
        panel.fill_between(x, mean - spread, mean + spread, color=_colour(row.ranker), alpha=0.15, linewidth=0)
    panel.set(title=title, xlim=(0, 1), ylim=(0, 1.02), xlabel="records removed / K", ylabel="recall")


def _bars(panel: Axes, rows: Sequence[Row], cases: Sequence[str], rankers: Sequence[str]) -> None:
    """AUCCR of every case and ranker ± one standard deviation; a diamond is the authors' figure."""
    width = 0.8 / max(1, len(rankers))
    for row in rows:
        x = cases.index(row.case) + width * (rankers.index(row.ranker) - (len(rankers) - 1) / 2)
        panel.bar(x, row.auccr, width, yerr=row.std, color=_colour(row.ranker), error_kw={"elinewidth": 0.8})
        if row.authors:
            panel.errorbar(
                x, row.authors.auccr, row.authors.std, color="black", marker="D", markersize=3.5, elinewidth=0.8,
                markerfacecolor="white", linestyle="none",
            )  # fmt: skip
    panel.set_xticks(range(len(cases)), [_short(c, cases) for c in cases])
    if len(cases) > 3:
        panel.tick_params(axis="x", rotation=30)
    panel.set(title="AUCCR (◇ the authors')", ylim=(0, 1.1))


def _numbers(experiment: Experiment, rows: Sequence[Row]) -> Figure:
    """A panel a curve: AUCCR over the number of labels, the aggregate complaint as a level line."""
    at = {c.name: c.at for c in experiment.cases if c.at}
    levels = {r.ranker: r for r in rows if r.case not in at}
    series = list(dict.fromkeys(name for name, _ in at.values()))
    figure = Figure(figsize=(5 * len(series), 3.8), layout="constrained")
    panels = figure.subplots(1, len(series), squeeze=False, sharey=True).ravel()
    for panel, name in zip(panels, series, strict=True):
        numbers = {case: n for case, (series_name, n) in at.items() if series_name == name}
        for ranker in dict.fromkeys(r.ranker for r in rows if r.case in numbers):
            own = {numbers[r.case]: r for r in rows if r.ranker == ranker and r.case in numbers}
            _over_numbers(panel, dict(sorted(own.items())), levels.get(ranker))
        _published(panel, numbers)
        panel.set_xscale("log")
        panel.xaxis.set_major_formatter("{x:.0f}")
        panel.set(title=f"labels of images {name}", xlabel="number of labelled predictions", ylim=(0, 1.05))
    panels[0].set_ylabel("AUCCR")
    handles = {line.get_label(): line for panel in panels for line in panel.get_lines() if line.get_label()[0] != "_"}
    figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=3)
    return figure


def _over_numbers(panel: Axes, points: dict[int, Row], level: Row | None) -> None:
    """One ranker's curve with its band, its level line, and a dotted line down from where they meet."""
    if not points:
        return
    ranker = next(iter(points.values())).ranker
    mean = np.array([r.auccr for r in points.values()])
    spread = np.array([r.std for r in points.values()])
    colour, x = _colour(ranker), list(points)
    panel.plot(x, mean, color=colour, marker="o", markersize=3, label=f"{ranker}, N labels")
    panel.fill_between(x, mean - spread, mean + spread, color=colour, alpha=0.15, linewidth=0)
    if level is None:
        return
    panel.axhline(level.auccr, color=colour, linestyle="--", linewidth=1.2, label=f"{ranker}, one complaint")
    panel.axhspan(level.auccr - level.std, level.auccr + level.std, color=colour, alpha=0.08, linewidth=0)
    met = caught_up(level.auccr, {n: r.auccr for n, r in points.items()})
    if met is not None:
        panel.plot([met, met], [0, level.auccr], color=colour, linestyle=":", linewidth=1, label="_")
        panel.annotate(f"{met} ", (met, 0.02), ha="right", color=colour)


def _published(panel: Axes, numbers: dict[str, int]) -> None:
    """The authors' own curve, a diamond a number of labels."""
    known = {n: p.auccr for case, n in numbers.items() if (p := published(case, "two_step"))}
    if known:
        panel.plot(
            list(known), list(known.values()), color="black", marker="D", markersize=3.5, markerfacecolor="white",
            linestyle="none", label="two_step, N labels, the authors'",
        )  # fmt: skip


def _short(case: str, cases: Sequence[str]) -> str:
    """A case's name without the words that all of them begin with.

    >>> _short("adult 30% age", ["adult 30% age", "adult 50% both"])
    '30% age'
    """
    words = [c.split() for c in cases]
    common = 0
    while len(cases) > 1 and len({tuple(w[: common + 1]) for w in words}) == 1:
        common += 1
    return " ".join(case.split()[common:])


def _colour(ranker: str) -> str:
    return COLOURS.get(ranker) or OTHERS[sum(map(ord, ranker)) % len(OTHERS)]
