"""The evaluation: every experiment of the papers, or a project of one's own with labels made wrong on purpose.

A *case* is a set with some labels made wrong and complaints about a query's answer; an *experiment* is the cases of one
figure. `runner` debugs each case with each ranker and seed and keeps every result as soon as it is there; `summary`
takes means, `figures` draws them, `page` writes them up beside the authors' own (`authors.json`).
"""

from __future__ import annotations

from rain_debug.bench import own
from rain_debug.bench.case import Case, Corruption, Experiment, Scene
from rain_debug.bench.registry import EXPERIMENTS, chosen
from rain_debug.bench.runner import Job, jobs, pending, run
from rain_debug.bench.store import Result, Store

__all__ = [
    "EXPERIMENTS",
    "Case",
    "Corruption",
    "Experiment",
    "Job",
    "Result",
    "Scene",
    "Store",
    "chosen",
    "jobs",
    "own",
    "pending",
    "run",
]
