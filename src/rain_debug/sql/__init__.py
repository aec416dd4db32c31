"""Text → plan. This room alone knows sqlglot; what leaves it is frozen and prints itself."""

from rain_debug.sql.ddl import CreateModel, DropModel, parse_statement
from rain_debug.sql.expr import Expr, mark, render
from rain_debug.sql.invalid import invalid
from rain_debug.sql.nested import plan_nested
from rain_debug.sql.nodes import free_name, quote, unique_names
from rain_debug.sql.parts import part_of, parts_of
from rain_debug.sql.plan import Atom, Catalog, ModelInfo, OutputColumn, Plan, Relation, Source
from rain_debug.sql.planner import plan_query
from rain_debug.sql.refusals import holds_no_prediction, is_flat, is_unsupported
from rain_debug.sql.tree import Below, Block, Body, Event, Merge, Nested, OutColumn, Reader, Window, Windowed, describe

__all__ = [
    "Atom",
    "Below",
    "Block",
    "Body",
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
    "Window",
    "Windowed",
    "invalid",
    "holds_no_prediction",
    "is_flat",
    "is_unsupported",
    "mark",
    "describe",
    "free_name",
    "parse_statement",
    "part_of",
    "parts_of",
    "plan_nested",
    "plan_query",
    "quote",
    "render",
    "unique_names",
]
