"""The predictions of a query: which model, on whose rows, with which features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlglot import exp

from rain_debug.errors import SQLError, nearest
from rain_debug.sql.convert import ATOM, Converter, sources_of
from rain_debug.sql.nodes import quote
from rain_debug.sql.plan import Atom, Catalog, ModelInfo, Source
from rain_debug.sql.rewrite import enclosing
from rain_debug.sql.tokens import PREDICT, PREDICT_PROBA


@dataclass
class AtomCall:
    """One call as it is written: `reads` are the aliases it names, `arguments` its positional features, if any."""

    kind: str
    model: ModelInfo
    start: int
    end: int
    by_name: bool
    reads: list[str]
    class_code: int | None = None
    arguments: list[exp.Expr] = field(default_factory=list)


def mark_atoms(tree: exp.Expr, sql: str, catalog: Catalog, aliases: list[str], convert: Converter) -> list[AtomCall]:
    """Every call of a model, in order; in `tree` each becomes `RAIN_ATOM(k, positional features…)`."""
    calls: list[AtomCall] = []
    for node in list(tree.find_all(exp.Anonymous)):
        if node.name.upper() not in (PREDICT, PREDICT_PROBA):
            continue
        call, arguments = _call(node, sql, catalog, aliases)
        marked = exp.Anonymous(this=ATOM, expressions=[exp.Literal.number(len(calls)), *arguments])
        marked.meta.update(start=call.start, end=call.end - 1)
        calls.append(call)
        node.replace(marked)
    return calls


def mark_nested(tree: exp.Expr, sql: str, catalog: Catalog, convert: Converter) -> list[AtomCall]:
    """As `mark_atoms`, each call seeing the aliases of the SELECTs around it."""
    calls: list[AtomCall] = []
    for node in list(tree.find_all(exp.Anonymous)):
        if node.name.upper() not in (PREDICT, PREDICT_PROBA):
            continue
        aliases = list(dict.fromkeys(s.alias_or_name for q in enclosing(node) for s in sources_of(q)))
        call, arguments = _call(node, sql, catalog, aliases)
        marked = exp.Anonymous(this=ATOM, expressions=[exp.Literal.number(len(calls)), *arguments])
        marked.meta.update(start=call.start, end=call.end - 1)
        calls.append(call)
        node.replace(marked)
    return calls


def _call(node: exp.Anonymous, sql: str, catalog: Catalog, aliases: list[str]) -> tuple[AtomCall, list[exp.Expr]]:
    start, end = _extent(node, sql)
    proba = node.name.upper() == PREDICT_PROBA
    arguments = list(node.expressions)

    def wrong(message: str, hint: str) -> SQLError:
        return SQLError(message, sql=sql, start=start, end=end, hint=hint)

    form = "predict_proba(model, alias, class)" if proba else "predict(model, alias)"
    model = catalog.model(_name(arguments[0])) if arguments and _name(arguments[0]) else None
    if model is not None:
        arguments = arguments[1:]
    else:
        known = list(catalog.models)
        first = arguments[0] if arguments else None
        implicit = first is not None and (isinstance(first, exp.Star) or _alias(first, aliases) is not None)
        if not (implicit and len(known) == 1):
            name = _name(first) if first is not None else ""
            what = f"there is no model '{name}'" if name else f"{form} names no model"
            raise wrong(what, nearest(name or "", known))
        model = catalog.model(known[0])
        assert model is not None
    class_code = None
    if proba:
        if len(arguments) < 2:
            raise wrong(f"predict_proba needs the class: {form}", f"classes of '{model.name}': {class_list(model)}")
        class_code = _class_code(arguments.pop(), model, wrong)
    if not arguments:
        raise wrong(f"this prediction names no row: {form}", f"aliases here: {', '.join(aliases)}")
    for argument in arguments:
        if any(isinstance(n, exp.Anonymous) and n.name.upper() in (PREDICT, PREDICT_PROBA) for n in argument.walk()):
            raise wrong("a prediction as a feature of another prediction is not supported", "features are columns")
        if argument.find(exp.Query) is not None:
            raise wrong("a subquery as a feature is not supported", "join it, or compute it in a CTE")
        if isinstance(argument, exp.Column) and isinstance(argument.this, exp.Star) and not _alias(argument, aliases):
            raise wrong(f"there is no table or alias '{argument.table}' in FROM", nearest(argument.table, aliases))
    if len(arguments) == 1 and isinstance(arguments[0], exp.Star):
        return AtomCall("proba" if proba else "class", model, start, end, True, list(aliases), class_code), []
    named = [alias for argument in arguments for alias in _aliases(argument, aliases)]
    if named and all(_aliases(argument, aliases) for argument in arguments):
        return AtomCall("proba" if proba else "class", model, start, end, True, named, class_code), []
    if len(arguments) != len(model.features):
        first_name = arguments[0].sql()
        if len(arguments) == 1 and isinstance(arguments[0], exp.Column) and not arguments[0].table:
            raise wrong(f"there is no table or alias '{first_name}' in FROM", nearest(first_name, aliases))
        raise wrong(
            f"model '{model.name}' has {len(model.features)} feature{'s' * (len(model.features) != 1)}, "
            f"{len(arguments)} {'are' if len(arguments) != 1 else 'is'} given",
            f"in this order: {', '.join(model.features[:20])}; or name an alias: predict({model.name}, {aliases[0]})",
        )
    return AtomCall("proba" if proba else "class", model, start, end, False, [], class_code), arguments


def _name(node: exp.Expr | None) -> str:
    if isinstance(node, exp.Column | exp.Dot | exp.Identifier):
        return ".".join(p.name for p in node.parts) if isinstance(node, exp.Column) else node.sql().replace('"', "")
    return node.name if isinstance(node, exp.Literal) and node.is_string else ""


def _alias(node: exp.Expr, aliases: list[str]) -> str | None:
    if isinstance(node, exp.Column):
        name = node.table if isinstance(node.this, exp.Star) else ("" if node.table else node.name)
        return next((a for a in aliases if name and a.lower() == name.lower()), None)
    return None


def _aliases(node: exp.Expr, aliases: list[str]) -> list[str]:
    """The aliases that `u`, `u.*` or `l + r` names; empty where it is something else."""
    if isinstance(node, exp.Add):
        left, right = _aliases(node.this, aliases), _aliases(node.expression, aliases)
        return left + right if left and right else []
    found = _alias(node, aliases)
    return [found] if found is not None else []


def _class_code(node: exp.Expr, model: ModelInfo, wrong: Any) -> int:
    try:
        value: Any = node.to_py()
    except ValueError:
        value = None
    for code, known in enumerate(model.classes):
        if value == known and isinstance(value, bool) == isinstance(known, bool):
            return code
    if not model.classes:
        raise wrong(f"model '{model.name}' predicts a number: it has no probabilities", "write predict(model, alias)")
    raise wrong(f"model '{model.name}' has no class {node.sql()}", f"classes: {class_list(model)}")


def class_list(model: ModelInfo) -> str:
    """The classes as one writes them in SQL."""
    shown = ", ".join(str(c).lower() if isinstance(c, bool) else repr(c) for c in model.classes[:20])
    booleans = any(isinstance(c, bool) for c in model.classes)
    return shown + (", which are booleans (so DuckDB reads the words yes and no of a CSV file)" if booleans else "")


def _extent(node: exp.Anonymous, sql: str) -> tuple[int, int]:
    """From the first character of the call to its closing parenthesis."""
    starts = [n.meta["start"] for n in node.walk() if "start" in n.meta]
    start = min(starts, default=0)
    depth, quote, i = 0, "", sql.find("(", node.meta.get("start", start))
    while 0 <= i < len(sql):
        c = sql[i]
        if quote:
            quote = "" if c == quote else quote
        elif c in "'\"":
            quote = c
        elif c == "(":
            depth += 1
        elif c == ")":
            depth -= 1
            if depth == 0:
                return start, i + 1
        i += 1
    return start, len(sql)


def atoms_of(
    calls: list[AtomCall], sources: dict[str, Source], sql: str, catalog: Catalog, convert: Converter, dialect: str
) -> tuple[tuple[Atom, ...], list[int]]:
    """The distinct predictions among `calls`, and for each call the number of its own."""
    atoms: list[Atom] = []
    renumber: list[int] = []
    seen: dict[tuple[Any, ...], int] = {}
    for call in calls:
        features, aliases, texts = _features(call, sources, sql, dialect)
        for alias in aliases:
            if sources[alias].nullable:
                raise SQLError(
                    f"'{alias}' is on the optional side of an outer join: a row that is not there has no prediction",
                    sql=sql,
                    start=call.start,
                    end=call.end,
                    hint="use an inner join, or predict on the other side",
                )
            if sources[alias].rid is None:
                raise SQLError(
                    f"the rows of '{alias}' cannot be told apart", sql=sql, start=call.start, end=call.end,
                    hint="predict on a table, a view, a subquery or a CTE",
                )  # fmt: skip
        identity = (call.model.name, *(str(sources[a].identity) for a in aliases), *texts)
        key = (call.kind, call.class_code, identity, tuple(aliases))
        if key not in seen:
            seen[key] = len(atoms)
            rids = tuple(str(sources[a].rid) for a in aliases)
            atoms.append(
                Atom(len(atoms), call.kind, call.model.name, tuple(features), tuple(aliases), identity, rids,
                     call.start, call.end, call.class_code)
            )  # fmt: skip
        renumber.append(seen[key])
    return tuple(atoms), renumber


def _features(
    call: AtomCall, sources: dict[str, Source], sql: str, dialect: str
) -> tuple[list[str], list[str], list[str]]:
    """The features' texts, the aliases they read, and the texts again with aliases numbered and columns traced back."""
    features: list[exp.Expr] = []
    if call.by_name:
        lower = {a.lower(): a for a in sources}
        reads = list(dict.fromkeys(lower[r.lower()] for r in call.reads))
        for name in call.model.features:
            found = [
                exp.column(c, table=a, quoted=True) for a in reads for c in _column(sources[a], name, len(reads) > 1)
            ]
            if len(found) != 1:
                there = ", ".join(c for a in reads for c in sources[a].columns[:30]) or "no columns"
                one, many = ("lacks", "has") if len(reads) == 1 else ("lack", "have")
                what = one if not found else f"{many} more than once"
                raise SQLError(
                    f"model '{call.model.name}' needs the feature '{name}', which {' and '.join(reads)} {what}",
                    sql=sql,
                    start=call.start,
                    end=call.end,
                    hint=f"columns there: {there}; or give the features by position: predict({call.model.name}, …)",
                )
            features.append(found[0])
    else:
        features = call.arguments
    aliases = list(dict.fromkeys(c.table for f in features for c in f.find_all(exp.Column)))
    if not aliases:
        raise SQLError("this prediction reads no column", sql=sql, start=call.start, end=call.end,
                       hint="name an alias, or columns as features")  # fmt: skip
    traced = []
    for feature in features:
        if isinstance(feature, exp.Column):
            base = sources[feature.table].base_column(feature.name)
            traced.append(_column_sql(f"${aliases.index(feature.table)}", base))
            continue
        copy = feature.copy()
        for column in list(copy.find_all(exp.Column)):
            base = sources[column.table].base_column(column.name)
            column.replace(exp.column(base, table=f"${aliases.index(column.table)}", quoted=True))
        traced.append(copy.sql(dialect))
    texts = [_column_sql(f.table, f.name) if isinstance(f, exp.Column) else f.sql(dialect) for f in features]
    return texts, aliases, traced


def _column_sql(alias: str, name: str) -> str:
    """What sqlglot writes for a qualified column, without its detour: models may have thousands of features."""
    return f"{quote(alias)}.{quote(name)}"


def _column(source: Source, name: str, several: bool) -> list[str]:
    return column_named(source.alias, source.columns, name, several)


def column_named(alias: str, columns: Sequence[str], name: str, several: bool) -> list[str]:
    """The column that is the feature `name`: by that name, or, over several aliases, as alias_name.

    >>> column_named("l", ["age", "title"], "l_title", True), column_named("l", ["Age"], "age", False)
    (['title'], ['Age'])
    """
    wanted = [name.lower()]
    prefix = alias.lower() + "_"
    if several and name.lower().startswith(prefix):
        wanted.append(name.lower()[len(prefix) :])
    return [c for c in columns if c.lower() in wanted]
