"""A query whose predictions do not fit one flat block: its answer, its places, and what it takes to debug them."""

from __future__ import annotations

import itertools
import operator
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rain_debug.complaints import Cell, Row
from rain_debug.database.capture import Capture, Joined, with_comparisons
from rain_debug.database.places import find_name, find_row, matches
from rain_debug.database.query import Query, in_one_snapshot, number_of, scalar
from rain_debug.engines import Column, Table
from rain_debug.errors import ComplaintError, EngineError, nearest
from rain_debug.lineage import Forest, capture_forest, nested_answer
from rain_debug.lineage.exports import as_double, kind_of
from rain_debug.lineage.forest import BlockRows
from rain_debug.lineage.places import Restriction, uploaded_places
from rain_debug.relax import Asked, Target, combined, lower_forest
from rain_debug.sql import Block, Body, Counts, Merge, ModelInfo, Nested, describe, quote, unique_names

if TYPE_CHECKING:
    from rain_debug.database.connection import Database


@dataclass(frozen=True)
class _Shape:
    """Targets of one kind and column that name the same columns, whose `positions` are those of their places' values.

    `named` says that what the cell should be is one of these values, `reads_key` that it is a value that tells rows
    apart: the engine has it, not the program.
    """

    kind: str
    positions: tuple[int, ...]
    column: int | None
    named: bool
    reads_key: bool

    @property
    def is_cell(self) -> bool:
        """True for a number that predictions move."""
        return self.kind == "value" and not self.reads_key


class NestedQuery(Query):
    """A query over predictions below, above and beside what one flat block holds, as `db.query` returns it."""

    def __init__(self, db: Database, nested: Nested, models: Mapping[str, ModelInfo], name: str) -> None:
        super().__init__(db, nested.rows, models, name)
        self.nested = nested
        self.sql = nested.sql
        self._names = unique_names([_shown(nested, i) for i in range(len(nested.columns))])
        self._positions: dict[Any, int] = {}
        self._shapes: dict[tuple[str, str | None, tuple[str, ...]], _Shape] = {}

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

    @in_one_snapshot
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

    @in_one_snapshot
    def whole_answer(self, thetas: Mapping[str, np.ndarray]) -> Table:
        """The answer with the models' predictions at `thetas`, without the LIMIT of the whole."""
        self._refresh()
        tables = self._db.own.materialise(self.plan, self._models, self._db.own.next_name(), thetas)
        try:
            return self._named(self._db.engine.table(self._answer_sql(tables, limited=False)))
        finally:
            self._db.own.forget(tuple(tables.values()))

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
        return self._cell(name, tuple((k, row[k]) for k in keys))

    def like(self, column: str) -> Cell | None:
        """A cell of `column` in no row: what can be said of all of them; None where predictions do not move it."""
        name = find_name(self._names, column)
        return self._cell(name, ()) if name in self.moving() and name not in self.keys else None

    def _cell(self, name: str, place: tuple[tuple[str, Any], ...]) -> Cell:
        position, values = self._names.index(name), self._whole()[name]
        if self.nested.columns[position].uncertain and values.kind in ("number", "bool"):
            return Cell(self, name, place, whole=self._is_whole(name))
        classes = self._classes(position) or tuple(sorted({v for v in values.to_list() if v is not None}, key=str))
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

    @in_one_snapshot
    def capture(self, targets: Sequence[Target], *, contract: bool = True) -> Capture:
        """The program of `targets` and the features of their prediction variables, fetched from the database."""
        if any(t.against is not None for t in targets):
            return with_comparisons(targets, lambda cells: self.capture(cells, contract=contract))
        if not targets:
            return Capture(Joined((), 0), ())
        forest, asked = self._captured(targets)
        spreads = {n: self._db.residual_spread(n) for n, info in self._models.items() if not info.classes}
        program = lower_forest(forest, asked, self.sql, spreads)
        joined = Joined(((program, tuple(range(len(targets)))),), len(targets))
        blocks = [rows for rows in forest.walk() if isinstance(rows, BlockRows)]
        tuples = int(sum(rows.copies.sum() for rows in blocks))
        merged = sum(rows.n_rows for rows in blocks)
        return Capture(joined, forest.variables, tuple(rows.sql for rows in blocks), tuples, merged)

    def forest(self, target: Target) -> tuple[Forest, np.ndarray]:
        """The alternatives behind `target`, and the rows of the top relation at its place."""
        forest, asked = self._captured([target], merge=False)
        return forest, asked[0].rows

    def _captured(self, targets: Sequence[Target], *, merge: bool = True) -> tuple[Forest, list[Asked]]:
        engine = self._db.engine
        shapes, values = self._shapes_of(targets)
        places = Restriction([s.positions for s in shapes], values)
        name, readable = self._db.own.next_name(), any(s.reads_key for s in shapes)
        asked = {counts.name: self._asked_of(counts, shapes, values) for counts in self.nested.counts}
        for table, numbers in asked.items():
            engine.upload(table, Table.of(value=numbers))
        try:
            forest = capture_forest(
                self.nested.body, engine, self._models, name, places, readable=readable, merge=merge, counts=asked
            )
        except EngineError as error:
            raise self._refused(error) from None
        try:
            return forest, self._asked(forest, targets, shapes, places)
        finally:
            engine.drop(*forest.tables, *(counts.name for counts in self.nested.counts))

    def _asked_of(self, counts: Counts, shapes: Sequence[_Shape], values: Sequence[tuple[Any, ...]]) -> np.ndarray:
        """The counts that places name, sorted; all of the answer where one names none."""
        asked: set[int] = set()
        for shape, given in zip(shapes, values, strict=True):
            at = counts.position
            here = (
                [given[shape.positions.index(at)]]
                if at in shape.positions
                else self._whole()[self._names[at]].to_list()
            )
            asked.update(int(v) for v in here if isinstance(v, int | float) and abs(v) < 2**62 and v == int(v))
        return np.array(sorted(asked), dtype=np.int64)

    def moving(self) -> list[str]:
        """Names of the columns that depend on predictions."""
        return [n for i, n in enumerate(self._names) if moves(self.nested.body, i)]

    def plan_text(self) -> str:
        """The tree, printed."""
        counts = [f"{c.name}: the values of {self._names[c.position]} that are asked for" for c in self.nested.counts]
        return "\n".join([describe(self.nested.body), *counts])

    def _position(self, name: Any) -> int:
        """The position of a column, by its name as a user writes it."""
        if name not in self._positions:
            self._positions[name] = self._names.index(find_name(self._names, str(name)))
        return self._positions[name]

    def _shapes_of(self, targets: Sequence[Target]) -> tuple[list[_Shape], list[tuple[Any, ...]]]:
        """The shape of each target, and the values that place it."""
        shapes: list[_Shape] = []
        placed: list[tuple[Any, ...]] = []
        for alike, names, values in _runs(targets):
            shape = self._shape(alike[0].kind, alike[0].column, names)
            shapes += [shape] * len(alike)
            placed += [(*v, t.value) for v, t in zip(values, alike, strict=True)] if shape.named else values
        return shapes, placed

    def _shape(self, kind: str, name: str | None, names: tuple[str, ...]) -> _Shape:
        """What targets of one kind and column that name the same columns have in common, found once for all."""
        key = kind, name, names
        if key not in self._shapes:
            positions = tuple(self._position(name) for name in names)
            for each, at in zip(names, positions, strict=True):
                if self.nested.columns[at].uncertain:
                    raise ComplaintError(f"'{each}' is a number that predictions move: it names no row",
                                         hint=f"columns that name one: {', '.join(self.keys) or 'none'}")  # fmt: skip
            column = None if name is None else self._position(name)
            certain = column is not None and not self.nested.columns[column].uncertain
            named = kind == "is" and certain
            if named and column is not None:
                positions += (column,)
            self._shapes[key] = _Shape(kind, positions, column, named, certain and kind == "value")
        return self._shapes[key]

    def _looked_up(
        self, forest: Forest, shapes: Sequence[_Shape], places: Restriction
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The rows of the top relation at the targets' places: target numbers, rows, and values that are keys."""
        engine, table = self._db.engine, forest.top.table
        kinds = {n.lower(): k for n, k in engine.types(f"SELECT * FROM {table}")}
        groups: dict[tuple[tuple[int, ...], str], list[int]] = {}
        for number, shape in enumerate(shapes):
            item = as_double(engine, "NULL", "number")
            if shape.reads_key and shape.column is not None:
                name = self.nested.columns[shape.column].name
                kind = kind_of(kinds[name.lower()])
                if kind not in ("number", "bool"):
                    hint = "say should_be(…) of its class, or complain about the row"
                    raise ComplaintError(f"'{self._names[shape.column]}' is text: it has no number", hint=hint)
                item = as_double(engine, f"t.{quote(name)}", kind)
            groups.setdefault((shape.positions, item), []).append(number)
        found: list[Table] = []
        for (positions, item), members in groups.items():
            named = [self.nested.columns[i].name for i in positions]
            rows = [places.values[number] for number in members]
            # A value that is not of the column's type names no row; NULL names the rows that are NULL.
            given = uploaded_places(engine, rows, [kinds[n.lower()] for n in named])
            on = " AND ".join(engine.same(f"t.{quote(n)}", f"p.k{j}") for j, n in enumerate(named)) or "TRUE"
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
        return spots[order], at_rows[order], values[order]

    def _asked(
        self, forest: Forest, targets: Sequence[Target], shapes: Sequence[_Shape], places: Restriction
    ) -> list[Asked]:
        """What the program is asked for each target: the rows of the top relation at its place."""
        if forest.spots is None:
            spots, at_rows, values = self._looked_up(forest, shapes, places)
        else:
            spots = np.flatnonzero(forest.spots >= 0)
            at_rows, values = forest.spots[spots], np.empty(0)
        alike = all(shape is shapes[0] for shape in shapes)
        if alike and shapes[0].is_cell and np.array_equal(spots, np.arange(len(targets))):
            return [Asked("value", at_rows, shapes[0].column, each=True)]
        ends = np.searchsorted(spots, np.arange(len(targets) + 1)).tolist()
        asked = []
        for number, (target, shape) in enumerate(zip(targets, shapes, strict=True)):
            here = slice(ends[number], ends[number + 1])
            if here.start == here.stop:
                raise ComplaintError(
                    f"no row of the queried tables can produce {target}, whatever the model predicts",
                    where=self.sql,
                    hint="check the values that name the place; Rain changes predictions, not the queried rows",
                )
            at = shape.column
            if target.kind == "value":
                each = shape.is_cell and len(at_rows[here]) == 1
                asked.append(Asked("value", at_rows[here], at, values[here] if shape.reads_key else None, each=each))
            elif target.kind == "is" and not shape.named:
                if not isinstance(self.nested.body, Block):
                    raise ComplaintError(
                        f"what '{target.column}' is cannot be asked here", hint="complain about the row"
                    )
                asked.append(Asked("is", at_rows[here], at, text=self._db.engine.literal(target.value)))
            else:
                asked.append(Asked("present", at_rows[here]))
        return asked

    def read(self, answer: Table, target: Target) -> float:
        """`target` in the database's own answer: a number, NaN where NULL or absent; 1 or 0 for `present`, `is`."""
        if target.against is not None:
            return combined(target, lambda cell: self.read(answer, cell))
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


def _runs(targets: Sequence[Target]) -> Iterator[tuple[list[Target], tuple[str, ...], list[tuple[Any, ...]]]]:
    """`targets` as runs of one kind and column that name the same columns: these names, and each one's values."""
    for _, run in itertools.groupby(targets, key=operator.attrgetter("kind", "column")):
        alike = list(run)
        places = [t.where for t in alike]
        width = len(places[0])
        # In flat lists: thousands of small tuples, alive at once, would set off the garbage collector.
        flat = list(itertools.chain.from_iterable(itertools.chain.from_iterable(places)))
        names = [flat[i] for i in range(0, 2 * width, 2)]
        if {*map(len, places)} == {width} and all(set(flat[2 * i :: 2 * width]) == {n} for i, n in enumerate(names)):
            columns = [flat[i :: 2 * width] for i in range(1, 2 * width, 2)]
            yield alike, tuple(names), list(zip(*columns, strict=True)) if width else [()] * len(alike)
            continue
        for t in alike:
            yield [t], tuple(n for n, _ in t.where), [tuple(v for _, v in t.where)]


def _shown(nested: Nested, i: int) -> str:
    """A column's name, or its text where the query gives it none."""
    name, body = nested.columns[i].name, nested.body
    if not re.fullmatch(r"_col_\d+", name) or isinstance(body, Merge):
        return name
    e = body.plan.outputs[i].expr
    return " ".join(nested.sql[e.start : e.end].split()) or name


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
