"""The training set: checked columns turned into a design matrix, and passes over it as sums over blocks."""

from __future__ import annotations

from rain_debug.data.blocks import blocks
from rain_debug.data.columns import (
    label_classes,
    label_codes,
    label_numbers,
    labels_of,
    narrow,
    record_keys,
    record_weights,
)
from rain_debug.data.design import Design, as_design, block, gram, max_abs
from rain_debug.data.numeric import numeric_design
from rain_debug.data.records import Records
from rain_debug.data.stored import StoredDesign, written

__all__ = [
    "Design",
    "Records",
    "StoredDesign",
    "as_design",
    "block",
    "blocks",
    "gram",
    "label_classes",
    "label_codes",
    "label_numbers",
    "labels_of",
    "max_abs",
    "narrow",
    "numeric_design",
    "record_keys",
    "record_weights",
    "written",
]
