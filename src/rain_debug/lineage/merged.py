"""Candidate tuples merged in the engine: those of equal variables and place leave it as one, however many there are.

A join multiplies the rows that predictions read: a customer's prediction counts for each of her orders. Where there are
at least `FAN_OUT` tuples for every combination of variables, place and condition, the engine adds them up before they
leave; below that its grouping costs more than it saves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rain_debug.engines import Engine
from rain_debug.lineage.capture import (
    Lineage,
    capture_few,
    collect_exports,
    columns_of,
    fetch_blocks,
    from_where,
    most_tuples,
    number_tuples,
    placed,
)
from rain_debug.lineage.exports import Exports, Reading, as_double
from rain_debug.lineage.places import Place, Whereabouts, find_places
from rain_debug.lineage.totals import Asked, Totals
from rain_debug.sql import Expr, ModelInfo, Plan

FAN_OUT = 5.0
"""From so many tuples for one on the engine merges them; measured in benchmarks/merged.py."""
FEW = 400_000
"""Up to so many tuples are fetched as they are: to ask first how many there are takes as long."""
SAMPLE = 2_000
"""Rows of a predicted source whose tuples say how many there are for one."""


def capture_merged(
    plan: Plan,
    engine: Engine,
    models: Mapping[str, ModelInfo],
    places: Sequence[Place],
    aggregates: Sequence[Expr],
    beside: Sequence[Expr],
    numbers: Sequence[Expr],
    raws: Sequence[Expr] = (),
) -> Lineage | None:
    """The tuples of `places` merged by variables, to read COUNT, SUM and AVG, and `beside`, pure expressions.

    Where they are few, as `capture_tuples` fetches them to read `numbers` and `raws`. None where merging saves little,
    or where the sums of an argument do not tell an aggregate's value.
    """
    if (few := capture_few(plan, engine, models, places, numbers, raws, FEW)) is not None:
        return few
    filters = [a.filter for a in aggregates if a.filter is not None]
    exports = collect_exports(plan, engine, models, places, [*beside, *filters])
    asked = Asked(exports, engine)
    if not all(map(asked.want, aggregates)):
        return None
    found = find_places(plan, engine, places)
    tuples, merged = _sizes(plan, engine, exports, found)
    most = most_tuples(plan, exports)
    if merged > most or (tuples < FAN_OUT * merged and tuples <= most):
        return None
    sql = _grouped(plan, found, exports, [f"{text} AS {name}" for text, name in asked.columns.items()])
    table, place = placed(engine.table(f"{sql} ORDER BY {_positions(plan, found, exports)}"), found)
    numbering = number_tuples(plan, table)
    blocks = fetch_blocks(plan, engine, models, numbering)
    read = Reading(exports, table)
    return Lineage(read, Totals(asked, read), place, numbering.rows, numbering.block_of, blocks, sql, tuples)


def may_fan_out(plan: Plan) -> bool:
    """True where a combination of predicted rows may occur in several tuples."""
    read = {alias for atom in plan.atoms for alias in atom.aliases}
    return bool(read) and any(s.alias not in read or not s.is_whole for s in plan.sources)


def _grouped(plan: Plan, found: Whereabouts, exports: Exports, totals: Sequence[str], only: str = "") -> str:
    """The text that asks for `totals` by place, row ids and what conditions read; of tuples for which `only` holds."""
    items = ", ".join([*columns_of(plan, found), *exports.select_list(), *totals])
    keys = _positions(plan, found, exports)
    return f"{plan.with_sql} SELECT {items} {from_where(plan, found)}{only} GROUP BY {keys}"


def _positions(plan: Plan, found: Whereabouts, exports: Exports) -> str:
    """What tells merged tuples apart: the first items of the select list."""
    return ", ".join(str(i + 1) for i in range(len(columns_of(plan, found)) + len(exports.columns)))


def _sizes(plan: Plan, engine: Engine, exports: Exports, found: Whereabouts) -> tuple[int, int]:
    """About how many tuples there are, and how many merged ones, by those of some rows of a predicted source."""
    atom = plan.atoms[0]
    rows = engine.table(f"{plan.with_sql} SELECT count(*) AS n FROM {plan.source(atom.aliases[0]).from_sql}")
    step = max(1, int(rows["n"].values[0]) // SAMPLE)
    only = f" AND {atom.rids[0]} % {step} = 0" if step > 1 else ""
    groups = _grouped(plan, found, exports, ["count(*) AS n"], only)
    tuples = as_double(engine, "coalesce(sum(n), 0)", "number")
    sizes = engine.table(f"SELECT count(*) AS merged, {tuples} AS tuples FROM ({groups}) AS s")
    return int(sizes["tuples"].values[0]) * step, int(sizes["merged"].values[0]) * step
