"""A failing case made small: rows and pieces of the query are left out for as long as it fails in the same way."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

import duckdb
import sqlglot
from sqlglot import exp

from laws.judge import Verdict
from laws.shops import FED, FORMS, MARK, Case, Shop, Table
from laws.twins import Twins

Judge = Callable[[Twins, Case], Verdict | None]
TRIES = 400
WORDS = {sign: f"as{i}" for i, sign in enumerate(FORMS)}
MARKED = re.compile(r"\bmark(as\d)_(\w)\((\w+)(?:, (?:(\w+)|'p(\d)'))?\)", re.I)
CLAUSES = ("where", "having", "order", "limit", "qualify", "distinct", "group")


def shrunk(twins: Twins, case: Case, judge: Judge) -> tuple[Twins, Case]:
    """The smallest case found that fails as this one does, and its database."""
    tries = 0

    def family(verdict: Verdict | None) -> str:
        why = verdict.why if verdict is not None and verdict.kind == "different" else ""
        return re.match(r"law \d|\w+( at \S+)?|", why)[0]  # type: ignore[index]

    wanted = family(judge(twins, case))

    def fails(twins: Twins, case: Case) -> bool:
        nonlocal tries
        tries += 1
        try:
            return bool(wanted) and family(judge(twins, case)) == wanted
        except (duckdb.Error, StopIteration, ValueError):  # a part of a case need not make sense
            return False

    again = True
    while again and tries < TRIES:
        again = False
        for smaller in smaller_cases(case):
            if tries < TRIES and fails(twins, smaller):
                case, again = smaller, True
                break
        if again:
            continue
        for shop in smaller_shops(twins.shop):
            if tries < TRIES and fails(made := Twins(shop), case):
                twins, again = made, True
                break
    return twins, case


def smaller_shops(shop: Shop) -> Iterator[Shop]:
    """The database with fewer rows in one table."""
    for name, table in shop.tables.items():
        n = len(table.rows)
        for keep in ([[], range(n // 2), range(n // 2, n)] if n > 1 else []) + [
            [*range(i), *range(i + 1, n)] for i in range(n)
        ]:
            labels = {m: tuple(codes[i] for i in keep) for m, codes in table.labels.items()}
            fewer = Table(table.columns, tuple(table.rows[i] for i in keep), labels)
            yield replace(shop, tables={**shop.tables, name: fewer})


def smaller_cases(case: Case) -> Iterator[Case]:
    """The query with one piece less."""
    template = FED.sub(r"\2.fed_\1", MARK.sub(_as_function, case.template))
    tree = sqlglot.parse_one(template, dialect="duckdb")
    for i, _ in enumerate(list(tree.walk())):
        for change in range(6):
            copy = tree.copy()
            node = list(copy.walk())[i]
            changed = _change(node, change)
            if changed is None:
                continue
            root = changed if node is copy else copy
            text = re.sub(r"(\w+)\.fed_(\w)\b", r"{\2>\1}", root.sql(dialect="duckdb"))
            text = MARKED.sub(_as_mark, text)
            if text == case.template or len(text) >= len(case.template) + 8:
                continue
            names = [s.alias_or_name for s in root.selects] if isinstance(root, exp.Query) else []
            columns = {c: k for c, k in case.columns.items() if c in names}
            marks = list(MARK.finditer(text))
            models = frozenset(m[1] for m in marks)
            classes = {m[1] for m in marks if m[4] != "="}
            used = frozenset(u for u in case.used if u[1] in classes)
            chances = frozenset(u for u in case.chances if u[1] in {m[1] for m in marks if m[4] == "="})
            if columns and models and set(case.key or ()) <= set(names):
                yield replace(case, template=text, columns=columns, used=used, chances=chances, models=models)


def _as_function(mark: re.Match[str]) -> str:
    """A mark as a call that SQL can read: the sign, what stands between the two names, and the second name."""
    model, sign, alias, extra, other = mark.groups()
    joint = {None: "", ",": f", {other}", "=": f", 'p{other}'"}[extra]
    return f"mark{WORDS[sign]}_{model}({alias}{joint})"


def _as_mark(call: re.Match[str]) -> str:
    word, model, alias, other, code = call.groups()
    sign = next(s for s, w in WORDS.items() if w == word.lower())
    return f"{{{model.lower()}{sign}{alias}{f',{other}' if other else f'={code}' if code else ''}}}"


def _change(node: exp.Expression, change: int) -> exp.Expression | None:
    """The node with its `change`-th piece gone; None where there is no such change."""
    options: list[Callable[[], exp.Expression]] = []

    def without(name: str) -> exp.Expression:
        node.set(name, None)
        return node

    def fewer(name: str, index: int) -> exp.Expression:
        del node.args[name][index]
        return node

    def by(other: exp.Expression) -> exp.Expression:
        other = other.copy()
        if node.parent is not None:
            node.replace(other)
        return other

    if isinstance(node, exp.Select):
        options += [lambda c=c: without(c) for c in CLAUSES if node.args.get(c)]
        options += [lambda i=i: fewer("joins", i) for i in range(len(node.args.get("joins") or []))]
        if len(node.expressions) > 1:
            options += [lambda i=i: fewer("expressions", i) for i in range(len(node.expressions))]
    elif isinstance(node, exp.With) and len(node.expressions) > 1:
        options += [lambda i=i: fewer("expressions", i) for i in range(len(node.expressions))]
    elif isinstance(node, exp.With):
        options.append(lambda: node.parent.set("with_", None) or node.parent.set("with", None) or node)  # type: ignore[union-attr, func-returns-value]
    elif isinstance(node, exp.Subquery) and isinstance(node.parent, exp.From | exp.Join):
        inner = node.this.args.get("from_") or node.this.args.get("from")
        if inner is not None and isinstance(inner.this, exp.Table):
            options.append(lambda: by(exp.alias_(exp.to_table(inner.this.name), node.alias, table=True)))
    elif isinstance(node, exp.Table) and node.name not in ("t", "s", "d"):
        options += [lambda n=n: by(exp.alias_(exp.to_table(n), node.alias, table=True)) for n in "ts"]
    elif isinstance(node, exp.SetOperation | exp.Connector) or (
        isinstance(node, exp.Binary) and not isinstance(node, exp.Predicate)
    ):
        options += [lambda: by(node.this), lambda: by(node.expression)]
    elif isinstance(node, exp.Predicate):
        pass
    elif isinstance(node, exp.Case):
        if len(node.args["ifs"]) > 1:
            options.append(lambda: fewer("ifs", 1))
        options += [lambda: by(node.args["ifs"][0].args["true"])] + (
            [lambda: by(node.args["default"])] if node.args.get("default") else []
        )
    elif isinstance(node, exp.Group):
        options += [lambda i=i: fewer("expressions", i) for i in range(len(node.expressions))]
    elif isinstance(node, exp.Anonymous):
        pass
    elif (
        isinstance(node, exp.Not | exp.Paren | exp.Filter | exp.Window | exp.Func)
        and isinstance(node.this, exp.Expression)
        and not isinstance(node, exp.AggFunc)
    ):
        options.append(lambda: by(node.this))
    elif (
        isinstance(node, exp.AggFunc)
        and isinstance(node.this, exp.Expression)
        and not isinstance(node.this, exp.Star | exp.Column)
    ):
        options += [lambda: by(exp.Count(this=exp.Star(), big_int=True))]
    return options[change]() if change < len(options) else None
