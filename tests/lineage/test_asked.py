"""What the database is asked for each kind of query, statement by statement, and what is made of its answers.

The pages beside this one, `asked/*.test`, hold both; `python -m lineage.test_asked` writes them anew, to be read before
they are committed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lineage.small import database, infos, query
from rain_debug.engines import Table
from rain_debug.errors import EngineError, RainError
from rain_debug.lineage import (
    Block,
    Lineage,
    Place,
    Plane,
    Predictor,
    answer_sql,
    capture_forest,
    capture_merged,
    capture_sides,
    capture_tuples,
    materialise,
    merged,
    nested_answer,
    one_pass_sql,
    split_sides,
)
from rain_debug.lineage.contracted import contracted_sql
from rain_debug.lineage.forest import BlockRows, MergeRows
from rain_debug.lineage.places import Restriction
from rain_debug.sql import Expr, Plan

PAGES = Path(__file__).parent / "asked"
TOLD = ("table", "constant", "keep", "upload", "drop", "types", "batches")


class Asked:
    """An engine that keeps what it is told."""

    def __init__(self) -> None:
        self.engine = database().engine
        self.lines: list[str] = []

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.engine, name)
        if name not in TOLD:
            return found

        def tell(*given: Any, **named: Any) -> Any:
            texts = [" | ".join(shown(g)) if isinstance(g, Table) else str(g) for g in given]
            self.lines.append(" ".join([name, *texts, *named]))
            return found(*given, **named)

        return tell


def shown(table: Table) -> list[str]:
    return [f"{name} {values(column.to_list())}" for name, column in table.items()]


def values(items: Any) -> str:
    return " ".join("NULL" if v is None else f"{v:.6g}" if isinstance(v, float) else str(v) for v in items)


def variables(blocks: Sequence[Block]) -> list[str]:
    found = []
    for b in blocks:
        rids = " ".join(",".join(map(str, r)) for r in b.rids.tolist())
        found.append(f"{b.model} {'/'.join(b.identity)} p{b.atom.index} of {rids}: {' | '.join(shown(b.table))}")
    return found


def aggregates(plan: Plan) -> list[Expr]:
    return [a for o in plan.outputs for a in o.expr.walk() if a.op == "agg"]


def arguments(plan: Plan) -> tuple[list[Expr], list[Expr]]:
    """What aggregates read as numbers, and as values of any type; of a query without any its predicted outputs."""
    if not plan.is_aggregate:
        return [o.expr for o in plan.outputs if o.expr.op != "atom"], [o.expr for o in plan.outputs if o.expr.atoms]
    found = aggregates(plan)
    numbers = [x for a in found for x in (*([a.filter] if a.filter else []), *(a.args if a.name != "count" else ()))]
    return numbers, [x for a in found if a.name == "count" for x in a.args]


def places(plan: Plan, rows: Sequence[Mapping[str, Any]]) -> list[Place]:
    """Places by the names of columns."""
    named = {o.name: o.expr for o in plan.outputs}
    found = []
    for row in rows or [{}]:
        cells = [(named[n], v) for n, v in row.items()]
        found.append(Place(tuple(c for c in cells if c[0].is_pure), tuple(c for c in cells if not c[0].is_pure)))
    return found


def tuples(sql: str, *rows: Mapping[str, Any]) -> list[str]:
    """Candidate tuples, one by one."""
    found, engine = query(sql), Asked()
    plan = found.plan
    lineage = capture_tuples(plan, engine, infos(found), places(plan, rows), *arguments(plan))  # type: ignore[arg-type]
    table = lineage.reading.table
    each = {"place": lineage.place, **{f"p{k}": r for k, r in lineage.rows.items()}}
    lines = sorted(
        "  ".join([*(f"{n} {v[i]}" for n, v in each.items()), *shown(table.take(np.array([i])))])
        for i in range(lineage.n)
    )
    blocks = [f"blocks {dict(lineage.block_of)}", *variables(lineage.blocks)]
    lines += [f"copies {lineage.arguments.copies.tolist()}", *summed(lineage, plan)]
    return [*engine.lines, "-> " + lineage.sql, f"-> {lineage.tuples} tuples", *lines, *blocks]


def summed(lineage: Lineage, plan: Plan) -> list[str]:
    """What aggregates read of captured tuples."""
    lines = []
    for a in aggregates(plan):
        for e in a.args:
            if a.name != "count":
                grid = lineage.arguments.sums(e)
                lines += [f"sums of {e.sql}: {m} {c.tolist()}" for m, c in grid.terms.items()]
                lines.append(f"NULL {grid.null.tolist()}")
            if a.name != "sum":
                lines.append(f"known of {a.sql}: {lineage.arguments.known(a).tolist()}")
    return lines


def sums(sql: str, *rows: Mapping[str, Any]) -> list[str]:
    """Candidate tuples merged by the engine."""
    found, engine = query(sql), Asked()
    plan = found.plan
    kept = merged.FEW, merged.FAN_OUT
    merged.FEW, merged.FAN_OUT = 0, 0.0
    try:
        lineage = capture_merged(plan, engine, infos(found), places(plan, rows), aggregates(plan), [], [])  # type: ignore[arg-type]
    finally:
        merged.FEW, merged.FAN_OUT = kept
    if lineage is None:
        return [*engine.lines, "-> none"]
    asked = lineage.arguments.asked.columns  # type: ignore[attr-defined]
    copies = [f"copies {lineage.arguments.copies.tolist()}"] if "count(*)" in asked else []
    lines = [f"asked {asked}", *copies, *summed(lineage, plan)]
    each = [f"place {values(lineage.place)}", *(f"p{k} {values(r)}" for k, r in lineage.rows.items())]
    return [*engine.lines, f"-> {lineage.tuples} tuples", *each, *lines, *variables(lineage.blocks)]


def sides(sql: str, *rows: Mapping[str, Any]) -> list[str]:
    """Both sides of a join on predictions."""
    found, engine = query(sql), Asked()
    plan, here = found.plan, places(found.plan, rows)
    numbers, raws = arguments(plan)
    split = split_sides(plan, [*numbers, *raws], here)
    if split is None:
        return ["-> none"]
    lines = [f"side {' '.join(sorted(a))} of p{k}" for a, k in zip(split.aliases, split.atoms, strict=True)]
    lines += [f"side {i} where {c.sql}" for i in (0, 1) for c in split.conjuncts[i]]
    lines += [f"key {a.sql} = {b.sql}" for a, b in split.keys] + [f"between {c.sql}" for c in split.between]
    lines += [f"order {split.order[1].sql} {split.order[0]} {split.order[2].sql}"] if split.order else []
    lines.append(f"may be few: {split.may_be_few}")
    captured = capture_sides(plan, engine, infos(found), split, here, numbers, raws)  # type: ignore[arg-type]
    if captured is None:
        return [*lines, *engine.lines, "-> none"]
    for side in captured.sides:
        each = {"row": side.rows, "key": side.key, "order": side.order}
        each |= {} if side.place is None else {"place": side.place}
        rows_of = side.reading.table
        listed = sorted(
            "  ".join([*(f"{n} {v[i]}" for n, v in each.items()), *shown(rows_of.take(np.array([i])))])
            for i in range(len(side.rows))
        )
        lines += ["-> side", *listed]
    return [
        *lines,
        *engine.lines,
        f"-> blocks {captured.block_of} shared: {captured.shared}",
        *variables(captured.blocks),
    ]


def tree(sql: str, *rows: Mapping[str, Any], readable: bool = False) -> list[str]:
    """The alternatives of a tree of blocks."""
    found, engine = query(sql), Asked()
    names = [c.name for c in found.nested.columns]
    given = Restriction([tuple(names.index(n) for n in r) for r in rows], [tuple(r.values()) for r in rows])
    forest = capture_forest(
        found.nested.body,
        engine,
        infos(found),
        "__rain_t",
        given if rows else None,
        readable=readable,  # type: ignore[arg-type]
    )
    lines = []
    for part in forest.walk():
        lines.append(f"-> {type(part).__name__} {part.table or 'no table'} of {part.n_rows} rows")
        if isinstance(part, BlockRows):
            named = {
                f"{x.kind} {x.source if isinstance(x.source, str) else '/'.join(x.source)} {x.block}": x
                for x in part.literals
            }
            moving = {f"p{k} {x.kind} {'/'.join(map(str, x.source))} {x.block}": x for k, x in part.numbers.items()}
            lines += [f"bag {part.block.bag}", f"kinds {dict(part.kinds)}", f"texts {dict(part.texts)}"]
            each = []
            for i in range(len(part.row)):
                cells = [f"row {part.row[i]}", *(f"{n} {x.rows[i]} is {x.codes[i]}" for n, x in named.items())]
                cells += [f"{n} {x.rows[i]}" for n, x in moving.items()]
                texts = part.exports.select(list(part.texts.values()))
                each.append("  ".join([*cells, *shown(texts.take(np.array([i])))]))
            lines += sorted(each)
        elif isinstance(part, MergeRows):
            lines += [f"part {i} at {values(r)}" for i, r in enumerate(part.rows)]
            lines += [f"column {j} of part {i} is {values(v)}" for (i, j), v in part.plain.items()]
        else:
            for order, partition, peer in zip(part.order, part.partition, part.peer, strict=True):
                lines.append(f"order {values(order)}  partition {values(partition)}  peer {values(peer)}")
            lines += [f"kinds {dict(part.kinds)}", f"texts {dict(part.texts)}", *shown(part.exports)]
    spots = "none" if forest.spots is None else values(forest.spots)
    lines += [f"spots {spots}", f"classes {forest.classes}", *variables(forest.variables)]
    database().engine.drop(*forest.tables)
    return [*engine.lines, *lines, f"tables {' '.join(forest.tables)}"]


def predictor(probabilities: bool = True) -> Callable[[str], Predictor]:
    """Predictions of the database's models; two classes without probabilities as a plane."""

    def of(name: str) -> Predictor:
        handle = database().models[name]

        def predict(table: Table, spread: bool) -> tuple[np.ndarray, np.ndarray | None]:
            X = handle.model.encode(table, "the test")
            codes = handle.model.predict(X, handle.theta)
            return codes, handle.model.probabilities(X, handle.theta) if spread else None

        plane = {"m": Plane((1.0,), -1.5), "b": Plane((-1.0,), 0.5)}.get(name)
        return Predictor(predict, None if probabilities else plane)

    return of


def answers(sql: str, inside: bool = False) -> list[str]:
    """The tables of predictions, and the answer over them."""
    found, engine = query(sql), Asked()
    models, lines = infos(found), []
    plan = found.plan
    tables = materialise(plan, engine, models, predictor(not inside), "__rain_a")  # type: ignore[arg-type]
    lines += [f"-> {'/'.join(identity)} in {name}" for identity, name in tables.items()]
    for name in tables.values():
        lines += sorted(values(row.values()) for row in database().engine.table(f"SELECT * FROM {name}").rows())
    if hasattr(found, "nested"):
        lines += [
            "-> " + nested_answer(found.nested, tables),
            "-> " + nested_answer(found.nested, tables, limited=False),
        ]
        text = nested_answer(found.nested, tables)
    else:
        hidden = [e for e in plan.group_by or () if e.sql not in {o.expr.sql for o in plan.outputs}]
        text = answer_sql(plan, tables, hidden)
        contracted = contracted_sql(plan, engine, tables, hidden)  # type: ignore[arg-type]
        once = one_pass_sql(plan, engine, models, predictor(False), hidden)  # type: ignore[arg-type]
        lines += [f"-> {text}", f"-> contracted: {contracted}", f"-> in one pass: {once}"]
        want = database().engine.table(text).rows()
        for other in (contracted, once):
            try:
                found = want if other is None else database().engine.table(other).rows()
                assert sorted(map(repr, found)) == sorted(map(repr, want)), other
            except EngineError as error:
                lines.append(f"-> refused: {error.message}")
    lines += shown(database().engine.table(text))
    left = database().engine.table("SELECT table_name AS n FROM duckdb_tables() WHERE temporary")["n"].to_list()
    lines.append(f"tables left: {' '.join(sorted(n for n in left if n.startswith('__rain_a')))}")
    database().engine.drop(*tables.values())
    return [*engine.lines, *lines]


ACTS = {"tuples": tuples, "sums": sums, "sides": sides, "trees": tree, "answers": answers}
"""Page → what its cases show."""


def case(page: str, asked: str) -> str:
    """A case as it should be: title, how, the query and its places, and below what comes of them."""
    title, *lines = asked.splitlines()
    how = {line.removeprefix("how "): True for line in lines if line.startswith("how ")}
    rows = [row for line in lines if line.startswith("at ") for row in json.loads(line.removeprefix("at "))]
    sql = " ".join(line for line in lines if not line.startswith(("how ", "at ")))
    try:
        found = ACTS[page](sql, *rows, **how)
    except RainError as error:
        found = [f"{type(error).__name__}: {error.message}", f"where: {error.where}", f"hint: {error.hint}"]
    return "\n".join([title, *lines, "----", *(line.rstrip() for line in found)])


def read(page: str) -> dict[str, str]:
    """The cases of a page, what is asked → the whole."""
    cases = (PAGES / f"{page}.test").read_text().split("\n\n")
    return {whole.partition("\n----")[0]: whole.rstrip("\n") for whole in cases}


@pytest.mark.parametrize("page", ACTS)
def test_the_page_holds(page: str) -> None:
    for asked, whole in read(page).items():
        assert case(page, asked) == whole


if __name__ == "__main__":
    for name in ACTS:
        (PAGES / f"{name}.test").write_text("\n\n".join(case(name, asked) for asked in read(name)) + "\n")
