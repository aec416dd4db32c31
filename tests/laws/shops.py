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
    "e": (False, True),
    "r": (),
}
"""Model → its classes; `e` says of two rows whether they match, `r` is a regressor."""
PAIRED, REGRESSOR = "e", "r"


def kind_of(classes: tuple[Any, ...]) -> str:
    """The kind of a column of these classes; a regressor has none."""
    return {str: "text", bool: "bool", int: "int"}[type(classes[0])] if classes else "num"


KIND_OF = {model: kind_of(classes) for model, classes in CLASSES.items()}
TYPES = {"int": "INTEGER", "num": "DOUBLE", "text": "VARCHAR", "bool": "BOOLEAN", "date": "DATE"}
VALUES: dict[str, tuple[Any, ...]] = {
    "int": (None, 0, 0, 1, 1, 1, 2, 2, 3, -1),
    "num": (None, -1.5, 0.0, 0.5, 1.0, 1.0, 2.0, 2.0, 3.5),
    "text": (None, "a", "a", "a", "ab", "b", "b", "no", "yes"),
    "bool": (None, True, True, False),
    "date": (None, "2026-01-05", "2026-01-05", "2026-01-31", "2026-02-01", "2026-03-09"),
}
MARK = re.compile(r"\{(\w)([^\w\s>])(\w+)(?:([,=])(\w+))?\}")
"""A prediction: the model, a sign for how it is written, the alias, and `,` another alias or `=` a class."""
FED = re.compile(r"\{(\w)>(\w+)\}")
FORMS = {
    ":": "predict({0}, {1})", ".": "predict({0}, {1}.f_{0})", "*": "predict({0}, {1}.*)",
    "@": "predict_{0}({1})", "#": "{0}.predict({1})", "!": "{0}!PREDICT({1}.f_{0})",
    "$": "pgml.predict('{0}', ARRAY[{1}.f_{0}])", "&": "ai_query('{0}', struct({1}.f_{0}))",
}  # fmt: skip
ALIASED, DIALECTS = "@", "#!$&"
SPOTS: dict[str, tuple[float, ...]] = {
    **{m: ((3.0, -3.0) if len(c) == 2 else (-3.0, 0.0, 3.0)) for m, c in CLASSES.items()},
    "e": (-1.0, -0.6, -0.2, 0.2, 0.6, 1.0),
    "r": (-1.5, -0.5, 0.0, 0.5, 1.0, 2.0, 3.5),
}
"""Where a model's features lie: near the i-th number `fixed` models predict class i, and `r` about that number."""

Label = tuple[str, str]
"""What a model predicts: a table, or two as `t*s`, and the model."""
BIAS, SLOPES = 0.123457, (1.0, -0.765432)
"""The parameters of `e`."""

FEATURES = (
    "cte", "cte_twice", "derived", "nested", "view", "predicted_below_and_above", "union", "union_all", "intersect",
    "except", "distinct", "count_distinct", "exists", "not_exists", "in_query", "not_in_query", "correlated",
    "predicted_in_subquery", "scalar_subquery", "join", "self_join", "left_join", "right_join", "full_join",
    "predicted_in_on", "predicted_nullable", "group_by", "group_by_predicted", "no_groups", "having",
    "where_on_aggregate", "rollup", "cube", "grouping_sets", "filter", "min_max", "variance", "bool_aggregate",
    "count_if", "avg", "case", "coalesce", "nullif", "cast", "function", "over_aggregates", "lag_lead", "running",
    "moving", "share", "rank", "row_number", "window_over_groups", "window_over_grouped_cte", "window_over_rows",
    "qualify", "date_trunc", "group_by_count", "group_by_position", "group_by_name", "group_by_all", "using", "spine",
    "sum_distinct", "aggregate_of_aggregate", "several_models", "order_by", "limit", "offset", "regressor",
    "threshold", "probability", "pair_model", "alias", "dialect", "null", "compared_aggregates", "first_last",
)  # fmt: skip
"""Every feature that a generated query may have; each occurs in at least one case of a hundred."""


@dataclass(frozen=True)
class Table:
    """A table: column → kind, its rows, and the models whose features `f_<model>` it has: near which of `SPOTS`."""

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
        spot = SPOTS[model][self.tables[table].labels[model][row]]
        return round(spot + 0.001 * (1 + row) + 0.1 * list(self.tables).index(table), 6)

    def codes(self, label: Label) -> tuple[int, ...]:
        """The predicted class of each row, or pair of rows, that a label is about."""
        place, model = label
        if model != PAIRED:
            return self.tables[place].labels[model]
        return tuple(int(BIAS + SLOPES[0] * x + SLOPES[1] * y > 0) for x, y in self.pairs(place))

    def pairs(self, place: str) -> list[tuple[float, float]]:
        """The features of each pair of rows of two tables, `t*s`."""
        sides = [[self.feature(t, PAIRED, i) for i in range(len(self.tables[t].rows))] for t in place.split("*")]
        return [(x, y) for x in sides[0] for y in sides[1]]


def random_shop(rng: Random, small: bool) -> Shop:
    """Tables t and s with predictions, d without, and a view of t; `small` ones have few worlds."""
    more = rng.choices(
        list(CLASSES), [3 if m in (PAIRED, REGRESSOR) else 1 for m in CLASSES], k=rng.choice([0, 1, 1, 2, 3])
    )
    models = tuple(dict.fromkeys([rng.choice([m for m in CLASSES if m not in (PAIRED, REGRESSOR)]), *more]))

    def table(columns: dict[str, str], most: int, known: Sequence[str]) -> Table:
        n = 0 if rng.random() < 0.06 else rng.randint((most + 1) // 2, most)
        rows = tuple((i, *(rng.choice(VALUES[k]) for k in columns.values())) for i in range(n))
        labels = {m: tuple(rng.randrange(len(SPOTS[m])) for _ in range(n)) for m in known}
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
    features, and what it reads: the classes of labels, the probabilities of labels, and all models."""

    template: str
    columns: dict[str, str]
    key: tuple[str, ...] | None
    features: frozenset[str]
    used: frozenset[Label]
    chances: frozenset[Label]
    models: frozenset[str]

    def sql(self) -> str:
        """As Rain reads it."""
        return FED.sub(r"\2.f_\1", MARK.sub(_called, self.template))

    def plain(self) -> str:
        """Over tables with the predictions as columns, and those about pairs as a function."""
        return FED.sub(_handed_on, MARK.sub(_column, self.template))

    @property
    def reads_numbers(self) -> bool:
        """True where the models' numbers are read, not only classes."""
        return bool(self.chances) or REGRESSOR in self.models


def _called(mark: re.Match[str]) -> str:
    model, sign, alias, extra, other = mark.groups()
    if extra == ",":
        return f"predict({model}, {alias}.f_{model}, {other}.f_{model})"
    if extra:
        return f"predict_proba({model}, {alias}, {CLASSES[model][int(other)]!r})"
    return FORMS[sign].format(model, alias)


def _column(mark: re.Match[str]) -> str:
    model, _, alias, extra, other = mark.groups()
    if extra == ",":
        return f"pair_{model}({alias}.f_{model}, {other}.f_{model})"
    return f"{alias}.{model}_p{other}" if extra else f"{alias}.{model}"


def _handed_on(mark: re.Match[str]) -> str:
    model, alias = mark.groups()
    columns = [f"f_{model}"] + (
        [] if model == PAIRED else [model, *(f"{model}_p{c}" for c in range(len(CLASSES[model])))]
    )
    return ", ".join(f"{alias}.{c}" for c in columns)
