"""Text → plan. This room alone knows sqlglot; what leaves it is frozen and prints itself."""

from .ddl import CreateModel, DropModel, parse_statement
from .expr import Expr, render
from .plan import Atom, Catalog, ModelInfo, OutputColumn, Plan, Relation, Source
from .planner import plan_query

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
    "parse_statement",
    "plan_query",
    "render",
]
