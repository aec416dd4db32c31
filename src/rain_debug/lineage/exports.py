"""What the engine must hand over with each tuple, and how expressions over predictions are then tabulated.

An expression without predictions is a column that the engine computes. One of predictions alone is a small table, which
the engine fills too, so that LIKE or a cast mean what they mean there. What mixes the two is put together here where it
is logic, comparison or arithmetic on numbers; anything else is one column for each combination of classes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rain_debug.engines import Column, Engine, Table
from rain_debug.errors import SQLError
from rain_debug.lineage import grid
from rain_debug.lineage.grid import Array, Grid
from rain_debug.lineage.listed import listed
from rain_debug.sql import Expr, Plan, render
from rain_debug.sql.expr import ARITHMETIC, COMPARISONS, LOGIC
from rain_debug.sql.refusals import NESTED

MAX_COMBINATIONS = 64
MAX_TABLE = 10_000
_VARYING = ("(", "current", "local")
"""In the text of an expression whose value may be another one next time: a function, CURRENT_DATE, LOCALTIME."""
_FLIP = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "<>": "<>"}


@dataclass(frozen=True)
class Axis:
    """One axis of the arrays: the classes of a prediction, or the intervals that thresholds cut a probability into."""

    atom: int
    kind: str
    size: int
    cuts: tuple[tuple[float, bool], ...] = ()


class Exports:
    """The columns that tuples bring along, collected first (`want`), then read as arrays (`Reading`)."""

    def __init__(self, plan: Plan, engine: Engine, classes: dict[str, tuple[Any, ...]]) -> None:
        self.plan = plan
        self.engine = engine
        self.classes = classes
        self.columns: dict[str, str] = {}
        self._kinds: dict[str, str] = {}
        self._tables: dict[str, Column] = {}
        self.axes = self._find_axes()

    # -- axes ---------------------------------------------------------------------------------------------------

    def _find_axes(self) -> tuple[Axis, ...]:
        axes = [Axis(a.index, "class", len(self.classes[a.model])) for a in self.plan.atoms if a.kind == "class"]
        cuts: dict[int, set[tuple[float, bool]]] = {}
        for expression in _expressions(self.plan):
            for e in expression.walk():
                found = self._threshold(e)
                if found is not None:
                    atom, op, value = found
                    strict = {">": [True], "<=": [True], ">=": [False], "<": [False]}.get(op, [False, True])
                    cuts.setdefault(atom, set()).update((value, s) for s in strict)
        axes += [Axis(atom, "bin", len(found) + 1, tuple(sorted(found))) for atom, found in sorted(cuts.items())]
        return tuple(axes)

    def _threshold(self, e: Expr) -> tuple[int, str, float] | None:
        """(atom, comparison, number) where `e` compares a probability with a number."""
        if e.op not in COMPARISONS:
            return None
        for left, right, op in ((e.args[0], e.args[1], e.op), (e.args[1], e.args[0], _FLIP[e.op])):
            if left.op == "atom" and self.plan.atoms[left.atoms[0]].kind == "proba" and right.op == "const":
                value = self.scalar(right)
                if value is None:
                    return None
                return left.atoms[0], op, math.inf if math.isnan(value) else float(value)  # NaN is above all numbers
        return None

    def axis(self, atom: int, kind: str = "class") -> int | None:
        """The number of an atom's axis; None where it has none."""
        return next((i for i, x in enumerate(self.axes) if x.atom == atom and x.kind == kind), None)

    # -- what to fetch ------------------------------------------------------------------------------------------

    def want(self, e: Expr) -> None:
        """Ask for the columns that reading `e` as a number or truth value takes; SQLError where it has none."""
        if self.class_only(e):
            self._table(e)
        elif e.is_pure:
            self._column(e.sql)
        elif self._threshold(e) is not None or e.op == "atom":
            if e.op == "atom" and self.kind(e) not in ("number", "bool"):
                raise self.refuse(e, "a class that is text is used as a number")
        elif self._composes(e):
            for arg in e.args:
                self.want(arg)
        else:
            self._want_combinations(e)

    def want_raw(self, e: Expr) -> None:
        """Ask for the columns that reading `e` as a value of any type takes."""
        if self.class_only(e):
            self._table(e)
        elif e.is_pure:
            self._column(e.sql)
        elif self.in_buckets(e):
            for condition, value in zip(e.args[:-1:2], e.args[1:-1:2], strict=True):
                self.want(condition)
                self.want_raw(value)
            self.want_raw(e.args[-1])
        else:
            self._want_combinations(e)

    def in_buckets(self, e: Expr) -> bool:
        """True where `e` is a CASE over thresholds of a probability: its values may be of any type."""
        return e.op == "case" and self.has_proba(e)

    def _composes(self, e: Expr) -> bool:
        if e.op in LOGIC or e.op == "is_null":
            return e.op in LOGIC or self.kind(e.args[0]) in ("number", "bool")
        if e.op == "/" and self.has_proba(e.args[1]):
            raise self.refuse(e.args[1], "a probability in a denominator is not supported")
        if e.op in COMPARISONS:
            if any(self.has_proba(a) for a in e.args):
                hint = "write it as predict_proba(model, alias, class) > 0.7"
                raise self.refuse(e, "a probability is compared with a plain number only", hint)
            return all(self.kind(a) in ("number", "bool") for a in e.args)
        if e.op in ARITHMETIC or e.op in ("case", "coalesce"):
            values = _values(e)
            return all(self.kind(a) in ("number", "bool", "null") for a in values)
        return False

    def _want_combinations(self, e: Expr) -> None:
        if self.has_proba(e):
            raise self.refuse(
                e,
                f"{(e.name if e.op == 'other' else e.op).upper()} of a probability is not supported",
                "probabilities can be added, multiplied, compared with a number, summed and averaged",
            )
        for text in self.combinations(e):
            self._column(text)

    def combinations(self, e: Expr) -> list[str]:
        """The engine's text of `e` for each combination of classes, in C order; SQLError where there are too many."""
        spaces = [self.classes[self.plan.atoms[k].model] for k in e.atoms]
        if int(np.prod([len(s) for s in spaces])) > MAX_COMBINATIONS:
            raise self.refuse(e, "this expression mixes columns with predictions of too many classes")
        texts = []
        for combination in itertools.product(*spaces):
            words = {k: self.engine.literal(v) for k, v in zip(e.atoms, combination, strict=True)}
            texts.append(render(e.sql, lambda k, words=words: words[k]))  # type: ignore[misc]
        return texts

    def _column(self, text: str) -> str:
        return self.columns.setdefault(text, f"c{len(self.columns)}")

    def select_list(self) -> list[str]:
        """The columns, as items of a select list."""
        return [f"{text} AS {name}" for text, name in self.columns.items()]

    # -- types and small tables ---------------------------------------------------------------------------------

    def kind(self, e: Expr) -> str:
        """`number`, `bool`, `null` or `other`: what the value of `e` is."""
        if e.op in LOGIC or e.op in COMPARISONS or e.op == "is_null":
            return "bool"
        if e.op in ("case", "coalesce"):
            kinds = {self.kind(a) for a in _values(e)} - {"null"}
            return kinds.pop() if len(kinds) == 1 else ("number" if kinds <= {"number", "bool"} else "other")
        if e.op in ARITHMETIC:
            return "number" if all(self.kind(a) in ("number", "bool", "null") for a in e.args) else "other"
        if e.op == "atom":
            atom = self.plan.atoms[e.atoms[0]]
            first = self.classes[atom.model][0]
            if atom.kind == "proba" or (isinstance(first, int | float) and not isinstance(first, bool)):
                return "number"
            return "bool" if isinstance(first, bool) else "other"
        if e.op == "const" and e.sql.upper() == "NULL":
            return "null"
        if e.sql not in self._kinds:
            text = render(e.sql, self._first_class)
            source = f" FROM {self.plan.from_sql}" if e.has_columns else ""
            self._kinds[e.sql] = kind_of(self.engine.types(f"{self.plan.with_sql} SELECT {text} AS x{source}")[0][1])
        return self._kinds[e.sql]

    def _first_class(self, k: int) -> str:
        atom = self.plan.atoms[k]
        return self.engine.literal(0.5) if atom.kind == "proba" else self.engine.literal(self.classes[atom.model][0])

    def scalar(self, e: Expr) -> Any:
        """The value of a constant."""
        return self._table(e).to_list()[0]

    def class_only(self, e: Expr) -> bool:
        """True where `e` is a function of predicted classes alone, small enough for a table."""
        if e.has_columns or self.has_proba(e) or e.op == "agg":
            return False
        return int(np.prod([len(self.classes[self.plan.atoms[k].model]) for k in e.atoms])) <= MAX_TABLE

    def has_proba(self, e: Expr) -> bool:
        """True where a probability occurs in `e`."""
        return any(self.plan.atoms[k].kind == "proba" for k in e.atoms)

    def _table(self, e: Expr) -> Column:
        """The value of an expression over predictions alone, for every combination of classes, in C order."""
        if e.sql not in self._tables:
            spaces = {k: self.classes[self.plan.atoms[k].model] for k in e.atoms}
            text = render(e.sql, lambda k: f"a{k}.c")
            froms = []
            for k, labels in spaces.items():
                rows = [(str(i), self.engine.literal(label)) for i, label in enumerate(labels)]
                froms.append(listed(f"a{k}", ("i", "c"), rows))
            order = ", ".join(f"a{k}.i" for k in spaces)
            tail = f" FROM {', '.join(froms)} ORDER BY {order}" if froms else ""
            ask = self.engine.table if any(w in text.lower() for w in _VARYING) else self.engine.constant
            self._tables[e.sql] = ask(f"SELECT {text} AS x{tail}")["x"]
        return self._tables[e.sql]

    def refuse(self, e: Expr, message: str, hint: str = NESTED) -> SQLError:
        """The error that underlines `e` in the query."""
        return SQLError(message, sql=self.plan.sql, start=e.start, end=e.end, hint=hint)


class Reading:
    """Expressions of captured tuples, as arrays over tuples and predictions."""

    def __init__(self, exports: Exports, table: Table) -> None:
        self.exports = exports
        self.table = table
        self.n = table.n_rows
        self.ndim = 1 + len(exports.axes)

    def truth(self, e: Expr) -> Grid:
        """`e` as a truth value."""
        return self.number(e)

    def number(self, e: Expr) -> Grid:
        """`e` as a number, or as a truth value: 1, 0 or NULL."""
        x = self.exports
        if x.class_only(e):
            return self._plain(*self._small(e), e)
        if e.is_pure:
            return self._plain(*self.tall(x.columns[e.sql]), e)
        threshold = x._threshold(e)
        if threshold is not None:
            return self._interval(*threshold)
        if e.op == "atom":
            return Grid({(e.atoms[0],): self._shape(np.ones(1), {})}, self._shape(np.zeros(1, bool), {}))
        if x._composes(e):
            return self._compose(e, [self.number(a) for a in e.args])
        return self._plain(*self._wide(e), e)

    def raw(self, e: Expr) -> tuple[Array, Array]:
        """The values of `e` as objects of any type, and where they are NULL."""
        if self.exports.class_only(e):
            return self._small(e)
        if e.is_pure:
            return self.tall(self.exports.columns[e.sql])
        if self.exports.in_buckets(e):
            return self._bucket(e)
        return self._wide(e)

    def _bucket(self, e: Expr) -> tuple[Array, Array]:
        values, null = self.raw(e.args[-1])
        for condition, value in reversed(list(zip(e.args[:-1:2], e.args[1:-1:2], strict=True))):
            true, (here, gone) = self.truth(condition).true, self.raw(value)
            values = np.where(true, here.astype(object), values.astype(object))
            null = np.where(true, gone, null)
        return values, null

    def _compose(self, e: Expr, args: Sequence[Grid]) -> Grid:
        if e.op == "and":
            return grid.both(*args)
        if e.op == "or":
            return grid.either(*args)
        if e.op == "not":
            return grid.negate(args[0])
        if e.op == "is_null":
            return grid.is_null(args[0])
        if e.op == "+":
            return grid.add(args[0], args[1])
        if e.op == "-":
            return grid.add(args[0], args[1], -1.0)
        if e.op == "neg":
            return grid.multiply(args[0], grid.plain(-np.ones((1,) * self.ndim)))
        if e.op == "*":
            return grid.multiply(*args)
        if e.op == "/":
            return grid.divide(*args)
        if e.op == "case":
            return grid.choose(list(zip(args[:-1:2], args[1:-1:2], strict=True)), args[-1])
        if e.op == "coalesce":
            return grid.first_known(args)
        return grid.compare(e.op, *args)

    def _interval(self, atom: int, op: str, value: float) -> Grid:
        number = self.exports.axis(atom, "bin")
        assert number is not None
        cuts = self.exports.axes[number].cuts
        above = {strict: cuts.index((value, strict)) + 1 for strict in (False, True) if (value, strict) in cuts}
        state = np.arange(len(cuts) + 1)
        truth = {
            ">": lambda: state >= above[True],
            "<=": lambda: state < above[True],
            ">=": lambda: state >= above[False],
            "<": lambda: state < above[False],
            "=": lambda: (state >= above[False]) & (state < above[True]),
            "<>": lambda: (state < above[False]) | (state >= above[True]),
        }[op]()
        return grid.plain(self._shape(truth.astype(float), {number: len(state)}))

    def _small(self, e: Expr) -> tuple[Array, Array]:
        found = self.exports._table(e)
        sizes = {self._class_axis(k): self.exports.axes[self._class_axis(k)].size for k in e.atoms}
        return self._shape(found.values, sizes), self._shape(_missing(found), sizes)

    def tall(self, name: str) -> tuple[Array, Array]:
        """The values of a fetched column, and where they are NULL."""
        found = self.table[name]
        tail = (1,) * (self.ndim - 1)
        if found.valid is None and found.values.dtype != object:
            return found.values.reshape(-1, *tail), np.zeros((1, *tail), dtype=bool)
        return found.values.reshape(-1, *tail), _missing(found).reshape(-1, *tail)

    def _wide(self, e: Expr) -> tuple[Array, Array]:
        return self.wide(e, [self.exports.columns[text] for text in self.exports.combinations(e)])

    def wide(self, e: Expr, names: Sequence[str]) -> tuple[Array, Array]:
        """The values of fetched columns, one for each combination of the classes of `e`, and where they are NULL."""
        found = [self.table[name] for name in names]
        sizes = {self._class_axis(k): self.exports.axes[self._class_axis(k)].size for k in e.atoms}
        shape = [self.n] + [sizes.get(i, 1) for i in range(self.ndim - 1)]
        dtype = object if any(c.values.dtype == object for c in found) else float
        values = np.stack([c.values.astype(dtype) for c in found], axis=1).reshape(shape)
        return values, np.stack([_missing(c) for c in found], axis=1).reshape(shape)

    def _class_axis(self, atom: int) -> int:
        number = self.exports.axis(atom)
        assert number is not None
        return number

    def _shape(self, values: Array, sizes: dict[int, int]) -> Array:
        return values.reshape([1] + [sizes.get(i, 1) for i in range(self.ndim - 1)])

    def _plain(self, values: Array, null: Array, e: Expr) -> Grid:
        if values.dtype == object:
            if null.all():
                return grid.plain(np.zeros(null.shape), null)
            raise self.exports.refuse(e, "a value that is text is used as a number")
        return grid.plain(values, null)


def kind_of(sql_type: str) -> str:
    """`number`, `bool`, `null` or `other` for a type's name.

    >>> [kind_of(t) for t in ("DECIMAL(10,2)", "BOOLEAN", "VARCHAR", "HUGEINT")]
    ['number', 'bool', 'other', 'number']
    """
    bare = sql_type.split("(")[0].upper().strip('"')
    if bare in ("BOOLEAN", "BOOL"):
        return "bool"
    if bare in ("NULL", "SQLNULL"):
        return "null"
    numbers = ("INT", "DOUBLE", "FLOAT", "REAL", "DECIMAL", "NUMERIC")
    return "number" if any(n in bare for n in numbers) and bare != "INTERVAL" and "[]" not in sql_type else "other"


def as_double(engine: Engine, text: str, kind: str) -> str:
    """The text of a number or truth value as a 64-bit float."""
    return f"CAST({f'CAST({text} AS INTEGER)' if kind == 'bool' else text} AS {engine.double})"


def _missing(column: Column) -> Array:
    if column.valid is not None:
        return ~column.valid
    if column.values.dtype == object:
        return np.array([v is None for v in column.values], dtype=bool)
    return np.zeros(len(column), dtype=bool)


def _values(e: Expr) -> Sequence[Expr]:
    """The arguments whose value `e` can take."""
    return [*e.args[1:-1:2], e.args[-1]] if e.op == "case" else e.args


def _expressions(plan: Plan) -> list[Expr]:
    return [*plan.conjuncts, *(o.expr for o in plan.outputs), *(plan.group_by or ())]
