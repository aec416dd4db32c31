"""Prediction variables: one per model and evaluated input, numbered block by block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rain_debug.engines import Engine, Table
from rain_debug.engines.arrow import concatenate
from rain_debug.lineage.numbering import numbered
from rain_debug.sql import Atom, Plan

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Block:
    """The variables of one model over one set of rows.

    `rids` (n_variables, n_aliases) are the engine's row ids, `table` the models' features by name, in the same order.
    """

    model: str
    identity: tuple[str, ...]
    atom: Atom
    rids: Array
    table: Table

    @property
    def n(self) -> int:
        """How many variables."""
        return len(self.rids)


def number_variables(rids: Sequence[Array]) -> tuple[Array, list[Array]]:
    """Distinct row ids of several uses, and for each use the number of every tuple's variable.

    Each item of `rids` is (n_tuples, n_aliases); equal rows are one variable.

    >>> distinct, numbers = number_variables([np.array([[7], [5]]), np.array([[5], [5]])])
    >>> distinct.tolist(), [n.tolist() for n in numbers]
    ([[5], [7]], [[1, 0], [0, 0]])
    """
    everything = rids[0] if len(rids) == 1 else np.concatenate(rids)
    if everything.shape[1] == 1:
        distinct, inverse = numbered(everything[:, 0])
        distinct = distinct[:, None]
    else:
        distinct, inverse = np.unique(everything, axis=0, return_inverse=True)
    return distinct, np.split(inverse.reshape(-1), np.cumsum([len(r) for r in rids])[:-1])


def fetch_block(
    plan: Plan, engine: Engine, uses: Sequence[tuple[Atom, Array]], features: Sequence[str], rids: Array
) -> Block:
    """The variables at `rids` with the features that the engine has for them.

    `uses` are the calls that range over these rows, each with the numbers of the variables it reaches: one alias may
    see rows that another's subquery leaves out.
    """
    atom = uses[0][0]
    missing = np.ones(len(rids), dtype=bool)
    parts: list[Table] = []
    order: list[Array] = []
    for call, reached in uses:
        mine = np.zeros(len(rids), dtype=bool)
        mine[reached] = True
        chosen = np.flatnonzero(mine & missing)
        if len(chosen) or not len(rids):
            parts.append(fetch_rows(plan, engine, call, features, rids[chosen]))
            order.append(chosen)
            missing[chosen] = False
        if not missing.any():
            break
    table = concatenate(parts, list(features))
    if len(parts) > 1:
        table = table.take(np.argsort(np.concatenate(order), kind="stable"))
    return Block(atom.model, atom.identity, atom, rids, table)


def fetch_rows(plan: Plan, engine: Engine, atom: Atom, features: Sequence[str], rids: Array) -> Table:
    """The features (n_variables rows) of the rows at `rids`, in their order."""
    names = [f"r{i}" for i in range(rids.shape[1])]
    columns = {"__v": np.arange(len(rids)), **{n: rids[:, i] for i, n in enumerate(names)}}
    engine.upload("__rain_rids", Table.of(**columns))
    joins = " AND ".join(f"{rid} = __rids.{n}" for rid, n in zip(atom.rids, names, strict=True))
    found = engine.table(
        f"{plan.with_sql} SELECT __rids.__v, {feature_list(atom, features)} FROM __rain_rids AS __rids "
        f"CROSS JOIN {from_sources(plan, atom)} WHERE {joins}"
    )
    order = np.argsort(found["__v"].values, kind="stable")
    assert len(order) == len(rids), "every variable's row is found again, once"
    return found.select([n for n in found if n != "__v"]).take(order)


def fetch_along(plan: Plan, engine: Engine, atom: Atom, features: Sequence[str], rids: Array, rows_sql: str) -> Block:
    """The variables at `rids` (n_variables, 1) with the features of their rows, which are among those of `rows_sql`."""
    found = engine.table(f"{plan.with_sql} SELECT {atom.rids[0]} AS __v, {feature_list(atom, features)} {rows_sql}")
    there, wanted = np.asarray(found["__v"].values, np.int64), rids[:, 0]
    table = found.select([n for n in found if n != "__v"])
    if not np.array_equal(there, wanted):
        order = np.argsort(there, kind="stable")
        table = table.take(order[np.searchsorted(there[order], wanted)])
    return Block(atom.model, atom.identity, atom, rids, table)


def feature_list(atom: Atom, features: Sequence[str]) -> str:
    """The select list of the model's features, under the model's names."""
    return ", ".join(
        f'{text} AS "{name.replace(chr(34), chr(34) * 2)}"' for text, name in zip(atom.features, features, strict=True)
    )


def from_sources(plan: Plan, atom: Atom) -> str:
    """The FROM of an atom's own aliases."""
    return " CROSS JOIN ".join(plan.source(a).from_sql for a in atom.aliases)
