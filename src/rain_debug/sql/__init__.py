"""Text → plan. This room alone knows sqlglot; what leaves it is frozen and prints itself."""

from rain_debug.sql.ddl import CreateModel, DropModel, parse_statement
from rain_debug.sql.expr import Expr, mark, render
from rain_debug.sql.plan import Atom, Catalog, ModelInfo, OutputColumn, Plan, Relation, Source
from rain_debug.sql.planner import plan_query

__all__ = [
    "Atom",
    "Catalog",
    "CreateModel",
    "DropModel",
    "Expr",
    "ModelInfo",
    "OutputColumn",
    "Plan",
    "Relation",
    "Source",
    "mark",
    "parse_statement",
    "plan_query",
    "render",
]
