"""Plan + engine → the candidate tuples, as columns: joins and filters without a prediction are the engine's."""

from rain_debug.lineage.alternatives import capture_forest
from rain_debug.lineage.answer import DOUBT, answer_sql, nested_answer, one_pass_sql
from rain_debug.lineage.capture import Lineage, capture_few, capture_tuples, collect_exports
from rain_debug.lineage.exports import Axis
from rain_debug.lineage.forest import Forest
from rain_debug.lineage.merged import capture_merged, may_fan_out
from rain_debug.lineage.places import Place, find_places
from rain_debug.lineage.predictions import Plane, Predictor, materialise, prepare_sources, rows_key
from rain_debug.lineage.sides import FEW_PAIRS, SplitLineage, capture_sides, split_sides
from rain_debug.lineage.variables import Block

__all__ = [
    "DOUBT",
    "FEW_PAIRS",
    "Axis",
    "Block",
    "Lineage",
    "Place",
    "Plane",
    "Predictor",
    "SplitLineage",
    "Forest",
    "answer_sql",
    "capture_few",
    "capture_forest",
    "capture_merged",
    "find_places",
    "nested_answer",
    "capture_sides",
    "capture_tuples",
    "collect_exports",
    "may_fan_out",
    "materialise",
    "one_pass_sql",
    "prepare_sources",
    "rows_key",
    "split_sides",
]
