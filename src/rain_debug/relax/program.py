"""The program of a query's cells: one small columnar IR, read exactly, relaxed, as a gradient, and as text.

A program takes one array per block of prediction variables, P of shape (n_variables, n_classes), and gives one number a
target. It knows neither SQL nor models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np

from rain_debug.relax.ops import BY_ANSWER, EXACT, FORWARD, GRADIENT
from rain_debug.relax.ranges import bounds

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Node:
    """One operation: `args` are the numbers of earlier nodes, `attrs` its constants.

    Besides the operations of `ops`, there are the leaves `classes` (a block's variables: probabilities when relaxed,
    one-hot when exact), `probabilities` (a block's probabilities in either reading) and `const`.
    """

    op: str
    args: tuple[int, ...]
    attrs: tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class Program:
    """Targets of one query as functions of its prediction variables.

    `shapes` are the (n_variables, n_classes) of the blocks, `outputs` (n_targets, 2) node and position of each target,
    `rules` the relaxation rule of each target in words, `approximate` whether that rule is only an approximation.
    """

    nodes: tuple[Node, ...]
    shapes: tuple[tuple[int, int], ...]
    outputs: Array
    rules: tuple[str, ...] = ()
    approximate: tuple[bool, ...] = ()
    needed: frozenset[int] = field(default=frozenset(), repr=False)

    def relaxed(self, probabilities: Sequence[Array]) -> Array:
        """The expectation of each target, shape (n_targets,), from P (n_variables, n_classes) per block."""
        return self._collect(self._relaxed(probabilities))

    def exact(self, probabilities: Sequence[Array], codes: Sequence[Array]) -> Array:
        """Each target with every variable at its predicted class (`codes`, shape (n_variables,)); NaN where NULL."""
        return self._collect(self._exact(probabilities, codes))

    def gradient(self, probabilities: Sequence[Array], weights: Array) -> list[Array]:
        """Σ_t weights_t · ∂target_t/∂P for each block, in the shape of its P."""
        values = self._relaxed(probabilities)
        grads: list[Array | None] = [None] * len(self.nodes)
        weights = np.asarray(weights, dtype=float)
        for node, targets, positions in self._by_node:
            some = weights[targets] != 0
            if some.any():
                start = np.zeros_like(values[node])
                np.add.at(start, positions[some], weights[targets][some])
                grads[node] = start
        out = [np.zeros(shape) for shape in self.shapes]
        for i in range(len(self.nodes) - 1, -1, -1):
            g, here = grads[i], self.nodes[i]
            if g is None or here.op == "const":
                continue
            if here.op in ("classes", "probabilities"):
                out[here.attrs[0]] += g
                continue
            parts = GRADIENT[here.op](g, *[values[a] for a in here.args], *here.attrs)
            for arg, part in zip(here.args, parts, strict=True):
                if part is not None and arg in self.needed:
                    grads[arg] = part if grads[arg] is None else grads[arg] + part
        return out

    def bounds(self) -> Array:
        """(n_targets, 2): the least and the greatest value that each target can take, infinite where not known."""
        return bounds(self)

    def _exact(self, probabilities: Sequence[Array], codes: Sequence[Array]) -> list[Array]:
        hard = [
            np.eye(shape[1])[np.asarray(c, dtype=int)] if shape[1] > 1 else np.ones(shape)
            for c, shape in zip(codes, self.shapes, strict=True)
        ]
        return self._run(hard, probabilities, EXACT)

    def _relaxed(self, probabilities: Sequence[Array]) -> list[Array]:
        """The value of each node; ranks are those of the likeliest classes, which are the predicted ones."""
        known: dict[int, Array] = {}
        fixed = [i for i, node in enumerate(self.nodes) if node.op in BY_ANSWER]
        if fixed:
            answer = self._exact(probabilities, [np.argmax(p, axis=1) for p in probabilities])
            known = {i: answer[i] for i in fixed}
        return self._run(probabilities, probabilities, {}, known)

    def _run(
        self,
        hard: Sequence[Array],
        soft: Sequence[Array],
        override: dict[str, Any],
        known: Mapping[int, Array] = MappingProxyType({}),
    ) -> list[Array]:
        values: list[Array] = []
        for i, node in enumerate(self.nodes):
            if i in known:
                values.append(known[i])
            elif node.op == "const":
                values.append(node.attrs[0])
            elif node.op == "classes":
                values.append(np.asarray(hard[node.attrs[0]]))
            elif node.op == "probabilities":
                values.append(np.asarray(soft[node.attrs[0]]))
            else:
                operation = override.get(node.op) or FORWARD[node.op]
                values.append(operation(*[values[a] for a in node.args], *node.attrs))
        return values

    def _collect(self, values: list[Array]) -> Array:
        found = np.empty(len(self.outputs))
        for node, targets, positions in self._by_node:
            found[targets] = values[node][positions]
        return found

    @cached_property
    def _by_node(self) -> list[tuple[int, Array, Array]]:
        """The nodes that targets are read from, each with its targets and their positions in it."""
        nodes = self.outputs[:, 0]
        order = np.argsort(nodes, kind="stable")
        ends = np.flatnonzero(np.diff(nodes[order])) + 1
        return [(int(nodes[at[0]]), at, self.outputs[at, 1]) for at in np.split(order, ends) if len(at)]

    def __str__(self) -> str:
        lines = [f"Program of {len(self.outputs)} targets over {len(self.shapes)} blocks of variables"]
        for i, node in enumerate(self.nodes):
            inner = ", ".join([f"%{a}" for a in node.args] + [_attr(a) for a in node.attrs])
            lines.append(f"  %{i} = {node.op}({inner})")
        lines += [f"  target {t} = %{node}[{position}]" for t, (node, position) in enumerate(self.outputs.tolist())]
        return "\n".join(lines)


def as_outputs(pairs: Sequence[tuple[int, int]] | Array) -> Array:
    """Nodes and positions of targets, (n_targets, 2)."""
    return np.asarray(pairs, dtype=np.int64).reshape(-1, 2)


def _attr(value: Any) -> str:
    if isinstance(value, np.ndarray):
        if value.size <= 6:
            return np.array2string(value, separator=",", precision=6).replace("\n", "")
        return f"<{'×'.join(map(str, value.shape))} {value.dtype}>"
    return str(value)


class Builder:
    """Puts a program together, node by node; what depends on no variable is computed at once."""

    def __init__(self, shapes: Sequence[tuple[int, int]]) -> None:
        self.shapes = tuple(shapes)
        self.nodes: list[Node] = []
        self._leaves: dict[tuple[str, int], int] = {}
        self._depends: list[bool] = []

    def const(self, value: Any) -> int:
        """A constant array of float64."""
        return self._add(Node("const", (), (np.asarray(value, dtype=float),)), depends=False)

    def leaf(self, kind: str, block: int) -> int:
        """`classes` or `probabilities` of a block."""
        if (kind, block) not in self._leaves:
            self._leaves[kind, block] = self._add(Node(kind, (), (block,)), depends=True)
        return self._leaves[kind, block]

    def op(self, name: str, *args: int, attrs: tuple[Any, ...] = ()) -> int:
        """The operation `name`; folded into a constant where no operand depends on a variable."""
        if all(self.nodes[a].op == "const" for a in args) and name not in EXACT:
            values = [self.nodes[a].attrs[0] for a in args]
            return self.const(FORWARD[name](*values, *attrs))
        return self._add(Node(name, args, attrs), depends=any(self._depends[a] for a in args))

    def depends(self, node: int) -> bool:
        """True where the node's value depends on a prediction."""
        return self._depends[node]

    def value(self, node: int) -> Array:
        """The value of a constant node."""
        assert self.nodes[node].op == "const"
        array: Array = self.nodes[node].attrs[0]
        return array

    def constant(self, node: int) -> Array | None:
        """The value of a node that is constant; None for others."""
        return self.value(node) if self.nodes[node].op == "const" else None

    def program(
        self,
        outputs: Sequence[tuple[int, int]] | Array,
        rules: Sequence[str] = (),
        approximate: Sequence[bool] = (),
    ) -> Program:
        """The finished program, without the nodes that no output needs."""
        at = as_outputs(outputs)
        used: set[int] = set()
        stack = np.unique(at[:, 0]).tolist()
        while stack:
            i = stack.pop()
            if i not in used:
                used.add(i)
                stack += self.nodes[i].args
        order = sorted(used)
        new = {old: i for i, old in enumerate(order)}
        nodes = tuple(
            Node(self.nodes[i].op, tuple(new[a] for a in self.nodes[i].args), self.nodes[i].attrs) for i in order
        )
        needed = frozenset(new[i] for i in order if self._depends[i])
        renumbered = np.column_stack([np.searchsorted(order, at[:, 0]), at[:, 1]])
        return Program(nodes, self.shapes, renumbered, tuple(rules), tuple(approximate), needed)

    def _add(self, node: Node, *, depends: bool) -> int:
        self.nodes.append(node)
        self._depends.append(depends)
        return len(self.nodes) - 1
