"""Text → `Nested`: queries with predictions below, above and beside what one flat block can hold."""

from __future__ import annotations

from sqlglot import exp

from rain_debug.errors import SQLError
from rain_debug.sql import rewrite
from rain_debug.sql.answer import exact_answer
from rain_debug.sql.blocks import Blocks
from rain_debug.sql.convert import atom_number, is_atom
from rain_debug.sql.counted import by_counts
from rain_debug.sql.nodes import group_by_position, unique_names
from rain_debug.sql.plan import Catalog
from rain_debug.sql.read import read
from rain_debug.sql.refusals import NESTED, refuse_labels, refuse_nested
from rain_debug.sql.rewrite import has_atoms
from rain_debug.sql.scopes import Scopes
from rain_debug.sql.tree import Nested


def plan_nested(sql: str, catalog: Catalog, dialect: str = "duckdb", tree: exp.Expr | None = None) -> Nested:
    """The tree of one query over predictions; SQLError, underlined, for what cannot be traced.

    `tree` is what `read` made of the text, where that was done before; it is changed.
    """
    scopes = Scopes(sql, catalog, dialect)
    tree = read(sql, dialect, catalog) if tree is None else tree
    refuse_nested(tree, scopes.convert, catalog)
    tree = scopes.qualified(tree)
    group_by_position(tree)
    scopes.name_aggregates(tree)
    scopes.explicit_features(tree)
    refuse_labels(tree, scopes.convert, scopes.calls)
    shown = unique_names([scopes.declared.get(n.lower(), n) for n in tree.named_selects])
    tree = _simplified(tree, scopes)
    _refuse_features(tree, scopes)
    refuse_labels(tree, scopes.convert, scopes.calls)  # again: classes are now compared where CTEs named them
    answer, unlimited, rows, readers = exact_answer(tree.copy(), scopes)
    limited = bool(tree.args.get("limit") or tree.args.get("offset"))
    traced = tree.copy()
    scopes.outside = traced.args.get("with_")
    counts = by_counts(traced, scopes)
    blocks = Blocks(scopes)
    return Nested(sql, blocks.body(traced, shown), answer, unlimited, limited, rows, readers, blocks.bodies, counts)


def _simplified(tree: exp.Query, scopes: Scopes) -> exp.Query:
    """CTEs with predictions put in place, blocks that only filter and project merged, every alias a name of its own."""
    scopes.names.rename(tree)
    scopes.number_alike(tree)
    apart = rewrite.semi_joins(rewrite.inline_ctes(tree, scopes.names))
    merged = rewrite.merge_blocks(apart, scopes.number_alike)
    simple = rewrite.lift_words(rewrite.push_conditions(merged))
    assert isinstance(simple, exp.Query)
    group_by_position(simple)
    scopes.names = rewrite.Names()
    scopes.names.rename(simple)
    return simple


def _refuse_features(tree: exp.Query, scopes: Scopes) -> None:
    """SQLError for a call that reads another call's prediction."""
    for node in tree.find_all(exp.Anonymous):
        if is_atom(node) and any(has_atoms(a) for a in node.expressions[1:]):
            call = scopes.calls[atom_number(node)]
            what = "a prediction as a feature of another prediction is not supported"
            raise SQLError(what, sql=scopes.sql, start=call.start, end=call.end, hint=NESTED)
