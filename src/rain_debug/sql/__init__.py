"""Text → plan. This room alone knows sqlglot; what leaves it is frozen and prints itself."""

from rain_debug.sql.ddl import CreateModel, DropModel, parse_statement
from rain_debug.sql.expr import Expr, mark, render
from rain_debug.sql.flat_or_nested import planned
from rain_debug.sql.invalid import invalid
from rain_debug.sql.nested import plan_nested
from rain_debug.sql.nodes import free_name, quote, unique_names
from rain_debug.sql.parts import part_of, parts_of
from rain_debug.sql.plan import THIS, Atom, Catalog, ModelInfo, OutputColumn, Plan, Relation, Source
from rain_debug.sql.refusals import holds_no_prediction
from rain_debug.sql.tree import (
    Below,
    Block,
    Body,
    Counts,
    Event,
    Merge,
    Nested,
    OutColumn,
    Reader,
    Window,
    Windowed,
    describe,
)

__all__ = [
    "Atom",
    "Below",
    "Block",
    "Body",
    "Counts",
    "Catalog",
    "CreateModel",
    "DropModel",
    "Event",
    "Expr",
    "Merge",
    "ModelInfo",
    "Nested",
    "OutColumn",
    "OutputColumn",
    "Plan",
    "Reader",
    "Relation",
    "Source",
    "THIS",
    "Window",
    "Windowed",
    "invalid",
    "holds_no_prediction",
    "mark",
    "describe",
    "free_name",
    "parse_statement",
    "part_of",
    "parts_of",
    "planned",
    "plan_nested",
    "quote",
    "render",
    "unique_names",
]
