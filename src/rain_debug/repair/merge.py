"""Interchangeable predictions as one whole number: how many of them change, and to what.

A change of variable v from its predicted class r to c moves the rows by the difference of two columns. Variables whose
possible moves are the same ones form a *group*, and each distinct move of a group is an *option*: the program counts
how often each option is taken, whoever takes it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from rain_debug.repair.ask import Asked
from rain_debug.repair.forms import Array, joined
from rain_debug.repair.logic import Logic, Rows
from rain_debug.repair.variables import Variables

ROUNDS = 8
"""How often what is known of some columns is passed on to others."""


@dataclass(frozen=True, eq=False)
class Merged:
    """min Σ flow: `low` ≤ moves @ flow + extra @ z ≤ `high`, whole flows ≥ 0, at most `size[g]` in group g.

    `moves` (n_rows, n_options), `group` (n_options,), `ways` (n_options,) how many classes are that option. `extra`
    (n_rows, n_extra) are the columns of conjunctions and such: from 0 to `upper`, whole numbers where `whole`.
    `members` are the variables by group, group g's from `start[g]` on; `kind` (n_members,) is each one's row in
    `options` (n_kinds, n_classes), the option that each class is, −1 for none. `complaint` (n_rows,) as in `Asked`, and
    `base` (n_rows,) what each row comes to where nothing changes and z is 0; `low` and `high` lie that much lower.
    """

    moves: sparse.csc_matrix
    extra: sparse.csc_matrix
    low: Array
    high: Array
    group: Array
    size: Array
    ways: Array
    upper: Array
    whole: Array
    members: Array
    start: Array
    kind: Array
    options: Array
    complaint: Array
    base: Array


def merge(variables: Variables, logic: Logic, asked: Asked, *, slack: bool) -> Merged:
    """The smallest program for what is asked; `slack` where it need not be met to the letter."""
    spare = asked.slack if slack else np.zeros(len(asked.slack))
    wanted = Rows(asked.rows.forms, asked.rows.low - spare, asked.rows.high + spare)
    low, high = _known(logic, wanted)
    ties = logic.rows(low, high)
    fresh = logic.n_columns - len(low)
    low = np.concatenate([low, np.zeros(fresh)])
    high = np.concatenate([high, np.asarray(logic.upper[len(logic.upper) - fresh :], dtype=float)])
    rows = [wanted, *ties]
    forms = joined([r.forms for r in rows])
    complaint = np.concatenate([asked.complaint, np.full(forms.n - len(asked.complaint), -1)])
    floor, ceiling = np.concatenate([r.low for r in rows]), np.concatenate([r.high for r in rows])
    matrix = forms.matrix(logic.n_columns).tocsc()
    matrix.sort_indices()
    n = variables.n_columns
    own, extra = matrix[:, :n], matrix[:, n:]
    settled = low[n:] == high[n:]
    given = forms.constant + extra[:, settled] @ low[n:][settled]
    used = ~settled & (np.diff(extra.indptr) > 0)
    whole = np.asarray(logic.whole, dtype=bool)[used]
    return _group(variables, own, extra[:, used], floor, ceiling, high[n:][used], whole, complaint, given)


def _known(logic: Logic, wanted: Rows) -> tuple[Array, Array]:
    """The range of each column, where rows leave no choice: all at their least, or all at their most."""
    n = logic.variables.n_columns
    low = np.zeros(logic.n_columns)
    high = np.concatenate([np.ones(n), np.asarray(logic.upper, dtype=float)])
    rows = [wanted, *logic.fixed]
    f = joined([r.forms for r in rows])
    floor, ceiling = (np.concatenate([getattr(r, side) for r in rows]) for side in ("low", "high"))
    for _ in range(ROUNDS if len(logic.upper) else 0):
        at_low, at_high = f.value * low[f.column], f.value * high[f.column]
        least = f.constant + np.bincount(f.row, weights=np.minimum(at_low, at_high), minlength=f.n)
        most = f.constant + np.bincount(f.row, weights=np.maximum(at_low, at_high), minlength=f.n)
        free = (f.column >= n) & (low[f.column] < high[f.column])
        before = int(free.sum())
        for forced, up in ((ceiling <= least, f.value < 0), (floor >= most, f.value > 0)):
            here = forced[f.row] & free
            low[f.column[here & up]] = high[f.column[here & up]]
            high[f.column[here & ~up]] = low[f.column[here & ~up]]
        if int(((f.column >= n) & (low[f.column] < high[f.column])).sum()) == before:
            break
    return low, high


def _distinct(key: Array) -> tuple[Array, Array]:
    """The first place of each distinct number, and the number's number at each place."""
    order = np.argsort(key)
    ranked = key[order]
    new = np.ones(len(key), dtype=bool)
    new[1:] = ranked[1:] != ranked[:-1]
    kind = np.empty(len(key), dtype=np.int64)
    kind[order] = np.cumsum(new) - 1
    return order[new], kind


@dataclass(frozen=True, eq=False)
class _Kinds:
    """Variables with equal columns and class: `typical` (n_kinds,) one of each, `kind` (n_touched,) of all `touched`.

    `width` is the largest number of classes.
    """

    touched: Array
    typical: Array
    kind: Array
    width: int


def _kinds(variables: Variables, own: sparse.csc_matrix, rng: np.random.Generator) -> _Kinds:
    """The kinds of the variables that some row reads, told apart by random marks of their columns."""
    touched = np.flatnonzero(np.logical_or.reduceat(np.diff(own.indptr) > 0, variables.first))
    size, code = variables.size[touched], variables.code[touched]
    width = int(size.max(initial=1))
    mark = own.T @ (1 + rng.random(own.shape[0]))
    key = 7 * rng.random(width)[code] + rng.random(width + 1)[size]
    for c, by in enumerate(rng.random(width).tolist()):
        has = size > c
        key[has] += mark[variables.first[touched[has]] + c] * by
    first, kind = _distinct(key)
    return _Kinds(touched, touched[first], kind, width)


def _moves(
    variables: Variables, own: sparse.csc_matrix, kinds: _Kinds, rng: np.random.Generator
) -> tuple[sparse.csc_matrix, Array]:
    """What each class of each kind moves, (n_rows, n_kinds · width), and a mark of it, inf where it moves nothing."""
    v, typical, width = variables, kinds.typical, kinds.width
    beyond = np.arange(width) >= v.size[typical][:, None]
    columns = v.first[typical][:, None] + np.minimum(np.arange(width), v.size[typical][:, None] - 1)
    stay = np.repeat(v.first[typical] + v.code[typical], width)
    moves = (own[:, columns.reshape(-1)] - own[:, stay]).tocsc()
    moves.eliminate_zeros()
    moves.sort_indices()
    mark = (moves.T @ (1 + rng.random(own.shape[0]))).reshape(-1, width)
    return moves, np.where((np.diff(moves.indptr) == 0).reshape(-1, width) | beyond, np.inf, mark)


def _group(
    variables: Variables,
    own: sparse.csc_matrix,
    extra: sparse.csc_matrix,
    low: Array,
    high: Array,
    upper: Array,
    whole: Array,
    complaint: Array,
    given: Array,
) -> Merged:
    """Kinds with the same moves as one group, equal moves of a group as one option."""
    rng = np.random.default_rng(0)
    kinds = _kinds(variables, own, rng)
    moves, mark = _moves(variables, own, kinds, rng)
    order = np.argsort(mark, axis=1, kind="stable")
    ranked = np.take_along_axis(mark, order, axis=1)
    live = np.isfinite(ranked)
    new = live.copy()
    new[:, 1:] &= ranked[:, 1:] != ranked[:, :-1]
    moving = np.flatnonzero(live.any(axis=1))
    lead, group_of_moving = _distinct(np.where(live, ranked, 0.0)[moving] @ (1 + rng.random(kinds.width)))
    lead = moving[lead]
    of_kind = np.full(len(kinds.typical), -1)
    of_kind[moving] = group_of_moving
    n_options = new[lead].sum(axis=1)
    begin = np.cumsum(n_options) - n_options
    options = np.full(order.shape, -1)
    local = np.cumsum(new, axis=1)[moving] - 1 + begin[group_of_moving][:, None]
    options[moving[:, None], order[moving]] = np.where(live[moving], local, -1)
    ways = np.bincount(options[lead][options[lead] >= 0], minlength=int(n_options.sum()))
    kept = np.flatnonzero(of_kind[kinds.kind] >= 0)
    by_group = kept[np.argsort(of_kind[kinds.kind[kept]], kind="stable")]
    size = np.bincount(of_kind[kinds.kind[kept]], minlength=len(lead))
    predicted = variables.first[kinds.touched] + variables.code[kinds.touched]
    base = given + np.asarray(own[:, predicted].sum(axis=1)).reshape(-1)
    return Merged(
        moves[:, np.repeat(lead, n_options) * kinds.width + order[lead][new[lead]]].tocsc(),
        extra.tocsc(),
        low - base,
        high - base,
        np.repeat(np.arange(len(lead)), n_options),
        size,
        ways,
        upper,
        whole,
        kinds.touched[by_group],
        np.concatenate([[0], np.cumsum(size)]),
        kinds.kind[by_group],
        options,
        complaint,
        base,
    )
