"""Plan + engine → the candidate tuples, as columns: joins and filters without a prediction are the engine's."""

from rain_debug.lineage.answer import answer_sql, materialise, prepare_sources
from rain_debug.lineage.capture import Lineage, Place, capture_tuples
from rain_debug.lineage.exports import Axis
from rain_debug.lineage.sides import SplitLineage, capture_sides, split_sides
from rain_debug.lineage.variables import Block

__all__ = [
    "Axis",
    "Block",
    "Lineage",
    "Place",
    "SplitLineage",
    "answer_sql",
    "capture_sides",
    "capture_tuples",
    "materialise",
    "prepare_sources",
    "split_sides",
]
