"""What dialects mean differently by the same words, in one form that the planner knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.schema import MappingSchema

from rain_debug.sql.plan import Relation

T = TypeVar("T", bound=exp.Expr)

_WHOLE = "rain_whole"
_KNOWN = {*exp.DataType.FLOAT_TYPES, *exp.DataType.REAL_TYPES, exp.DType.DECIMAL, exp.DType.INTERVAL}


def one_form(tree: T) -> T:
    """The tree with `x IS NOT NULL` as `NOT x IS NULL`, whatever the dialect's parser makes of it.

    >>> import sqlglot
    >>> one_form(sqlglot.parse_one("SELECT x IS NOT NULL", dialect="postgres")).sql("postgres")
    'SELECT NOT x IS NULL'
    """
    for node in list(tree.find_all(exp.Is)):
        if node.args.get("negate"):
            plain = exp.Is(this=node.this.copy(), expression=node.expression.copy())
            plain.meta.update(node.meta)
            node.replace(exp.Not(this=plain))
    return tree


def schema_of(relations: Mapping[str, Relation], dialect: str) -> MappingSchema:
    """What sqlglot looks columns up in: by their exact names where the dialect tells `"A"` from `"a"`."""
    columns: dict[str, object] = {name: dict(relation.columns) for name, relation in relations.items()}
    return MappingSchema(columns, dialect=dialect, normalize=dialect not in ("postgres",))


def mark_whole_divisions(tree: exp.Expr, schema: MappingSchema, dialect: str) -> None:
    """Mark the divisions that may be of whole numbers, in a dialect where these give a whole number."""
    divisions = [d for d in tree.find_all(exp.Div) if d.args.get("typed")]
    if not divisions:
        return
    try:
        typed = annotate_types(tree.copy(), schema=schema, dialect=dialect)
    except SqlglotError:
        typed = tree
    for division, known in zip(divisions, [d for d in typed.find_all(exp.Div) if d.args.get("typed")], strict=True):
        division.meta[_WHOLE] = not any(_is_broken(side, dialect) for side in (known.this, known.expression))


def _is_broken(node: exp.Expr, dialect: str) -> bool:
    """True where a value is known to be no whole number by its type."""
    node = node.unnest()
    while isinstance(node, exp.Window | exp.Paren):
        node = node.this
    if dialect == "postgres" and isinstance(node, exp.Sum) and node.this.is_type(exp.DType.BIGINT):
        return True  # NUMERIC, lest it overflow
    return node.type is not None and node.type.this in _KNOWN


def is_whole_division(node: exp.Expr) -> bool:
    """True where a division may cut off what is behind the point."""
    return isinstance(node, exp.Div) and bool(node.meta.get(_WHOLE, node.args.get("typed")))
