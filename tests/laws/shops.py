"""Random databases, and what a random query over one is: its text, its columns and the names of its features."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

CLASSES: dict[str, tuple[Any, ...]] = {
    "m": ("a", "ab", "c"),
    "w": ("no", "yes"),
    "k": (0, 1),
    "i": (1, 2, 3),
    "b": (False, True),
}
TYPES = {"int": "INTEGER", "num": "DOUBLE", "text": "VARCHAR", "bool": "BOOLEAN", "date": "DATE"}
KIND_OF = {str: "text", bool: "bool", int: "int"}
VALUES: dict[str, tuple[Any, ...]] = {
    "int": (None, 0, 0, 1, 1, 1, 2, 2, 3, -1),
    "num": (None, -1.5, 0.0, 0.5, 1.0, 1.0, 2.0, 2.0, 3.5),
    "text": (None, "a", "a", "a", "ab", "b", "b", "no", "yes"),
    "bool": (None, True, True, False),
    "date": (None, "2026-01-05", "2026-01-05", "2026-01-31", "2026-02-01", "2026-03-09"),
}
MARK, FED = re.compile(r"\{(\w)[:.*](\w+)\}"), re.compile(r"\{(\w)>(\w+)\}")
FORMS = {":": "predict({0}, {1})", ".": "predict({0}, {1}.f_{0})", "*": "predict({0}, {1}.*)"}
CENTRES = {2: (3.0, -3.0), 3: (-3.0, 0.0, 3.0)}
"""A feature near the i-th number makes `fixed` models of so many classes predict class i."""

FEATURES = (
    "cte", "cte_twice", "derived", "nested", "view", "predicted_below_and_above", "union", "union_all", "intersect",
    "except", "distinct", "count_distinct", "exists", "not_exists", "in_query", "not_in_query", "correlated",
    "predicted_in_subquery", "scalar_subquery", "join", "self_join", "left_join", "right_join", "full_join",
    "predicted_in_on", "predicted_nullable", "group_by", "group_by_predicted", "no_groups", "having",
    "where_on_aggregate", "rollup", "cube", "grouping_sets", "filter", "min_max", "variance", "bool_aggregate",
    "count_if", "avg", "case", "coalesce", "nullif", "cast", "function", "over_aggregates", "lag_lead", "running",
    "moving", "share", "rank", "row_number", "window_over_groups", "window_over_grouped_cte", "window_over_rows",
    "qualify", "date_trunc", "group_by_position", "group_by_name", "group_by_all", "using", "spine", "sum_distinct",
    "aggregate_of_aggregate", "several_models", "order_by", "limit", "offset",
)  # fmt: skip
"""Every feature that a generated query may have; each occurs in at least one case of a hundred."""


@dataclass(frozen=True)
class Table:
    """A table: column → kind, its rows, and the models whose features `f_<model>` it also has, a class index a row."""

    columns: dict[str, str]
    rows: tuple[tuple[Any, ...], ...]
    labels: dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Shop:
    """A random database."""

    tables: dict[str, Table]
    views: dict[str, tuple[str, str]]
    models: tuple[str, ...]

    def feature(self, table: str, model: str, row: int) -> float:
        """What a row's prediction is made from; no two rows of the database share one."""
        t = self.tables[table]
        centre = CENTRES[len(CLASSES[model])][t.labels[model][row]]
        return round(centre + 0.001 * (1 + row) + 0.1 * list(self.tables).index(table), 6)


def random_shop(rng: Random, small: bool) -> Shop:
    """Tables t and s with predictions, d without, and a view of t; `small` ones have few worlds."""
    models = tuple(rng.sample(list(CLASSES), rng.choice([1, 2, 2, 3])))

    def table(columns: dict[str, str], most: int, known: Sequence[str]) -> Table:
        n = 0 if rng.random() < 0.06 else rng.randint((most + 1) // 2, most)
        rows = tuple((i, *(rng.choice(VALUES[k]) for k in columns.values())) for i in range(n))
        labels = {m: tuple(rng.randrange(len(CLASSES[m])) for _ in range(n)) for m in known}
        return Table({"id": "int", **columns}, rows, labels)

    def some(*always: str) -> dict[str, str]:
        found = {"j": "int", "seg": "text"} | dict(a.split(":") for a in always)
        return found | dict(rng.sample([("flag", "bool"), ("y", "int"), ("day", "date"), ("v", "num")], 2))

    known = [rng.sample(models, rng.randint(1, len(models))) for _ in "ts"]
    tables = {
        "t": table(some("x:num"), 3 if small else 10, known[0]),
        "s": table(some("z:num"), 3 if small else 8, known[1]),
        "d": table({"j": "int", "seg": "text", "w": "num"}, 4, ()),
    }
    where = rng.choice(["x > 0", "seg IS NOT NULL", "id <> 1", "j >= 1 OR x IS NULL"])
    return Shop(tables, {"v_t": ("t", f"SELECT * FROM t WHERE {where}")}, models)


@dataclass(frozen=True)
class Relation:
    """What a query may read: column → kind, which models predict its rows (→ the table that they belong to), columns
    that tell its rows apart (None where nothing does), and which columns are aggregates."""

    columns: dict[str, str]
    models: dict[str, str] = field(default_factory=dict)
    key: tuple[str, ...] | None = None
    aggregates: frozenset[str] = frozenset()
    grouped: bool = False
    predicted: bool = False


@dataclass(frozen=True)
class Source:
    """A relation under an alias."""

    alias: str
    relation: Relation
    nullable: bool = False

    def of(self, *kinds: str) -> list[str]:
        return [f"{self.alias}.{c}" for c, k in self.relation.columns.items() if k in kinds]


Scope = list[Source]


@dataclass(frozen=True)
class Case:
    """A query: its template, its columns and their kinds, the columns that name a row (None where none do), its
    features, and the (table, model) pairs whose predictions it reads."""

    template: str
    columns: dict[str, str]
    key: tuple[str, ...] | None
    features: frozenset[str]
    used: frozenset[tuple[str, str]]

    def sql(self) -> str:
        """As Rain reads it."""
        return FED.sub(r"\2.f_\1", MARK.sub(lambda m: FORMS[m[0][2]].format(m[1], m[2]), self.template))

    def plain(self) -> str:
        """Over tables with the predictions as columns."""
        return FED.sub(r"\2.f_\1, \2.\1", MARK.sub(r"\2.\1", self.template))
