"""Random databases and random dashboard SQL over predictions: the whole class that Rain answers, and what it refuses.

A query is a template: `{m:u}` stands for model m's class of alias u's row and `{m>u}` for what it is predicted from,
handed on by a subquery. For Rain they become `predict(m, u)` and `u.f_m`; for a plain database, whose tables have the
predictions as columns, `u.m` and `u.f_m, u.m`. Each query carries the names of its features.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from random import Random

from laws.shops import CLASSES, MARK, Case, Label, Relation, Scope, Shop, Source, kind_of, random_shop
from laws.values import Values


def random_cases(seed: int, shop: int, count: int, small: bool = False) -> tuple[Shop, Iterator[tuple[int, Case]]]:
    """The database of a seed and a number, and numbered queries over it."""
    made = random_shop(Random(f"{seed}/{shop}"), small)

    def each() -> Iterator[tuple[int, Case]]:
        for i in range(count):
            yield i, random_case(Random(f"{seed}/{shop}/{i}"), made)

    return made, each()


def random_case(rng: Random, shop: Shop) -> Case:
    """A query with at least one prediction in it."""
    while True:
        case = _Writer(rng, shop).case()
        if case.models:
            return case


class _Writer(Values):
    """Writes one query."""

    # -- the whole query ----------------------------------------------------------------------------------------------

    def case(self) -> Case:
        text, relation = self.histogram() if self.chance(0.03) else self.select(self.pick([0, 0, 1, 1, 1, 2]))
        columns = list(relation.columns)
        if self.chance(0.12):
            self.tag("order_by")
            text += " ORDER BY " + ", ".join(f"{i + 1} NULLS LAST" for i in range(len(columns)))
            if self.chance(0.4):
                self.tag("limit")
                text += f" LIMIT {self.pick([1, 2, 3])}"
                if self.chance(0.35):
                    self.tag("offset")
                    text += " OFFSET 1"
        if self.ctes:
            text = f"WITH {', '.join(f'{n} AS ({t})' for n, t, _ in self.ctes)} {text}"
        used, chances, models = self.read(text)
        if len(models) > 1:
            self.tag("several_models")
        return Case(text, dict(relation.columns), relation.key, frozenset(self.tags), used, chances, models)

    def read(self, text: str) -> tuple[frozenset[Label], frozenset[Label], frozenset[str]]:
        """The labels whose classes, and whose probabilities, a template reads, and its models."""
        used, chances, models = set(), set(), set()
        for model, _, alias, extra, other in MARK.findall(text):
            places = [self.homes[a][model] for a in ([alias, other] if extra == "," else [alias])]
            models.add(model)
            if CLASSES[model]:
                (chances if extra == "=" else used).add(("*".join(places), model))
        return frozenset(used), frozenset(chances), frozenset(models)

    def select(self, depth: int) -> tuple[str, Relation]:
        """A whole SELECT and the relation that it makes."""
        return self.one(
            (4, partial(self.rows, depth)),
            (6, partial(self.groups, depth)),
            (1.5, partial(self.series, depth)),
            (1.5, partial(self.combined, depth)),
        )

    # -- FROM ---------------------------------------------------------------------------------------------------------

    def source(self, depth: int, plain: float = 0.1) -> tuple[str, Source]:
        """Something to read: its text in FROM, and what it offers."""
        alias = self.alias()
        options: list[tuple[float, Callable[[], tuple[str, Relation]]]] = [(6, partial(self._table, plain))]
        if self.ctes:
            options.append((3, self._old_cte))
        if depth > 0:
            options += [(3, partial(self._cte, depth)), (3, partial(self._derived, depth))]
        text, relation = self.one(*options)
        self.homes[alias] = relation.models
        return f"{text} {alias}", Source(alias, relation)

    def _table(self, plain: float) -> tuple[str, Relation]:
        if self.chance(0.4 * plain):
            self.tag("spine")
            days = " UNION ALL ".join(f"SELECT {i} AS j, '{seg}' AS seg" for i, seg in enumerate(["no", "a", "b"]))
            return f"({days})", Relation({"j": "int", "seg": "text"}, key=("j",))
        if self.chance(plain):
            return "d", Relation(self.shop.tables["d"].columns, key=("id",))
        name = self.pick(["t", "t", "t", "s", "s", "v_t"])
        base = "t" if name == "v_t" else name
        if name == "v_t":
            self.tag("view")
        found = self.shop.tables[base]
        return name, Relation(found.columns, dict.fromkeys(found.labels, base), ("id",))

    def _old_cte(self) -> tuple[str, Relation]:
        self.tag("cte_twice")
        name, _, relation = self.pick(self.ctes)
        return name, relation

    def _cte(self, depth: int) -> tuple[str, Relation]:
        text, relation = self.below(depth)
        self.tag("cte")
        name = f"c{len(self.ctes)}"
        self.ctes.append((name, text, relation))
        return name, relation

    def _derived(self, depth: int) -> tuple[str, Relation]:
        text, relation = self.below(depth)
        self.tag("derived")
        return f"({text})", relation

    def below(self, depth: int) -> tuple[str, Relation]:
        """The body of a CTE or a derived table; half of them keep their rows, so that these can be predicted above."""
        if self.inside:
            self.tag("nested")
        self.inside += 1
        if self.chance(0.45):
            text, relation = self.one((2, partial(self.filtered, depth)), (2, partial(self.projected, depth)))
        else:
            text, relation = self.select(depth - 1)
        self.inside -= 1
        return text, replace(relation, predicted=self.predicts(text))

    def predicts(self, text: str) -> bool:
        """True where a SELECT has predictions in it, or reads a CTE that has."""
        return bool(MARK.search(text)) or any(r.predicted and f" {n} " in text for n, _, r in self.ctes)

    def filtered(self, depth: int) -> tuple[str, Relation]:
        """Rows of a relation, whole."""
        text, source = self.source(depth - 1, plain=0)
        where = self.condition([source], 1)
        return f"SELECT * FROM {text} WHERE {where}", source.relation

    def projected(self, depth: int) -> tuple[str, Relation]:
        """Rows of a relation with columns of their own, and what they are predicted from."""
        text, source = self.source(depth - 1, plain=0)
        relation, scope = source.relation, [source]
        items = [f"{source.alias}.{k} AS {k}" for k in relation.key or ()]
        columns = {k: relation.columns[k] for k in relation.key or ()}
        for kind in [*self.rng.sample(["int", "num", "text", "bool"], 2), "text"]:
            if (name := f"e{len(columns)}") not in columns:
                items.append(f"{self.expression(kind, scope)} AS {name}")
                columns[name] = kind
        items += [f"{{{m}>{source.alias}}}" for m in relation.models]
        where = f" WHERE {self.condition(scope, 1)}" if self.chance(0.5) else ""
        return f"SELECT {', '.join(items)} FROM {text}{where}", Relation(columns, relation.models, relation.key)

    def froms(self, depth: int, most: int = 3) -> tuple[str, Scope]:
        """A FROM clause of one to `most` sources."""
        text, first = self.source(depth, plain=0.03)
        scope = [first]
        while len(scope) < most and self.chance(0.4 if len(scope) == 1 else 0.15):
            more, source = self.source(max(0, depth - 1), plain=0.25)
            kind = self.pick(["JOIN"] * 4 + ["LEFT JOIN"] * 3 + ["RIGHT JOIN", "RIGHT JOIN", "FULL JOIN", "FULL JOIN"]
                             + ["CROSS JOIN", ","])  # fmt: skip
            if kind in ("CROSS JOIN", ","):
                self.tag("join")
                scope.append(source)
                text += f"{', ' if kind == ',' else ' CROSS JOIN '}{more}"
                if kind == ",":
                    break
                continue
            self.tag(kind.lower().replace(" ", "_"))
            if any(set(s.relation.models.values()) & set(source.relation.models.values()) for s in scope):
                self.tag("self_join")
            shared = set(first.relation.columns) & set(source.relation.columns)
            if len(scope) == 1 and "j" in shared and self.chance(0.12):
                self.tag("using")
                right = replace(source, nullable=kind in ("LEFT JOIN", "FULL JOIN"))
                scope = [replace(first, nullable=kind in ("RIGHT JOIN", "FULL JOIN")), right]
                text += f" {kind} {more} USING (j)"
                continue
            on = self.joined(scope, source, kind)
            if kind in ("RIGHT JOIN", "FULL JOIN"):
                scope = [replace(s, nullable=True) for s in scope]
            scope.append(replace(source, nullable=kind in ("LEFT JOIN", "FULL JOIN")))
            text += f" {kind} {more} ON {on}"
        return text, scope

    def joined(self, scope: Scope, right: Source, kind: str) -> str:
        """What joins a source to those before it: a hard key, predictions, or both."""
        left = self.pick(scope)
        hard = self.equal([left], [right], ("int", "text"))
        if self.chance(0.45) and (soft := self.either([left], [right])):
            self.tag("predicted_in_on")
            return soft if hard is None or self.chance(0.35) else f"{hard} AND {soft}"
        return hard or "1 = 1"

    def either(self, left: Scope, right: Scope) -> str | None:
        """A condition on predictions of one side or the other, or of both."""
        if self.chance(0.5) and (pair := self.pair(left, right)):
            return pair
        return self.predicted_leaf(self.pick([left, right])) or self.predicted_leaf(left + right)

    def equal(self, left: Scope, right: Scope, kinds: tuple[str, ...]) -> str | None:
        """Two columns of one kind compared."""
        kind = self.pick(kinds)
        a, b = [c for s in left for c in s.of(kind)], [c for s in right for c in s.of(kind)]
        if not a or not b:
            return None
        alike = [(x, y) for x in a for y in b if x.split(".")[1] == y.split(".")[1] != "id"]
        return "{} = {}".format(*(self.pick(alike) if alike and self.chance(0.75) else (self.pick(a), self.pick(b))))

    # -- SELECT without groups ----------------------------------------------------------------------------------------

    def rows(self, depth: int) -> tuple[str, Relation]:
        """Rows of a FROM clause: all, distinct, or with windows over them."""
        froms, scope = self.froms(depth, most=2)
        where = f" WHERE {self.condition(scope, 1)}" if self.chance(0.65) else ""
        items: list[str] = []
        columns: dict[str, str] = {}

        def add(kind: str, text: str) -> None:
            columns[f"r{len(columns)}"] = kind
            items.append(f"{text} AS r{len(columns) - 1}")

        distinct = self.chance(0.18)
        keyed = not distinct and all(s.relation.key for s in scope) and self.chance(0.9)
        if keyed:
            for s in scope:
                for k in s.relation.key or ():
                    add(s.relation.columns[k], f"{s.alias}.{k}")
        key = tuple(columns) if keyed else None
        for _ in range(self.pick([1, 1, 2])):
            kind = self.pick(
                ["int", "num", "text", "text", "bool", "date"] if not distinct else ["text", "int", "text"]
            )
            text = self.expression(kind, scope, 1, sub=True)
            if kind == "text" and self.chance(0.3) and (found := self.prediction(scope)):
                kind, text = kind_of(found[1]), found[0]
            add(kind, text)
        qualify = ""
        if keyed:
            order = ", ".join(f"{s.alias}.{k} NULLS LAST" for s in scope for k in s.relation.key or ()) or "1"
            if self.chance(0.2):
                self.tag("window_over_rows")
                add("num", self.window(partial(self.expression, "num", scope, 1), order, self.partition(scope)))
            if self.chance(0.1):
                self.tag("qualify")
                qualify = f" QUALIFY {self.first(partial(self.number, scope, 1, False), order, self.partition(scope))}"
        if distinct:
            self.tag("distinct")
            key = tuple(columns)
        text = f"SELECT {'DISTINCT ' if distinct else ''}{', '.join(items)} FROM {froms}{where}{qualify}"
        return text, Relation(columns, key=key)

    def partition(self, scope: Scope) -> str:
        """PARTITION BY, at times."""
        if self.chance(0.5):
            return ""
        found = self.prediction(scope) if self.chance(0.4) else None
        text = found[0] if found else self.column(scope, "text", "int")
        return f"PARTITION BY {text} " if text else ""

    def first(self, value: Callable[[], str], order: str, partition: str) -> str:
        """A condition that windows decide."""
        if self.chance(0.5):
            self.tag("row_number")
            return f"row_number() OVER ({partition}ORDER BY {order}) <= {self.pick([1, 2])}"
        self.tag("rank")
        return f"rank() OVER ({partition}ORDER BY {value()} DESC NULLS LAST) <= {self.pick([1, 2])}"

    def window(self, value: Callable[[], str], order: str, partition: str) -> str:
        """A window over values whose rows `order` puts in one order."""
        over = f"({partition}ORDER BY {order})"
        name = self.pick(["sum", "sum", "avg", "count", "max", "min"])

        def shape(tag: str, text: str) -> str:
            self.tag(tag)
            return text

        frame = self.pick(["1 PRECEDING AND CURRENT ROW", "2 PRECEDING AND 1 FOLLOWING", "1 PRECEDING AND 1 PRECEDING"])
        offset, ranked = self.pick(["", ", 1", ", 2"]), f"({partition}ORDER BY {value()} DESC NULLS LAST)"
        return self.one(
            (2, lambda: shape("lag_lead", f"{self.pick(['lag', 'lead'])}({value()}{offset}) OVER {over}")),
            (0.7, lambda: shape("lag_lead", f"{value()} - lag({value()}{self.pick(['', '', ', 1, 0'])}) OVER {over}")),
            (2, lambda: shape("running", f"{name}({value()}) OVER {over}")),
            (2, lambda: shape("moving", f"{name}({value()}) OVER ({over[1:-1]} ROWS BETWEEN {frame})")),
            (2, lambda: shape("share", f"1.0 * {value()} / nullif(sum({value()}) OVER ({partition.strip()}), 0)")),
            (0.7, lambda: shape("first_last", f"{self.pick(['first_value', 'last_value'])}({value()}) OVER {over}")),
            (1.5, lambda: shape("rank", f"{self.pick(['rank', 'dense_rank'])}() OVER {ranked}")),
            (1, lambda: shape("row_number", f"row_number() OVER {over}")),
        )

    # -- SELECT with groups -------------------------------------------------------------------------------------------

    def aggregate(self, scope: Scope) -> tuple[str, str]:
        """An aggregate and its kind."""
        if any(s.relation.aggregates for s in scope):
            self.tag("aggregate_of_aggregate")
        number = partial(self.expression, "num", scope, 1)

        def simple(name: str, value: str) -> tuple[str, str]:
            self.aggregate_tags(name)
            text = f"{name}({value})"
            if self.chance(0.2):
                self.tag("filter")
                text += f" FILTER (WHERE {self.condition(scope, 1, sub=False)})"
            return "int" if name in ("count", "count_if") else "bool" if name.startswith("bool") else "num", text

        def distinct() -> tuple[str, str]:
            self.tag("count_distinct")
            return "int", f"count(DISTINCT {self.expression(self.pick(['text', 'int', 'text']), scope, 0)})"

        def summed() -> tuple[str, str]:
            self.tag("sum_distinct")
            return "num", f"sum(DISTINCT {number()})"

        return self.one(
            (0.7, summed),
            (4, lambda: simple("count", "*")),
            (1, lambda: simple("count", self.expression(self.pick(["num", "text", "bool"]), scope, 1))),
            (4, lambda: simple("sum", number())),
            (2, lambda: simple("avg", number())),
            (2, lambda: simple(self.pick(["min", "max"]), number())),
            (1, lambda: simple(self.pick(["var_samp", "var_pop", "stddev_samp", "stddev_pop"]), number())),
            (1, lambda: simple(self.pick(["bool_and", "bool_or"]), self.condition(scope, 1, sub=False))),
            (1, lambda: simple("count_if", self.condition(scope, 1, sub=False))),
            (1.5, distinct),
        )

    def over_aggregates(self, scope: Scope) -> tuple[str, str]:
        """An aggregate, or a value over aggregates."""
        if self.chance(0.7):
            return self.aggregate(scope)
        self.tag("over_aggregates")
        (kind, a), (_, b) = self.numeric(scope), self.numeric(scope)

        def shape(tag: str, kind: str, text: str) -> tuple[str, str]:
            self.tag(tag)
            return kind, text

        return self.one(
            (1, lambda: ("num", f"{a} {self.pick('+-')} {b}")),
            (1, lambda: shape("nullif", "num", f"1.0 * {a} / nullif({b}, 0)")),
            (1, lambda: shape("coalesce", kind, f"coalesce({a}, {self.pick([0, 5])})")),
            (1, lambda: shape("case", "text", f"CASE WHEN {a} > 1 THEN 'many' WHEN {a} > 0 THEN 'one' ELSE 'no' END")),
            (1, lambda: shape("case", "num", f"CASE WHEN count(*) > 1 THEN {b} ELSE 0 END")),
            (1, lambda: shape("case", "int", self.steps(a))),
            (1, lambda: shape("cast", "num", f"CAST({a} AS DOUBLE)")),
            (1, lambda: shape("function", "num", f"abs({a} - {self.pick([1, 2])})")),
            (0.5, lambda: shape("function", "num", f"{self.pick(['greatest', 'least'])}({a}, {b})")),
            (1, lambda: shape("compared_aggregates", "bool", self.between_aggregates(a, b))),
            (0.5, lambda: ("num", f"{a} {self.pick('+-')} {self.scalar_query([], 'num')}")),
        )

    def between_aggregates(self, a: str, b: str) -> str:
        """A condition on two numbers over groups."""
        op, bound = self.pick([">", ">=", "<", "<="]), self.bound()
        forms = ["{0} {2} {1}", "{0} {2} {3}", "{0} IS NULL", "({0} {2} {3}) IS NOT TRUE", "({0} {2} {3}) IS NULL",
                 "{0} {2} {3} OR {1} > 1", "{0} {2} {3} AND {1} > 0", "NOT ({0} {2} {3} AND {1} {2} {3})",
                 "1.0 * {0} / nullif(count(*), 0) {2} {3}", "coalesce({0}, 2) {2} {3}",
                 "{0} - {1} {2} {3}"]  # fmt: skip
        return str(self.pick(forms)).format(a, b, op, bound)

    def bound(self) -> str:
        """What a number is compared with: seldom NULL."""
        if self.chance(0.8):
            return str(self.pick(["0.3", "1.2", "-0.3", "2.3"]))
        self.tag("null")
        return str(self.pick(["NULL", "nullif(1, 1)", "(SELECT max(w) FROM d WHERE id > 90)"]))

    def steps(self, number: str) -> str:
        """What follows a number in steps, or where it is one of some."""
        first = self.pick([f"{number} > 1", f"{number} BETWEEN 0 AND 1", f"{number} > 0 AND {number} <= 2"])
        second = self.pick([f"{number} > 0", f"{number} < 0 OR {number} > 2", "count(*) > 1"])
        last = self.pick(["THEN 3", "THEN 3 ELSE 1", "THEN NULL ELSE 1"])
        case = f"CASE WHEN {first} THEN 5 WHEN {second} {last} END"
        return self.pick([case, case, f"1 + {case}", f"coalesce({case}, 2)"])

    def numeric(self, scope: Scope) -> tuple[str, str]:
        while (found := self.aggregate(scope))[0] not in ("int", "num"):
            pass
        return found

    def group_key(self, scope: Scope) -> tuple[str, str]:
        """A kind and an expression to group by."""

        def predicted() -> tuple[str, str] | None:
            if found := self.prediction(scope):
                self.tag("group_by_predicted")
                return kind_of(found[1]), found[0]
            return None

        def mixed() -> tuple[str, str]:
            kind = self.pick(["text", "int", "bool"])
            text = self.expression(kind, scope, 1)
            if "{" in text:
                self.tag("group_by_predicted")
            return kind, text

        def hard() -> tuple[str, str] | None:
            kind = self.pick(["text", "text", "int", "bool", "date"])
            if kind == "date" and self.column(scope, "date"):
                return kind, self.date(scope, 0, False)
            found = self.column(scope, kind)
            return (kind, found) if found else None

        found = self.one((3, hard), (2, predicted), (1, mixed))
        return found if found and re.search(r"q\d|\(", found[1]) else ("text", "upper('a')")

    def groups(self, depth: int, plain: bool = False) -> tuple[str, Relation]:
        """Aggregates, of all rows or by group; `plain` without sets of groups and at least one key."""
        froms, scope = self.froms(depth)
        where = f" WHERE {self.condition(scope, 1)}" if self.chance(0.55) else ""
        wanted = self.pick([1, 1, 2]) if plain else self.pick([0, 0, 1, 1, 1, 2])
        keys = list(dict.fromkeys(self.group_key(scope) for _ in range(wanted)))
        self.tag("group_by" if keys else "no_groups")
        items = [f"{text} AS g{i}" for i, (_, text) in enumerate(keys)]
        columns = {f"g{i}": kind for i, (kind, _) in enumerate(keys)}
        grouped = ", ".join(text for _, text in keys)
        if keys and not plain and self.chance(0.22):
            word = self.pick(["ROLLUP", "CUBE", "GROUPING SETS"])
            self.tag(word.lower().replace(" ", "_"))
            for i, (_, text) in enumerate(keys):
                items.append(f"grouping({text}) AS s{i}")
                columns[f"s{i}"] = "int"
            sets = ", ".join(f"({text})" for _, text in keys) + ", ()"
            grouped = f"{word} ({sets if word == 'GROUPING SETS' else grouped})"
        elif keys:
            grouped = self.grouped_by(grouped, len(keys), scope)
        key = tuple(columns)
        found = []
        for _ in range(self.pick([1, 1, 2])):
            kind, text = self.over_aggregates(scope)
            found.append(f"a{len(found)}")
            columns[found[-1]] = kind
            items.append(f"{text} AS {found[-1]}")
        if keys and len(key) == len(keys) and grouped != "ALL" and self.chance(0.12):
            self.tag("window_over_groups")
            order = ", ".join(f"{text} NULLS LAST" for _, text in keys)
            partition = f"PARTITION BY {keys[0][1]} " if len(keys) > 1 and self.chance(0.5) else ""
            columns["w0"] = "num"
            items.append(f"{self.window(lambda: self.numeric(scope)[1], order, partition)} AS w0")
        having = ""
        if self.chance(0.25 if keys else 0.08):
            self.tag("having")
            having = f" HAVING {self.having(scope)}"
        text = f"SELECT {', '.join(items)} FROM {froms}{where}" + (f" GROUP BY {grouped}" if keys else "") + having
        return text, Relation(columns, key=key, aggregates=frozenset(columns) - set(key), grouped=True)

    def histogram(self) -> tuple[str, Relation]:
        """How many groups have each count."""
        self.tag("group_by", "group_by_count", "derived")
        froms, scope = self.froms(1)
        where = f" WHERE {self.condition(scope, 1)}" if self.chance(0.5) else ""
        _, key = self.group_key(scope)
        condition = self.condition(scope, 1, sub=False)
        count = self.pick(
            ["count(*)", f"count(*) FILTER (WHERE {condition})", f"sum(CASE WHEN {condition} THEN 1 ELSE 0 END)"]
        )
        alias = self.alias()
        more = f", {self.pick(['sum', 'max', 'avg'])}({alias}.n) AS a1" if self.chance(0.3) else ""
        columns = {"g0": "int", "a0": "int"} | ({"a1": "num"} if more else {})
        having = f" HAVING {self.pick(['count(*)', f'{alias}.n'])} > 1" if self.chance(0.2) else ""
        text = (
            f"SELECT {alias}.n AS g0, count(*) AS a0{more} FROM (SELECT {key} AS k, {count} AS n FROM {froms}{where} "
            f"GROUP BY {key}) {alias} GROUP BY {alias}.n{having}"
        )
        return text, Relation(columns, key=("g0",), aggregates=frozenset(columns) - {"g0"}, grouped=True)

    def grouped_by(self, keys: str, n: int, scope: Scope) -> str:
        """The first `n` columns in GROUP BY: written out, by position, by name, or ALL."""
        names = [f"g{i}" for i in range(n)]
        form = self.rng.choices(["", "position", "name", "all"], (10, 2, 2, 1))[0]
        if not form or (form == "name" and any(set(names) & set(s.relation.columns) for s in scope)):
            return keys
        self.tag(f"group_by_{form}")
        return {"position": ", ".join(str(i + 1) for i in range(n)), "name": ", ".join(names), "all": "ALL"}[form]

    def having(self, scope: Scope) -> str:
        kind, text = self.aggregate(scope)
        if kind == "bool":
            return text
        if self.chance(0.15):
            return f"{text} > {self.scalar_query([], 'num')}"
        if self.chance(0.08):
            return f"{self.exists([])} {self.pick(['AND', 'OR'])} count(*) > 1"
        if self.chance(0.2):
            self.tag("compared_aggregates")
            return self.between_aggregates(text if kind != "text" else "count(*)", self.numeric(scope)[1])
        bound = self.pick([0, 1, 1, 2]) if kind == "int" else self.pick([0.7, 1.3, -0.3])
        if kind == "num" and self.chance(0.2):
            text = f"round(1.07 * ({text}){self.pick(['', ', 1'])})"  # no sum of a few values lies at a half
        if self.chance(0.2):
            last = self.pick(["", "ELSE 'no'"])
            word = f"CASE WHEN {text} > 1 THEN 'many' WHEN {text} > 0 THEN 'one' {last} END"
            among = [f"{text} BETWEEN 0 AND 1", f"({text} < 0 OR {text} > 1)", f"{text} > 0 AND {text} < 3"]
            return self.pick([*among, f"{word} > 'n'", f"{word} IN ('one', 'no')", f"{word} IS NULL"])
        return f"{text} {self.pick(['>', '>', '>=', '<', '=' if kind == 'int' else '<='])} {bound}"

    def series(self, depth: int) -> tuple[str, Relation]:
        """Windows over a grouped CTE, as a line of a dashboard is made."""
        body, relation = self.groups(max(0, depth - 1), plain=True)
        relation = replace(relation, predicted=self.predicts(body))
        alias = self.alias()
        self.tag("cte", "window_over_grouped_cte")
        name = f"c{len(self.ctes)}"
        self.ctes.append((name, body, relation))
        source = Source(alias, relation)
        order = ", ".join(f"{alias}.{k} NULLS LAST" for k in relation.key or ()) or "1"
        items = [f"{alias}.{k} AS {k}" for k in relation.key or ()]
        columns = {k: relation.columns[k] for k in relation.key or ()}
        value = partial(self.pick, source.of("int", "num") or ["1"])
        for i in range(self.pick([1, 2])):
            partition = f"PARTITION BY {alias}.g0 " if len(relation.key or ()) > 1 and self.chance(0.5) else ""
            items.append(f"{self.window(value, order, partition)} AS w{i}")
            columns[f"w{i}"] = "num"
        where = f" WHERE {self.hard_leaf([source])}" if self.chance(0.2) else ""
        qualify = ""
        if self.chance(0.2):
            self.tag("qualify")
            qualify = f" QUALIFY {self.first(value, order, '')}"
        text = f"SELECT {', '.join(items)} FROM {name} {alias}{where}{qualify}"
        return text, Relation(columns, key=relation.key)

    # -- set operations -----------------------------------------------------------------------------------------------

    def combined(self, depth: int) -> tuple[str, Relation]:
        """Two or three SELECTs of the same columns as one."""
        word = self.pick(["UNION", "UNION ALL", "INTERSECT", "EXCEPT"])
        self.tag(word.lower().replace(" ", "_"))
        kinds = [self.pick(["text", "int"])] + ([self.pick(["text", "int"])] if self.chance(0.4) else [])
        keyed = word == "UNION ALL" and self.chance(0.8)
        arms = [self.arm(depth, kinds, i if keyed else None) for i in range(3 if self.chance(0.15) else 2)]
        columns = {f"u{i}": kind for i, kind in enumerate(kinds)}
        if keyed:
            columns |= {"arm": "text", "id": "int"}
        key = ("arm", "id") if keyed else None if word == "UNION ALL" else tuple(columns)
        return f" {word} ".join(arms), Relation(columns, key=key)

    def arm(self, depth: int, kinds: list[str], number: int | None) -> str:
        text, source = self.source(max(0, depth - 1), plain=0.1)
        if number is None and all(source.of(kind) for kind in kinds) and self.chance(0.3):
            return self.grouped_arm(text, source, kinds)
        items = [f"{self.expression(kind, [source], 1)} AS u{i}" for i, kind in enumerate(kinds)]
        if number is not None:
            at = f"{source.alias}.id" if "id" in source.relation.columns else "0"
            items += [f"'arm {number}' AS arm", f"{at} AS id"]
        where = f" WHERE {self.condition([source], 1)}" if self.chance(0.8) else ""
        return f"SELECT {', '.join(items)} FROM {text}{where}"

    def grouped_arm(self, text: str, source: Source, kinds: list[str]) -> str:
        """Groups as one side of a set operation: keys, and a count where a number is wanted beside one."""
        items, keys = [], []
        for i, kind in enumerate(kinds):
            key = not keys or kind == "text"
            value = self.expression(kind, [source], 0) if key else "count(*)"
            if key and not re.search(r"q\d", value):
                value = self.column([source], kind) or value
            items.append(f"{value} AS u{i}")
            keys += [value] if key else []
        where = f" WHERE {self.condition([source], 1)}" if self.chance(0.6) else ""
        having = f" HAVING {self.having([source])}" if self.chance(0.4) else ""
        self.tag("group_by")
        return f"SELECT {', '.join(items)} FROM {text}{where} GROUP BY {', '.join(dict.fromkeys(keys))}{having}"
