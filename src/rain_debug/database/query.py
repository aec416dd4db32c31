"""One query: its answer, its places, and what it takes to debug them."""

from __future__ import annotations

import math
import re
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from rain_debug.complaints import Cell, Row
from rain_debug.database.behind import rows_behind
from rain_debug.database.capture import Capture, capture, leaves, with_comparisons
from rain_debug.database.explain import explain
from rain_debug.database.places import Output, find_output, find_row, matches, outputs_of
from rain_debug.database.provenance import provenance
from rain_debug.database.record import records_behind
from rain_debug.engines import Column, Table
from rain_debug.errors import ComplaintError, EngineError, ModelError, nearest
from rain_debug.lineage import Forest, Place, answer_sql, find_places
from rain_debug.lineage.contracted import contracted_sql
from rain_debug.notebook import widget
from rain_debug.relax import Target, combined
from rain_debug.report.grid import Grid, screen
from rain_debug.report.pictures import of_answer
from rain_debug.sql import Expr, ModelInfo, Plan, part_of, parts_of, render

if TYPE_CHECKING:
    from rain_debug.database.connection import Database


MOST_READ = 100_000
"""Rows of an answer that are read as a whole after each round; of a longer one, those that are complained about."""


F = TypeVar("F", bound=Callable[..., Any])


def in_one_snapshot(method: F) -> F:
    """A query's method whose statements all see the tables in one state, as an engine's `snapshot` has it."""

    @wraps(method)
    def inside(self: Query, *arguments: Any, **named: Any) -> Any:
        with self._db.engine.snapshot():
            return method(self, *arguments, **named)

    return cast(F, inside)


class Query:
    """A query over predictions, as `db.query` returns it.

    `sql` is its text, `name` what reports call it. The answer is computed by the database, predictions materialised,
    when it is first looked at.
    """

    def __init__(self, db: Database, plan: Plan, models: Mapping[str, ModelInfo], name: str) -> None:
        self._db = db
        self._models = dict(models)
        self.plan = plan
        self.name = name
        self.sql = plan.sql
        self._outputs = outputs_of(plan)
        self._full: Table | None = None
        self._nothing: dict[str, float] = {}
        self._made_with: tuple[Any, ...] = ()
        self._generation = db.engine.generation
        self._tables: dict[tuple[str, ...], str] | None = None
        self._places: list[Place] = []
        self._is_long: bool | None = None

    # -- the answer ---------------------------------------------------------------------------------------------

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the answer's columns."""
        return tuple(o.name for o in self._outputs if not o.hidden)

    @property
    def models(self) -> tuple[str, ...]:
        """The models that it predicts with."""
        return tuple(self._models)

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns that tell the answer's rows apart, where the query groups."""
        keys = {e.sql for e in self.plan.group_by or ()}
        return tuple(o.name for o in self._outputs if o.expr.sql in keys)

    @property
    def answer(self) -> Table:
        """The answer, as the database computes it with the models' current predictions."""
        return self._whole().select(self.columns)

    @property
    def keyed_answer(self) -> Table:
        """The answer, and behind its columns the group keys that are not selected."""
        return self._whole()

    def rows(self) -> list[dict[str, Any]]:
        """The answer as a list of dictionaries."""
        return self.answer.rows()

    def to_pandas(self) -> Any:
        """The answer as a pandas data frame; needs pandas."""
        try:
            import pandas
        except ImportError:
            raise EngineError("pandas is not installed", hint="pip install pandas, or use query.rows()") from None
        return pandas.DataFrame({n: c.to_list() for n, c in self.answer.items()})

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """The answer through the Arrow PyCapsule interface: polars.DataFrame(query), pyarrow.table(query), …"""
        named = ['{} AS "{}"'.format(o, name.replace('"', '""')) for o, name in self._shown()]
        found = self._db.engine.stream(f"SELECT {', '.join(named)} FROM ({self._kept_answer()})")
        return found.__arrow_c_stream__(requested_schema)

    def _shown(self) -> list[tuple[str, str]]:
        return [(f"o{i}", o.name) for i, o in enumerate(self._outputs) if not o.hidden]

    def __repr__(self) -> str:
        return f"<Query {self.name}: {' '.join(self.sql.split())}>"

    def __str__(self) -> str:
        return self._grid().to_text(30, screen())

    def _repr_html_(self) -> str:
        return of_answer(self.answer, self.keys, self.moving()) + self._grid().to_html(30)

    def _grid(self) -> Grid:
        return Grid(self.columns, tuple(tuple(row.values()) for row in self.rows()))

    def reread(self) -> None:
        """Forget the answer: the queried tables are read again when it is next looked at."""
        self._made_with, self._full, self._tables, self._is_long = (), None, None, None

    def _refresh(self) -> None:
        """Forget an answer of models that were trained anew; ModelError where one is no longer what was asked for."""
        now = tuple(self._db.models.get(name) for name in self._models)
        if self._generation != self._db.engine.generation:  # its temporary tables went with the connection
            self._generation = self._db.engine.generation
            self.reread()
        if now == self._made_with:
            return
        for (name, info), handle in zip(self._models.items(), now, strict=True):
            if handle is not None and handle.info != info:
                raise ModelError(
                    f"model '{name}' is another one since this query was made: its features or classes differ",
                    where=self.name,
                    hint="make the query again: db.query(query.sql)",
                )
        self._made_with, self._full, self._tables = now, None, None

    @in_one_snapshot
    def _whole(self) -> Table:
        self._refresh()
        if self._full is None:
            try:
                found = None
                if self.plan.is_aggregate:
                    found = self._db.own.one_pass(self.plan, self._models, {}, self._hidden)
                self._full = self._named(found if found is not None else self._db.engine.table(self._kept_answer()))
            except EngineError as error:
                raise self._refused(error) from None
        return self._full

    def _refused(self, error: EngineError) -> EngineError:
        """The database's own error about the query as the user wrote it."""
        predicted = {a.model: self._models[a.model].classes for a in self.plan.atoms if a.kind == "class"}
        classes = "; ".join(f"'{m}' predicts {', '.join(map(repr, c[:8]))}" for m, c in predicted.items())
        message = re.sub(r"\b__p\d+\.label\b|\blabel\b", "predict(…)", error.message)
        what = f"check the query and the values that name a place; {classes}".rstrip("; ")
        return EngineError(message, where=f"{self.name}\n    {self.sql.strip()[:300]}", hint=what)

    def _kept_answer(self) -> str:
        """The answer's SQL over predictions that are kept as temporary tables for as long as the query is."""
        self._refresh()
        if self._tables is None:
            name = self._db.own.next_name()
            self._tables = self._db.own.materialise(self.plan, self._models, name, {})
            weakref.finalize(self, self._db.own.forget_later, tuple(self._tables.values()))
        return self._answer_sql(self._tables)

    def _answer_sql(self, tables: Mapping[tuple[str, ...], str], *, limited: bool = True) -> str:
        plan = self.plan if limited else replace(self.plan, limit_sql="")
        contracted = contracted_sql(plan, self._db.engine, tables, self._hidden)
        return contracted or answer_sql(plan, tables, self._hidden)

    @property
    def _hidden(self) -> list[Expr]:
        return [o.expr for o in self._outputs if o.hidden]

    def _named(self, table: Table) -> Table:
        return Table({o.name: table[f"o{i}"] for i, o in enumerate(self._outputs)}, n_rows=table.n_rows)

    @in_one_snapshot
    def whole_answer(self, thetas: Mapping[str, np.ndarray]) -> Table:
        """The answer, group keys that are not selected included, with the models' predictions at `thetas`.

        Where predictions decide which rows a LIMIT keeps it is left out: a cell stays a cell when its row moves down.
        """
        self._refresh()
        plan = self.plan
        decide = [*plan.conjuncts, *(plan.group_by or ()), *(e for e, _ in plan.order_by)]
        limited = not any(e.atoms for e in decide) and not plan.is_aggregate
        unlimited = self._complained(plan if limited else replace(plan, limit_sql=""))
        found = self._db.own.one_pass(unlimited, self._models, thetas, self._hidden)
        if found is not None:
            return self._named(found)
        tables = self._db.own.materialise(self.plan, self._models, self._db.own.next_name(), thetas)
        try:
            sql = self._answer_sql(tables, limited=limited)
            if unlimited.from_sql != plan.from_sql:
                sql = answer_sql(unlimited, tables, self._hidden)
            return self._named(self._db.engine.table(sql))
        finally:
            self._db.own.forget(tuple(tables.values()))

    def _complained(self, plan: Plan) -> Plan:
        """`plan` of the rows that are complained about alone, where the answer is too long to be read as a whole."""
        if plan.is_aggregate or not self._places or len(plan.sources) < 2:
            return plan
        if self._is_long is None:
            some = f"SELECT 1 AS x FROM ({self._kept_answer()}) LIMIT {MOST_READ + 1}"
            self._is_long = self._db.engine.table(some).n_rows > MOST_READ
        if not self._is_long:
            return plan
        return replace(plan, from_sql=f"{plan.from_sql} {find_places(plan, self._db.engine, self._places).tie}")

    def widget(self) -> Any:
        """The query in a notebook: click a point, say what is wrong with it, watch the run; `widget.report` is the run.

        ServeError where the extra `notebook` is not installed.
        """
        return widget(self._db, [self])

    # -- places -------------------------------------------------------------------------------------------------

    def cell(self, column: str | None = None, /, where: Mapping[str, Any] | None = None, **conditions: Any) -> Cell:
        """The cell of `column` in the row where `conditions` hold; without `column` the only one that is predicted.

        Conditions whose names are no identifiers are given as `where={"count(*)": 3}`. ComplaintError lists what there
        is: columns, values, predicted columns.
        """
        given = self._conditions(where, conditions)
        output = find_output(self._outputs, column) if column is not None else self._only_predicted()
        if output.name in self.keys:
            raise ComplaintError(
                f"'{output.name}' is what the query groups by",
                hint=f"say query.row({output.name}=…).should_exist() or .should_not_exist()",
            )
        self._refuse_unpredicted(output)
        if self.plan.is_aggregate:
            answer = self._whole()
            if self._is_missed_group(answer, given):
                return Cell(
                    self, output.name, tuple((k, given[k]) for k in self.keys), whole=self._whole_numbers(output)
                )
            row = answer.row(find_row(answer, self.keys, given))
            if isinstance(row[output.name], float) and math.isinf(row[output.name]):
                raise ComplaintError(f"'{output.name}' is infinite there: the query divides by 0",
                                     hint="write the denominator as nullif(…, 0): then the cell is NULL")  # fmt: skip
            place = tuple((k, row[k]) for k in self.keys)
            return Cell(self, output.name, place, whole=self._whole_numbers(output))
        self._one_row(given)
        return self._tuple_cell(output, tuple(given.items()))

    def _is_missed_group(self, answer: Table, given: Mapping[str, Any]) -> bool:
        """True where `given` names every key of a group that the predictions keep out of the answer: its count is 0."""
        if not given or set(given) != set(self.keys):
            return False
        if np.logical_and.reduce([matches(answer, n, v) for n, v in given.items()]).any():
            return False
        try:
            self.capture([Target("present", None, tuple(given.items()))])
        except (ComplaintError, EngineError):
            return False
        return True

    def like(self, column: str) -> Cell | None:
        """A cell of `column` in no row: what can be said of all of them; None where predictions do not move it."""
        output = find_output(self._outputs, column)
        if output.name in self.keys or not self._predicted(output):
            return None
        if not self.plan.is_aggregate:
            return self._tuple_cell(output, ())
        number = self._whole()[output.name].kind in ("number", "bool")
        return Cell(self, output.name, whole=self._whole_numbers(output)) if number else None

    def row(self, where: Mapping[str, Any] | None = None, /, **conditions: Any) -> Row:
        """The row (or group) of the answer where `conditions` hold, there or missed."""
        given = self._conditions(where, conditions)
        if self.plan.is_aggregate:
            for name in given:
                if find_output(self._outputs, name).expr.has_aggregate:
                    raise ComplaintError(f"'{name}' is an aggregate, not a key", hint=f"keys: {', '.join(self.keys)}")
        if not given and (self.plan.group_by or not self.plan.is_aggregate):
            raise ComplaintError("row() names no row", hint=f"give values of {', '.join(self.keys or self.columns)}")
        for name, value in given.items():
            e = find_output(self._outputs, name).expr
            if e.op == "atom" and self.plan.atoms[e.atoms[0]].kind == "class":
                classes = self._models[self.plan.atoms[e.atoms[0]].model].classes
                if value not in classes:
                    raise ComplaintError(f"'{name}' is never {value!r}: the model has no such class",
                                         hint=nearest(str(value), map(str, classes)))  # fmt: skip
        if self.plan.limit_sql:
            raise ComplaintError(
                f"{self.plan.limit_sql} keeps rows out for other rows' sake, so whether one is there says little of it",
                hint="leave LIMIT out of the query, or complain about a cell",
            )
        return Row(self, tuple(given.items()))

    def _conditions(self, where: Mapping[str, Any] | None, conditions: Mapping[str, Any]) -> dict[str, Any]:
        given = {**(where or {}), **conditions}
        return {find_output(self._outputs, name).name: scalar(value) for name, value in given.items()}

    def _only_predicted(self) -> Output:
        predicted = [o for o in self._outputs if self._predicted(o)]
        if len(predicted) != 1:
            names = ", ".join(o.name for o in predicted) or "none"
            raise ComplaintError("cell() names no column", hint=f"columns that depend on predictions: {names}")
        return predicted[0]

    def _predicted(self, output: Output) -> bool:
        if output.expr.has_aggregate:
            filtered = any(c.atoms for c in (*self.plan.conjuncts, *(self.plan.group_by or ())))
            return bool(output.expr.atoms) or filtered
        return bool(output.expr.atoms)

    def _refuse_unpredicted(self, output: Output) -> None:
        if not self._predicted(output):
            names = ", ".join(o.name for o in self._outputs if self._predicted(o)) or "none"
            raise ComplaintError(
                f"'{output.name}' depends on no prediction: no training record can change it",
                hint=f"columns that do: {names}; a row that should (not) be there is query.row(…)",
            )

    def _one_row(self, given: Mapping[str, Any]) -> None:
        """A cell of a query without groups names exactly one row of the answer."""
        conditions = []
        for name, value in given.items():
            i = next(i for i, o in enumerate(self._outputs) if o.name == name)
            conditions.append(self._db.engine.same(f"o{i}", self._db.engine.literal(value)))
        text = " AND ".join(conditions) or "TRUE"
        inner = self._kept_answer()
        found = self._db.engine.table(f"SELECT * FROM ({inner}) AS a WHERE {text} LIMIT 2")
        if found.n_rows == 1:
            return
        if found.n_rows == 0 and given:
            find_row(self._whole(), [o.name for o in self._outputs], given)
        shown = " and ".join(f"{n} = {v!r}" for n, v in given.items()) or "no condition"
        what = "the answer is empty" if found.n_rows == 0 else f"several rows of the answer match ({shown})"
        others = [o.name for o in self._outputs if o.name not in given and not self._predicted(o)]
        more = f"add a condition on {', '.join(others[:20])}" if others else "select a column that tells the rows apart"
        raise ComplaintError(what, hint=f"name one row: {more}")

    def _tuple_cell(self, output: Output, where: tuple[tuple[str, Any], ...]) -> Cell:
        e = output.expr
        if e.op == "atom" and self.plan.atoms[e.atoms[0]].kind == "class":
            classes = self._models[self.plan.atoms[e.atoms[0]].model].classes
            return Cell(self, output.name, where, "class", tuple(classes))
        kind = self._whole()[output.name].kind
        if kind in ("number", "bool"):
            return Cell(self, output.name, where, whole=self._whole_numbers(output))
        values = {v for v in self._whole()[output.name].to_list() if v is not None}
        return Cell(self, output.name, where, "class", tuple(sorted(values, key=str)))

    def _whole_numbers(self, output: Output) -> bool:
        values = self._whole()[output.name]
        return values.kind == "number" and values.values.dtype.kind == "i"

    # -- what it does, and how exactly --------------------------------------------------------------------------

    def explain(self) -> str:
        """The plan as text, the same every time.

        What the database answers, the lineage that it hands over, each column's relaxation rule and whether that is
        exact or approximate, and how many candidate tuples and prediction variables there are for the first rows.
        """
        return explain(self)

    def provenance(self, cell: Cell | Row) -> str:
        """The formula of a small cell: which predictions it takes for each of its terms.

        LineageError where it has too many terms to be read.
        """
        return provenance(self, cell)

    def rows_behind(self, cell: Cell | Row, limit: int = 100) -> Table:
        """The queried rows behind a cell, those first whose prediction moves it most.

        Columns: `rank`, `model`, `row` (the database's row id), `sensitivity` (the largest change of the cell, to first
        order, if that row's prediction were another class; for numbers, per unit), `prediction`, `probability`, and the
        row's features.
        """
        return rows_behind(self, cell, limit)

    def records_behind(self, cell: Cell | Row, limit: int = 100) -> Table:
        """The training records behind a cell or a prediction, those first whose removal changes it most.

        Columns: `rank`, `model`, `key`, `change` (of the cell, or of the predicted class's or the row's probability, if
        the record were removed; to first order and without damping, Eq. 4), `label`, and the record's own columns.
        """
        return records_behind(self._db, self, cell, limit)

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the query's CTEs and subqueries: each is a query of its own, `query.part(name)`."""
        return parts_of(self.sql, self._db, self._db.engine.dialect)

    def part(self, name: str) -> Query:
        """A CTE or subquery of this query, by its name, as a query: its cells and rows can be complained about."""
        return self._db.query(part_of(self.sql, name, self._db, self._db.engine.dialect), name=f"{name} of {self.name}")

    def moving(self) -> list[str]:
        """Names of the columns that depend on predictions."""
        return [o.name for o in self._outputs if not o.hidden and o.name not in self.keys and self._predicted(o)]

    def answer_text(self) -> str:
        """The SQL of the exact answer, tables of predictions called predictions_1, …"""
        return self._answer_sql(self._placeholders())

    def _placeholders(self) -> dict[tuple[str, ...], str]:
        identities = dict.fromkeys(a.identity for a in self.plan.atoms)
        return {identity: f"predictions_{i}" for i, identity in enumerate(identities, 1)}

    def plan_text(self) -> str:
        """The plan, printed."""
        return str(self.plan)

    def forest(self, target: Target) -> tuple[Forest, np.ndarray]:
        """The alternatives behind `target`, and the rows of the top relation at its place."""
        return self._db.as_nested(self).forest(target)

    def classes_of(self, model: str) -> tuple[Any, ...]:
        """The classes that a model predicts; () for a regressor."""
        return self._models[model].classes

    def predictions_of(self, blocks: Sequence[Any]) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Probabilities (n_variables, n_classes) and predicted codes (n_variables,) of captured blocks."""
        return self._db.predictions_of(blocks)

    # -- debugging ----------------------------------------------------------------------------------------------

    @in_one_snapshot
    def capture(self, targets: Sequence[Target], *, contract: bool = True) -> Capture:
        """The program of `targets` and the features of their prediction variables, fetched from the database."""
        if any(t.against is not None for t in targets):
            return with_comparisons(targets, lambda cells: self.capture(cells, contract=contract))
        places: list[Place] = []
        outputs: list[Expr | None] = []
        for target in targets:
            pure: list[tuple[Expr, Any]] = []
            predicted: list[tuple[Expr, Any]] = []
            for name, value in target.where:
                e = find_output(self._outputs, name).expr
                (pure if not e.atoms else predicted).append((e, scalar(value)))
            places.append(Place(tuple(pure), tuple(predicted)))
            outputs.append(find_output(self._outputs, target.column).expr if target.column is not None else None)
        try:
            self._db.own.make_sources(self.plan)
            self._places = places if len({tuple(e.sql for e, _ in p.pure) for p in places}) == 1 else []
            return capture(self.plan, self._db.engine, self._models, targets, places, outputs, contract=contract)
        except EngineError as error:
            raise self._refused(error) from None

    def read(self, answer: Table, target: Target) -> float:
        """`target` in the database's own answer: a number, NaN where NULL or absent; 1 or 0 for `present`, `is`.

        A group that is not there reads as its aggregates do over no rows: a COUNT as 0, a SUM as NULL.
        """
        if target.against is not None:
            return combined(target, lambda cell: self.read(answer, cell))
        mask = np.ones(answer.n_rows, dtype=bool)
        for name, value in target.where:
            mask &= matches(answer, name, value)
        if target.kind == "present":
            return float(mask.any())
        rows = np.flatnonzero(mask)
        if not len(rows):
            return 0.0 if target.kind == "is" else self._over_nothing(target.column or "")
        assert target.column is not None
        value = answer[target.column].take(rows[:1])
        if target.kind == "is":
            return float(matches(Table({"x": value}), "x", target.value)[0])
        return number_of(value)

    def _over_nothing(self, name: str) -> float:
        """The value of an aggregate column over no rows, as the database computes it; NaN for any other column."""
        if name not in self._nothing:
            output = find_output(self._outputs, name)
            self._nothing[name] = float("nan")
            if output.expr.has_aggregate and all(e.op != "pure" for e in leaves(output.expr)):
                self._db.own.make_sources(self.plan)
                self._nothing[name] = number_of(self._db.engine.table(self._nothing_sql(output))["x"])
        return self._nothing[name]

    def _nothing_sql(self, output: Output) -> str:
        def first(k: int) -> str:
            atom = self.plan.atoms[k]
            literal = self._db.engine.literal
            return literal(0.5) if atom.kind == "proba" else literal(self._models[atom.model].classes[0])

        text = render(output.expr.sql, first)
        return f"{self.plan.with_sql} SELECT {text} AS x FROM {self.plan.from_sql} WHERE FALSE"


def number_of(value: Column) -> float:
    if value.valid is not None and not value.valid[0]:
        return float("nan")
    return float(value.values[0])


def scalar(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
