"""What a part's solution is, whoever found it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rain_debug.repair.forms import Array

Draw = Callable[[np.random.Generator], Array]


class Unreachable(Exception):
    """No predictions keep all rows of a part, or all of some complaints (their numbers, where they are known)."""

    def __init__(self, complaints: Array | None = None) -> None:
        super().__init__("no predictions satisfy these complaints")
        self.complaints = np.zeros(0, dtype=np.int64) if complaints is None else complaints


class OutOfTime(Exception):
    """Nothing was found within the time limit; at least `bound` changes are needed."""

    def __init__(self, bound: float) -> None:
        super().__init__("no repair was found in time")
        self.bound = bound


@dataclass(frozen=True, eq=False)
class Solution:
    """`flows` (n_options,): how often each option is taken; at least `bound` changes are needed.

    There are exp(`log_count`) smallest repairs, or at least so many where not `counted`; `draw` gives the flows of one.
    """

    flows: Array
    bound: float
    log_count: float
    counted: bool
    draw: Draw

    @property
    def n_changes(self) -> int:
        """How many predictions change."""
        return int(self.flows.sum())


def closed_form(flows: Array, log_count: float, counted: bool, draw: Draw | None = None) -> Solution:
    """An optimum in closed form."""
    return Solution(flows, float(flows.sum()), log_count, counted, draw or (lambda rng: flows))
