"""Qualified tree → `Expr`: logic, comparisons, arithmetic, CASE, aggregates become operators, the rest stays text."""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import replace
from typing import Any

from sqlglot import exp

from rain_debug.errors import SQLError
from rain_debug.sql.dialects import is_whole_division
from rain_debug.sql.expr import COMPARISONS, Expr

ATOM = "RAIN_ATOM"

_BINARY: dict[type[exp.Expr], str] = {
    exp.And: "and",
    exp.Or: "or",
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.Add: "+",
    exp.Sub: "-",
    exp.Mul: "*",
    exp.Div: "/",
}
_AGGREGATES: dict[type[exp.Expr], str] = {exp.Count: "count", exp.Sum: "sum", exp.Avg: "avg"}

_CASES = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|\b(?:CASE|END)\b", re.I)


def sources_of(select: exp.Select) -> list[exp.Expr]:
    """The tables and subqueries in FROM."""
    first = [select.args["from_"].this] if select.args.get("from_") else []
    return first + [j.this for j in select.args.get("joins") or []]


def _is_inner(column: exp.Column, top: exp.Expr) -> bool:
    """True for a column of a subquery's own FROM, where that subquery stands within `top`."""
    at: exp.Expr | None = column
    while at is not None and at is not top:
        at = at.parent
        if isinstance(at, exp.Select):
            if any(source.alias_or_name == column.table for source in sources_of(at)):
                return True
    return False


def _unopened(text: str) -> int:
    """How many parentheses close in a text that do not open in it.

    >>> _unopened("a) = (b"), _unopened("f(a)")
    (1, 0)
    """
    depth = most = 0
    for bracket in re.findall(r"[()]", text):
        depth += 1 if bracket == ")" else -1
        most = max(most, depth)
    return most


def span(node: exp.Expr) -> tuple[int, int]:
    """Character offsets (start, end) of the part of the query that `node` was read from; (0, 0) where unknown."""
    elsewhere = {id(n) for n in node.walk() if "cte" in n.meta and n is not node}  # a CTE's text stands in WITH
    marks = [n.meta for n in node.walk(prune=lambda n: id(n) in elsewhere) if "start" in n.meta]
    if not marks:
        return (0, 0)
    return (min(m["start"] for m in marks), max(m["end"] for m in marks) + 1)


class Converter:
    """Turns qualified expressions of one query into `Expr`s; refuses what it cannot place, underlined."""

    def __init__(self, sql: str, dialect: str) -> None:
        self.sql = sql
        self.dialect = dialect
        self._cases = "CASE" in sql.upper()

    def refuse(self, node: Any, message: str, hint: str, keyword: str = "") -> SQLError:
        """The error that underlines `node`, from the `keyword` before it if there is one."""
        start, end = self.extent(node) if isinstance(node, exp.Expr) else (0, 0)
        at = self.sql.upper().rfind(keyword.upper(), 0, start or len(self.sql)) if keyword else -1
        if at >= 0 and (not end or keyword.isalpha()):
            start, end = at, self._closed(at, max(end, at + len(keyword)))
        if not end:
            return SQLError(message, sql=self.sql, start=0, end=len(self.sql.rstrip()), hint=hint)
        return SQLError(message, sql=self.sql, start=start, end=end, hint=hint)

    def extent(self, node: exp.Expr) -> tuple[int, int]:
        """Offsets (start, end) of `node` in the query, the parentheses that it opens closed."""
        start, end = span(node)
        if self._cases and end:
            inside = [
                n for n in node.walk(prune=lambda n: "cte" in n.meta) if isinstance(n, exp.Case) and n is not node
            ]
            ends = [e for e in map(self.extent, inside) if e[1]]
            start, end = min([start, *(a for a, _ in ends)]), max([end, *(b for _, b in ends)])
        if isinstance(node, exp.Func) and "start" not in node.meta and end:
            opening = re.search(r"\w+\s*\(\s*(DISTINCT\s+)?$", self.sql[:start], re.I)
            start = opening.start() if opening else start
        if isinstance(node, exp.Query | exp.Exists) and not isinstance(node.this, exp.Table) and end:
            selects = list(re.finditer(r"(EXISTS\s*)?(\(\s*)?\bSELECT\b", self.sql[:start], re.I))
            if selects and not isinstance(node, exp.SetOperation):
                start = selects[-1].start() if not isinstance(node, exp.Select) else selects[-1].end() - 6
            elif selects:
                start = selects[-1].end() - 6
        if isinstance(node, exp.Case) and end:
            start, end = self._around(start, end, len(list(node.find_all(exp.Case))))
        while _unopened(self.sql[start:end]):  # the function around its first part
            opening = re.search(r"(\w+\s*)?\(\s*(DISTINCT\s+)?$", self.sql[:start], re.I)
            if opening is None:
                break
            start = opening.start()
        return start, self._closed(start, end)

    def _around(self, start: int, end: int, n: int) -> tuple[int, int]:
        """The innermost CASE … END around a part of the query that holds `n` of them, itself counted."""
        opened: list[int] = []
        pairs: list[tuple[int, int]] = []
        for word in _CASES.finditer(self.sql):
            if word[0].upper() == "CASE":
                opened.append(word.start())
            elif word[0].upper() == "END" and opened:
                pairs.append((opened.pop(), word.end()))
                begin, stop = pairs[-1]
                if begin <= start and end <= stop and sum(begin <= b for b, _ in pairs) >= n:
                    return begin, stop
        return start, end

    def closed(self, start: int, end: int) -> tuple[int, int]:
        """The offsets with the parentheses that open between them closed."""
        return start, self._closed(start, end)

    def _closed(self, start: int, end: int) -> int:
        text = self.sql[start:end]
        for _ in range(text.count("(") - text.count(")")):
            closing = self.sql[end:].find(")")
            if not 0 <= closing < 80:
                break
            end += closing + 1
        return end

    def __call__(self, node: exp.Expr) -> Expr:
        """The expression that `node` stands for."""
        while isinstance(node, exp.Paren):  # unlike a subquery's, these mean nothing
            node = node.this
        text = node.sql(self.dialect)
        start, end = self.extent(node)
        atoms = tuple(sorted({atom_number(n) for n in node.walk() if is_atom(n)}))
        aliases = tuple(sorted({n.table for n in node.walk() if isinstance(n, exp.Column) and not _is_inner(n, node)}))
        columns = bool(aliases) or node.find(exp.Query) is not None
        aggregate = any(isinstance(n, exp.AggFunc) for n in node.walk(prune=lambda n: isinstance(n, exp.Query)))

        def make(op: str, *args: Expr, name: str = "", filter: Expr | None = None) -> Expr:
            return Expr(op, args, text, atoms, columns, start, end, name, filter, aliases)

        if is_atom(node):
            return make("atom")
        if not atoms and not aggregate:
            if _BINARY.get(type(node)) in {*COMPARISONS, "or"} and aliases:
                return make("pure", self(node.this), self(node.expression), name=_BINARY[type(node)])
            return make("pure" if columns else "const")
        kind = type(node)
        if kind in _BINARY and not is_whole_division(node):
            return make(_BINARY[kind], self(node.this), self(node.expression))
        if isinstance(node, exp.Not):
            return make("not", self(node.this))
        if isinstance(node, exp.Neg):
            return make("neg", self(node.this))
        if isinstance(node, exp.Is) and isinstance(node.expression, exp.Null):
            return make("is_null", self(node.this))
        if isinstance(node, exp.In) and node.args.get("expressions"):
            return self._in(node, node.expressions)
        if isinstance(node, exp.Between):
            low = exp.GTE(this=node.this.copy(), expression=node.args["low"].copy())
            high = exp.LTE(this=node.this.copy(), expression=node.args["high"].copy())
            return make("and", self(low), self(high))
        if isinstance(node, exp.Case | exp.If):
            return make("case", *self._case(node))
        if isinstance(node, exp.Coalesce):
            return make("coalesce", self(node.this), *[self(e) for e in node.expressions])
        if isinstance(node, exp.Filter):
            inner = self(node.this)
            if inner.op != "agg":
                raise self.refuse(node, "FILTER is read after COUNT, SUM and AVG only", "write a CASE inside of it")
            return make("agg", *inner.args, name=inner.name, filter=self(node.expression.this))
        if isinstance(node, exp.AggFunc):
            return self._aggregate(node, make("agg"))
        if isinstance(node, exp.Round):
            digits = node.args.get("decimals")
            return make("round", self(node.this), name=digits.sql(self.dialect) if digits is not None else "0")
        if isinstance(node, exp.Cast):
            target = node.to.sql(self.dialect).upper()
            if self.dialect == "sqlite" and not any(t in target for t in ("REAL", "DOUBLE", "FLOAT")):
                target = target.lower()  # it cuts off where others round: not relaxed
            return make("cast", self(node.this), name=target)
        if isinstance(node, exp.Nullif):
            return make("nullif", self(node.this), self(node.expression))
        below = [self(child) for child in node.iter_expressions() if _has_atom_or_aggregate(child)]
        name = node.name.lower() if isinstance(node, exp.Anonymous) else node.key
        return make("other", *below, name="whole division" if is_whole_division(node) else name)

    def _in(self, node: exp.In, items: list[exp.Expr]) -> Expr:
        either: exp.Expr = exp.EQ(this=node.this.copy(), expression=items[0].copy())
        for item in items[1:]:
            either = exp.Or(this=either, expression=exp.EQ(this=node.this.copy(), expression=item.copy()))
        return self(either)

    def _case(self, node: exp.Case | exp.If) -> list[Expr]:
        branches, default = branches_of(node)
        return [self(part) for part in (*itertools.chain.from_iterable(branches), default)]

    def _aggregate(self, node: exp.AggFunc, empty: Expr) -> Expr:
        name = _AGGREGATES.get(type(node))
        argument = node.this
        if name is None or isinstance(argument, exp.Distinct):
            if empty.atoms:
                what = "DISTINCT inside an aggregate" if isinstance(argument, exp.Distinct) else node.key.upper()
                raise self.refuse(
                    node, f"{what} over predictions is not supported", "compute it in a query around this one"
                )
            return replace(empty, name="engine")
        if argument is None or isinstance(argument, exp.Star):
            return replace(empty, name=name)
        return replace(empty, args=(self(argument),), name=name)


_NESTED_AGGREGATES: dict[type[exp.Expr], str] = {
    **_AGGREGATES,
    exp.Min: "min",
    exp.Max: "max",
    exp.Variance: "var_samp",
    exp.VariancePop: "var_pop",
    exp.Stddev: "stddev_samp",
    exp.StddevSamp: "stddev_samp",
    exp.StddevPop: "stddev_pop",
    exp.LogicalAnd: "bool_and",
    exp.LogicalOr: "bool_or",
    exp.CountIf: "count_if",
}


class NestedConverter(Converter):
    """As `Converter`, with the further aggregates that a tree of blocks reads; others are the engine's alone."""

    def __call__(self, node: exp.Expr) -> Expr:
        wrapped = node
        while isinstance(wrapped, exp.IgnoreNulls | exp.RespectNulls | exp.WithinGroup):
            wrapped = wrapped.this
        if wrapped is not node and isinstance(wrapped, exp.AggFunc):
            whole = super().__call__(node)
            return replace(whole, op="agg", args=(), name="engine")
        written: exp.Expr | None = spelled_out(node) if node.find(exp.AggFunc) else None
        written = written or _by_branch(node) or (_plainer(node) if _has_atom_or_aggregate(node) else None)
        if written is not None:
            return self(written)
        found = super().__call__(node)
        if found.op == "other" and isinstance(node, exp.Func):
            return replace(found, args=tuple(self(child) for child in node.iter_expressions()))
        return found

    def _aggregate(self, node: exp.AggFunc, empty: Expr) -> Expr:
        name = _NESTED_AGGREGATES.get(type(node))
        argument = node.this
        if name is None or node.expressions:
            return replace(empty, name="engine")
        if isinstance(argument, exp.Distinct):
            if len(argument.expressions) != 1 or name not in ("count", "sum", "avg", "min", "max"):
                return replace(empty, name="engine")
            suffix = "" if name in ("min", "max") else "_distinct"
            return replace(empty, args=(self(argument.expressions[0]),), name=name + suffix)
        if argument is None or isinstance(argument, exp.Star):
            return replace(empty, name=name)
        if name == "count_if":
            return replace(empty, args=(self(argument),), name="sum")  # NULL over no rows, in DuckDB
        return replace(empty, args=(self(argument),), name=name)


def _is_number(node: exp.Expr) -> bool:
    return isinstance(node, exp.Literal) and not node.is_string


def _plainer(node: exp.Expr) -> exp.Expr | None:
    """A logarithm by LN, a square or cube by products, a root by SQRT; None for other exponents, bases and functions.

    >>> import sqlglot
    >>> [str(_plainer(sqlglot.parse_one(t, read="duckdb"))) for t in ("x ** 2", "power(x, 0.5)", "log2(x)", "x ** y")]
    ['CAST(x AS DOUBLE) * CAST(x AS DOUBLE)', 'SQRT(x)', 'LN(x) * 1.4426950408889634', 'None']
    """
    if isinstance(node, exp.Log):  # LOG(base, x), and LOG(x) by ten
        base, x = (node.this, node.expression) if node.expression else (exp.Literal.number(10), node.this)
        if not _is_number(base) or float(base.this) in (0, 1):
            return None
        scale = exp.Literal.number(1 / math.log(float(base.this)))
        return exp.Mul(this=exp.Ln(this=x.copy()), expression=scale)
    if not isinstance(node, exp.Pow) or not _is_number(node.expression):
        return None
    x, exponent = node.this, node.expression
    if float(exponent.this) == 0.5:
        return exp.Sqrt(this=x.copy())
    if float(exponent.this) not in (2, 3):
        return None
    side = exp.cast(x.copy(), exp.DType.DOUBLE)  # as POWER's result is; a product of integers may overflow
    square: exp.Expr = exp.Mul(this=side, expression=side.copy())
    return square if float(exponent.this) == 2 else exp.Mul(this=square, expression=side.copy())


_OF_ONE = exp.In | exp.Between | exp.Like | exp.ILike | exp.Is
"""Conditions on `this`."""


def _by_branch(node: exp.Expr) -> exp.Case | None:
    """A condition on a CASE whose values no prediction moves, as a CASE of conditions on them; None for all else.

    CASE WHEN c THEN 'a' ELSE 'b' END > 'a' is CASE WHEN c THEN 'a' > 'a' ELSE 'b' > 'a' END, whatever the values are.
    """
    parts = ("this", "expression") if _BINARY.get(type(node)) in COMPARISONS else ("this",)
    if (len(parts) == 1 and not isinstance(node, _OF_ONE)) or node.args.get("query") is not None:
        return None
    for part in parts:
        side = node.args[part].unnest()
        others = [child for child in node.iter_expressions() if child is not node.args[part]]
        if not isinstance(side, exp.Case | exp.If) or any(map(_has_atom_or_aggregate, others)):
            continue
        branches, default = branches_of(side)
        values = [*(value for _, value in branches), default]
        if any(map(_has_atom_or_aggregate, values)):
            continue
        held = []
        for value in values:
            held.append(node.copy())
            held[-1].set(part, exp.paren(value.copy()))
        ifs = [exp.If(this=condition, true=new) for (condition, _), new in zip(branches, held, strict=False)]
        return exp.Case(ifs=ifs, default=held[-1])
    return None


def spelled_out(node: exp.Expr) -> exp.Case | None:
    """IS TRUE, IS FALSE, IS DISTINCT FROM and IS NOT DISTINCT FROM as a CASE of comparisons; None for all else."""
    if isinstance(node, exp.Is) and isinstance(node.expression, exp.Boolean):
        held = exp.paren(node.this.copy())
        return _whether(held if node.expression.this else exp.not_(held))
    if not isinstance(node, exp.NullSafeEQ | exp.NullSafeNEQ):
        return None
    sides = [exp.paren(side.copy()) for side in (node.this, node.expression)]
    same: exp.Expr = exp.EQ(this=sides[0], expression=sides[1])
    if not any(isinstance(side.unnest(), exp.Literal) for side in sides):
        nulls = [exp.Is(this=side.copy(), expression=exp.null()) for side in sides]
        same = exp.or_(same, exp.and_(*nulls))
    return _whether(same, isinstance(node, exp.NullSafeEQ))


def _whether(condition: exp.Expr, held: bool = True) -> exp.Case:
    """`held` where the condition is true, else, also where it is NULL, the opposite."""
    return exp.Case(ifs=[exp.If(this=condition, true=exp.Boolean(this=held))], default=exp.Boolean(this=not held))


def searched(node: exp.Case | exp.If) -> exp.Case:
    """CASE x WHEN 1 THEN … as CASE WHEN x = 1 THEN …, with those in its ELSE."""
    branches, default = branches_of(node)
    ifs = [exp.If(this=condition, true=value.copy()) for condition, value in branches]
    return exp.Case(ifs=ifs, default=default.copy())


def branches_of(node: exp.Case | exp.If) -> tuple[list[tuple[exp.Expr, exp.Expr]], exp.Expr]:
    """The conditions and values of a CASE, then those of one in its ELSE; and what is left after all."""
    found = []
    for branch in node.args["ifs"] if isinstance(node, exp.Case) else [node]:
        whole = isinstance(node, exp.If) or node.this is None
        condition = branch.this if whole else exp.EQ(this=node.this.copy(), expression=branch.this.copy())
        found.append((condition.copy(), branch.args["true"]))
    default = node.args.get("default") or node.args.get("false") or exp.Null()
    rest = default.unnest()
    if not isinstance(rest, exp.Case | exp.If):
        return found, default
    more, last = branches_of(rest)
    return found + more, last


def is_atom(node: exp.Expr) -> bool:
    """True where `node` stands for a prediction."""
    return isinstance(node, exp.Anonymous) and node.name.upper() == ATOM


def atom_number(node: exp.Expr) -> int:
    """The number of the prediction that `node` stands for."""
    return int(node.expressions[0].name)


def _has_atom_or_aggregate(node: exp.Expr) -> bool:
    inside = node.walk(prune=lambda n: isinstance(n, exp.Query))
    return any(is_atom(n) for n in node.walk()) or any(isinstance(n, exp.AggFunc) for n in inside)


def conjuncts(node: exp.Expr | None) -> list[exp.Expr]:
    """The conditions that AND joins, in order.

    >>> from sqlglot import parse_one
    >>> [c.sql() for c in conjuncts(parse_one("a AND (b OR c) AND d"))]
    ['a', 'b OR c', 'd']
    """
    if node is None:
        return []
    node = node.unnest()
    if isinstance(node, exp.And):
        return conjuncts(node.this) + conjuncts(node.expression)
    return [node]
