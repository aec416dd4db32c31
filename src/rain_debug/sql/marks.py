"""Atoms in a SELECT: calls, columns below, subqueries and comparisons get their numbers and their marks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlglot import exp

from rain_debug.sql.convert import ATOM, atom_number, conjuncts, is_atom, spelled_out
from rain_debug.sql.nodes import meta_of, quote
from rain_debug.sql.plan import Atom, Source
from rain_debug.sql.rewrite import absent
from rain_debug.sql.scopes import Scopes
from rain_debug.sql.tree import EVENT, ROW, Below, Block, Body, Event

READS = "a subquery that reads a number that predictions move, or is compared with one, is not supported"


def atom_sources(select: exp.Select, scopes: Scopes) -> list[Source]:
    """The sources whose rows this SELECT's own calls predict."""
    found: dict[str, Source] = {}
    for node in [n for n in select.find_all(exp.Anonymous) if is_atom(n) and not is_placed(n)]:
        for alias in scopes.aliases_read(node):
            if alias in scopes.around:
                found[alias] = scopes.around[alias]
            elif alias not in found:
                owner, source = scopes.find_source(node, alias)
                if owner is not select or alias.startswith(EVENT):
                    what = "a prediction for a row together with one of the query around it is not supported"
                    raise scopes.refuse_tree(node, what)
                found[alias] = scopes.predicted_source(select, source)
    return list(found.values())


def take_values(select: exp.Select, values: dict[str, Below], atoms: list[Atom], scopes: Scopes) -> None:
    """Columns below that predictions move become atoms."""
    for alias, source in values.items():
        moving = {c.name.lower(): c.name for c in source.body.columns if c.uncertain}
        for column in list(select.find_all(exp.Column)):
            if column.table != alias or column.name.lower() not in moving:
                continue
            _refuse_in_subquery(column, select, scopes)
            name = moving[column.name.lower()]
            identity = ("value", source.name, name)
            number = next((a.index for a in atoms if a.identity == identity), None)
            if number is None:
                number = len(atoms)
                start, end = scopes.convert.extent(column)
                atoms.append(Atom(number, "value", "", (), (alias,), identity, (f"{quote(alias)}.{ROW}",), start, end))
            mark = exp.Anonymous(this=ATOM, expressions=[exp.Literal.number(number)])
            mark.meta.update(meta_of(scopes.convert.extent(column)), done=True)
            column.replace(mark)


def _refuse_in_subquery(column: exp.Column, select: exp.Select, scopes: Scopes) -> None:
    """SQLError where a subquery of `select` reads the column, or is compared with it."""
    at = column.find_ancestor(exp.Select)
    while at is not None and at is not select and at.find_ancestor(exp.Select) is not select:
        at = at.find_ancestor(exp.Select)
    subquery = at.parent if at is not None and at is not select else column.find_ancestor(exp.Anonymous)
    if subquery is None or (isinstance(subquery, exp.Anonymous) and not (is_atom(subquery) and is_placed(subquery))):
        return
    if subquery.meta.get("outer"):
        raise scopes.refuse_tree(column, "an outer join on a number that predictions move is not supported")
    raise scopes.refuse_tree(subquery, READS)


def take_calls(select: exp.Select, sources: dict[str, Source], atoms: list[Atom], scopes: Scopes) -> None:
    """Calls of models, and the atoms that stand for subqueries, get their numbers."""
    for node in [n for n in select.find_all(exp.Anonymous) if is_atom(n) and not n.meta.get("done")]:
        if is_placed(node):
            kind, name = node.expressions[0].name.split(":")
            atom = Atom(len(atoms), "value" if kind == "scalar" else kind, "", (), (), (kind, name), (),
                        *scopes.convert.extent(node))  # fmt: skip
        else:
            aliases = scopes.aliases_read(node)
            atom = scopes.atom(node, aliases, sources, len(atoms))
        key = (atom.kind, atom.class_code, atom.identity, atom.aliases)
        number = next((a.index for a in atoms if (a.kind, a.class_code, a.identity, a.aliases) == key), None)
        if number is None:
            number = len(atoms)
            atoms.append(atom)
        node.meta["done"] = True
        node.set("expressions", [exp.Literal.number(number), *node.expressions[1:]])


def take_comparisons(
    select: exp.Select, atoms: list[Atom], events: list[Event], bodies: Mapping[str, Body], scopes: Scopes
) -> None:
    """Comparisons of numbers that predictions move, within one tuple, become events; `bodies` are those below."""
    moving = {a.index for a in atoms if a.kind in ("value", "number", "proba", "lookup")}
    if not moving:
        return
    for node in list(select.find_all(exp.NullSafeEQ, exp.NullSafeNEQ, exp.In)):
        if any(is_atom(n) and atom_number(n) in moving for n in node.walk()) and node.parent is not None:
            written = _each(node) if isinstance(node, exp.In) else spelled_out(node)
            if written is not None:
                written.meta.update(meta_of(scopes.convert.extent(node)))
                node.replace(written)
    _push_nots(select, moving, scopes)
    unsure = _unsure(atoms, bodies, absent(select))
    known: dict[str, int] = {}
    kinds = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.Between, exp.Is)
    for node in reversed(list(select.find_all(*kinds))):  # the innermost first
        numbers = {atom_number(n) for n in node.walk() if is_atom(n)}
        own = node.walk(prune=lambda n: isinstance(n, exp.Query))
        if not numbers & moving or any(isinstance(n, exp.AggFunc) for n in own) or node.parent is None:
            continue
        if node.root() is not select.root():
            continue
        start, end = scopes.convert.extent(node)
        nullable = bool(numbers & unsure) and not isinstance(node, exp.Is) and _is_read(node)
        parts: list[exp.Expr] = [node]
        if isinstance(node, exp.Between):
            parts = conjuncts(exp.and_(
                exp.GTE(this=node.this.copy(), expression=node.args["low"].copy()),
                exp.LTE(this=node.this.copy(), expression=node.args["high"].copy()),
            ))  # fmt: skip
        marks: list[exp.Expr] = []
        for part in parts:
            condition = scopes.convert(part)
            if condition.sql not in known:
                known[condition.sql] = len(atoms)
                name = f"{EVENT}{next(scopes.numbers)}"
                atoms.append(Atom(len(atoms), "event", "", (), (), ("event", name), (), start, end))
                events.append(Event(name, None, (), condition, start, end))
            number = known[condition.sql]
            if nullable:
                at = next(i for i, e in enumerate(events) if e.name == atoms[number].identity[1])
                events[at] = replace(events[at], nullable=True)
            mark = exp.Anonymous(this=ATOM, expressions=[exp.Literal.number(number)])
            mark.meta.update(meta_of((start, end)), done=True)
            marks.append(mark)
        held = exp.paren(exp.and_(*marks)) if len(marks) > 1 else marks[0]
        node.replace(_unless_null(node, held))


def _each(node: exp.In) -> exp.Expr | None:
    """x IN (1, 2) as x = 1 OR x = 2."""
    equal = [exp.EQ(this=node.this.copy(), expression=value.copy()) for value in node.expressions]
    return exp.paren(exp.or_(*equal)) if equal else None


def _unless_null(node: exp.Expr, held: exp.Expr) -> exp.Expr:
    """The mark of a comparison; where its value is read, not only whether it holds, NULL beside what is NULL."""
    if isinstance(node, exp.Is) or not _is_read(node):
        return held
    sides = [node.this, *(node.args.get(k) for k in ("expression", "low", "high"))]
    hard = [s for s in sides if s is not None and s.find(exp.Column) and not any(map(is_atom, s.walk()))]
    if not hard:
        return held
    nulls = [exp.Is(this=exp.paren(side.copy()), expression=exp.null()) for side in hard]
    return exp.Case(ifs=[exp.If(this=exp.or_(*nulls), true=exp.null())], default=held)


def _is_read(node: exp.Expr) -> bool:
    """True where the value of a truth value is read, which may be NULL, and not only whether it holds."""
    child, above = node, node.parent
    while isinstance(above, exp.Paren | exp.And | exp.Or | exp.Not):
        child, above = above, above.parent
    if isinstance(above, exp.If):
        return child is not above.this
    return not isinstance(above, exp.Where | exp.Join | exp.Having | exp.Qualify)


def _unsure(atoms: Sequence[Atom], bodies: Mapping[str, Body], missed: set[str]) -> set[int]:
    """The atoms whose numbers may be NULL: of a row that may be `missed`, or of a subquery, but for its COUNTs."""

    def counts(atom: Atom) -> bool:
        body = bodies.get(atom.identity[1])
        if not isinstance(body, Block):
            return False
        names = [c.name for c in body.columns]
        e = body.plan.outputs[names.index(atom.identity[2]) if len(atom.identity) > 2 else 0].expr
        return e.op == "agg" and e.name in ("count", "count_distinct")

    missing = {a.index for a in atoms if a.kind in ("value", "number", "proba") and missed & set(a.aliases)}
    return missing | {a.index for a in atoms if a.kind in ("value", "lookup") and not counts(a)}


_INVERSE: dict[type[exp.Expr], type[exp.Expr]] = {
    exp.EQ: exp.NEQ, exp.NEQ: exp.EQ, exp.LT: exp.GTE, exp.GTE: exp.LT, exp.GT: exp.LTE, exp.LTE: exp.GT,
}  # fmt: skip


def _push_nots(select: exp.Select, moving: set[int], scopes: Scopes) -> None:
    """NOT (a < b) as a >= b, also through AND and OR: an event that is not true need not be false, it may be NULL."""
    pending = list(select.find_all(exp.Not))
    while pending:
        node = pending.pop(0)
        inner = node.this.unnest()
        if not any(is_atom(n) and atom_number(n) in moving for n in inner.walk()) or node.parent is None:
            continue
        parts: list[exp.Expr] = []
        if isinstance(inner, exp.Between):
            parts = [exp.LT(this=inner.this.copy(), expression=inner.args["low"].copy()),
                     exp.GT(this=inner.this.copy(), expression=inner.args["high"].copy())]  # fmt: skip
        elif isinstance(inner, exp.And | exp.Or):
            parts = [exp.Not(this=exp.paren(part.copy())) for part in (inner.left, inner.right)]
        elif type(inner) in _INVERSE:
            parts = [_INVERSE[type(inner)](this=inner.this.copy(), expression=inner.expression.copy())]
        elif isinstance(inner, exp.Not):
            parts = [exp.paren(inner.this.copy())]
        for part in parts:
            part.meta.update(meta_of(scopes.convert.extent(inner)))
        if parts:
            new = parts[0] if len(parts) == 1 else (exp.and_ if isinstance(inner, exp.Or) else exp.or_)(*parts)
            new = exp.paren(new)
            node.replace(new)
            pending += list(new.find_all(exp.Not))


def placed(node: exp.Expr, kind: str, name: str, keys: Sequence[exp.Expr], scopes: Scopes) -> list[exp.Expr]:
    """Put an atom in the place of `node`; its keys stay in it while the calls among them are numbered."""
    mark = exp.Anonymous(this=ATOM, expressions=[exp.Literal.string(f"{kind}:{name}"), *keys])
    mark.meta.update(meta_of(scopes.convert.extent(node)), outer=node.meta.get("outer"))
    node.replace(mark)
    return list(mark.expressions[1:])


def is_placed(node: exp.Expr) -> bool:
    """True for an atom that stands for a subquery, not for a call."""
    return isinstance(node.expressions[0], exp.Literal) and node.expressions[0].is_string
