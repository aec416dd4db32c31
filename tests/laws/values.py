"""Values, conditions and subqueries over the rows in scope: what random dashboards are written with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import Any

from laws.shops import (
    ALIASED,
    CLASSES,
    DIALECTS,
    FEATURES,
    FORMS,
    KIND_OF,
    PAIRED,
    REGRESSOR,
    TYPES,
    VALUES,
    Relation,
    Scope,
    Shop,
    Source,
    kind_of,
)  # fmt: skip


class Values:
    """Writes what stands between the clauses; `source` gives something to read, in FROM and under an alias."""

    def __init__(self, rng: Random, shop: Shop) -> None:
        self.rng = rng
        self.shop = shop
        self.ctes: list[tuple[str, str, Relation]] = []
        self.tags: set[str] = set()
        self.homes: dict[str, dict[str, str]] = {}
        self.n = 0
        self.inside = 0

    # -- small tools --------------------------------------------------------------------------------------------------

    def chance(self, p: float) -> bool:
        return self.rng.random() < p

    def pick(self, options: Sequence[Any]) -> Any:
        return self.rng.choice(options)

    def one(self, *options: tuple[float, Callable[[], Any]]) -> Any:
        """One of the weighted choices."""
        weights = [w for w, _ in options]
        return self.rng.choices([f for _, f in options], weights)[0]()

    def tag(self, *names: str) -> None:
        assert set(names) <= set(FEATURES), names
        self.tags.update(names)

    def alias(self) -> str:
        self.n += 1
        return f"q{self.n}"

    # -- values -------------------------------------------------------------------------------------------------------

    def prediction(self, scope: Scope, *kinds: str) -> tuple[str, tuple[Any, ...]] | None:
        """A predicted class of one of the kinds, and all its classes."""
        found = [
            (s, m)
            for s in scope
            for m in s.relation.models
            if CLASSES[m] and (not kinds or KIND_OF[m] in kinds) and (m != PAIRED or len(self._paired(scope)) > 1)
        ]
        if not found:
            return None
        source, model = self.pick(found)
        if model == PAIRED:
            return self.matched(source, self.pick([s for s in self._paired(scope) if s.alias != source.alias]))
        self._read(source)
        return f"{{{model}{self._form()}{source.alias}}}", CLASSES[model]

    def matched(self, one: Source, other: Source) -> tuple[str, tuple[Any, ...]]:
        """A prediction about a pair of rows, and its classes."""
        self._read(one)
        self._read(other)
        self.tag("pair_model")
        return f"{{{PAIRED}:{one.alias},{other.alias}}}", CLASSES[PAIRED]

    def _paired(self, scope: Scope) -> Scope:
        return [s for s in scope if PAIRED in s.relation.models]

    def _form(self) -> str:
        """How a prediction is written."""
        form = self.rng.choices(list(FORMS), [80 if f == ":" else 2 for f in FORMS])[0]
        if form in ALIASED + DIALECTS:
            self.tag("alias" if form in ALIASED else "dialect")
        return str(form)

    def regressed(self, scope: Scope) -> str | None:
        """A regressor's number."""
        found = [s for s in scope if REGRESSOR in s.relation.models]
        if not found:
            return None
        source = self.pick(found)
        self._read(source)
        self.tag("regressor")
        return f"{{{REGRESSOR}{self._form()}{source.alias}}}"

    def probability(self, scope: Scope) -> str | None:
        """The probability of a class."""
        found = [(s, m) for s in scope for m in s.relation.models if m not in (PAIRED, REGRESSOR)]
        if not found:
            return None
        source, model = self.pick(found)
        self._read(source)
        self.tag("probability")
        return f"{{{model}:{source.alias}={self.rng.randrange(len(CLASSES[model]))}}}"

    def threshold(self, scope: Scope) -> str | None:
        """A number of a model compared."""
        if self.chance(0.6) and (number := self.regressed(scope)):
            bound = (
                self.column(scope, "num") if self.chance(0.15) else self.regressed(scope) if self.chance(0.2) else None
            )
            self.tag("threshold")
            bound = bound if bound and bound != number else self.pick(["0.25", "1.25", "-1"])
            return f"{number} {self.pick(['>', '>', '<', '>=', '<='])} {bound}"
        if chance := self.probability(scope):
            self.tag("threshold")
            return f"{chance} {self.pick(['>', '>', '<', '>='])} {self.pick(['0.3', '0.5', '0.8'])}"
        return None

    def _read(self, source: Source) -> None:
        if source.relation.predicted:
            self.tag("predicted_below_and_above")
        if source.nullable:
            self.tag("predicted_nullable")

    def expression(self, kind: str, scope: Scope, depth: int = 1, sub: bool = False) -> str:
        """A value of a kind within one row."""
        return {"int": self.integer, "num": self.number, "text": self.text, "bool": self.boolean, "date": self.date}[
            kind
        ](scope, depth, sub)

    def column(self, scope: Scope, *kinds: str) -> str | None:
        found = [c for s in scope for c in s.of(*kinds)]
        return self.pick(found) if found else None

    def integer(self, scope: Scope, depth: int, sub: bool) -> str:
        def predicted() -> str:
            if (found := self.prediction(scope, "int")) and self.chance(0.7):
                return found[0]
            if (found := self.prediction(scope, "text")) and self.chance(0.6):
                self.tag("function")
                return f"length({found[0]})"
            if found := self.prediction(scope):
                self.tag("case")
                return f"CASE WHEN {self.is_class(*found)} THEN {self.pick([1, 2])} ELSE {self.pick([0, 1])} END"
            return "1"

        options: list[tuple[float, Callable[[], str]]] = [
            (3, lambda: self.column(scope, "int") or "2"),
            (3, predicted),
            (0.5, lambda: self.pick(["1", "0", "2"])),
        ]
        if depth:
            options.append((1, partial(self.arithmetic, "int", scope, depth)))
        if depth and sub:
            options.append((1, partial(self.scalar_query, scope, "int")))
        return self.one(*options)

    def number(self, scope: Scope, depth: int, sub: bool) -> str:
        def predicted() -> str:
            found = self.prediction(scope)
            if found is None:
                return self.column(scope, "num", "int") or "1.5e0"
            self.tag("case")
            second = self.prediction(scope) or found
            first = f"CASE WHEN {self.is_class(*found)} THEN {self.expression('num', scope, 0)}"
            if self.chance(0.3):
                first += f" WHEN {self.is_class(*second)} THEN {self.pick(['2', '0', 'NULL'])}"
            return first + (f" ELSE {self.expression('num', scope, 0)} END" if self.chance(0.6) else " END")

        def of_model() -> str:
            return (self.regressed(scope) if self.chance(0.7) else self.probability(scope)) or predicted()

        regressors = any(REGRESSOR in s.relation.models for s in scope)
        options: list[tuple[float, Callable[[], str]]] = [
            (3, lambda: self.column(scope, "num") or self.column(scope, "int") or "1"),
            (1, partial(self.integer, scope, 0, False)),
            (3 if depth else 0, predicted),
            (3 if regressors else 0.3, of_model),
        ]
        if depth:
            options.append((1.5, partial(self.arithmetic, "num", scope, depth)))
        if depth and sub:
            options.append((1, partial(self.scalar_query, scope, "num")))
        return self.one(*options)

    def arithmetic(self, kind: str, scope: Scope, depth: int) -> str:
        def inner() -> str:
            return self.expression(kind, scope, depth - 1)

        def named(tag: str, text: str) -> str:
            self.tag(tag)
            return text

        return self.one(
            (2, lambda: f"({inner()} {self.pick('+-*')} {inner()})"),
            (1, lambda: named("coalesce", f"coalesce({inner()}, {self.pick([0, 1, 7])})")),
            (1, lambda: named("nullif", f"nullif({inner()}, {self.pick([0, 1])})")),
            (1, lambda: named("function", f"abs({inner()})")),
            (1, lambda: named("function", f"greatest({inner()}, {self.pick([0, 1])})")),
            (1, lambda: named("cast", f"CAST({inner()} AS {TYPES[kind]})")),
        )

    def text(self, scope: Scope, depth: int, sub: bool) -> str:
        def predicted() -> str:
            if (found := self.prediction(scope, "text")) and self.chance(0.6):
                return found[0]
            if found := self.prediction(scope):
                self.tag("case")
                return f"CASE WHEN {self.is_class(*found)} THEN 'a' ELSE {self.column(scope, 'text') or repr('c')} END"
            return "'a'"

        def called() -> str:
            inner = self.text(scope, depth - 1, False)
            options = [("function", f"upper({inner})"), ("coalesce", f"coalesce({inner}, 'no')")]
            name, text = self.pick([*options, ("nullif", f"nullif({inner}, 'a')"), ("function", f"({inner} || '!')")])
            self.tag(name)
            return text

        def cast() -> str:
            self.tag("cast")
            return f"CAST({self.integer(scope, 0, False)} AS VARCHAR)"

        return self.one(
            (3, lambda: self.column(scope, "text") or "'b'"),
            (3, predicted),
            *([(1.0, called), (0.5, cast)] if depth else []),
        )

    def boolean(self, scope: Scope, depth: int, sub: bool) -> str:
        return self.condition(scope, min(depth, 1), sub=sub, outer=[])

    def date(self, scope: Scope, depth: int, sub: bool) -> str:
        found = self.column(scope, "date") or "DATE '2026-01-05'"
        if self.chance(0.6):
            self.tag("date_trunc")
            return f"CAST(date_trunc('{self.pick(['month', 'week'])}', {found}) AS DATE)"
        return found

    # -- conditions ---------------------------------------------------------------------------------------------------

    def is_class(self, prediction: str, classes: tuple[Any, ...]) -> str:
        """A condition on one prediction."""
        if classes[0] is False:
            forms = [prediction, f"NOT {prediction}", f"{prediction} = true"]
            return self.pick([*forms, self._oddly(prediction, "true", "false")])
        one, two = (repr(c) for c in self.rng.sample(classes, 2))
        if self.chance(0.15):
            return self._oddly(prediction, one, two)
        forms = [f"{prediction} = {one}"] * 3 + [f"{prediction} <> {one}", f"{prediction} IN ({one}, {two})"]
        if isinstance(classes[0], str):
            forms += [f"{prediction} LIKE '{classes[0][0]}%'"]
        else:
            forms += [f"{prediction} > {classes[0]}", f"{prediction} BETWEEN {classes[0]} AND {classes[-2]}"]
        return self.pick(forms)

    def _oddly(self, value: str, one: str, two: str) -> str:
        """A condition on a value that people write seldom, NULL in most of them."""
        forms = ["{0} IN ({1}, NULL)", "{0} NOT IN ({1}, NULL)", "{0} IS DISTINCT FROM {1}", "{0} IS NULL",
                 "nullif({0}, {1}) IS NULL", "coalesce(nullif({0}, {1}), {2}) = {2}", "NOT ({0} = {1} OR {0} = NULL)",
                 "CASE {0} WHEN {1} THEN NULL WHEN {2} THEN TRUE ELSE FALSE END", "({0} = {1}) IS NOT TRUE",
                 "({0} = {1}) = ({0} <> {2})", "({0} > {1}) IS NOT NULL", "{0} = nullif({1}, {1})"]  # fmt: skip
        self.tag("null")
        return str(self.pick(forms)).format(value, one, two)

    def predicted_leaf(self, scope: Scope) -> str | None:
        regressors = any(REGRESSOR in s.relation.models for s in scope)
        if self.chance(0.3 if regressors else 0.04) and (threshold := self.threshold(scope)):
            return threshold
        found = self.prediction(scope)
        if found is None:
            return None
        prediction, classes = found
        kind = kind_of(classes)
        if kind != "bool" and self.chance(0.15) and (column := self.column(scope, kind)):
            return f"{prediction} {self.pick(['=', '<>', '<'])} {column}"
        return self.is_class(prediction, classes)

    def pair(self, left: Scope, right: Scope) -> str | None:
        """Two predictions compared."""
        kinds = [
            {KIND_OF[m] for s in side for m in s.relation.models if m not in (PAIRED, REGRESSOR)}
            for side in (left, right)
        ]
        shared = sorted(kinds[0] & kinds[1])
        if not shared:
            return None
        kind = self.pick(shared)
        a, b = self.prediction(left, kind), self.prediction(right, kind)
        assert a is not None and b is not None
        return f"{a[0]} {self.pick(['=', '=', '=', '<>', '<'] if kind != 'bool' else ['=', '<>'])} {b[0]}"

    def hard_leaf(self, scope: Scope) -> str:
        kind = self.pick(["int", "num", "num", "text", "bool", "date"])
        found = [(s, c) for s in scope for c, k in s.relation.columns.items() if k == kind]
        if not found:
            return self.pick(["1 = 1", "2 > 1"])
        source, name = self.pick(found)
        column = f"{source.alias}.{name}"
        if name in source.relation.aggregates:
            self.tag("where_on_aggregate")
        if kind in ("int", "text") and self.chance(0.08):
            return self._oddly(column, *(("1", "2") if kind == "int" else ("'a'", "'b'")))
        if kind == "bool":
            return self.pick([column, f"NOT {column}", f"{column} IS NOT NULL"])
        if kind == "date":
            return f"{column} {self.pick(['>=', '<', '=', '<>'])} DATE '{self.pick(VALUES['date'][1:])}'"
        if kind == "text":
            return self.pick([f"{column} = 'a'", f"{column} IN ('a', 'b')", f"{column} IS NULL", f"{column} > 'a'"])
        other = self.column(scope, kind) or "1"
        forms = ["{0} > 0", "{0} >= 1", "{0} <> 1", "{0} < 3", "{0} IS NOT NULL", "{0} BETWEEN 0 AND 2", "{0} < {1}"]
        if name in source.relation.aggregates and self.chance(0.3):
            forms = ["{0} IN (1, 2)", "({0} > 1) IS NULL", "({0} < {1}) IS NOT NULL", "coalesce({0} > 1, {1} > 0)",
                     "CASE WHEN {0} > 2 THEN {0} < 4 ELSE {0} > 0 END", "({0} > 1) = ({1} > 1)", "abs({0}) > 1",
                     "CASE WHEN {0} > {1} THEN TRUE ELSE {1} > 0 END", "{0} > {1} + 1", "({0} > 1) IS NOT TRUE",
                     "{0} IS DISTINCT FROM 1", "{0} IS NOT DISTINCT FROM {1}"]  # fmt: skip
        return self.pick(forms).format(column, other)

    def condition(self, scope: Scope, depth: int, sub: bool = True, outer: Scope | None = None) -> str:
        """A condition with AND, OR and NOT over columns, predictions and, where `sub`, subqueries."""
        if depth and self.chance(0.35):
            shape = self.pick(["AND", "AND", "OR", "NOT"])
            left = self.condition(scope, depth - 1, sub)
            if shape == "NOT":
                return f"NOT ({left})"
            return f"({left}) {shape} ({self.condition(scope, depth - 1, False)})"
        options: list[tuple[float, Callable[[], str | None]]] = [
            (6, partial(self.predicted_leaf, scope)),
            (2, partial(self.hard_leaf, scope)),
        ]
        if len(scope) > 1:
            options.append((2, partial(self.pair, scope[:1], scope[1:])))
        if any(s.relation.aggregates for s in scope):
            options.append((4, partial(self.hard_leaf, scope)))
        if sub:
            options += [(1.2, partial(self.exists, scope)), (1.2, partial(self.within, scope))]
            options.append((0.6, partial(self.compared_query, scope)))
        found = self.one(*options)
        return found if found is not None else self.hard_leaf(scope)

    # -- subqueries ---------------------------------------------------------------------------------------------------

    def inner(self, scope: Scope, correlated: bool) -> tuple[str, Scope, list[str]]:
        """A subquery's FROM, its scope, and its conditions."""
        text, source = self.source(0, plain=0.2)
        conditions = []
        if correlated and scope:
            self.tag("correlated")
            soft = self.pair(scope, [source]) if self.chance(0.35) else None
            if self.chance(0.5) and self._paired(scope) and self._paired([source]):
                soft = self.is_class(*self.matched(self.pick(self._paired(scope)), source))
            conditions.append(soft or self.equal(scope, [source], ("int", "text")) or "1 = 1")
            if soft:
                self.tag("predicted_in_subquery")
        if self.chance(0.65) and (leaf := self.predicted_leaf([source])):
            conditions.append(leaf)
            self.tag("predicted_in_subquery")
        elif self.chance(0.3) or not conditions:
            conditions.append(self.hard_leaf([source]))
        return text, [source], conditions

    def exists(self, scope: Scope) -> str:
        text, _, conditions = self.inner(scope, self.chance(0.8))
        word = self.pick(["EXISTS", "NOT EXISTS"])
        self.tag(word.lower().replace(" ", "_"))
        return f"{word} (SELECT 1 FROM {text} WHERE {' AND '.join(conditions)})"

    def within(self, scope: Scope) -> str | None:
        text, inner, conditions = self.inner(scope, self.chance(0.25))
        kind = self.pick(["int", "text"])
        left = self.column(scope, kind) if self.chance(0.6) else self.expression(kind, scope, 0)
        right = self.column(inner, kind) if self.chance(0.7) else self.expression(kind, inner, 0)
        if left is None or right is None:
            return None
        if "{" in right:
            self.tag("predicted_in_subquery")
        word = self.pick(["IN", "NOT IN"])
        self.tag(word.lower().replace(" ", "_") + "_query")
        return f"{left} {word} (SELECT {right} FROM {text} WHERE {' AND '.join(conditions)})"

    def scalar_query(self, scope: Scope, kind: str) -> str:
        """An aggregate of another relation, for all rows or for each."""
        self.tag("scalar_subquery")
        text, inner, conditions = self.inner(scope, self.chance(0.5))
        value = self.expression(kind, inner, 0)
        names = ["count", "max", "min", "sum"] + ([] if kind == "int" else ["avg"])
        name = self.pick(names)
        self.aggregate_tags(name)
        if kind == "int" and name == "count" and self.chance(0.6):
            value = "*"
        return f"(SELECT {name}({value}) FROM {text} WHERE {' AND '.join(conditions)})"

    def compared_query(self, scope: Scope) -> str:
        kind = self.pick(["int", "num"])
        left = self.expression(kind, scope, 0)
        return f"{left} {self.pick(['>', '<', '>=', '='])} {self.scalar_query(scope, kind)}"

    def aggregate_tags(self, name: str) -> None:
        for tag, names in {"min_max": ("min", "max"), "avg": ("avg",), "variance": ("var_", "stddev"),
                           "bool_aggregate": ("bool_",), "count_if": ("count_if",)}.items():  # fmt: skip
            if name.startswith(names):
                self.tag(tag)

    def source(self, depth: int, plain: float = 0.1) -> tuple[str, Source]:
        raise NotImplementedError
