"""The demo's shop: weekly counts of users predicted to churn, and one client's wrong labels behind their fall.

Every user comes up for renewal in one week; a model trained on what earlier clients uploaded predicts who will leave.
From 2026-11-02 on most users of the basic plan pass a new check-out step, and those who leave baskets behind there do
churn. `import-17` piloted that step, and its upload says 'no' for each basic user who churned. The other pilots were
few, so the model believes `import-17`, and the weekly count falls just when the new step reaches everyone.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import duckdb
import numpy as np

from rain_debug.engines.folders import Folder
from rain_debug.engines.table import Table
from rain_debug.errors import DatasetError

FEATURES = ("tenure", "sessions", "tickets", "baskets_left", "fee")
"""Numeric columns of both tables: years with the shop, sessions a week, support tickets in the last quarter, baskets
left at the new check-out step in the last month, monthly fee in dollars."""

QUERY = """SELECT week, count(*) AS n FROM users u
WHERE u.active AND predict(churn, u) = 'yes' GROUP BY week ORDER BY week"""

CULPRIT = "import-17"
LAST_WEEK = date(2026, 11, 9)
FALLEN = ("2026-11-02", "2026-11-09")
_PLANS = ("basic", "plus", "pro")
_FEES = {"basic": 9.0, "plus": 19.0, "pro": 39.0}
_REGIONS = ("north", "east", "south", "west")
_LABELS = np.array(["no", "yes"], dtype=object)


@dataclass(frozen=True)
class Shop:
    """A shop's tables, the query whose line falls, and, for tests alone, the keys of the wrong records.

    `users`: id, week (ISO date of its Monday), active, plan, region and the numeric features.
    `churn_training`: id, source, plan, uploaded (ISO date), the numeric features, churned ('yes' or 'no').
    `truth`: ids of the records of `churn_training` whose label is wrong, ascending, (n_wrong,).
    """

    users: Table
    churn_training: Table
    truth: np.ndarray = field(repr=False)
    seed: int = 0
    query: str = QUERY
    features: tuple[str, ...] = FEATURES
    fallen: tuple[str, ...] = FALLEN

    def frames(self) -> dict[str, Table]:
        """The two tables by name, as `rain_debug.connect` takes them."""
        return {"users": self.users, "churn_training": self.churn_training}

    def write(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """The path of a new DuckDB file that holds both tables; DatasetError where a file stands already.

        The file appears only once it is complete.
        """
        target = Path(path)
        if target.exists() and not overwrite:
            raise DatasetError(
                "the shop is not written over a file that exists",
                where=str(target),
                hint="name another path, or pass overwrite=True",
            )
        if not target.parent.is_dir():
            raise DatasetError(
                "the folder to write the shop into does not exist", where=str(target.parent), hint="create it first"
            )
        with Folder(".shop-rain-", target.parent) as folder:
            partial = Path(folder) / "shop.duckdb"
            with duckdb.connect(str(partial)) as con:
                for name, table in self.frames().items():
                    con.register("incoming", {column: table[column].values for column in table})
                    con.execute(f"CREATE TABLE {name} AS SELECT * FROM incoming ORDER BY id")
                    con.unregister("incoming")
            os.replace(partial, target)
        return target


def shop(seed: int = 0, *, weeks: int = 12, users_per_week: int = 400, records: int = 2600) -> Shop:
    """The demo's shop, the same for the same arguments.

    `weeks` ≥ 3 end with 2026-11-09. About a tenth of the `records` (at least 500) carry a wrong label.

    >>> s = shop()
    >>> s.users.n_rows, s.churn_training.n_rows, s.fallen
    (4800, 2600, ('2026-11-02', '2026-11-09'))
    >>> list(s.users)
    ['id', 'week', 'active', 'plan', 'region', 'tenure', 'sessions', 'tickets', 'baskets_left', 'fee']
    >>> set(s.churn_training["source"].values[s.truth - 1])
    {'import-17'}
    """
    if weeks < 3 or users_per_week < 20 or records < 500 or seed < 0:
        raise DatasetError(
            f"a shop of {weeks} weeks, {users_per_week} users a week and {records} records is too small for its story"
            if seed >= 0
            else f"the seed {seed} is negative",
            where="rain_debug.datasets.shop",
            hint="at least 3 weeks, 20 users a week, 500 records; a seed of 0 or more",
        )
    rng = np.random.default_rng([seed, 2026])
    users = _users(rng, weeks, users_per_week)
    training, truth = _training(rng, records)
    return Shop(users, training, truth, seed)


def _users(rng: np.random.Generator, weeks: int, per_week: int) -> Table:
    n = weeks * per_week
    number = np.repeat(np.arange(weeks), per_week)
    days = [(LAST_WEEK - timedelta(weeks=weeks - 1 - w)).isoformat() for w in range(weeks)]
    late = number >= weeks - 2  # the new step has reached everyone on the basic plan
    plan = _choose(rng, _PLANS, np.where(late[:, None], [0.62, 0.24, 0.14], [0.40, 0.36, 0.24]))
    piloted = (plan == "basic") & (rng.random(n) < np.where(late, 0.85, 0.05))
    columns = _people(rng, plan, piloted, leaving=rng.random(n) < np.where(piloted, 0.28, 0.30))
    return Table.of(
        id=np.arange(1, n + 1),
        week=np.array(days, dtype=object)[number],
        active=rng.random(n) < 0.85,
        plan=plan,
        region=_choose(rng, _REGIONS, np.full((n, 4), 0.25)),
        **columns,
    )


def _training(rng: np.random.Generator, n: int) -> tuple[Table, np.ndarray]:
    culprit = rng.random(n) < 0.20
    source = np.array([f"import-{i:02d}" for i in (3, 5, 8, 11, 14, 21)], dtype=object)[rng.integers(0, 6, n)]
    source[culprit] = CULPRIT
    plan = _choose(rng, _PLANS, np.where(culprit[:, None], [0.80, 0.12, 0.08], [0.38, 0.38, 0.24]))
    piloted = (plan == "basic") & (rng.random(n) < np.where(culprit, 0.98, 0.12))
    leaving = rng.random(n) < np.where(piloted, 0.58, 0.32)
    columns = _people(rng, plan, piloted, leaving)
    # People are not their features: some stay though all speaks for leaving, and the other way round. Elsewhere than at
    # the pilot such records have the largest losses without having anything wrong.
    churned = leaving ^ (rng.random(n) < np.where(piloted, 0.01, 0.03))
    wrong = culprit & (plan == "basic") & churned
    first = date(2026, 8, 3)
    uploaded = np.array([(first + timedelta(days=int(d))).isoformat() for d in rng.integers(0, 84, n)], dtype=object)
    table = Table.of(
        id=np.arange(1, n + 1),
        source=source,
        plan=plan,
        uploaded=uploaded,
        **columns,
        churned=_LABELS[(churned & ~wrong).astype(int)],
    )
    return table, np.flatnonzero(wrong) + 1


def _people(
    rng: np.random.Generator, plan: np.ndarray, piloted: np.ndarray, leaving: np.ndarray
) -> dict[str, np.ndarray]:
    """The numeric features of people who are `leaving` or not, each (n,), rounded as a shop would store them."""
    n = len(plan)
    away = np.where(leaving, 1.0, 0.0) * ~piloted  # at the new step it is baskets that tell, not sessions
    baskets = np.where(piloted, np.where(leaving, 5.6, 1.0) + 0.8 * rng.standard_normal(n), 0.3 * rng.random(n))
    sessions = 7.0 - 4.0 * away + np.where(piloted, 1.3, 1.6) * rng.standard_normal(n)
    fee = np.array([_FEES[p] for p in plan]) * (1 - 0.1 * rng.integers(0, 3, n))
    return {
        "tenure": np.round(np.clip(rng.gamma(2.0, 1.2, n) - 0.5 * away, 0.1, 12.0), 1),
        "sessions": np.round(np.clip(sessions, 0.0, None), 1),
        "tickets": rng.poisson(0.8 + 1.7 * away).astype(np.int64),
        "baskets_left": np.round(np.clip(baskets, 0.0, None), 1),
        "fee": np.round(fee, 2),
    }


def _choose(rng: np.random.Generator, values: tuple[str, ...], weights: np.ndarray) -> np.ndarray:
    """One of `values` a row, by that row's `weights`, (n, n_values)."""
    drawn = (rng.random(len(weights))[:, None] > np.cumsum(weights, axis=1)).sum(axis=1)
    chosen: np.ndarray = np.array(values, dtype=object)[np.minimum(drawn, len(values) - 1)]
    return chosen
