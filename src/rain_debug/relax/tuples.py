"""Tuples → nodes: what holds within one tuple is exact, also where a variable occurs twice in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rain_debug.lineage import Axis
from rain_debug.lineage.grid import Monomial
from rain_debug.relax.program import Builder

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Tuples:
    """Candidate tuples as a program sees them.

    `place` (n,) numbers the place of each among `n_places`; `rows` maps an axis to its variable's number per tuple,
    `proba_rows` an atom whose probability occurs as a number; `block_of` an atom to its block.
    """

    builder: Builder
    axes: tuple[Axis, ...]
    place: Array
    n_places: int
    rows: Mapping[int, Array]
    block_of: Mapping[int, int]
    class_code: Mapping[int, int | None]

    @property
    def n(self) -> int:
        """How many tuples."""
        return len(self.place)

    def used(self, *tables: Array) -> list[int]:
        """The axes that at least one table depends on."""
        return [i for i in range(len(self.axes)) if any(t.shape[1 + i] > 1 for t in tables)]

    def expectation(self, table: Array, monomial: Monomial = ()) -> int:
        """A node (n,): the expectation of `table` over the tuple's own variables, times a product of probabilities."""
        axes = self.used(table)
        if not axes:
            node = self.builder.const(np.broadcast_to(table.ravel(), (self.n,)))
        else:
            sizes = [table.shape[1 + i] for i in axes]
            node = self._contract(table.reshape([len(table), *sizes]), axes)
        for atom in monomial:
            node = self.builder.op("mul", node, self._probability(atom))
        return node

    def by_place(self, node: int) -> int:
        """Sums over each place's tuples, (n_places,)."""
        return self.builder.op("segment_sum", node, attrs=(self.place, self.n_places))

    def merged(self, tables: list[Array], product: bool = False) -> tuple[Tuples, list[Array]]:
        """Tuples of one place with equal variables as one: tables summed, or multiplied."""
        axes = self.used(*tables)
        key = self.place
        for axis in axes:
            rows = self.rows[self.axes[axis].atom]
            _, key = np.unique(key * (int(rows.max(initial=0)) + 1) + rows, return_inverse=True)
        order = np.argsort(key, kind="stable")
        starts = np.flatnonzero(np.diff(key[order], prepend=-1))
        if len(starts) == self.n and not product:
            return self, tables
        merge = np.multiply if product else np.add
        merged = []
        for table in tables:
            full = np.broadcast_to(table, (self.n, *table.shape[1:]))
            merged.append(merge.reduceat(full[order], starts) if self.n else full)
        return self.take(order[starts]), merged

    def take(self, chosen: Array) -> Tuples:
        """Some of the tuples."""
        rows = {atom: numbers[chosen] for atom, numbers in self.rows.items()}
        return Tuples(self.builder, self.axes, self.place[chosen], self.n_places, rows, self.block_of, self.class_code)

    def _contract(self, table: Array, axes: list[int]) -> int:
        """Σ over classes of table · Π probabilities, one factor a distinct variable."""
        parts: list[int] = []
        order: list[Array] = []
        for chosen, groups in self._patterns(axes):
            whole = len(chosen) == self.n
            part = table if len(table) == 1 or whole else table[chosen]
            factors = []
            for group in groups:
                axis = axes[group[0]]
                rows = self.rows[self.axes[axis].atom]
                factors.append(self._factor(axis, rows if whole else rows[chosen]))
            parts.append(self.builder.op("contract", *factors, attrs=(_diagonals(part, groups),)))
            order.append(chosen)
        if len(parts) == 1:
            return parts[0]
        inverse = np.empty(self.n, dtype=np.int64)
        inverse[np.concatenate(order)] = np.arange(self.n)
        return self.builder.op("gather", self.builder.op("concat", *parts), attrs=(inverse,))

    def _patterns(self, axes: list[int]) -> list[tuple[Array, list[list[int]]]]:
        """Tuples by which of their variables are the same one: (tuples, groups of positions in `axes`)."""
        alone = [[j] for j in range(len(axes))]
        kin = any(self._same_kind(axes[i], axes[j]) for j in range(len(axes)) for i in range(j))
        if not kin or not self.n:
            return [(np.arange(self.n), alone)]
        label = np.zeros((self.n, len(axes)), dtype=np.int64)
        for j, axis in enumerate(axes):
            label[:, j] = j
            for i in range(j):
                if self._same_kind(axes[i], axis):
                    same = self.rows[self.axes[axes[i]].atom] == self.rows[self.axes[axis].atom]
                    label[:, j] = np.where(same & (label[:, j] == j), label[:, i], label[:, j])
        codes = label @ (len(axes) ** np.arange(len(axes)))
        patterns = []
        for code in np.unique(codes):
            chosen = np.flatnonzero(codes == code)
            pattern = label[chosen[0]].tolist()
            groups = [[j for j in range(len(axes)) if pattern[j] == g] for g in dict.fromkeys(pattern)]
            patterns.append((chosen, groups))
        return patterns

    def _same_kind(self, i: int, j: int) -> bool:
        a, b = self.axes[i], self.axes[j]
        if self.block_of[a.atom] != self.block_of[b.atom] or a.kind != b.kind:
            return False
        return a.cuts == b.cuts and self.class_code[a.atom] == self.class_code[b.atom]

    def _factor(self, axis: int, rows: Array) -> int:
        a = self.axes[axis]
        block = self.block_of[a.atom]
        if a.kind == "class":
            return self.builder.op("gather", self.builder.leaf("classes", block), attrs=(rows,))
        p = self.builder.op("pick", self.builder.leaf("probabilities", block), attrs=(self.class_code[a.atom],))
        return self.builder.op("gather", self.builder.op("bins", p, attrs=(a.cuts,)), attrs=(rows,))

    def _probability(self, atom: int) -> int:
        p = self.builder.op(
            "pick", self.builder.leaf("probabilities", self.block_of[atom]), attrs=(self.class_code[atom],)
        )
        return self.builder.op("gather", p, attrs=(self.rows[atom],))


def _diagonals(table: Array, groups: list[list[int]]) -> Array:
    """One axis a group: where axes are the same variable, only equal classes remain.

    >>> _diagonals(np.arange(4.0).reshape(1, 2, 2), [[0, 1]]).tolist()
    [[0.0, 3.0]]
    """
    letters = {position: chr(98 + g) for g, group in enumerate(groups) for position in group}
    source = "a" + "".join(letters[p] for p in range(len(letters)))
    target = "a" + "".join(chr(98 + g) for g in range(len(groups)))
    return np.einsum(f"{source}->{target}", table).copy()
