"""GROUP BY a subquery's count: a join with the counts that are asked for, so that each group has a value of its own."""

from __future__ import annotations

from sqlglot import exp

from rain_debug.sql.convert import sources_of
from rain_debug.sql.nodes import add_source, bare, own_windows
from rain_debug.sql.rewrite import has_atoms
from rain_debug.sql.scopes import Scopes
from rain_debug.sql.tree import Counts

COUNTS = "__rain_counts_"
"""What the names of the tables of such values begin with."""


def by_counts(select: exp.Query, scopes: Scopes) -> tuple[Counts, ...]:
    """Replace the keys of the whole query's groups that are counts, by columns of tables that lineage fills.

    `SELECT n, count(*) FROM (…) GROUP BY n` becomes `SELECT v.value, count(*) FROM (…), v WHERE n = v.value GROUP BY
    v.value`: what a prediction changes is then whether a row is in a group, a comparison as any other.
    """
    group = select.args.get("group")
    if not isinstance(select, exp.Select) or group is None or any(True for _ in own_windows(select)):
        return ()  # a window over the groups reads those that nobody asks for
    if any(j.side or j.args.get("method") for j in select.args.get("joins") or []):
        return ()  # a count that is not found is NULL, and so is its group
    found: list[Counts] = []
    for key in list(group.expressions):
        selected = [i for i, item in enumerate(select.expressions) if bare(item) == key]
        if not isinstance(key, exp.Column) or not selected or not _is_count(key, select):
            continue
        name = f"{COUNTS}{next(scopes.numbers)}"
        value = exp.column("value", table=name)
        for column in [n for n in select.find_all(exp.Column) if n == key]:
            column.replace(value.copy())
        add_source(select, name)
        select.where(exp.EQ(this=key.copy(), expression=value), copy=False)
        found.append(Counts(name, selected[0]))
    return tuple(found)


def _is_count(key: exp.Column, select: exp.Select) -> bool:
    """True for a column of a subquery with predictions in FROM: a count there, or a sum of a CASE of whole numbers."""
    source = next((s for s in sources_of(select) if s.alias_or_name == key.table), None)
    if not isinstance(source, exp.Subquery) or not has_atoms(source.this):
        return False
    below = source.this
    names = source.alias_column_names or below.named_selects
    if not isinstance(below, exp.Select) or key.name not in names:
        return False
    counted = bare(below.expressions[names.index(key.name)])
    if isinstance(counted, exp.Sum) and isinstance(counted.this, exp.Case):
        worth = [w.args["true"] for w in counted.this.args["ifs"]] + [counted.this.args.get("default")]
        return all(isinstance(w, exp.Literal) and w.is_int for w in worth)
    counted = counted.this if isinstance(counted, exp.Filter) else counted
    return isinstance(counted, exp.Count | exp.CountIf)
