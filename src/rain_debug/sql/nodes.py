"""Small questions about the nodes of a tree, and copies without some of their parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlglot import exp

from rain_debug.sql import grouping


def quote(name: str) -> str:
    """The name as SQL spells it whatever stands in it."""
    return '"' + name.replace('"', '""') + '"'


def free_name(name: str, taken: set[str]) -> str:
    """`name`, or `name_1`, …, whichever is not in `taken`, where it is then."""
    candidate, k = name, 0
    while candidate.lower() in taken:
        k += 1
        candidate = f"{name}_{k}"
    taken.add(candidate.lower())
    return candidate


def unique_names(names: Sequence[str]) -> tuple[str, ...]:
    """Names made unique, in order.

    >>> unique_names(["id", "ID", "n"])
    ('id', 'ID_1', 'n')
    """
    taken: set[str] = set()
    return tuple(free_name(n, taken) for n in names)


def own_windows(select: exp.Select) -> Iterator[exp.Expr]:
    """The window functions of `select` itself, not of its subqueries."""
    parts = [*select.expressions, select.args.get("qualify")]
    for part in parts:
        for node in part.find_all(exp.Window) if part is not None else []:
            if node.find_ancestor(exp.Select) is select:
                yield node


def without(query: exp.Query, *parts: str) -> Any:
    """A copy of `query` that lacks `parts`."""
    copy = query.copy()
    for part in parts:
        copy.set(part, None)
    return copy


def bare(item: exp.Expr) -> exp.Expr:
    """An item of a select list without its alias; a subquery carries its own."""
    inner = item.unalias()
    if isinstance(inner, exp.Subquery) and inner.args.get("alias") is not None:
        inner.set("alias", None)
    return inner


def add_source(select: exp.Select, name: str) -> None:
    """Put the table `name` beside the sources of `select`."""
    table = exp.Table(this=exp.to_identifier(name), alias=exp.TableAlias(this=exp.to_identifier(name)))
    select.set("joins", [*(select.args.get("joins") or []), exp.Join(this=table, kind="CROSS")])


def meta_of(extent: tuple[int, int]) -> dict[str, int]:
    """Offsets in the query as a node keeps them."""
    start, end = extent
    return {"start": start, "end": end - 1} if end else {}


def group_by_position(tree: exp.Expr) -> None:
    """A selected expression with a subquery is grouped by its position: its text would be another subquery."""
    for select in tree.find_all(exp.Select):
        group = select.args.get("group")
        for key in list(group.expressions) if group is not None else []:
            if key.find(exp.Query) is None:
                continue
            text = grouping.text_of(key)
            same = [i for i, e in enumerate(select.expressions, 1) if grouping.text_of(e.unalias()) == text]
            if same:
                key.replace(exp.Literal.number(same[0]))


def group_by_text(select: exp.Select) -> None:
    """GROUP BY positions as the expressions that they mean."""
    group = select.args.get("group")
    for key in list(group.expressions) if group is not None else []:
        if isinstance(key, exp.Literal) and key.is_int:
            key.replace(select.expressions[int(key.name) - 1].unalias().copy())
