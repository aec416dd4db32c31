"""What lies outside the supported class, found in the tree and underlined."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlglot import exp

from rain_debug.errors import SQLError
from rain_debug.sql.atoms import AtomCall, class_list
from rain_debug.sql.convert import Converter, atom_number, is_atom, sources_of
from rain_debug.sql.expr import Expr
from rain_debug.sql.plan import Atom, Catalog, Plan
from rain_debug.sql.tokens import PREDICT, PREDICT_PROBA

NESTED = "docs/sql lists what is exact, approximate and refused"
SUPPORTED = f"supported are SELECTs, CTEs, subqueries, set operations and windows over predictions; {NESTED}"
AGGREGATES = "predictions go through COUNT, SUM, AVG, MIN, MAX, VAR, STDDEV, BOOL_AND, BOOL_OR and COUNT(DISTINCT)"
NO_PREDICTION = "this query holds no prediction"
_EQUALITIES = (exp.EQ, exp.NEQ, exp.NullSafeEQ, exp.NullSafeNEQ)
_ORDERINGS = (exp.LT, exp.LTE, exp.GT, exp.GTE)
_TRUTHS = ("=", "<>", "<", "<=", ">", ">=", "and", "or", "not")


def is_unsupported(error: SQLError) -> bool:
    """True where a flat block cannot hold a query that a tree of blocks may."""
    return error.hint in (SUPPORTED, AGGREGATES) or "not supported" in error.message or "optional side" in error.message


def holds_no_prediction(error: SQLError) -> bool:
    """True where nothing is wrong with the query but that it asks no model."""
    return error.message == NO_PREDICTION


def is_flat(plan: Plan) -> bool:
    """True where the flat program has a rule for each aggregate's surroundings and each group key."""
    proba = {a.index for a in plan.atoms if a.kind == "proba"}
    if any(e.op in _TRUTHS and proba & set(e.atoms) for e in plan.group_by or ()):
        return False
    return all(_arithmetic(o.expr) for o in plan.outputs if o.expr.has_aggregate)


def _arithmetic(e: Expr) -> bool:
    if e.op == "agg":
        return e.name in ("count", "sum", "avg", "engine")
    if e.op in ("const", "pure") or not e.has_aggregate:
        return True
    if e.op in ("coalesce", "nullif"):
        return len(e.args) == 2 and e.args[1].op == "const" and _arithmetic(e.args[0])
    if e.op == "cast" and not any(t in e.name for t in ("DOUBLE", "FLOAT", "REAL", "DECIMAL", "NUMERIC", "INT")):
        return False
    return e.op in ("+", "-", "*", "/", "neg", "round", "cast") and all(_arithmetic(a) for a in e.args)


def refuse_shape(tree: exp.Expr, convert: Converter, catalog: Catalog) -> exp.Select:
    """`tree`, a SELECT over predictions with the clauses that are supported; SQLError for anything else."""
    predictions = [n for n in tree.find_all(exp.Anonymous) if n.name.upper() in (PREDICT, PREDICT_PROBA)]
    if isinstance(tree, exp.Query) and not predictions:
        known = ", ".join(catalog.models) or "none yet"
        raise SQLError(
            NO_PREDICTION,
            hint=f"use predict(model, alias) somewhere in it; models: {known}; plain SQL: ask the database itself",
        )
    if isinstance(tree, exp.SetOperation):
        raise convert.refuse(predictions[0], f"{tree.key.upper()} over predictions is not supported", SUPPORTED)
    if not isinstance(tree, exp.Select):
        what = f"{tree.key.upper()} is not a query"
        raise SQLError(what, sql=convert.sql, start=0, end=len(convert.sql.rstrip()), hint=SUPPORTED)
    for node in predictions:
        if node.find_ancestor(exp.Select) is not tree:
            raise convert.refuse(node, "a prediction inside a subquery or CTE is not supported", SUPPORTED)
        window = node.find_ancestor(exp.Window)
        if window is not None:
            raise convert.refuse(window, "a window function over predictions is not supported", SUPPORTED)
    for over in _own(tree, exp.Window):
        if over.find_ancestor(exp.Qualify) is None:
            raise convert.refuse(over, "a window function in a query with predictions is not supported", SUPPORTED)
    for name in ("distinct", "having", "qualify"):
        if tree.args.get(name):
            what = f"{name.upper()} over predictions is not supported"
            raise convert.refuse(tree.args[name], what, SUPPORTED, keyword=name)
    for node in predictions:
        clause = node.find_ancestor(exp.Limit, exp.Offset)
        if clause is not None:
            raise convert.refuse(node, f"a prediction in {clause.key.upper()} is not supported", SUPPORTED)
    _refuse_sources(tree, convert)
    for kind in (exp.Rollup, exp.Cube, exp.GroupingSets):
        found = tree.args["group"].find(kind) if tree.args.get("group") is not None else None
        if found is not None:
            name = "GROUPING SETS" if kind is exp.GroupingSets else kind.__name__.upper()
            raise convert.refuse(found, f"{name} over predictions is not supported", SUPPORTED, keyword=name)
    return tree


def refuse_nested(tree: exp.Expr, convert: Converter, catalog: Catalog) -> None:
    """SQLError for what no tree of blocks can hold."""
    predictions = [n for n in tree.find_all(exp.Anonymous) if n.name.upper() in (PREDICT, PREDICT_PROBA)]
    if not isinstance(tree, exp.Query) or not predictions:
        refuse_shape(tree, convert, catalog)
    here = "is not supported in a query with predictions"
    for kind, word in ((exp.Lateral, "LATERAL"), (exp.Pivot, "PIVOT"), (exp.TableSample, "SAMPLE")):
        for node in tree.find_all(kind):
            raise convert.refuse(node, f"{word} {here}", NESTED, keyword=word)
    _refuse_positional(tree, convert)
    for random in tree.find_all(exp.Rand, exp.Uuid):
        raise convert.refuse(random, f"a random number {here}: it is another one each time", NESTED)
    for unnest in tree.find_all(exp.Unnest, exp.Explode):
        around = unnest.find_ancestor(exp.Select)
        if around is None or not any(n in predictions for n in around.walk()):
            continue
        raise convert.refuse(unnest, f"UNNEST {here}", "unnest in a CTE without predictions", keyword="UNNEST")
    for many in tree.find_all(exp.Any, exp.All):
        if any(n in predictions for n in many.walk()):
            word = type(many).__name__.upper()
            what = f"{word} (SELECT …) over predictions is not supported"
            raise convert.refuse(many, what, "write EXISTS or NOT EXISTS", keyword=word)
    for source in (s for q in tree.find_all(exp.Select) for s in sources_of(q)):
        if isinstance(source, exp.Subquery) and isinstance(source.this, exp.Table):
            what = f"parentheses around tables in FROM {here.removeprefix('is ')}".replace("FROM not", "FROM are not")
            raise convert.refuse(source, what, "write the joins one after another")
    for count in tree.find_all(exp.Count):
        if count.expressions:
            raise convert.refuse(count, "COUNT takes one argument here", "count one column, or count(*)")
    for columns in tree.find_all(exp.Columns):
        raise convert.refuse(columns, f"COLUMNS {here}", "name the columns", keyword="COLUMNS")
    for node in predictions:
        with_ = node.find_ancestor(exp.With)
        if with_ is not None and with_.recursive:
            raise convert.refuse(node, "a prediction in a recursive CTE is not supported", NESTED)
        clause = node.find_ancestor(exp.Limit, exp.Offset)
        if clause is not None:
            raise convert.refuse(node, f"a prediction in {clause.key.upper()} is not supported", NESTED)


def _refuse_sources(tree: exp.Select, convert: Converter) -> None:
    """Tables whose rows are made anew for each other table's, or each time that one asks."""
    here = "is not supported in a query with predictions"
    for kind, word in ((exp.Lateral, "LATERAL"), (exp.Pivot, "PIVOT"), (exp.TableSample, "SAMPLE")):
        for node in tree.find_all(kind):
            if kind is exp.Lateral and node.find_ancestor(exp.Select) is not tree:
                continue
            raise convert.refuse(node, f"{word} {here}", SUPPORTED, keyword=word)
    _refuse_positional(tree, convert)
    sources = [j.this for j in tree.args.get("joins") or []] + (
        [tree.args["from_"].this] if tree.args.get("from_") else []
    )
    for source in sources:
        if isinstance(source, exp.Subquery) and isinstance(source.this, exp.Table):
            what = "parentheses around tables in FROM are not supported in a query with predictions"
            raise convert.refuse(source, what, "write the joins one after another")
    for columns in _own(tree, exp.Columns):
        raise convert.refuse(columns, f"COLUMNS {here}", "name the columns", keyword="COLUMNS")
    for unnest in _own(tree, exp.Unnest, exp.Explode):
        raise convert.refuse(unnest, f"UNNEST {here}", "unnest in a CTE without predictions", keyword="UNNEST")
    for random in tree.find_all(exp.Rand, exp.Uuid):
        raise convert.refuse(random, f"a random number {here}: it is another one each time", SUPPORTED)


def _refuse_positional(tree: exp.Expr, convert: Converter) -> None:
    """Rows paired by where they stand: a condition that is moved, or a prediction, would pair others."""
    for join in tree.find_all(exp.Join):
        if (join.args.get("method") or "").upper() == "POSITIONAL":
            what = "POSITIONAL JOIN is not supported in a query with predictions"
            raise convert.refuse(join, what, "join on row_number(), counted in views", keyword="POSITIONAL")


def _own(tree: exp.Select, *kinds: type[exp.Expr]) -> Iterator[exp.Expr]:
    """Nodes of `kinds` that belong to `tree` itself, not to a subquery."""
    return (n for n in tree.find_all(*kinds) if n.find_ancestor(exp.Select) is tree)


def refuse_aggregates(tree: exp.Select, convert: Converter, catalog: Catalog) -> None:
    """SQLError for an aggregate that predictions cannot go through, or that stands where none may."""
    unknown = [n for n in _own(tree, exp.Anonymous) if not is_atom(n) and catalog.is_aggregate(n.name)]
    found = [*_own(tree, exp.AggFunc), *unknown]
    group = tree.args.get("group")
    tuples = [tree.args.get("where"), *(j.args.get("on") for j in tree.args.get("joins") or []), group]
    everywhere = any(is_atom(n) for part in tuples if part is not None for n in part.walk())
    for node in found:
        if node.find_ancestor(exp.Where, exp.Group, exp.Join) is not None and not _in_filter(node):
            where = "JOIN … ON" if node.find_ancestor(exp.Join) else "WHERE" if group is None else "WHERE or GROUP BY"
            raise convert.refuse(node, f"an aggregate cannot stand in {where}", SUPPORTED)
        if node.find_ancestor(exp.AggFunc) is not None:
            continue
        inner = node.find_all(exp.AggFunc)
        if any(n is not node and n.find_ancestor(exp.Select) is tree for n in inner):
            raise convert.refuse(node, "an aggregate inside an aggregate is not supported", AGGREGATES)
        whole = node.parent if isinstance(node.parent, exp.Filter) else node
        if not everywhere and not any(is_atom(n) for n in whole.walk()):
            continue
        if not isinstance(node, exp.Count | exp.Sum | exp.Avg):
            name = node.name if isinstance(node, exp.Anonymous) else convert.sql[slice(*convert.extent(node))]
            name = name.split("(")[0].strip().upper()
            raise convert.refuse(node, f"{name} over predictions is not supported", AGGREGATES)
        if isinstance(node.this, exp.Distinct):
            raise convert.refuse(node, "DISTINCT inside an aggregate over predictions is not supported", AGGREGATES)
        if node.expressions:
            raise convert.refuse(node, f"{node.key.upper()} takes one argument here", AGGREGATES)


def _in_filter(node: exp.Expr) -> bool:
    """True where the WHERE around `node` is that of a FILTER around an aggregate."""
    where = node.find_ancestor(exp.Where)
    return where is not None and isinstance(where.parent, exp.Filter)


def refuse_ungrouped(tree: exp.Select, convert: Converter, atoms: Sequence[Atom | AtomCall]) -> None:
    """SQLError for a column or prediction beside aggregates that is no group key."""
    group = tree.args.get("group")
    keys = {_text(k, convert) for k in (group.expressions if group is not None else [])}
    sets = group.find_all(exp.Rollup, exp.Cube, exp.GroupingSets) if group is not None else ()
    keys |= {_text(k, convert) for one in sets for part in one.expressions for k in _parts(part)}
    own = (n for e in tree.expressions for n in e.walk(prune=lambda n: isinstance(n, exp.Query)))
    if group is None and not any(isinstance(n, exp.AggFunc) and not _is_windowed(n) for n in own):
        return

    def visit(node: exp.Expr) -> None:
        if isinstance(node, exp.AggFunc | exp.Query | exp.Filter) or _text(node, convert) in keys:
            return
        if isinstance(node, exp.Column) or is_atom(node):
            if is_atom(node):
                call = atoms[atom_number(node)]
                name = convert.sql[call.start : call.end]
            else:
                name = convert.sql[slice(*convert.extent(node))] if convert.extent(node)[1] else node.name
            by = [convert.sql[slice(*convert.extent(k))] for k in group.expressions] if group else []
            hint = f"GROUP BY {', '.join([*by, name])}; or put it into an aggregate"
            raise convert.refuse(node, f"'{name}' is neither grouped by nor inside an aggregate", hint, keyword="*")
        for child in node.iter_expressions():
            visit(child)

    for expression in tree.expressions:
        visit(expression.unalias())


def _is_windowed(node: exp.AggFunc) -> bool:
    """True for the function of an OVER."""
    above = node.parent
    return isinstance(above.parent if isinstance(above, exp.Filter) else above, exp.Window)


def _parts(node: exp.Expr) -> list[exp.Expr]:
    return list(node.expressions) if isinstance(node, exp.Tuple) else [node]


def _text(node: exp.Expr, convert: Converter) -> str:
    while isinstance(node, exp.Paren):
        node = node.this
    return str(node.sql(convert.dialect, comments=False))


def refuse_labels(tree: exp.Expr, convert: Converter, calls: Sequence[AtomCall]) -> None:
    """SQLError for a prediction that is compared with what its model never says, or taken for a truth value."""
    for node in tree.find_all(exp.Anonymous):
        if not is_atom(node) or calls[atom_number(node)].kind != "class":
            continue
        model = calls[atom_number(node)].model
        inner: exp.Expr = node
        while isinstance(inner.parent, exp.Paren):
            inner = inner.parent
        parent = inner.parent
        if not model.classes:
            for label, _ in _labels(inner, parent):
                if isinstance(_constant(label), str) and not _is_class(_constant(label), (0.0,), exact=False):
                    what = f"model '{model.name}' predicts a number, which is never {label.sql(convert.dialect)}"
                    raise convert.refuse(label, what, "compare it with a number")
            continue
        classes = class_list(model)
        truth = isinstance(parent, exp.Connector | exp.Not | exp.Where | exp.Filter) or (
            isinstance(parent, exp.If) and parent.this is inner
        )
        if truth and isinstance(model.classes[0], str):
            raise convert.refuse(
                node,
                "this condition is the class of a model, which is text: compare it with one",
                f"write predict(…) = {model.classes[-1]!r}; classes: {classes}",
            )
        for label, exact in _labels(inner, parent):
            value = _constant(label)
            if value is not None and not _is_class(value, model.classes, exact):
                raise convert.refuse(
                    label, f"model '{model.name}' has no class {label.sql(convert.dialect)}", f"classes: {classes}"
                )


def _labels(node: exp.Expr, parent: exp.Expr | None) -> Iterator[tuple[exp.Expr, bool]]:
    """What `node` is compared with, and whether for equality."""
    if isinstance(parent, _EQUALITIES + _ORDERINGS):
        other = parent.expression if parent.this is node else parent.this
        yield other, isinstance(parent, _EQUALITIES)
    elif isinstance(parent, exp.In) and parent.this is node:
        yield from ((e, True) for e in parent.expressions)
    elif isinstance(parent, exp.Case) and parent.this is node:
        yield from ((branch.this, True) for branch in parent.args["ifs"])


def _constant(node: exp.Expr) -> Any:
    while isinstance(node, exp.Paren):
        node = node.this
    if isinstance(node, exp.Literal | exp.Boolean) or (
        isinstance(node, exp.Neg) and isinstance(node.this, exp.Literal)
    ):
        return node.to_py()
    return None


def _is_class(value: Any, classes: Sequence[Any], exact: bool) -> bool:
    """True where `value` is one of `classes`; where it only bounds them, where it is of their type.

    >>> [_is_class(v, ["no", "yes"], True) for v in ("yes", "YES", 1)], _is_class("m", ["no", "yes"], False)
    ([True, False, False], True)
    >>> [_is_class(v, [0, 1], True) for v in ("1", 2, "one")], _is_class(2, [0, 1], False)
    ([True, False, False], True)
    >>> [_is_class(v, [False, True], True) for v in ("true", "F", "t", "no", 1, 2)]
    [True, True, True, False, True, False]
    """
    first = classes[0]
    if isinstance(first, str):
        return isinstance(value, str) and (not exact or value in classes)
    if isinstance(value, str):
        words = {"true": 1.0, "false": 0.0, "t": 1.0, "f": 0.0} if isinstance(first, bool) else {}
        try:
            value = words[value.lower()] if words else float(value)
        except (KeyError, ValueError):
            return False
    return not exact or any(float(value) == float(c) for c in classes)
