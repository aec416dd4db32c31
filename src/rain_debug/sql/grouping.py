"""ROLLUP, CUBE and GROUPING SETS as one SELECT for each set of keys."""

from __future__ import annotations

import itertools

from sqlglot import exp

from rain_debug.sql.convert import is_atom

_KINDS = exp.Rollup | exp.Cube | exp.GroupingSets


def sets(select: exp.Select) -> list[exp.Select] | None:
    """The SELECTs whose UNION ALL is `select`; None where it has no grouping sets."""
    group = select.args.get("group")
    if group is None:
        return None
    kinds = [n for n in group.expressions if isinstance(n, _KINDS)]
    if not kinds:
        return None
    choices: list[list[list[exp.Expr]]] = [[[n for n in group.expressions if not isinstance(n, _KINDS)]]]
    for node in kinds:
        items = [_keys(e) for e in node.expressions]
        if isinstance(node, exp.Rollup):
            choices.append([[k for i in items[:n] for k in i] for n in range(len(items), -1, -1)])
        elif isinstance(node, exp.Cube):
            subsets = [c for n in range(len(items), -1, -1) for c in itertools.combinations(items, n)]
            choices.append([[k for i in subset for k in i] for subset in subsets])
        else:
            choices.append(items)
    every = {text_of(k): k for choice in choices for keys in choice for k in keys}
    return [_with_keys(select, [k for keys in chosen for k in keys], every) for chosen in itertools.product(*choices)]


def text_of(node: exp.Expr) -> str:
    """The text of an expression, without the parentheses around it."""
    while isinstance(node, exp.Paren):
        node = node.this
    return str(node.sql())


def key_texts(group: exp.Expr) -> set[str]:
    """The texts of the keys of all sets.

    >>> from sqlglot import parse_one
    >>> sorted(key_texts(parse_one("SELECT 1 FROM t GROUP BY c, ROLLUP (a, (b, (a)))").args["group"]))
    ['a', 'b', 'c']
    """
    found, left = set(), list(group.expressions)
    while left:
        node = left.pop()
        if isinstance(node, exp.Tuple | exp.Paren | _KINDS):
            left += node.expressions if not isinstance(node, exp.Paren) else [node.this]
        else:
            found.add(text_of(node))
    return found


def _keys(node: exp.Expr) -> list[exp.Expr]:
    if isinstance(node, exp.Tuple):
        return list(node.expressions)
    return [node.this if isinstance(node, exp.Paren) else node]


def _with_keys(select: exp.Select, keys: list[exp.Expr], every: dict[str, exp.Expr]) -> exp.Select:
    copy = select.copy()
    here = {text_of(k) for k in keys}
    gone = set(every) - here

    def visit(node: exp.Expr) -> None:
        if isinstance(node, exp.AggFunc | exp.Filter) and not isinstance(node, exp.Grouping | exp.GroupingId):
            return
        if isinstance(node, exp.Grouping | exp.GroupingId):
            bits = ["0" if text_of(e) in here else "1" for e in node.expressions]
            node.replace(exp.Literal.number(int("".join(bits), 2)))
            return
        if text_of(node) in gone:
            node.replace(exp.Null())
            return
        if text_of(node) in here or is_atom(node):
            return
        for child in list(node.iter_expressions()):
            visit(child)

    for item in copy.expressions:
        visit(item)
    if copy.args.get("having"):
        visit(copy.args["having"])
    unique = {text_of(k): k.copy() for k in keys}
    copy.set("group", exp.Group(expressions=list(unique.values()) or [exp.Tuple()]))
    for part in ("order", "limit", "offset"):
        copy.set(part, None)
    return copy
