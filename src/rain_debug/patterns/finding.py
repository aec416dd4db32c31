"""The patterns of a run: what the records that it removed share and the others do not."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from rain_debug.data import Records
from rain_debug.data.records import SAMPLE
from rain_debug.debugger import Background, Run, Trained
from rain_debug.engines.lazy import LazyTable, picked
from rain_debug.engines.table import Table
from rain_debug.errors import DebugError, nearest
from rain_debug.fixes import Training
from rain_debug.patterns.effect import Effects
from rain_debug.patterns.literals import Literals, literals
from rain_debug.patterns.pattern import Pattern
from rain_debug.patterns.search import DEPTH, EFFORT, LEVELS, POWER, Conjunction, search

By = Literal["shared", "origin", "effect"]

PRICE, FREE = 0.97, 0.99
"""What is left of a pattern's value for each predicate, and for one on a column that the model neither reads nor
predicts: where a record came from says more about why it is wrong than what it looks like."""
OVERLAP = 0.5
"""Patterns that share more of their records than this (of all that meet either) are one pattern."""
LEAST, FEWEST, MOST = 0.005, 5, 0.5
"""The share of the records that has to meet a pattern, but five at least, and that may."""
WIDE = 100
"""With more columns than this the features are not looked at, unless they are named: they are pixels or counts."""
WORTH = 0.2
"""The share of the first pattern's value that the last one has to be worth."""
FINE = 1 << 14
"""Levels of influence, of which a few records may have nearly all."""
COVERS = 0.1
"""The share of the top that a pattern has to hold."""
CANDIDATES = 2
"""How many times the patterns asked for are foreseen when the effect decides."""


@dataclass(frozen=True)
class Bounds:
    """How many records a conjunction may hold, and how much their number counts (see `search`)."""

    least: int
    most: int
    power: float
    by_chance: bool = True
    """Whether what chance would do as well is left out."""
    levels: int = LEVELS


@dataclass(frozen=True, eq=False)
class Chance:
    """What the best of many conjunctions gains by chance, of records with these gains: z standard deviations.

    Of m independent standard normal numbers the largest is about √(2 ln m), and there are C(n_predicates, k)
    conjunctions of k predicates.
    """

    gains: np.ndarray
    n_predicates: int

    def beaten(self, gain: float, c: Conjunction) -> bool:
        """Whether a conjunction gains more than that."""
        n = len(self.gains)
        spread = float(self.gains.std()) * np.sqrt(c.n * (1 - c.n / n))
        return gain - c.n * float(self.gains.mean()) > self._z(len(c.members)) * spread

    def least(self, bounds: Bounds) -> float:
        """A value that no conjunction below it can beat chance with."""
        unit = float(self.gains.std()) * np.sqrt(1 - bounds.most / len(self.gains))
        return PRICE**DEPTH * self._z(1) * unit * bounds.least ** (0.5 - bounds.power)

    def _z(self, k: int) -> float:
        return float(np.sqrt(2 * np.log(max(2, math.comb(max(k, self.n_predicates), k)))))


@dataclass(frozen=True)
class Question:
    """What is asked of `find`: up to `n` patterns, of the first `top` removed records (None: all), in these columns.

    by "shared" looks for what tells the records under suspicion from the others; "origin" for the same in the columns
    that the model neither reads nor predicts; "effect" for the groups whose removal lowers q most. `least` and `most`
    are shares of the training records that meet a pattern.
    """

    n: int = 5
    top: int | None = None
    columns: tuple[str, ...] | None = None
    by: By = "shared"
    least: float | None = None
    most: float = MOST

    def check(self, run: Run) -> None:
        """Raises DebugError for what makes no sense, naming it."""
        for name, value in (("n", self.n), ("top", self.top)):
            whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
            if value is not None and (not whole or value < 1):
                raise DebugError(f"{name}={value!r} is not a whole number of at least 1", hint=f"give {name}=5")
        removed = sum(len(r.chosen) for r in run.rounds)
        if self.top is not None and self.top > removed:
            raise DebugError(f"top={self.top:,}, but the run removed {removed:,} records",
                             hint=f"give at most {removed:,}, or run with a larger budget")  # fmt: skip
        if self.by not in get_args(By):
            raise DebugError(f"patterns are not found by {self.by!r}", hint=nearest(str(self.by), get_args(By)))
        for name, share in (("least", self.least), ("most", self.most)):
            number = isinstance(share, int | float | np.number) and not isinstance(share, bool)
            if share is not None and (not number or not 0 < share <= 1):
                raise DebugError(f"{name}={share!r} is not a share of the records", hint=f"give {name}=0.05 for 5%")


def find(run: Run, background: Background, question: Question | None = None) -> tuple[Pattern, ...]:
    """The patterns of a run, best first, none of them fixed or tried yet; ties by model, then by text.

    DebugError for a question that makes no sense.
    """
    asked = question or Question()
    asked.check(run)
    known = {name for t in background.trained.values() for name in t.records.table}
    for name in asked.columns or ():
        if name not in known:
            raise DebugError(f"no training table has a column '{name}'", hint=nearest(name, known))
    effects = Effects(run, background)
    every = [p for name in background.trained for p in _of_model(run, effects, name, asked)]
    every.sort(key=lambda p: (-p.value, p.model, p.sql))
    return tuple(every[: asked.n])


def suspicion(t: Trained, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """(n_records,) how likely each label is wrong: max(0, 1 − p°/p*), p* before and p° after the top was removed.

    If some labels are wrong, the fitted p* mixes what is right with what is wrong, and p° is less mixed; a regressor's
    squared residuals are measured by their spread.
    """
    rise = t.model.losses(t.records, after) - t.model.losses(t.records, before)
    unit = 1.0 if t.model.classes else t.model.residual_spread(t.records, None, after) ** 2
    return np.maximum(0.0, -np.expm1(-rise / (unit if unit > 0 else 1.0)))


def top_of(run: Run, t: Trained, name: str, top: int | None) -> np.ndarray:
    """(n_records,) bool: which of the model's records are among the first `top` removed ones."""
    chosen = [c for r in run.rounds for c in r.chosen][:top]
    out = np.zeros(t.records.n_records, dtype=bool)
    out[[c.position for c in chosen if c.model == name]] = True
    return out


def _of_model(run: Run, effects: Effects, name: str, asked: Question) -> Iterator[Pattern]:
    t = effects.background.trained[name]
    records, n = t.records, t.records.n_records
    top = top_of(run, t, name, asked.top)
    if not top.any():
        return
    columns = asked.columns or tuple(own_columns(t))
    free = {c for c in columns if c not in t.model.features and not (c in records.table and _is_label(t, c))}
    if asked.by == "origin":
        columns = tuple(c for c in columns if c in free)
    least = max(FEWEST, int(np.ceil(LEAST * n))) if asked.least is None else max(1, int(np.ceil(asked.least * n)))
    if asked.by != "effect":
        weight = suspicion(t, effects.thetas[name], _after(run, effects, name, top, asked.top))
        # Below the mean a record speaks against a pattern, all the same how far.
        gains, power = np.where(weight > weight.mean(), weight, 0.0) - weight.mean(), POWER
    else:
        gains, power = effects.influence(name), 0.0
    at = _looked_at(records, top)
    table, mine = records.table, top
    if at is not None:
        table, mine, gains = picked(records.table, at), top[at], gains[at]
        least = max(min(FEWEST, least), least * len(at) // n)
    offered = literals(table, mine, gains, [c for c in columns if c in table], least)
    if not offered.predicates:
        return
    prices = np.array([FREE if p.column in free else PRICE for p in offered.predicates])
    bounds = Bounds(
        least, int(asked.most * len(mine)), power, asked.by != "effect", FINE if asked.by == "effect" else LEVELS
    )
    count = asked.n * (CANDIDATES if asked.by == "effect" else 1)
    for c, mask, complete in covering(offered, gains, prices, bounds, count):
        if bounds.by_chance and np.count_nonzero(mask & mine) < COVERS * np.count_nonzero(mine):
            continue
        if at is not None:
            mask = _whole(name, offered, c, records.table)
        pattern = replace(_pattern(name, t, offered, c, mask, top), complete=complete)
        if asked.by == "effect":
            if starves(t, effects.fixed(name, mask)):
                continue
            foreseen = effects.foreseen(name, mask)
            pattern = pattern.valued(-foreseen.change).with_effects(effects.now, foreseen, None)
        yield pattern


def _looked_at(records: Records, top: np.ndarray) -> np.ndarray | None:
    """Of a stored training set the positions of the top and of a sample; None where all records are looked at."""
    if not isinstance(records.table, LazyTable) or records.n_records <= SAMPLE:
        return None
    return np.union1d(np.flatnonzero(top), records.spread(SAMPLE))


def _whole(name: str, offered: Literals, c: Conjunction, table: Table) -> np.ndarray:
    """(n_records,) bool: where a conjunction holds that was found in a sample."""
    return Pattern(name, tuple(offered.predicates[i] for i in c.members), (), 0, 0, 0, 0.0).mask(table)


def _after(run: Run, effects: Effects, name: str, top: np.ndarray, asked: int | None) -> np.ndarray:
    """The model's parameters without the top records: the run's own last ones where these are all it removed."""
    last = next((m.after for m in run.models if m.name == name), None)
    return effects.without(name, top) if asked is not None or last is None else last


def _pattern(name: str, t: Trained, offered: Literals, c: Conjunction, mask: np.ndarray, top: np.ndarray) -> Pattern:
    keys = tuple(k.item() if isinstance(k, np.generic) else k for k in t.records.keys[mask])
    return Pattern(
        name,
        tuple(offered.predicates[i] for i in c.members),
        keys,
        n_records=t.records.n_records,
        n_top=int(top.sum()),
        hits=int((mask & top).sum()),
        value=c.value,
    )


def covering(
    offered: Literals, gains: np.ndarray, prices: np.ndarray, bounds: Bounds, n: int
) -> Iterator[tuple[Conjunction, np.ndarray, bool]]:
    """Up to `n` conjunctions: the best, then the best for what is left, and so on; each with its mask, and whether all
    others were ruled out.

    Records that a chosen conjunction holds gain nothing any more, whatever else holds them. Half of the effort goes
    into the first search, the other half into the others.
    """
    left, first = gains.copy(), 0.0
    kept: list[np.ndarray] = []
    for turn in range(n):
        chance = Chance(left, len(prices)) if bounds.by_chance else None
        above = max(WORTH * first, chance.least(bounds) if chance else 0.0)
        found = search(
            offered,
            left,
            prices,
            least=bounds.least,
            most=bounds.most,
            power=bounds.power,
            above=above,
            levels=bounds.levels,
            effort=EFFORT // 2 // (n - 1 if turn else 1),
        )
        for c in found.best:
            mask = np.logical_and.reduce([offered.mask(i) for i in c.members])
            if chance is not None and not chance.beaten(float(left[mask].sum()), c):
                continue
            if all(overlap(mask, other) <= OVERLAP for other in kept):
                break
        else:
            return
        first = first or c.value
        left[mask] = np.minimum(left[mask], 0.0)
        kept.append(mask)
        yield c, mask, found.complete


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """The share of the records of either set that both have (Jaccard).

    >>> overlap(np.array([True, True, False]), np.array([False, True, True]))
    0.3333333333333333
    """
    return int(np.count_nonzero(a & b)) / max(1, int(np.count_nonzero(a | b)))


def own_columns(t: Trained) -> list[str]:
    """The columns worth looking at: all but the key, and but the features where there are very many."""
    table = t.records.table
    names = [name for name in table if not _is_key(table, name, t.records)]
    features = set(t.model.features)
    return names if len(names) <= WIDE else [n for n in names if n not in features]


def _is_key(table: Table, name: str, records: Records) -> bool:
    return _same(table, name, lambda rows: records.keys[rows])


def _is_label(t: Trained, name: str) -> bool:
    classes, y = np.array(t.model.classes, dtype=object), t.records.y
    return _same(t.records.table, name, lambda rows: classes[y[rows]] if len(classes) else y[rows])


def _same(table: Table, name: str, other: Callable[[slice], np.ndarray]) -> bool:
    """Whether a column holds the same as `other`; the first rows mostly tell."""
    few = table.select([name]).take(np.arange(min(64, table.n_rows)))[name].values
    if not np.all(np.asarray(few == other(slice(0, len(few))))):
        return False
    return bool(np.all(np.asarray(table[name].values == other(slice(0, table.n_rows)))))


def with_effects(run: Run, background: Background, patterns: Sequence[Pattern], verify: bool) -> tuple[Pattern, ...]:
    """The same patterns, each with what fixing its records would do: foreseen, and if `verify`, tried.

    A pattern that holds all records of a class is left as it is: without them there is no model.
    """
    effects, out = Effects(run, background), []
    for p in patterns:
        t = background.trained[p.model]
        mask = p.mask(t.records.table)
        if starves(t, effects.fixed(p.model, mask)):
            out.append(p)
            continue
        foreseen = p.foreseen or effects.foreseen(p.model, mask)
        out.append(p.with_effects(effects.now, foreseen, effects.tried(p.model, mask) if verify else None))
    return tuple(out)


def starves(t: Trained, now: Training) -> bool:
    """Whether the model would lose all records of a class, or all but one (a regressor: two)."""
    left = now.records.y[now.keep]
    return len(left) < 2 or bool(t.model.classes and len(np.unique(left)) < len(t.model.classes))
