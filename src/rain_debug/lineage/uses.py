"""The uses of variables all over a tree of blocks, numbered once the tree is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rain_debug.engines import Engine, Table
from rain_debug.engines.arrow import concatenate
from rain_debug.lineage.forest import Literals
from rain_debug.lineage.variables import Block as Variables
from rain_debug.lineage.variables import fetch_rows, number_variables
from rain_debug.sql import Atom, ModelInfo, Plan

Array = np.ndarray
Use = tuple[Plan, Atom, Literals, Array]


class Uses:
    """Which rows each model predicts, and where: one variable for a row wherever it is read."""

    def __init__(self, engine: Engine, models: Mapping[str, ModelInfo]) -> None:
        self.engine = engine
        self.models = models
        self._found: dict[tuple[str, ...], list[Use]] = {}

    def literal(self, plan: Plan, atom: Atom, table: Table, rids: Sequence[str], codes: Array) -> Literals:
        """What alternatives presume of `atom`, whose rows are the columns `rid_i` of `table`; numbered later."""
        columns = [known(table, f"rid_{rids.index(r)}") for r in atom.rids]
        there = np.logical_and.reduce([k for _, k in columns])
        literal = Literals("class", atom.identity, np.zeros(len(there), dtype=np.int64), np.where(there, codes, -1))
        values = np.stack([v for v, _ in columns], axis=1)
        self._found.setdefault(atom.identity, []).append((plan, atom, literal, values))
        return literal

    def variables(self) -> tuple[tuple[Variables, ...], tuple[int, ...]]:
        """Every variable of the tree once, numbered in the literals; blocks with features, and their widths."""
        blocks: list[Variables] = []
        widths: list[int] = []
        for identity, uses in self._found.items():
            blocks.append(self._block(len(blocks), identity, uses))
            widths.append(max(1, len(self.models[uses[0][1].model].classes)))
        return tuple(blocks), tuple(widths)

    def _block(self, number_of_block: int, identity: tuple[str, ...], uses: Sequence[Use]) -> Variables:
        distinct, numbers = number_variables([values[literal.codes >= 0] for _, _, literal, values in uses])
        features = self.models[uses[0][1].model].features
        missing = np.ones(len(distinct), dtype=bool)
        parts: list[Table] = []
        order: list[Array] = []
        for (plan, atom, literal, _), number in zip(uses, numbers, strict=True):
            rows = np.zeros(len(literal.codes), dtype=np.int64)
            rows[literal.codes >= 0] = number
            literal.rows, literal.block = rows, number_of_block
            mine = np.zeros(len(distinct), dtype=bool)
            mine[number] = True
            chosen = np.flatnonzero(mine & missing)
            if len(chosen):
                parts.append(fetch_rows(plan, self.engine, atom, features, distinct[chosen]))
                order.append(chosen)
                missing[chosen] = False
        plan, atom = uses[0][:2]
        if not parts:
            parts.append(fetch_rows(plan, self.engine, atom, features, distinct))
            order.append(np.arange(0))
        table = concatenate(parts, list(features)).take(np.argsort(np.concatenate(order), kind="stable"))
        return Variables(atom.model, identity, atom, distinct, table)


def known(table: Table, name: str) -> tuple[Array, Array]:
    """Whole numbers of a column, 0 where NULL, and where they are not."""
    column = table[name]
    there = np.ones(table.n_rows, dtype=bool) if column.valid is None else np.asarray(column.valid)
    return np.where(there, column.values, 0).astype(np.int64), there
