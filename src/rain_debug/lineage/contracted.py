"""The exact answer of a join on predictions: each side grouped in the engine first, so that pairs are never formed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rain_debug.engines import Engine
from rain_debug.lineage.sides import Split, side_of, split_sides
from rain_debug.sql import Expr, Plan, render
from rain_debug.sql.nodes import quote

SIDES = ("__l", "__r")


def contracted_sql(
    plan: Plan, engine: Engine, tables: Mapping[tuple[str, ...], str], also: Sequence[Expr] = ()
) -> str | None:
    """What `answer_sql` gives, over the groups of two sides; None where the pairs are few or have to be formed.

    Rows of a side count by their group keys, hard keys and class; COUNT, SUM and AVG over pairs are sums of products.
    """
    aggregates = [a for o in plan.outputs for a in o.expr.walk() if a.op == "agg"]
    if any(a.name not in ("count", "sum", "avg") for a in aggregates):
        return None
    inner = [x for a in aggregates for x in (*a.args, *([a.filter] if a.filter is not None else []))]
    split = split_sides(plan, [*inner, *(plan.group_by or ())], [])
    if split is None or split.order is not None or (split.keys and not split.between):
        return None
    return _Contraction(plan, engine, split, tables).sql([*(o.expr for o in plan.outputs), *also])


class _Contraction:
    """Collects what each side has to bring along while the outputs are written."""

    def __init__(self, plan: Plan, engine: Engine, split: Split, tables: Mapping[tuple[str, ...], str]) -> None:
        self.plan = plan
        self.engine = engine
        self.split = split
        self.tables = tables
        self.sums: tuple[dict[str, str], dict[str, str]] = ({}, {})
        self.keys: tuple[dict[str, str], dict[str, str]] = ({}, {})

    def sql(self, outputs: Sequence[Expr]) -> str | None:
        """The whole query; None where an output is more than aggregates and group keys."""
        plan = self.plan
        groups = {e.sql: self._group(e) for e in plan.group_by or ()}
        texts = [self._output(e, groups) for e in outputs]
        order = []
        for e, suffix in plan.order_by:
            place = next(
                (
                    f"o{i}"
                    for i, o in enumerate(plan.outputs)
                    if e.sql in (str(i + 1), o.expr.sql) or o.name.lower() == e.sql.strip('"').lower()
                ),
                self._output(e, groups),
            )
            texts.append(place)
            order.append(f"{place}{suffix}")
        if any(t is None for t in texts):
            return None
        on = [f"__l.{self._key(0, one)} = __r.{self._key(1, two)}" for one, two in self.split.keys]
        on += [f"({self._between(c)})" for c in self.split.between]
        listed = ", ".join(f"{t} AS o{i}" for i, t in enumerate(texts[: len(outputs)]))
        sides = [f"({self._side(number)}) AS {name}" for number, name in enumerate(SIDES)]
        parts = [plan.with_sql, f"SELECT {listed} FROM", " JOIN ".join(sides), f"ON {' AND '.join(on) or 'TRUE'}"]
        parts.append(f"GROUP BY {', '.join(groups.values())}" if groups else "")
        parts.append(f"ORDER BY {', '.join(order)}" if order else "")
        return " ".join(p for p in [*parts, plan.limit_sql] if p)

    def _output(self, e: Expr, groups: Mapping[str, str]) -> str | None:
        """The text of an output over both sides' groups."""
        text = e.sql
        put: dict[str, str] = {}
        for a in sorted((a for a in e.walk() if a.op == "agg"), key=lambda a: -len(a.sql)):
            token = f"__agg{len(put)}__"
            if a.sql not in text and not any(a.sql in b.sql for b in e.walk() if b.op == "agg" and b is not a):
                return None
            text = text.replace(a.sql, token)
            put[token] = self._aggregate(a)
        for key in sorted(groups, key=len, reverse=True):
            token = f"__agg{len(put)}__"
            text = text.replace(key, token)
            put[token] = groups[key]
        if "RAIN_ATOM" in text or any(f"{quote(s.alias)}." in text or f"{s.alias}." in text for s in self.plan.sources):
            return None
        for token, new in put.items():
            text = text.replace(token, new)
        return text

    def _aggregate(self, a: Expr) -> str:
        """COUNT, SUM or AVG over pairs as sums of products of what the two sides bring along."""
        holds = self._home(a.filter) if a.filter is not None else None
        only = f" FILTER (WHERE {self._between(a.filter)})" if a.filter is not None and holds == -1 else ""
        argument = a.args[0] if a.args else None
        home = self._home(argument) if argument is not None else None

        def product(what: str) -> str:
            """Σ of the pairs' `what` (`rows`, `known` or `total` of the argument)."""
            factors, also = [], only
            for number in (0, 1):
                mine = what if home == number else "rows"
                condition = a.filter if holds == number else None
                factor = f"{SIDES[number]}.{self._sum(number, mine, argument, condition)}"
                # The sum of nothing is NULL, also where it is the other side that FILTER leaves nothing of.
                nothing = what == "total" and mine == "rows" and condition is not None
                factors.append(f"nullif({factor}, 0)" if nothing else factor)
            if argument is not None and home == -1 and what != "rows":
                value = self._between(argument)
                if what == "total":
                    factors.append(f"({value})")
                else:
                    factors.append(f"CASE WHEN ({value}) IS NOT NULL THEN 1 ELSE 0 END")
            return f"sum({' * '.join(factors)}){also}"

        if argument is None or a.name == "count":
            return f"CAST(coalesce({product('rows' if argument is None else 'known')}, 0) AS BIGINT)"
        if a.name == "sum":
            return product("total")
        double = self.engine.double
        return f"(CAST({product('total')} AS {double}) / nullif(CAST({product('known')} AS {double}), 0))"

    def _home(self, e: Expr) -> int:
        home = side_of(e, self.plan, self.split.aliases)
        assert home is not None
        return home

    def _sum(self, number: int, what: str, argument: Expr | None, condition: Expr | None) -> str:
        """The name of what side `number` sums up in each of its groups."""
        text = "count(*)"
        if what != "rows":
            assert argument is not None
            value = self._own(number, argument)
            text = f"count({value})" if what == "known" else f"sum({value})"
        if condition is not None:
            text += f" FILTER (WHERE {self._own(number, condition)})"
        if what == "total" and argument is not None and self._is_decimal(number, argument):
            text = f"CAST({text} AS {self.engine.double})"
        return self.sums[number].setdefault(text, f"s{len(self.sums[number])}")

    def _is_decimal(self, number: int, argument: Expr) -> bool:
        """Exact decimals would outgrow their type when multiplied by counts."""
        text = render(argument.sql, lambda k: "NULL")  # there may be no predictions yet
        sql = f"{self.plan.with_sql} SELECT {text} AS x FROM {' CROSS JOIN '.join(self._sources(number))}"
        return self.engine.types(sql)[0][1].upper().startswith(("DECIMAL", "NUMERIC"))

    def _group(self, e: Expr) -> str:
        home = self._home(e)
        return self._between(e) if home == -1 else f"{SIDES[home]}.{self._key(home, e)}"

    def _key(self, number: int, e: Expr) -> str:
        """The name of what side `number` is grouped by."""
        return self.keys[number].setdefault(self._own(number, e), f"k{len(self.keys[number])}")

    def _between(self, e: Expr) -> str:
        """An expression over the classes of both sides."""

        def read(k: int) -> str:
            number = self.split.atoms.index(k)
            return f"{SIDES[number]}.{self.keys[number].setdefault(f'__p{k}.label', f'k{len(self.keys[number])}')}"

        return render(e.sql, read)

    def _own(self, number: int, e: Expr) -> str:
        """An expression over the rows of one side."""
        return render(e.sql, lambda k: f"__p{k}.label")

    def _from(self, number: int) -> str:
        atom = self.plan.atoms[self.split.atoms[number]]
        table = f"{self.tables[atom.identity]} AS __p{atom.index} ON __p{atom.index}.r0 = {atom.rids[0]}"
        return f"{' CROSS JOIN '.join(self._sources(number))} JOIN {table}"

    def _sources(self, number: int) -> list[str]:
        return [s.from_sql for s in self.plan.sources if s.alias in self.split.aliases[number]]

    def _side(self, number: int) -> str:
        """One side, grouped; written last, when it is known what it has to bring along."""
        keys, sums = self.keys[number], self.sums[number]
        items = ", ".join(f"{text} AS {name}" for text, name in (*keys.items(), *sums.items())) or "count(*) AS s0"
        where = " AND ".join(f"({self._own(number, c)})" for c in self.split.conjuncts[number])
        grouped = f"GROUP BY {', '.join(keys)}" if keys else "HAVING count(*) > 0"
        return f"SELECT {items} FROM {self._from(number)} WHERE {where or 'TRUE'} {grouped}"
