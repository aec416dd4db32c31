"""The parts of a block's expressions that the engine evaluates for each alternative."""

from __future__ import annotations

from collections.abc import Iterator

from rain_debug.sql import Block, Expr, Windowed


def atoms_used(block: Block) -> set[int]:
    """Atoms that conditions, keys, values or events read."""
    plan = block.plan
    found = {k for e in (*plan.conjuncts, *(plan.group_by or ()), *block.having) for k in e.atoms}
    found |= {k for o in plan.outputs for k in o.expr.atoms}
    for event in block.events:
        found |= set(event.condition.atoms) if event.condition is not None else set()
        for key in event.keys:
            found |= {int(part.split(")")[0]) for part in key.split("RAIN_ATOM(")[1:]}
    return found


def number_leaves(e: Expr, numbers: set[int]) -> Iterator[Expr]:
    """The largest parts of `e` that the engine evaluates for an alternative: those without numbers that move."""
    if e.op == "agg":
        return
    if not numbers & set(e.atoms) and not e.has_aggregate:
        yield e
        return
    for arg in e.args:
        yield from number_leaves(arg, numbers)


def block_leaves(block: Block, numbers: set[int]) -> list[Expr]:
    """What the engine exports with each alternative, each text once."""
    found = dict(_read_alone(block, numbers))
    for aggregate in _aggregates(block):
        if aggregate.name == "engine":
            continue
        for part in (*aggregate.args, *([aggregate.filter] if aggregate.filter is not None else [])):
            for leaf in number_leaves(part, numbers):
                found.setdefault(leaf.sql, leaf)
    return list(found.values())


def added_up(block: Block, numbers: set[int]) -> frozenset[str] | None:
    """The texts whose sums and counts over tuples of equal variables are all that a block reads of them.

    None where such tuples may not be added up: by a block without groups, for another aggregate than COUNT, SUM and
    AVG, or of a number that predictions move.
    """
    aggregates = _aggregates(block)
    read = {a.sql: a for x in aggregates for a in x.args}
    moved = any(numbers & set(a.atoms) for a in read.values())
    if block.plan.group_by is None or block.bag or moved or {x.name for x in aggregates} - {"count", "sum", "avg"}:
        return None
    filters = {x.filter.sql for x in aggregates if x.filter is not None}
    return frozenset(read) - filters - set(_read_alone(block, numbers))


def _tops(block: Block) -> list[Expr]:
    conditions = [e.condition for e in block.events if e.condition is not None]
    return [*(o.expr for o in block.plan.outputs), *block.having, *conditions]


def _aggregates(block: Block) -> list[Expr]:
    return [x for top in _tops(block) for x in top.walk() if x.op == "agg"]


def _read_alone(block: Block, numbers: set[int]) -> dict[str, Expr]:
    """Leaves that are no aggregate's, by text."""
    found: dict[str, Expr] = {}
    for top in _tops(block):
        if not top.has_aggregate and numbers & set(top.atoms):
            leaves = number_leaves(top, numbers)
        elif top.has_aggregate or top in block.having:
            leaves = _beside(top, numbers)
        else:
            continue
        for leaf in leaves:
            found.setdefault(leaf.sql, leaf)
    return found


def _beside(e: Expr, numbers: set[int]) -> Iterator[Expr]:
    """What stands beside aggregates in an expression over groups."""
    if e.op == "agg":
        return
    if not e.has_aggregate and not numbers & set(e.atoms):
        yield e
        return
    for arg in e.args:
        yield from _beside(arg, numbers)


def window_leaves(body: Windowed) -> Iterator[Expr]:
    """What the engine exports with each row of a relation with window functions."""
    numbers = {a.index for a in body.plan.atoms}
    tops = [o.expr for o in body.plan.outputs] + list(body.qualify)
    tops += [a for w in body.windows for a in (*w.args, *w.by)]
    tops += [e.condition for e in body.events if e.condition is not None]
    for top in tops:
        yield from number_leaves(top, numbers)
