"""All experiments by name; a new one is an `Experiment` in its family's file and stands in that file's list."""

from __future__ import annotations

from collections.abc import Sequence

from rain_debug.bench import adult, dblp, enron, mnist
from rain_debug.bench.case import Experiment
from rain_debug.bench.mnist import cnn
from rain_debug.errors import ConfigError, nearest

FAMILIES = (dblp, enron, mnist, cnn, adult)
EXPERIMENTS: dict[str, Experiment] = {e.name: e for family in FAMILIES for e in family.EXPERIMENTS}
"""In the order of the paper."""


def chosen(names: Sequence[str]) -> list[Experiment]:
    """The experiments of these names; a family's name stands for all of its own, "all" for every one.

    >>> [e.name for e in chosen(["dblp", "adult"])]
    ['dblp', 'adult']
    """
    found: dict[str, Experiment] = {}
    for name in names:
        group = [e for e in EXPERIMENTS.values() if name in (e.name, e.family, "all")]
        if not group:
            known = [*EXPERIMENTS, *(e.family for e in EXPERIMENTS.values()), "all"]
            raise ConfigError(f"there is no experiment '{name}'", hint=nearest(name, known))
        found |= {e.name: e for e in group}
    return list(found.values())
