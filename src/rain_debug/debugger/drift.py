"""Queried rows beside training records, column by column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import kolmogorov
from scipy.stats import binom, chi2

from rain_debug.engines.table import Table

LEVEL = 0.001
"""Of all columns together (Bonferroni)."""
MANY = 0.2
"""The share of rows with values that training never saw from which on a model's answer says little about them."""
MARGIN = 0.05
"""How far beyond the training's range a number still counts as seen, as a share of the range."""
KINDS = 200
"""A column of text with more different values than that is no category."""
ENOUGH = 1000
"""Values of a side that a test of numbers looks at, evenly spread over the table."""


@dataclass(frozen=True)
class Drift:
    """One feature `column` whose values differ between training records and the rows of `where`, with `p_value`.

    `unseen` is the share of rows whose value training never saw, `seen` what it saw and `example` one it did not.
    """

    column: str
    where: str
    p_value: float
    unseen: float
    seen: str
    example: str

    @property
    def foreign(self) -> bool:
        """Whether so many rows hold values never seen that the labels cannot be what is wrong."""
        return self.unseen >= MANY

    @property
    def words(self) -> str:
        return f"whether '{self.column}' changed: its values behind the complaint are not distributed as in training"

    @property
    def sentence(self) -> str:
        return (
            f"no evidence: the queried data changed, not the labels. In {self.unseen:.0%} of the rows behind the "
            f"complaint '{self.column}' holds what training never saw ({self.example}; training has {self.seen}). "
            "Check where that column comes from, or train on such rows"
        )


def drifts(training: Table, rows: Table, columns: Sequence[str], where: str) -> tuple[Drift, ...]:
    """The columns that differ at `LEVEL`, Bonferroni over `columns`: numbers by Kolmogorov-Smirnov, others by χ².

    Rows behind a complaint are often a part of all (one week, one group), so a difference alone is no change of the
    data; `Drift.unseen` counts what no part of the training data holds.

    >>> past = Table.of(fee=np.arange(100.0), plan=np.array(["basic", "pro"] * 50, dtype=object))
    >>> now = Table.of(fee=100 * np.arange(100.0), plan=np.array(["pro", "basic"] * 50, dtype=object))
    >>> [(d.column, d.unseen, d.foreign) for d in drifts(past, now, ["fee", "plan"], "users")]
    [('fee', 0.98, True)]
    """
    known = [c for c in columns if c in training and c in rows]
    found = []
    for name in known:
        a, b = training[name].values, rows[name].values
        drift = _numbers(name, where, a, b) if _numeric(a) and _numeric(b) else _kinds(name, where, a, b)
        if drift is not None and drift.p_value * len(known) < LEVEL:
            found.append(drift)
    return tuple(found)


def _numeric(values: np.ndarray) -> bool:
    return values.dtype.kind in "fiub"


def _numbers(name: str, where: str, a: np.ndarray, b: np.ndarray) -> Drift | None:
    a, b = (v[np.isfinite(v)] for v in (a.astype(np.float64), b.astype(np.float64)))
    if not len(a) or not len(b):
        return None
    low, high = float(a.min()), float(a.max())
    slack = MARGIN * (high - low)
    strange = (b < low - slack) | (b > high + slack)
    p = min(kolmogorov_smirnov(_some(a), _some(b)), _rare(int(strange.sum()), len(a), len(b)))
    example = f"{b[strange][0]:.4g}" if strange.any() else ""
    return Drift(name, where, p, float(strange.mean()), f"{low:.4g} to {high:.4g}", example)


def kolmogorov_smirnov(a: np.ndarray, b: np.ndarray) -> float:
    """The chance of cumulated shares as far apart as these, of two samples of one distribution (asymptotic).

    >>> kolmogorov_smirnov(np.arange(50.0), np.arange(50.0)), kolmogorov_smirnov(np.zeros(50), np.ones(50)) < 1e-9
    (1.0, True)
    """
    a, b = np.sort(a), np.sort(b)
    at = np.concatenate([a, b])
    apart = np.searchsorted(a, at, side="right") / len(a) - np.searchsorted(b, at, side="right") / len(b)
    return float(kolmogorov(np.abs(apart).max() * np.sqrt(len(a) * len(b) / (len(a) + len(b)))))


def _some(values: np.ndarray) -> np.ndarray:
    return values[:: -(-len(values) // ENOUGH)]


def _kinds(name: str, where: str, a: np.ndarray, b: np.ndarray) -> Drift | None:
    if len({str(v) for v in _some(a).tolist()}) > KINDS:
        return None
    a, b = a.astype(str), b.astype(str)
    values, at = np.unique(np.concatenate([a, b]), return_inverse=True)
    was, now = (np.bincount(part, minlength=len(values)) for part in (at[: len(a)], at[len(a) :]))
    if len(values) > KINDS or not len(a) or not len(b):
        return None
    expected = np.outer([len(a), len(b)], was + now) / (len(a) + len(b))
    statistic = float((((np.array([was, now]) - expected) ** 2) / expected).sum())
    strange = (was == 0) & (now > 0)
    p = float(chi2.sf(statistic, max(1, len(values) - 1)))
    example = repr(str(values[strange][0])) if strange.any() else ""
    seen = ", ".join(repr(str(v)) for v in values[was > 0][:4])
    return Drift(name, where, p, float(now[strange].sum() / len(b)), seen, example)


def _rare(strange: int, n_training: int, n_rows: int) -> float:
    """The chance of so many rows beyond the extremes of as many training records, each one's chance being 2/(n+1)."""
    return float(binom.sf(strange - 1, n_rows, min(1.0, 2 / (n_training + 1)))) if strange else 1.0
