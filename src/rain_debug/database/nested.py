"""A query whose predictions do not fit one flat block: its answer, its places, and what it takes to debug them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rain_debug.complaints import Cell, Row
from rain_debug.database.capture import Capture, Joined
from rain_debug.database.places import find_name, find_row, matches, unique_names
from rain_debug.database.query import Query, number_of, scalar
from rain_debug.engines import Column, Table
from rain_debug.errors import ComplaintError, EngineError, nearest
from rain_debug.lineage import Forest, capture_forest, nested_answer
from rain_debug.lineage.alternatives import BlockRows
from rain_debug.lineage.exports import kind_of
from rain_debug.lineage.places import uploaded_places
from rain_debug.relax import Asked, Target, lower_forest
from rain_debug.sql import Block, Body, Merge, ModelInfo, Nested, describe

if TYPE_CHECKING:
    from rain_debug.database.connection import Database


class NestedQuery(Query):
    """A query over predictions below, above and beside what one flat block holds, as `db.query` returns it."""

    def __init__(self, db: Database, nested: Nested, models: Mapping[str, ModelInfo], name: str) -> None:
        super().__init__(db, nested.rows, models, name)
        self.nested = nested
        self.sql = nested.sql
        self._names = unique_names([_shown(nested, i) for i in range(len(nested.columns))])
        self._positions: dict[Any, int] = {}

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the answer's columns."""
        return self._names

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns that tell the answer's rows apart."""
        return tuple(n for n, c in zip(self._names, self.nested.columns, strict=True) if c.key)

    def _answer_sql(self, tables: Mapping[tuple[str, ...], str], *, limited: bool = True) -> str:
        return nested_answer(self.nested, tables, limited=limited)

    def _shown(self) -> list[tuple[str, str]]:
        return [(f"o{i}", n) for i, n in enumerate(self._names)]

    def _whole(self) -> Table:
        self._refresh()
        if self._full is None:
            try:
                self._full = self._named(self._db.engine.table(self._kept_answer()))
            except EngineError as error:
                raise self._refused(error) from None
        return self._full

    def _named(self, table: Table) -> Table:
        return Table({n: table[f"o{i}"] for i, n in enumerate(self._names)}, n_rows=table.n_rows)

    def whole_answer(self, thetas: Mapping[str, np.ndarray]) -> Table:
        """The answer with the models' predictions at `thetas`, without the LIMIT of the whole."""
        self._refresh()
        tables = self._db.materialise(self.plan, self._models, f"__rain_{self._db.next_number()}", thetas)
        try:
            return self._named(self._db.engine.table(self._answer_sql(tables, limited=False)))
        finally:
            self._db.forget(tuple(tables.values()))

    # -- places -------------------------------------------------------------------------------------------------

    def cell(self, column: str | None = None, /, where: Mapping[str, Any] | None = None, **conditions: Any) -> Cell:
        """The cell of `column` in the row where `conditions` hold; without `column` the only one that is predicted."""
        given = self._conditions(where, conditions)
        moving = self.moving()
        if column is None:
            if len(moving) != 1:
                there = ", ".join(moving) or "none"
                raise ComplaintError("cell() names no column", hint=f"columns that depend on predictions: {there}")
            column = moving[0]
        name = find_name(self._names, column)
        position = self._names.index(name)
        info = self.nested.columns[position]
        if name not in moving:
            raise ComplaintError(
                f"'{name}' depends on no prediction: no training record can change it",
                hint=f"columns that do: {', '.join(moving) or 'none'}; a row that should (not) be there: query.row(…)",
            )
        answer = self._whole()
        whole = self._is_whole(name)
        keys = [n for n in self._names if not self._uncertain(n) and n != name]
        if info.uncertain and given and set(given) >= set(self.keys) and not self._found(answer, given):
            place = tuple((k, v) for k, v in given.items() if not self._uncertain(k))
            self.capture([Target("present", None, place)])
            return Cell(self, name, place, whole=whole)
        row = answer.row(self._find(answer, given))
        place = tuple((k, row[k]) for k in keys)
        if info.uncertain and answer[name].kind in ("number", "bool"):
            return Cell(self, name, place, whole=whole)
        classes = self._classes(position) or tuple(
            sorted({v for v in answer[name].to_list() if v is not None}, key=str)
        )
        return Cell(self, name, place, "class", classes)

    def row(self, where: Mapping[str, Any] | None = None, /, **conditions: Any) -> Row:
        """The row (or group) of the answer where `conditions` hold, there or missed."""
        given = self._conditions(where, conditions)
        named = [n for n in self._names if not self._uncertain(n)]
        for name in given:
            if self._uncertain(name):
                raise ComplaintError(
                    f"'{name}' is a number that predictions move: it names no row",
                    hint=f"columns that name one: {', '.join(named) or 'none'}",
                )
        if not given:
            raise ComplaintError("row() names no row", hint=f"give values of {', '.join(named or self._names)}")
        if self.nested.limited:
            raise ComplaintError("LIMIT keeps rows out for other rows' sake, so whether one is there says little of it",
                                 hint="leave LIMIT out of the query, or complain about a cell")  # fmt: skip
        for name, value in given.items():
            classes = self._classes(self._names.index(name))
            if classes and value not in classes:
                raise ComplaintError(f"'{name}' is never {value!r}: the model has no such class",
                                     hint=nearest(str(value), map(str, classes)))  # fmt: skip
        return Row(self, tuple(given.items()))

    def _conditions(self, where: Mapping[str, Any] | None, conditions: Mapping[str, Any]) -> dict[str, Any]:
        given = {**(where or {}), **conditions}
        return {find_name(self._names, name): scalar(value) for name, value in given.items()}

    def _uncertain(self, name: str) -> bool:
        return self.nested.columns[self._names.index(name)].uncertain

    def _found(self, answer: Table, given: Mapping[str, Any]) -> bool:
        return bool(np.logical_and.reduce([matches(answer, n, v) for n, v in given.items()]).any())

    def _find(self, answer: Table, given: Mapping[str, Any]) -> int:
        return find_row(answer, self._names, given)

    def _classes(self, position: int) -> tuple[Any, ...]:
        body = self.nested.body
        if isinstance(body, Block):
            e = body.plan.outputs[position].expr
            if e.op == "atom" and body.plan.atoms[e.atoms[0]].kind == "class":
                return tuple(self._models[body.plan.atoms[e.atoms[0]].model].classes)
        return ()

    def _is_whole(self, name: str) -> bool:
        values = self._whole()[name]
        return values.kind == "number" and values.values.dtype.kind == "i"

    # -- debugging ----------------------------------------------------------------------------------------------

    def capture(self, targets: Sequence[Target], *, contract: bool = True) -> Capture:
        """The program of `targets` and the features of their prediction variables, fetched from the database."""
        if not targets:
            return Capture(Joined((), 0), ())
        forest, asked = self._captured(targets)
        spreads = {n: self._db.residual_spread(n) for n, info in self._models.items() if not info.classes}
        program = lower_forest(forest, asked, self.sql, spreads)
        joined = Joined(((program, tuple(range(len(targets)))),), len(targets))
        blocks = [rows for rows in forest.walk() if isinstance(rows, BlockRows)]
        tuples = sum(len(rows.row) for rows in blocks)
        merged = sum(rows.n_rows for rows in blocks)
        return Capture(joined, forest.variables, tuple(rows.sql for rows in blocks), tuples, merged)

    def forest(self, target: Target) -> tuple[Forest, np.ndarray]:
        """The alternatives behind `target`, and the rows of the top relation at its place."""
        forest, asked = self._captured([target])
        return forest, asked[0].rows

    def _captured(self, targets: Sequence[Target]) -> tuple[Forest, list[Asked]]:
        engine = self._db.engine
        places = [self._place(t) for t in targets]
        try:
            forest = capture_forest(self.nested.body, engine, self._models, f"__rain_{self._db.next_number()}", places)
        except EngineError as error:
            raise self._refused(error) from None
        try:
            return forest, self._asked(forest, targets, places)
        finally:
            for table in forest.tables:
                engine.drop(table)

    def moving(self) -> list[str]:
        """Names of the columns that depend on predictions."""
        return [n for i, n in enumerate(self._names) if moves(self.nested.body, i)]

    def plan_text(self) -> str:
        """The tree, printed."""
        return describe(self.nested.body)

    def _position(self, name: Any) -> int:
        """The position of a column, by its name as a user writes it."""
        if name not in self._positions:
            self._positions[name] = self._names.index(find_name(self._names, str(name)))
        return self._positions[name]

    def _place(self, target: Target) -> dict[int, Any]:
        place: dict[int, Any] = {}
        for name, value in target.where:
            at = self._position(name)
            if self.nested.columns[at].uncertain:
                raise ComplaintError(f"'{name}' is a number that predictions move: it names no row",
                                     hint=f"columns that name one: {', '.join(self.keys) or 'none'}")  # fmt: skip
            place[at] = value
        if target.kind == "is" and not self.nested.columns[self._position(target.column)].uncertain:
            place[self._position(target.column)] = target.value
        return place

    def _asked(self, forest: Forest, targets: Sequence[Target], places: Sequence[Mapping[int, Any]]) -> list[Asked]:
        """What the program is asked for each target: the rows of the top relation at its place."""
        engine, table = self._db.engine, forest.top.table
        kinds = {n.lower(): k for n, k in engine.types(f"SELECT * FROM {table}")}
        plain: dict[int, str] = {}
        groups: dict[tuple[tuple[int, ...], str], list[int]] = {}
        for number, (target, place) in enumerate(zip(targets, places, strict=True)):
            item = "CAST(NULL AS DOUBLE)"
            if target.kind == "value" and target.column is not None:
                column = self.nested.columns[self._position(target.column)]
                if not column.uncertain:
                    if kind_of(kinds[column.name.lower()]) not in ("number", "bool"):
                        hint = "say should_be(…) of its class, or complain about the row"
                        raise ComplaintError(f"'{target.column}' is text: it has no number", hint=hint)
                    item = plain[number] = f"CAST(t.{_quoted(column.name)} AS DOUBLE)"
            groups.setdefault((tuple(place), item), []).append(number)
        found: list[Table] = []
        for (positions, item), members in groups.items():
            named = [self.nested.columns[i].name for i in positions]
            rows = [[places[number][i] for i in positions] for number in members]
            # A value that is not of the column's type names no row; NULL names the rows that are NULL.
            given = uploaded_places(engine, rows, [kinds[n.lower()] for n in named])
            on = " AND ".join(f"t.{_quoted(n)} IS NOT DISTINCT FROM p.k{j}" for j, n in enumerate(named)) or "TRUE"
            met = engine.table(
                f"SELECT p.id AS spot, t.__rain_row AS x, {item} AS v FROM {table} AS t JOIN {given} AS p ON {on} "
                f"WHERE p.sound"
            )
            spot = np.asarray(members, dtype=np.int64)[met["spot"].values.astype(np.int64)]
            found.append(Table({"spot": Column(spot, "number"), "x": met["x"], "v": met["v"]}))
        spots = np.concatenate([f["spot"].values.astype(np.int64) for f in found])
        at_rows = np.concatenate([f["x"].values.astype(np.int64) for f in found])
        values = np.concatenate([_with_nan(f["v"]) for f in found])
        order = np.lexsort((at_rows, spots))
        spots, at_rows, values = spots[order], at_rows[order], values[order]
        ends = np.searchsorted(spots, np.arange(len(targets) + 1)).tolist()
        asked = []
        for number, target in enumerate(targets):
            here = slice(ends[number], ends[number + 1])
            if here.start == here.stop:
                raise ComplaintError(
                    f"no row of the queried tables can produce {target}, whatever the model predicts",
                    where=self.sql,
                    hint="check the values that name the place; Rain changes predictions, not the queried rows",
                )
            at = None if target.column is None else self._position(target.column)
            if target.kind == "value":
                asked.append(Asked("value", at_rows[here], at, values[here] if number in plain else None))
            elif target.kind == "is" and at is not None and self.nested.columns[at].uncertain:
                if not isinstance(self.nested.body, Block):
                    raise ComplaintError(
                        f"what '{target.column}' is cannot be asked here", hint="complain about the row"
                    )
                asked.append(Asked("is", at_rows[here], at, text=engine.literal(target.value)))
            else:
                asked.append(Asked("present", at_rows[here]))
        return asked

    def read(self, answer: Table, target: Target) -> float:
        """`target` in the database's own answer: a number, NaN where NULL or absent; 1 or 0 for `present`, `is`."""
        mask = np.ones(answer.n_rows, dtype=bool)
        for name, value in target.where:
            mask &= matches(answer, name, value)
        if target.kind == "is":
            assert target.column is not None
            mask &= matches(answer, target.column, target.value)
        if target.kind in ("present", "is"):
            return float(mask.any())
        rows = np.flatnonzero(mask)
        assert target.column is not None
        if not len(rows):
            return self._over_nothing(target.column)
        return number_of(answer[target.column].take(rows[:1]))

    def _over_nothing(self, name: str) -> float:
        """What a missing group's cell reads as: 0 for a COUNT, NaN otherwise."""
        body = self.nested.body
        if isinstance(body, Block):
            e = body.plan.outputs[self._names.index(name)].expr
            if e.op == "agg" and e.name == "count" and not body.having and body.plan.group_by:
                return 0.0
        return float("nan")


def _shown(nested: Nested, i: int) -> str:
    """A column's name, or its text where the query gives it none."""
    name, body = nested.columns[i].name, nested.body
    if not re.fullmatch(r"_col_\d+", name) or isinstance(body, Merge):
        return name
    e = body.plan.outputs[i].expr
    return " ".join(nested.sql[e.start : e.end].split()) or name


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _with_nan(column: Any) -> np.ndarray:
    values = np.asarray(column.values, dtype=float)
    return values if column.valid is None else np.where(column.valid, values, np.nan)


def moves(body: Body, position: int) -> bool:
    """True where predictions decide what stands in a column, not only which rows are there."""
    if body.columns[position].uncertain:
        return True
    if isinstance(body, Merge):
        return any(moves(part, position) for part in body.parts)
    if not isinstance(body, Block):
        return False
    e = body.plan.outputs[position].expr
    if e.atoms:
        return True
    for below in body.below:
        for i, column in enumerate(below.body.columns):
            if f'."{column.name.lower()}"' in e.sql.lower() and moves(below.body, i):
                return True
    return False
