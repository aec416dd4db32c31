"""Lineage → program: one small columnar IR, read exactly and relaxed, with its gradient. NumPy alone."""

from rain_debug.relax.cells import Wanted
from rain_debug.relax.compared import combined, compared, plain
from rain_debug.relax.lower import lower
from rain_debug.relax.program import Builder, Node, Program
from rain_debug.relax.relation import Asked
from rain_debug.relax.relations import lower_forest
from rain_debug.relax.split import lower_split
from rain_debug.relax.target import Target

__all__ = [
    "Asked",
    "Builder",
    "Node",
    "Program",
    "Target",
    "Wanted",
    "combined",
    "compared",
    "lower",
    "lower_forest",
    "lower_split",
    "plain",
]
