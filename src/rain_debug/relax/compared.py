"""Comparisons of cells: the difference or the ratio of two targets, as one more operation on their program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from rain_debug.relax.program import Node, Program, as_outputs
from rain_debug.relax.target import Target

Array = np.ndarray

_OPERATION = {"difference": "sub", "ratio": "div"}
_RULE = {"difference": "by linearity", "ratio": "as the ratio of expectations"}


def plain(targets: Sequence[Target]) -> tuple[list[Target], list[tuple[int, ...]]]:
    """The cells that `targets` are made of, each once, and for each target which one, or which two.

    >>> women = Target("value", "rate", (("sex", "f"),))
    >>> plain([Target("value", "rate", (("sex", "m"),), against=women, how="ratio"), women])[1]
    [(0, 1), (1,)]
    """
    number: dict[Target, int] = {}
    made = []
    for target in targets:
        both = (target,) if target.against is None else (replace(target, against=None, how=None), target.against)
        made.append(tuple(number.setdefault(t, len(number)) for t in both))
    return list(number), made


def compared(parts: Sequence[tuple[Program, Sequence[int]]], made: Sequence[tuple[int, ...]],
             targets: Sequence[Target]) -> Program:  # fmt: skip
    """One program of `targets` from programs of their cells: `parts` are (program, numbers of its cells)."""
    whole, place = _merged(parts)
    nodes, needed = list(whole.nodes), set(whole.needed)
    read = whole.outputs.tolist()
    outputs, rules, loose = [], [], []
    for target, members in zip(targets, made, strict=True):
        cells = [place[m] for m in members]
        rule, approximate = whole.rules[cells[0]], any(whole.approximate[c] for c in cells)
        output = read[cells[0]]
        if len(cells) == 2:
            assert target.how is not None
            ends = []
            for node, position in (read[c] for c in cells):
                nodes.append(Node("gather", (node,), (np.array([position]),)))
                ends.append(len(nodes) - 1)
                if node in needed:
                    needed.add(ends[-1])
            nodes.append(Node(_OPERATION[target.how], tuple(ends), ()))
            output = (len(nodes) - 1, 0)
            rule = f"{'; '.join(dict.fromkeys(whole.rules[c] for c in cells))}; {target.how} {_RULE[target.how]}"
            approximate |= target.how == "ratio"
        outputs.append(output)
        rules.append(rule)
        loose.append(approximate)
    return Program(tuple(nodes), whole.shapes, as_outputs(outputs), tuple(rules), tuple(loose), frozenset(needed))


def _merged(parts: Sequence[tuple[Program, Sequence[int]]]) -> tuple[Program, dict[int, int]]:
    """Programs one after another, their blocks too, and where each cell came to stand among the outputs."""
    nodes: list[Node] = []
    shapes: list[tuple[int, int]] = []
    outputs: list[Array] = []
    rules: list[str] = []
    loose: list[bool] = []
    needed: set[int] = set()
    place: dict[int, int] = {}
    for program, members in parts:
        start, block = len(nodes), len(shapes)
        for node in program.nodes:
            attrs = (node.attrs[0] + block,) if node.op in ("classes", "probabilities") else node.attrs
            nodes.append(Node(node.op, tuple(start + a for a in node.args), attrs))
        needed |= {start + i for i in program.needed}
        shapes += program.shapes
        place.update({m: len(rules) + k for k, m in enumerate(members)})
        outputs.append(program.outputs + np.array([start, 0]))
        rules += program.rules
        loose += program.approximate
    at = np.concatenate(outputs)
    return Program(tuple(nodes), tuple(shapes), at, tuple(rules), tuple(loose), frozenset(needed)), place


def combined(target: Target, read: Callable[[Target], float]) -> float:
    """A comparison's number from those of its two cells: NaN where either is NULL, infinite or NaN over nought."""
    (cells, _), how = plain([target]), target.how
    one, other = (np.float64(read(cell)) for cell in (cells if len(cells) == 2 else cells * 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(one - other if how == "difference" else one / other)
