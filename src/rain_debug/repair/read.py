"""A program read as linear forms over the predictions: the exact reading, before it is known what is predicted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rain_debug.relax import Program
from rain_debug.repair.forms import Array, Forms
from rain_debug.repair.logic import Logic
from rain_debug.repair.rules import NAMES, RULES, UNREAD
from rain_debug.repair.values import Number, OneHot, Value, apart, refuse


def read(program: Program, logic: Logic, variables: Sequence[Array]) -> list[Number]:
    """Each target as one number; `variables` are those of each block. RepairError names what is not linear."""
    reader = _Reader(program, logic, variables)
    places: dict[int, list[int]] = {}
    for node, position in program.outputs.tolist():
        places.setdefault(node, []).append(position)
    found: dict[tuple[int, int], Number] = {}
    for node, positions in places.items():
        value = reader.value(node)
        assert isinstance(value, Number)
        found.update(zip(((node, p) for p in positions), apart(value, np.array(positions)), strict=True))
    return [found[node, position] for node, position in program.outputs.tolist()]


class _Reader:
    """Reads a program's nodes, each once, and only those that the exact reading needs."""

    def __init__(self, program: Program, logic: Logic, variables: Sequence[Array]) -> None:
        self.program, self.logic, self.variables = program, logic, variables
        self.values: dict[int, Value] = {}

    def value(self, node: int) -> Value:
        """The node's value; operands first, without recursion, since programs are deep."""
        stack = [node]
        while stack:
            i = stack[-1]
            here = self.program.nodes[i]
            args = tuple(a for j, a in enumerate(here.args) if j not in UNREAD.get(here.op, ()))
            missing = [a for a in args if a not in self.values]
            if i in self.values or not missing:
                stack.pop()
                if i not in self.values:
                    self.values[i] = self._read(here.op, [self.values.get(a) for a in here.args], here.attrs)
            else:
                stack += missing
        return self.values[node]

    def _read(self, op: str, args: list[Any], attrs: tuple[Any, ...]) -> Value:
        if op == "const":
            array: Array = attrs[0]
            return Number(Forms.of(array), array.shape[1] if array.ndim == 2 else 0)
        if op == "classes":
            number = self.variables[attrs[0]]
            return OneHot(number, self.program.shapes[attrs[0]][1])
        if op == "probabilities":
            raise refuse("a probability (predict_proba), unlike a predicted class,")
        rule = RULES.get(op)
        if rule is None:
            raise refuse(NAMES.get(op, op.upper()))
        return rule(self.logic, *args, *attrs)
