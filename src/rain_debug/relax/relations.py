"""Alternatives → program: each relation's rows as presence and numbers, nodes of one program."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rain_debug.errors import SQLError
from rain_debug.lineage.alternatives import BlockRows, Forest, Literals, MergeRows, Rows, WindowRows
from rain_debug.relax.outcomes import Outcomes
from rain_debug.relax.program import Builder, Program
from rain_debug.relax.windows import peer_range
from rain_debug.sql import Expr

Array = np.ndarray
_OPERATIONS = {"+": "add", "-": "sub", "*": "mul", "/": "div"}
_FLIP = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "<>": "<>"}
_FUNCTIONS = {"abs": "abs", "sqrt": "sqrt", "exp": "exp", "ln": "ln", "floor": "floor", "ceil": "ceil"}


@dataclass(frozen=True)
class Number:
    """A column that predictions move: `node` (n,) and, where it is known, `spread` (n,), its standard deviation."""

    node: int
    spread: int | None = None


@dataclass
class Relation:
    """Rows of a body: `presence` (n,) is None where every row is there; `numbers` by column position.

    A number is what it is given that its row is there; `counts` are COUNTs that read as 0 where it is not. `rules` say
    how each part was relaxed; `loose` is True where one of them is only an approximation.
    """

    n: int
    presence: int | None
    numbers: dict[int, Number]
    rules: list[str] = field(default_factory=list)
    loose: bool = False
    outcomes: Outcomes | None = None
    counts: dict[int, int] = field(default_factory=dict)
    indicator: Callable[[int, str], int] | None = None
    nullable: bool = False
    failed: dict[int, SQLError] = field(default_factory=dict)

    def number(self, column: int) -> Number:
        """A column that predictions move; SQLError where it has no rule."""
        if column in self.failed:
            raise self.failed[column]
        return self.numbers[column]


@dataclass(frozen=True)
class Asked:
    """One target: `rows` of the top relation that lie at its place; `column` by position for a value.

    `values` (n_rows,) are those of a column that only tells rows apart; `text` is what `is` asks a column to be.
    """

    kind: str
    rows: Array
    column: int | None = None
    values: Array | None = None
    text: str | None = None


def lower_forest(
    forest: Forest, asked: Sequence[Asked], sql: str, spreads: Mapping[str, float] | None = None
) -> Program:
    """The program of `asked` over the top relation; `spreads` are the residual spreads of regressors, by model."""
    shapes = [(v.n, c) for v, c in zip(forest.variables, forest.classes, strict=True)]
    return Lowering(Builder(shapes), sql, spreads or {}).program(forest.top, asked)


class Lowering:
    """Relations on their way into one program."""

    def __init__(self, builder: Builder, sql: str, spreads: Mapping[str, float]) -> None:
        self.b = builder
        self.sql = sql
        self.spreads = spreads
        self._known: dict[int, Relation] = {}

    def program(self, top: Rows, asked: Sequence[Asked]) -> Program:
        """The program whose targets are `asked`."""
        relation = self.relation(top)
        outputs, rules, loose = [], [], []
        for one in asked:
            node, rule, approximate = self._target(top, relation, one)
            outputs.append((node, 0))
            rules.append(rule)
            loose.append(approximate)
        return self.b.program(outputs, rules, loose)

    def _target(self, top: Rows, relation: Relation, asked: Asked) -> tuple[int, str, bool]:
        b = self.b
        rows = asked.rows
        rules = "; ".join(dict.fromkeys(relation.rules)) or "by linearity"
        zeros = np.zeros(len(rows), dtype=np.int64)
        if asked.kind == "present":
            if relation.presence is None:
                return b.const(np.full(1, float(len(rows) > 0))), "always there", False
            if relation.outcomes is not None and isinstance(top, BlockRows) and top.block.plan.group_by is None:
                chosen = np.isin(top.row, rows)
                found = relation.outcomes.of(chosen)
                return found.any(), "1 − Π(1 − w)", relation.loose or found.shared
            p = b.op("gather", relation.presence, attrs=(rows,))
            if len(rows) == 1:
                return p, rules, relation.loose
            none = b.op("segment_prod", b.op("sub", b.const(np.ones(len(rows))), p), attrs=(zeros, 1))
            return b.op("sub", b.const(np.ones(1)), none), f"{rules}; 1 − Π(1 − w)", True
        assert asked.column is not None
        if asked.kind == "is":
            assert relation.indicator is not None and asked.text is not None
            node = b.op("gather", relation.indicator(asked.column, asked.text), attrs=(rows,))
            there = relation.presence
            p = self.ones(len(rows)) if there is None else b.op("gather", there, attrs=(rows,))
            both = b.op("segment_sum", b.op("mul", node, p), attrs=(zeros, 1))
            return both, f"{rules}; CASE by the chance of each branch", True
        if asked.values is not None:
            x = b.const(asked.values)
        else:
            x = b.op("or_zero", b.op("gather", relation.number(asked.column).node, attrs=(rows,)))
        if relation.presence is None and len(rows) == 1:
            return x, rules, relation.loose
        p = (
            b.const(np.ones(len(rows)))
            if relation.presence is None
            else b.op("gather", relation.presence, attrs=(rows,))
        )
        if len(rows) == 1:
            if asked.column in relation.counts:
                return b.op("gather", relation.counts[asked.column], attrs=(rows,)), rules, relation.loose
            return b.op("hidden", x, p), rules, relation.loose
        whole = b.op("segment_sum", b.op("mul", p, b.op("null_to", x, b.const(np.zeros(1)))), attrs=(zeros, 1))
        count = b.op("segment_sum", b.op("mul", p, b.op("not_null", x)), attrs=(zeros, 1))
        return b.op("mean", whole, count, b.op("div", whole, count)), f"{rules}; weighted by presence", True

    def relation(self, rows: Rows) -> Relation:
        """The nodes of one relation."""
        if id(rows) not in self._known:
            made = (
                _Block(self, rows).relation()
                if isinstance(rows, BlockRows)
                else self._merge(rows)
                if isinstance(rows, MergeRows)
                else _Window(self, rows).relation()
            )
            self._known[id(rows)] = made
        return self._known[id(rows)]

    def ones(self, n: int) -> int:
        """A column of ones."""
        return self.b.const(np.ones(n))

    def _merge(self, rows: MergeRows) -> Relation:
        b, parts = self.b, [self.relation(p) for p in rows.parts]
        rules = [r for p in parts for r in p.rules]
        loose = any(p.loose for p in parts)
        there = [p.presence if p.presence is not None else self.ones(p.n) for p in parts]
        if rows.body.all:
            presence = None if all(p.presence is None for p in parts) else b.op("concat", *there)
            numbers = {}
            for i, column in enumerate(rows.body.columns):
                if column.uncertain:
                    found = []
                    for part, below in zip(parts, rows.parts, strict=True):
                        if i in part.numbers or i in part.failed:
                            found.append(part.number(i).node)
                        else:
                            found.append(b.const(_plain_column(below, i, part.n)))
                    numbers[i] = Number(b.op("concat", *found))
            return Relation(rows.n_rows, presence, numbers, rules, loose)
        probabilities = []
        for node, mapped in zip(there, rows.rows, strict=True):
            absent = b.op("sub", self.ones(len(mapped)), node)
            none = b.op("segment_prod", absent, attrs=(mapped, rows.n_rows))
            probabilities.append(b.op("sub", self.ones(rows.n_rows), none))
        one, two = probabilities
        if rows.body.op == "union":
            gone = b.op("mul", b.op("sub", self.ones(rows.n_rows), one), b.op("sub", self.ones(rows.n_rows), two))
            presence, rule = b.op("sub", self.ones(rows.n_rows), gone), "UNION as 1 − Π(1 − w)"
        elif rows.body.op == "intersect":
            presence, rule = b.op("mul", one, two), "INTERSECT as a product"
        else:
            presence = b.op("mul", one, b.op("sub", self.ones(rows.n_rows), two))
            rule = "EXCEPT as w · Π(1 − w)"
        return Relation(rows.n_rows, presence, {}, [*rules, rule], True)

    def refuse(self, e: Any, message: str, hint: str | None = None) -> SQLError:
        """The error that underlines `e`."""
        return SQLError(message, sql=self.sql, start=e.start, end=e.end, hint=hint)


def _plain_column(rows: Rows, i: int, n: int) -> Array:
    """A part's column that no prediction moves, where another part's one does: its numbers, NaN where NULL."""
    if isinstance(rows, BlockRows):
        text = rows.block.plan.outputs[i].expr.sql
        if text in rows.texts:
            return _first_by_row(rows, _plain(rows.exports, rows.texts[text])[0], n)
    return np.full(n, np.nan)


def _plain(table: Any, name: str) -> tuple[Array, Array]:
    """Numbers with NaN for NULL, and where they are known."""
    column = table[name]
    known = np.ones(table.n_rows, dtype=bool) if column.valid is None else np.asarray(column.valid)
    values = np.where(known, column.values, np.nan).astype(float)
    return values, known & ~np.isnan(values)


def _first_by_row(rows: BlockRows, values: Array, n: int) -> Array:
    out = np.full(n, np.nan)
    out[rows.row[::-1]] = values[::-1]
    return out


class _Expressions:
    """Expressions over numbers that predictions move, as nodes (n,): arithmetic and functions by value."""

    def __init__(self, lowering: Lowering, n: int, rules: list[str]) -> None:
        self.lowering = lowering
        self.b = lowering.b
        self.n = n
        self.rules = rules
        self.loose = False

    def leaf(self, e: Expr) -> int | None:
        """A part that no prediction moves; None where `e` is none."""
        raise NotImplementedError

    def atom(self, k: int) -> Number:
        """The number of atom k."""
        raise NotImplementedError

    def known(self, e: Expr) -> int | None:
        """The probability that `e` is not NULL, given that the row is there; None where it has no rule."""
        return None

    def aggregate(self, e: Expr) -> Number:
        """One aggregate."""
        raise self.lowering.refuse(e, "an aggregate is not supported here")

    def number(self, e: Expr) -> int:
        """The node of `e`; SQLError, underlined, where it has no relaxation."""
        b = self.b
        leaf = self.leaf(e)
        if leaf is not None:
            return leaf
        if e.op == "agg":
            return self.aggregate(e).node
        if e.op == "atom":
            return self.atom(e.atoms[0]).node
        if e.op in _OPERATIONS:
            left, right = self.number(e.args[0]), self.number(e.args[1])
            if b.depends(right) and (e.op == "/" or (e.op == "*" and b.depends(left))):
                self.loose = True
                self.rules.append("products and ratios by value")
            return b.op(_OPERATIONS[e.op], left, right)
        if e.op == "neg":
            return b.op("sub", b.const(np.zeros(1)), self.number(e.args[0]))
        if e.op == "case":
            self.rules.append("CASE by value")
            node = self.number(e.args[-1])
            moved = b.depends(node)
            for condition, value in reversed(list(zip(e.args[:-1:2], e.args[1:-1:2], strict=True))):
                chance, worth = self.condition(condition), self.number(value)
                moved = moved or b.depends(worth)
                self.loose = self.loose or (b.depends(chance) and moved)
                node = b.op("select", chance, worth, node)
            return node
        if e.op == "coalesce":
            node = self.number(e.args[-1])
            for arg in reversed(e.args[:-1]):
                x, known = self.number(arg), self.known(arg)
                if known is None:
                    self.loose = self.loose or b.depends(x)
                    node = b.op("null_to", x, node)
                    continue
                x = b.op("div", x, known) if arg.name == "sum" else x
                node = b.op("select", known, x, node)
            return node
        if e.op == "nullif":
            at = self.constant(e.args[1])
            if at is not None:
                return b.op("null_at", self.number(e.args[0]), attrs=(at,))
        if e.op in ("round", "cast", "other", "nullif"):
            self.loose = self.loose or not (e.op == "cast" and any(t in e.name for t in ("DOUBLE", "FLOAT", "REAL")))
        if e.op == "round":
            return b.op("round", self.number(e.args[0]), attrs=(int(e.name or 0),))
        if e.op == "cast":
            return self._cast(e)
        if e.op in ("=", "<>", "<", "<=", ">", ">=", "and", "or", "not", "is_null"):
            return self.condition(e)
        if e.op == "other" and e.name in _FUNCTIONS and len(e.args) == 1:
            self.rules.append(f"{e.name.upper()} by value")
            return b.op(_FUNCTIONS[e.name], self.number(e.args[0]))
        if e.op == "other" and e.name in ("greatest", "least") and len(e.args) > 1:
            self.rules.append(f"{e.name.upper()} by value")
            return b.op(e.name, *[self.number(a) for a in e.args])
        what = (e.name or e.op).upper()
        raise self.lowering.refuse(e, f"{what} of a number that predictions move is not supported")

    def _cast(self, e: Expr) -> int:
        if any(t in e.name for t in ("DOUBLE", "FLOAT", "REAL")):
            return self.number(e.args[0])
        if any(t in e.name for t in ("DECIMAL", "NUMERIC")):
            inside = e.name.partition("(")[2].rstrip(")").split(",")
            digits = int(inside[1]) if len(inside) > 1 else (0 if inside[0].strip() else 3)
            return self.b.op("round", self.number(e.args[0]), attrs=(digits,))
        if "INT" in e.name:
            return self.b.op("whole", self.number(e.args[0]))
        raise self.lowering.refuse(e, f"a cast to {e.name} of a number that predictions move is not supported")

    def constant(self, e: Expr) -> float | None:
        """The value of a leaf that is the same for all rows."""
        leaf = self.leaf(e)
        if leaf is None or self.b.nodes[leaf].op != "const":
            return None
        values = np.unique(self.b.value(leaf))
        return float(values[0]) if len(values) == 1 else None

    def condition(self, e: Expr) -> int:
        """The probability (n,) that `e` is true."""
        b = self.b
        leaf = self.leaf(e)
        if leaf is not None:
            return b.op("null_to", leaf, b.const(np.zeros(1)))
        if e.op == "atom":
            return self.atom(e.atoms[0]).node
        if e.op in ("and", "or"):
            if all(b.depends(self.condition(a)) for a in e.args):
                self.rules.append("AND, OR over aggregates as if independent")
                self.loose = True
            node = self.condition(e.args[0])
            for arg in e.args[1:]:
                other = self.condition(arg)
                both = b.op("mul", node, other)
                node = both if e.op == "and" else b.op("sub", b.op("add", node, other), both)
            return node
        if e.op == "not":
            return b.op("sub", b.const(np.ones(1)), self.condition(e.args[0]))
        if e.op == "is_null":
            return b.op("sub", b.const(np.ones(1)), b.op("not_null", self.number(e.args[0])))
        if e.op in ("=", "<>", "<", "<=", ">", ">="):
            return self.comparison(e)
        raise self.lowering.refuse(e, "this condition on numbers that predictions move is not supported")

    def comparison(self, e: Expr) -> int:
        """P(left op right), from the spread of both sides."""
        b = self.b
        left, right = self.number(e.args[0]), self.number(e.args[1])
        variance = self._variance(e.args[0]), self._variance(e.args[1])
        if any(v is None for v in variance):
            raise self.lowering.refuse(e, "the spread of this number is not known: it cannot be compared",
                                       "compare a COUNT, SUM or AVG, or sums and differences of them")  # fmt: skip
        if e.op in ("=", "<>"):
            raise self.lowering.refuse(e, f"{e.op} between numbers that predictions move is not supported",
                                       "use <, <=, > or >=")  # fmt: skip
        assert variance[0] is not None and variance[1] is not None
        spread = b.op("sqrt", b.op("add", variance[0], variance[1]))
        self.rules.append("comparison as Φ((a − b)/σ)")
        return b.op("compare", left, right, spread, attrs=(e.op,))

    def _variance(self, e: Expr) -> int | None:
        b = self.b
        if self.leaf(e) is not None:
            return b.const(np.zeros(1))
        if e.op in ("atom", "agg"):
            number = self.atom(e.atoms[0]) if e.op == "atom" else self.aggregate(e)
            return None if number.spread is None else b.op("mul", number.spread, number.spread)
        if e.op in ("+", "-"):
            one, two = self._variance(e.args[0]), self._variance(e.args[1])
            return None if one is None or two is None else b.op("add", one, two)
        if e.op == "neg":
            return self._variance(e.args[0])
        if e.op in ("cast", "round", "coalesce", "nullif"):
            return self._variance(e.args[0])
        if e.op in ("*", "/"):
            for moving, factor in ((e.args[0], e.args[1]), (e.args[1], e.args[0])):
                leaf = self.leaf(factor)
                if leaf is not None and (e.op == "*" or factor is e.args[1]):
                    variance = self._variance(moving)
                    square = b.op("mul", leaf, leaf)
                    return None if variance is None else b.op("mul" if e.op == "*" else "div", variance, square)
        return None


class _Alternatives(_Expressions):
    """Expressions of single alternatives."""

    def __init__(self, block: _Block, rules: list[str]) -> None:
        super().__init__(block.lowering, len(block.rows.row), rules)
        self.block = block

    def leaf(self, e: Expr) -> int | None:
        if e.sql not in self.block.rows.texts or self.block.moving & set(e.atoms):
            return None
        return self.b.const(_plain(self.block.rows.exports, self.block.rows.texts[e.sql])[0])

    def atom(self, k: int) -> Number:
        return self.block.atom_number(k)

    def event(self, e: Expr) -> int:
        """P(left op right) for each alternative."""
        b = self.b
        for side, other, op in ((e.args[0], e.args[1], e.op), (e.args[1], e.args[0], _FLIP[e.op])):
            if side.op == "atom" and self.block.plan.atoms[side.atoms[0]].kind == "proba":
                bound = self.constant(other)
                if bound is None or op not in ("<", "<=", ">", ">="):
                    raise self.lowering.refuse(e, "a probability is compared with a plain number only",
                                               "write it as predict_proba(model, alias, class) > 0.7")  # fmt: skip
                self.rules.append("threshold on a probability by its odds")
                both = b.op("bins", self.number(side), attrs=(((bound, op in (">", "<=")),),))
                return b.op("pick", both, attrs=(int(op in (">", ">=")),))
        return b.op("add", self.comparison(e), b.const(np.zeros(self.n)))


class _Block(_Expressions):
    """One block; as expressions, those over its groups."""

    def __init__(self, lowering: Lowering, rows: BlockRows) -> None:
        super().__init__(lowering, rows.n_rows, [])
        self.rows = rows
        self.plan = rows.block.plan
        self.moving = set(rows.numbers)
        self.below = {name: lowering.relation(r) for name, r in rows.below.items()}
        self.events: dict[str, int] = {}
        self.alternatives = _Alternatives(self, self.rules)
        self.weight = self._weight()
        self.outcomes = self._outcomes(rows.row, rows.n_rows)
        self._aggregates: dict[str, Number] = {}
        self.given: int | None = None
        self._needed: list[Array] = []
        self.nullable = False

    def relation(self) -> Relation:
        """Presence and numbers of the block's rows."""
        block = self.rows.block
        grouped = self.plan.group_by is not None
        if self.plan.group_by and block.event_table is None:
            self.given = self.outcomes.any()
        numbers: dict[int, Number] = {}
        failed: dict[int, SQLError] = {}
        scope: _Expressions = self if grouped else self.alternatives
        for i, (column, output) in enumerate(zip(block.columns, self.plan.outputs, strict=True)):
            if column.uncertain:
                try:
                    if self._is_text(output.expr):
                        raise self.lowering.refuse(output.expr, "CASE of what is no number cannot be complained about")
                    node = scope.number(output.expr)
                    numbers[i] = Number(self._full(node), self._spread(scope, output.expr))
                except SQLError as error:  # only who asks for this column has to know
                    failed[i] = error
        if not grouped:
            presence: int | None = self.weight
        elif block.event_table is not None or self.plan.group_by:
            presence = self.outcomes.any()
            self.rules.append("a group is there: 1 − Π(1 − w)")
        else:
            presence = None
        if block.having:
            presence = self._having(presence)
        shared = self.outcomes.shared or any(x.kind != "class" for x in self.rows.literals)
        self.loose = self.loose or (grouped and any(_may_be_null(o.expr) for o in self.plan.outputs))
        loose = self.loose or self.alternatives.loose or (shared and grouped and self._nonlinear())
        if shared and grouped and self._nonlinear():
            self.rules.append("tuples that share predictions as if independent")
        loose = loose or bool(block.having and numbers)
        for below in self.below.values():
            loose = loose or below.loose or below.nullable
            self.rules += below.rules
        if presence is not None and block.event_table is None:
            numbers = {i: Number(self.b.op("there", x.node, presence), x.spread) for i, x in numbers.items()}
        return Relation(
            self.rows.n_rows, presence, numbers, self.rules, loose, self.outcomes, self._counts(), self._indicator,
            self.nullable, failed,
        )  # fmt: skip

    def _is_text(self, e: Expr) -> bool:
        """True for a CASE whose values are text: it has no number."""
        values = [*e.args[1:-1:2], e.args[-1]] if e.op == "case" else []
        return any(self._is_text(v) or (v.op == "const" and v.sql.startswith("'")) for v in values)

    def _indicator(self, column: int, text: str) -> int:
        """The probability (n_rows,) that a text column of CASE over aggregates is `text`."""
        b, e = self.b, self.plan.outputs[column].expr

        def chance(value: Expr) -> int:
            if value.op == "case":
                node = chance(value.args[-1])
                for condition, branch in reversed(list(zip(value.args[:-1:2], value.args[1:-1:2], strict=True))):
                    node = b.op("select", self.condition(condition), chance(branch), node)
                return node
            if value.op == "const":
                return b.const(np.full(1, float(value.sql == text)))
            raise self.lowering.refuse(value, "this text over numbers that predictions move is not supported")

        return self._full(chance(e))

    def _counts(self) -> dict[int, int]:
        """Plain COUNTs, as 0 for a group that is not there."""
        if self.rows.block.having or not self.plan.group_by:
            return {}
        found = {}
        for i, output in enumerate(self.plan.outputs):
            e = output.expr
            if e.op == "agg" and e.name == "count":
                self.given = None
                found[i] = self._aggregate(e).node
        return found

    def _full(self, node: int) -> int:
        """`node` as one number a row, where it may be a constant."""
        return self.b.op(
            "add", node, self.b.const(np.zeros(len(self.rows.row) if self.plan.group_by is None else self.n))
        )

    def _spread(self, scope: _Expressions, e: Expr) -> int | None:
        variance = scope._variance(e)
        return None if variance is None else self.b.op("sqrt", self._full(variance))

    def _nonlinear(self) -> bool:
        names = {x.name for o in self.plan.outputs for x in o.expr.walk() if x.op == "agg"}
        return bool(names - {"count", "sum"}) or bool(self.rows.block.having) or bool(self.plan.group_by)

    # -- weights ------------------------------------------------------------------------------------------------

    def _weight(self) -> int:
        b, n = self.b, len(self.rows.row)
        seen: list[Literals] = []
        node: int | None = None
        for literal in self.rows.literals:
            if literal.kind == "class":
                codes = literal.codes.copy()
                for other in seen:
                    if other.block == literal.block:
                        codes[(other.rows == literal.rows) & (other.codes >= 0)] = -1
                seen.append(literal)
                part = b.op("at", b.leaf("classes", literal.block), attrs=(literal.rows, codes))
            elif literal.kind == "event":
                p = b.op("gather", self.event(literal.source), attrs=(literal.rows,))
                sign = b.const(2.0 * literal.codes - 1)
                part = b.op("add", b.op("mul", p, sign), b.const(1.0 - literal.codes))
            else:
                presence = self.below[literal.source].presence
                if presence is None:
                    continue
                there = (literal.codes >= 0).astype(float)
                p = b.op("gather", presence, attrs=(np.where(literal.codes >= 0, literal.rows, 0),))
                part = b.op("add", b.op("mul", p, b.const(there)), b.const(1.0 - there))
            if literal.kind != "class" and len(self.rows.literals) > 1:
                self.loose = True
                self.rules.append("conditions on subqueries as if independent of the rest")
            node = part if node is None else b.op("mul", node, part)
        return node if node is not None else self.lowering.ones(n)

    def event(self, name: str) -> int:
        """The probability (n_events,) that an event is true."""
        if name not in self.events:
            if name in self.rows.events:
                found = self.lowering.relation(self.rows.events[name])
                assert found.presence is not None
                self.events[name] = found.presence
                self.rules += ["EXISTS as 1 − Π(1 − w)", *found.rules]
                self.loose = self.loose or found.loose
            else:
                event = next(e for e in self.rows.block.events if e.name == name)
                assert event.condition is not None
                self.loose = True
                self.events[name] = self.alternatives.event(event.condition)
        return self.events[name]

    def _outcomes(self, place: Array, n_places: int) -> Outcomes:
        columns, codes, offset = [], [], 1
        for literal in self.rows.literals:
            base = offset
            if literal.kind == "class":
                base = 1 + 10**9 * (1 + literal.block)
            else:
                base = -(10**9) * (
                    2 + sorted(x.source for x in self.rows.literals if x.kind != "class").index(literal.source)
                )
            columns.append(np.where(literal.codes >= 0, literal.rows + base, 0))
            codes.append(np.where(literal.codes >= 0, literal.codes, 0))
        return Outcomes.of_alternatives(self.b, self.weight, place, n_places, columns, codes)

    def atom_number(self, k: int) -> Number:
        """The number of an atom, for each alternative."""
        b, literal, atom = self.b, self.rows.numbers[k], self.plan.atoms[k]
        if literal.kind == "class":
            leaf = b.leaf("probabilities", literal.block)
            picked = b.op("pick", leaf, attrs=(atom.class_code if atom.kind == "proba" else 0,))
            node = b.op("gather", picked, attrs=(literal.rows,))
            if atom.kind == "proba":
                return Number(node)
            spread = self.lowering.spreads.get(atom.model, 0.0)
            return Number(node, b.const(np.full(len(literal.rows), spread if np.isfinite(spread) else 0.0)))
        if literal.kind == "event":
            found = self.lowering.relation(self.rows.events[literal.source])
            number = found.number(0)
            return Number(
                b.op("gather", number.node, attrs=(literal.rows,)),
                None if number.spread is None else b.op("gather", number.spread, attrs=(literal.rows,)),
            )
        name, column = literal.source[0], literal.source[1] if len(literal.source) > 1 else None
        relation = self.below[name]
        body = self.rows.below[name]
        columns = (body.block if isinstance(body, BlockRows) else body.body).columns
        position = 0 if column is None else next(i for i, c in enumerate(columns) if c.name == column)
        number = relation.number(position)
        return Number(
            b.op("gather", number.node, attrs=(literal.rows,)),
            None if number.spread is None else b.op("gather", number.spread, attrs=(literal.rows,)),
        )

    # -- expressions over groups --------------------------------------------------------------------------------

    def leaf(self, e: Expr) -> int | None:
        if e.has_aggregate or self.moving & set(e.atoms) or e.sql not in self.rows.texts:
            return None
        values = _plain(self.rows.exports, self.rows.texts[e.sql])[0]
        if not e.has_columns and not e.atoms and len(values):
            return self.b.const(values[:1])
        if e.op == "const" and not len(values):
            try:
                return self.b.const(np.array([float(e.sql)]))
            except ValueError:
                return self.b.const(np.full(1, np.nan))
        return self.b.const(_first_by_row(self.rows, values, self.n))

    def atom(self, k: int) -> Number:
        number = self.atom_number(k)
        literal = self.rows.numbers[k]
        one = np.zeros(self.n, dtype=np.int64)
        if not self.rows.below or literal.kind != "below" or len(set(literal.rows.tolist())) > 1:
            raise self.lowering.refuse(self.plan.atoms[k], "this number is neither grouped by nor inside an aggregate")
        relation = self.below[literal.source[0]]
        node = next(iter(relation.numbers.values())) if len(literal.source) == 1 else number
        if len(literal.source) > 1:
            return number
        return Number(
            self.b.op("gather", node.node, attrs=(one,)),
            None if node.spread is None else self.b.op("gather", node.spread, attrs=(one,)),
        )

    def aggregate(self, e: Expr) -> Number:
        if e.sql not in self._aggregates:
            self._aggregates[e.sql] = self._aggregate(e)
        return self._aggregates[e.sql]

    def known(self, e: Expr) -> int | None:
        if e.op != "agg" or e.name not in ("sum", "avg", "min", "max", "bool_and", "bool_or") or not e.args:
            return None
        if self.moving & set(e.args[0].atoms) or e.args[0].sql not in self.rows.texts:
            return None
        found = _plain(self.rows.exports, self.rows.texts[e.args[0].sql])[1] * self._mask(e)
        return self._if_there(self.outcomes.any(found > 0))

    def _mask(self, e: Expr) -> Array:
        """1 for alternatives that the aggregate's FILTER lets through."""
        if e.filter is None:
            return np.ones(len(self.rows.row))
        if self.moving & set(e.filter.atoms) or e.filter.sql not in self.rows.texts:
            raise self.lowering.refuse(e.filter, "this FILTER over numbers that predictions move is not supported")
        values, known = _plain(self.rows.exports, self.rows.texts[e.filter.sql])
        return np.where(known, values, 0.0)

    def _aggregate(self, e: Expr) -> Number:
        b, o = self.b, self.outcomes
        if e.name == "engine":
            what = self.lowering.sql[e.start : e.end].split("(")[0].strip().upper() or "this aggregate"
            raise self.lowering.refuse(
                e, f"{what} cannot be complained about: it has no relaxation",
                "COUNT, SUM, AVG, MIN, MAX, VAR, STDDEV, BOOL_AND, BOOL_OR, COUNT(DISTINCT) have one",
            )  # fmt: skip
        mask = self._mask(e)
        if not e.args:
            return self._sum(mask, mask)
        argument = e.args[0]
        if self.moving & set(argument.atoms):
            return self._moving(e, argument, mask)
        name, kind = self.rows.texts[argument.sql], self.rows.kinds[argument.sql]
        values, known = _plain(self.rows.exports, name)
        if kind not in ("number", "bool"):
            known = known & (values > 0)
        known = known * mask
        if e.name == "count":
            return self._sum(known, known)
        if e.name.endswith("_distinct"):
            return self._distinct(e, values, known, name)
        if kind not in ("number", "bool"):
            raise self.lowering.refuse(e, f"{e.name.upper()} of what is no number cannot be complained about")
        clean = np.where(known > 0, np.nan_to_num(values), 0.0) * known
        if e.name == "sum":
            self.nullable = self.nullable or bool(np.any((known == 0) & (mask > 0))) or not self.plan.group_by
            self.rules.append("SUM by linearity")
            number = self._sum(clean, known)
            count = self.b.op("segment_sum", b.op("mul", self.weight, b.const(known)), attrs=(self.rows.row, self.n))
            return Number(b.op("known", number.node, count), number.spread)
        if e.name == "avg":
            self.rules.append("AVG as a corrected ratio")
            return Number(o.mean(known, clean), b.op("sqrt", o.mean_variance(known, clean)))
        self.rules.append(f"{e.name.upper()} over independent tuples")
        self.loose = self.loose or e.name.startswith(("var", "stddev"))
        if e.name in ("min", "max"):
            return Number(o.extreme(known > 0, values, 1.0 if e.name == "max" else -1.0))
        if e.name in ("bool_or", "bool_and"):
            some = o.any(known > 0)
            node = o.any((known > 0) & ((values != 0) if e.name == "bool_or" else (values == 0)))
            node = node if e.name == "bool_or" else b.op("sub", some, node)
            return Number(b.op("mean", node, some, b.op("div", node, some)))
        return Number(o.variance(known, clean, np.nan_to_num(values) ** 2 * known, e.name))

    def _sum(self, values: Array, known: Array) -> Number:
        b = self.b
        node = b.op("segment_sum", b.op("mul", self.weight, b.const(values)), attrs=(self.rows.row, self.n))
        return Number(self._if_there(node), b.op("sqrt", self.outcomes.spread(values)))

    def _if_there(self, node: int) -> int:
        """A sum that is 0 for a group that is not there, given that it is."""
        return node if self.given is None else self.b.op("div", node, self.given)

    def _distinct(self, e: Expr, values: Array, known: Array, name: str) -> Number:
        b, exports = self.b, self.rows.exports
        ids = exports[f"{name}_id"].values if f"{name}_id" in exports else np.nan_to_num(values, nan=0.0)
        chosen = np.flatnonzero(known > 0)
        pairs = np.stack([self.rows.row[chosen].astype(float), np.asarray(ids, dtype=float)[chosen]], axis=1)
        distinct, place = np.unique(pairs, axis=0, return_inverse=True)
        place = place.reshape(-1)
        found = self.outcomes.at(chosen, place, len(distinct))
        group = distinct[:, 0].astype(np.int64)
        self.rules.append("DISTINCT as 1 − Π(1 − w)")
        there = found.any()
        self.loose = self.loose or found.shared
        count = self._if_there(b.op("segment_sum", there, attrs=(group, self.n)))
        if e.name == "count_distinct":
            return Number(count)
        total = self._if_there(b.op("segment_sum", b.op("mul", there, b.const(distinct[:, 1])), attrs=(group, self.n)))
        self.loose = self.loose or e.name == "avg_distinct"
        if e.name == "sum_distinct":
            return Number(b.op("known", total, count))
        return Number(b.op("mean", total, count, b.op("div", total, count)))

    def _moving(self, e: Expr, argument: Expr, mask: Array) -> Number:
        """An aggregate of numbers that predictions move: sums by linearity, the rest by value."""
        b, at = self.b, (self.rows.row, self.n)
        x = self._full_alternatives(self.alternatives.number(argument))
        weight = b.op("mul", self.weight, b.const(mask))
        known = b.op("mul", weight, b.op("not_null", x))
        count = b.op("segment_sum", known, attrs=at)
        if e.name == "count":
            return Number(self._if_there(count))
        if e.name in ("min", "max"):
            self.rules.append(f"{e.name.upper()} of numbers that predictions move, by value")
            self.loose = True
            return Number(b.op("segment_extreme", x, weight, attrs=(*at, 1.0 if e.name == "max" else -1.0)))
        filled = b.op("null_to", x, b.const(np.zeros(1)))
        total = b.op("segment_sum", b.op("mul", known, filled), attrs=at)
        if e.name == "sum":
            self.rules.append("SUM of expectations")
            return Number(b.op("known", self._if_there(total), count), self._moving_spread(argument, known))
        if e.name == "avg":
            self.rules.append("AVG as a ratio of expectations")
            self.loose = self.loose or b.depends(count)
            spread = self._moving_spread(argument, known)
            spread = None if spread is None else b.op("div", spread, count)
            return Number(b.op("mean", total, count, b.op("div", total, count)), spread)
        if e.name.startswith(("var", "stddev")):
            self.rules.append(f"{e.name.upper()} of numbers that predictions move, by value")
            self.loose = True
            squares = b.op("segment_sum", b.op("mul", known, b.op("mul", filled, filled)), attrs=at)
            mean = b.op("div", total, count)
            inner = b.op("sub", squares, b.op("mul", mean, total))
            less = 1.0 if e.name.endswith("samp") else 0.0
            value = b.op("div", inner, b.op("sub", count, b.const(np.full(1, less))))
            return Number(b.op("sqrt", value) if e.name.startswith("stddev") else value)
        raise self.lowering.refuse(e, f"{e.name.upper()} of numbers that predictions move is not supported")

    def _moving_spread(self, argument: Expr, weight: int) -> int | None:
        """The standard deviation (n_places,) of a sum of numbers that predictions move, as if independent."""
        b, variance = self.b, self.alternatives._variance(argument)
        if variance is None:
            return None
        total = b.op("segment_sum", b.op("mul", weight, variance), attrs=(self.rows.row, self.n))
        return b.op("sqrt", total)

    def _full_alternatives(self, node: int) -> int:
        return self.b.op("add", node, self.b.const(np.zeros(len(self.rows.row))))

    # -- conditions on groups -----------------------------------------------------------------------------------

    def comparison(self, e: Expr) -> int:
        b, self._needed = self.b, []
        left, right = self._linear(e.args[0]), self._linear(e.args[1])
        if left is None or right is None:
            return self._ratio(e)
        values = left[0] - right[0]
        threshold = right[1] - left[1]
        self.rules.append(self.outcomes.tail_rule(values, threshold))
        self.loose = self.loose or not self.outcomes.tail_exact(values, threshold)
        node = self.outcomes.tail(values, e.op, threshold)
        some = self.given
        if self._needed:  # a SUM over nothing is NULL, and the comparison with it
            known = np.minimum.reduce(self._needed)
            self.loose = self.loose or len(self._needed) > 1 or bool(np.any((values != 0) & (known == 0)))
            some = self.outcomes.any(known > 0)
        if some is not None:
            with np.errstate(invalid="ignore"):
                at_nothing = _holds(e.op, -threshold).astype(float)
            none = b.op("sub", b.const(np.ones(self.n)), some)
            node = b.op("sub", node, b.op("mul", none, b.const(at_nothing)))
        return self._if_there(node)

    def _ratio(self, e: Expr) -> int:
        """avg(x) op c as Σ (x − c) op 0, where there is a tuple."""
        for side, other, op in ((e.args[0], e.args[1], e.op), (e.args[1], e.args[0], _FLIP[e.op])):
            while side.op in ("cast", "round") and side.op == "cast" and "INT" not in side.name:
                side = side.args[0]
            bound = self._linear(other)
            if side.op != "agg" or side.name != "avg" or bound is None or np.any(bound[0]):
                continue
            if self.moving & set(side.args[0].atoms):
                continue
            values, known = _plain(self.rows.exports, self.rows.texts[side.args[0].sql])
            known = known * self._mask(side)
            shifted = np.where(known > 0, np.nan_to_num(values) - bound[1][self.rows.row], 0.0) * known
            zero = np.zeros(self.n)
            self.rules.append(self.outcomes.tail_rule(shifted, zero))
            self.loose = self.loose or not self.outcomes.tail_exact(shifted, zero)
            node = self.outcomes.tail(shifted, op, zero)
            if op in (">=", "<=", "="):
                none = self.b.op("sub", self.b.const(np.ones(1)), self.outcomes.any(known > 0))
                node = self.b.op("sub", node, none)
            return self._if_there(node)
        return super().comparison(e)

    def _linear(self, e: Expr) -> tuple[Array, Array] | None:
        """Values (n_alternatives,) and constants (n_rows,) with e = Σ values of what happens + constant."""
        n, zero = len(self.rows.row), np.zeros(self.n)
        leaf = self.leaf(e)
        if leaf is not None:
            return np.zeros(n), zero + self.b.value(leaf)
        if e.op == "agg" and e.name in ("count", "sum"):
            mask = self._mask(e)
            if not e.args:
                return mask, zero
            if self.moving & set(e.args[0].atoms):
                return None
            values, known = _plain(self.rows.exports, self.rows.texts[e.args[0].sql])
            if self.rows.kinds[e.args[0].sql] not in ("number", "bool"):
                if e.name == "sum":
                    return None
                known = known & (values > 0)
            known = known * mask
            if e.name == "sum":
                self._needed.append(known)
            return (known if e.name == "count" else np.nan_to_num(values) * known), zero
        if e.op in ("+", "-"):
            one, two = self._linear(e.args[0]), self._linear(e.args[1])
            if one is None or two is None:
                return None
            sign = 1.0 if e.op == "+" else -1.0
            return one[0] + sign * two[0], one[1] + sign * two[1]
        if e.op == "neg":
            one = self._linear(e.args[0])
            return None if one is None else (-one[0], -one[1])
        if e.op in ("*", "/"):
            for moving, factor in ((e.args[0], e.args[1]), (e.args[1], e.args[0])):
                fixed = self.leaf(factor)
                if fixed is None or (e.op == "/" and factor is not e.args[1]):
                    continue
                one = self._linear(moving)
                by = zero + self.b.value(fixed)
                if one is None or (e.op == "/" and (by == 0).any()):
                    return None
                by = by if e.op == "*" else 1 / by
                return one[0] * by[self.rows.row], one[1] * by
        if e.op == "cast" and any(t in e.name for t in ("DOUBLE", "FLOAT", "REAL", "DECIMAL", "BIGINT", "HUGEINT")):
            return self._linear(e.args[0])
        return None

    def _having(self, presence: int | None) -> int:
        b, having = self.b, self.rows.block.having
        nodes = [self.condition(h) for h in having]
        node = nodes[0]
        for other in nodes[1:]:
            self.rules.append("conditions of HAVING as if independent")
            self.loose = True
            node = b.op("mul", node, other)
        both = node if presence is None else b.op("mul", presence, node)
        return b.op("null_to", self._full(both), b.const(np.zeros(1)))


def _may_be_null(e: Expr) -> bool:
    """True where an aggregate that is NULL over nothing is part of something larger."""
    if e.op in ("agg", "coalesce"):
        return False
    return any((a.op == "agg" and a.name != "count") or _may_be_null(a) for a in e.args)


def _holds(op: str, difference: Array) -> Array:
    operations: dict[str, Callable[[Array], Array]] = {
        "<": lambda x: x < 0, "<=": lambda x: x <= 0, ">": lambda x: x > 0, ">=": lambda x: x >= 0,
        "=": lambda x: x == 0, "<>": lambda x: x != 0,
    }  # fmt: skip
    return operations[op](difference)


class _Window(_Expressions):
    """Window functions over the rows of a relation."""

    def __init__(self, lowering: Lowering, rows: WindowRows) -> None:
        super().__init__(lowering, rows.n_rows, [])
        self.rows = rows
        self.plan = rows.body.plan
        self.relation_below = lowering.relation(rows.below)
        self._windows: dict[int, Number] = {}

    def relation(self) -> Relation:
        """The relation below with its window functions."""
        b, below = self.b, self.relation_below
        numbers: dict[int, Number] = {}
        failed: dict[int, SQLError] = {}
        for i, (column, output) in enumerate(zip(self.rows.body.columns, self.plan.outputs, strict=True)):
            if not column.uncertain:
                continue
            try:
                node = b.op("add", self.number(output.expr), b.const(np.zeros(self.n)))
                variance = self._variance(output.expr) if output.expr.op == "atom" else None
                numbers[i] = Number(node, None if variance is None else b.op("sqrt", variance))
            except SQLError as error:  # only who asks for this column has to know
                failed[i] = error
        presence = below.presence
        for condition in self.rows.body.qualify:
            node = self._qualified(condition)
            presence = node if presence is None else b.op("mul", presence, node)
        loose = self.loose or below.loose or below.presence is not None
        return Relation(self.n, presence, numbers, [*below.rules, *self.rules], loose, failed=failed)

    def _qualified(self, e: Expr) -> int:
        if e.op in ("<", "<=", ">", ">=", "=", "<>") and any(
            self.plan.atoms[k].kind == "window" and self._window(k).function in ("rank", "dense_rank", "row_number")
            for k in e.atoms
        ):
            self.rules.append("QUALIFY on ranks by the exact answer")
            zero = self.b.const(np.zeros(self.n))
            return self.b.op(
                "add", self.b.op("hard", self.number(e.args[0]), self.number(e.args[1]), attrs=(e.op, 0.0)), zero
            )
        return self.condition(e)

    def leaf(self, e: Expr) -> int | None:
        if e.sql not in self.rows.texts or e.atoms:
            return None
        return self.b.const(_plain(self.rows.exports, self.rows.texts[e.sql])[0])

    def _window(self, k: int) -> Any:
        return self.rows.body.windows[int(self.plan.atoms[k].identity[1])]

    def atom(self, k: int) -> Number:
        atom = self.plan.atoms[k]
        if atom.kind == "value":
            body = self.rows.below
            columns = (body.block if isinstance(body, BlockRows) else body.body).columns
            return self.relation_below.number(next(i for i, c in enumerate(columns) if c.name == atom.identity[2]))
        if atom.kind == "event":
            event = next(e for e in self.rows.body.events if e.name == atom.identity[1])
            assert event.condition is not None
            return Number(self.condition(event.condition))
        if k not in self._windows:
            self._windows[k] = Number(self._made(k))
        return self._windows[k]

    def _made(self, k: int) -> int:
        b, window, number = self.b, self._window(k), int(self.plan.atoms[k].identity[1])
        order, partition, peer = self.rows.order[number], self.rows.partition[number], self.rows.peer[number]
        there = self.relation_below.presence
        present = there if there is not None else self.lowering.ones(self.n)
        inverse = np.empty(self.n, dtype=np.int64)
        inverse[order] = np.arange(self.n)
        if window.by:
            by_row = np.empty(self.n, dtype=np.int64)
            by_row[order] = partition
            values = [b.op("add", self.number(e), b.const(np.zeros(self.n))) for e in window.by]
            descending = tuple("DESC" in t.upper().split() for t in window.order)
            self.rules.append(f"{window.function.upper()} by the exact answer")
            return b.op("rank_by", *values, present, attrs=(by_row, descending, window.function))
        sorted_there = b.op("gather", present, attrs=(order,))
        unit, low, high = window.frame

        def sorted_value() -> int:
            x = b.op("add", self.number(window.args[0]), b.const(np.zeros(self.n)))
            return b.op("gather", x, attrs=(order,))

        ranged = unit != "ROWS" and not (low is None and high is None)
        frame = peer_range(partition, peer, low, high) if ranged else (low, high)
        self.rules.append(f"{window.function.upper()} OVER by linearity")
        function = window.function
        if function in ("lag", "lead"):
            node = b.op("lag", sorted_value(), sorted_there, attrs=(partition, window.offset))
        elif function in ("row_number", "rank", "dense_rank"):
            ties = np.arange(self.n) if function == "row_number" else peer
            node = b.op("rank_by", b.const(ties), sorted_there, attrs=(partition, (False,), function))
        elif function == "count" and not window.args:
            node = b.op("frame_count", sorted_there, attrs=(partition, *frame))
        elif function in ("first_value", "last_value", "sum", "avg"):
            name = {"sum": "frame_sum", "avg": "frame_avg"}.get(function, function)
            node = b.op(name, sorted_value(), sorted_there, attrs=(partition, *frame))
        elif function == "count":
            total = b.op("frame_sum", b.op("not_null", sorted_value()), sorted_there, attrs=(partition, *frame))
            node = b.op("null_to", total, b.const(np.zeros(1)))
        else:
            what = f"{function.upper()} OVER of numbers that predictions move is not supported"
            raise self.lowering.refuse(window, what)
        return b.op("gather", node, attrs=(inverse,))


__all__ = ["Asked", "Lowering", "Relation", "lower_forest"]
