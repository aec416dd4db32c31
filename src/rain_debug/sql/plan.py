"""The plan of one query: what the engine does, where predictions come in, what comes out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from rain_debug.sql.expr import Expr

THIS = '"__rain_this"'


@dataclass(frozen=True)
class Relation:
    """What a name in FROM stands for in the engine.

    `name` is the same however it is spelled; `columns` are (name, type) pairs; `rowid` is the engine's text of a base
    table's row id, `THIS` in the alias's place, and None for anything else. `definition` is the SELECT behind a view.
    """

    name: str
    columns: tuple[tuple[str, str], ...]
    rowid: str | None
    definition: str | None = None

    def row_of(self, alias: str) -> str:
        """The row id of an alias of this table, as text.

        >>> Relation("t", (), f"{THIS}.rowid").row_of("u")
        '"u".rowid'
        """
        assert self.rowid is not None, f"{self.name} is no base table"
        return self.rowid.replace(THIS, '"' + alias.replace('"', '""') + '"')


@dataclass(frozen=True)
class ModelInfo:
    """What a query needs to know of a model: its features by name, its classes as Python scalars, its label column."""

    name: str
    features: tuple[str, ...]
    classes: tuple[Any, ...]
    label: str | None = None


class Catalog(Protocol):
    """What the planner asks of its surroundings."""

    def relation(self, from_sql: str) -> Relation:
        """The relation that `from_sql` names in the engine; EngineError where there is none."""

    def relations(self) -> Sequence[str]:
        """Known names of tables and views, for suggestions."""

    def model(self, name: str) -> ModelInfo | None:
        """The model of that name or alias, None where there is none."""

    @property
    def models(self) -> Collection[str]:
        """Known names of models."""

    def is_aggregate(self, function: str) -> bool:
        """True where the engine has an aggregate of that name."""


@dataclass(frozen=True)
class Source:
    """One alias of FROM: `rid` is the text of its row's identity, `identity` says whose rows these are.

    Two aliases with the same identity range over the same rows: their predictions are the same variables. A derived
    table has the identity and row id of the base table whose columns it passes on (`origin`: column → base column);
    where there is none it is computed once, as the temporary table `materialised`, from the text `relation`.
    `rid` is None where no prediction reads it; `from_sql` is the source as it stands in FROM.
    """

    alias: str
    relation: str
    columns: tuple[str, ...]
    identity: str | None
    rid: str | None
    nullable: bool = False
    materialised: str | None = None
    origin: tuple[tuple[str, str], ...] = ()
    from_sql: str = ""

    @property
    def is_whole(self) -> bool:
        """True where it ranges over all rows of its identity: a base table, or a derived table computed once."""
        return self.identity == self.relation or self.materialised is not None

    def base_column(self, name: str) -> str:
        """The base table's name of a column that this source passes on."""
        return dict(self.origin).get(name, name)


@dataclass(frozen=True)
class Atom:
    """One distinct call of a model: `kind` is `class`, or `proba` of the class at position `class_code`.

    `features` are the engine's texts of the model's inputs, in the model's order; `aliases` those they read.
    `identity` is shared by calls of the same model on the same columns of the same rows.
    """

    index: int
    kind: str
    model: str
    features: tuple[str, ...]
    aliases: tuple[str, ...]
    identity: tuple[str, ...]
    rids: tuple[str, ...]
    start: int
    end: int
    class_code: int | None = None


@dataclass(frozen=True)
class OutputColumn:
    """One column of the answer; `key` is True where it is a group key (or the query has no groups)."""

    name: str
    expr: Expr


@dataclass(frozen=True)
class Plan:
    """A select–project–join–aggregate block over predictions; prints itself, the same text every time."""

    sql: str
    with_sql: str
    from_sql: str
    sources: tuple[Source, ...]
    atoms: tuple[Atom, ...]
    conjuncts: tuple[Expr, ...]
    outputs: tuple[OutputColumn, ...]
    group_by: tuple[Expr, ...] | None
    order_by: tuple[tuple[Expr, str], ...]
    limit_sql: str
    inner: bool

    @property
    def is_aggregate(self) -> bool:
        """True where the answer has one row a group."""
        return self.group_by is not None

    def source(self, alias: str) -> Source:
        """The source of that alias."""
        return next(s for s in self.sources if s.alias == alias)

    def __str__(self) -> str:
        lines = ["Plan"]
        lines += [f"  {a.kind} p{a.index} = {a.model}({', '.join(a.aliases)})" for a in self.atoms]
        lines.append(f"  from {self.from_sql}")
        for c in self.conjuncts:
            lines.append(f"  where [{'engine' if c.is_pure else 'program'}] {c.sql}")
        if self.group_by is not None:
            keys = ", ".join(e.sql for e in self.group_by)
            lines.append(f"  group by {keys}" if keys else "  one group")
        lines += [f"  out {o.name} := {o.expr.sql}" for o in self.outputs]
        if self.order_by:
            lines.append("  order by " + ", ".join(f"{e.sql}{suffix}" for e, suffix in self.order_by))
        if self.limit_sql:
            lines.append(f"  {self.limit_sql}")
        return "\n".join(lines)
