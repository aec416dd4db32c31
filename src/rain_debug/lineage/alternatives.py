"""A tree of blocks → the alternatives of its tuples, as columns.

An *alternative* is a tuple together with one class for each of its prediction variables. Each block becomes one query
in which every predicted row stands once for each class, so that the engine itself evaluates conditions, keys and
values; alternatives of one tuple exclude each other. What tells a relation's rows apart stays in the engine, as a
temporary table with the row's number; NumPy gets numbers.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np

from rain_debug.engines import Engine, Table
from rain_debug.errors import LineageError
from rain_debug.lineage.block_query import BlockQuery, alias_of
from rain_debug.lineage.combined import merge_rows, parts_of_merge, window_rows
from rain_debug.lineage.exports import as_double, kind_of
from rain_debug.lineage.forest import COPIES, KNOWN, BlockRows, Forest, Literals, Rows
from rain_debug.lineage.places import MOST_LISTED, Restriction
from rain_debug.lineage.predictions import prepare_sources
from rain_debug.lineage.reach import reached
from rain_debug.lineage.uses import Uses, known
from rain_debug.sql import Below, Block, Body, Event, Expr, Merge, ModelInfo
from rain_debug.sql.nodes import quote
from rain_debug.sql.tree import ROW

Array = np.ndarray
MAX_NUMBERS = 200_000_000
FAN_OUT = 5
"""From so many alternatives for one row that is read on, by the engine's estimate, it merges them."""
MANY = 100_000
"""Fewer are not worth it."""


def capture_forest(
    body: Body,
    engine: Engine,
    models: Mapping[str, ModelInfo],
    name: str,
    places: Restriction | None = None,
    *,
    readable: bool = True,
    merge: bool = True,
    counts: Mapping[str, Array] | None = None,
) -> Forest:
    """The alternatives of a tree of blocks, at `places` alone where given; LineageError where there are too many.

    The temporary tables are called `name_…`; the caller drops `tables`. `readable` asks for the top relation's table,
    and without `merge` every tuple has alternatives of its own. `counts` are the values in tables of `Counts`, sorted.
    """
    catcher = _Capture(engine, models, name, counts or {}, merge=merge)
    spots: Array | None = None
    try:
        found = None if readable or not isinstance(body, Block) else _distinct_places(body, places)
        if found is not None:
            assert isinstance(body, Block)
            made = catcher.block(body, found[0], rows_are_places=True)
            there = np.bincount(made.row, minlength=made.n_rows) > 0
            spots = np.where(there | (body.plan.group_by == ()), np.arange(made.n_rows), -1)[found[1]]
            top: Rows = made
        else:
            top = catcher.rows(body, places)
        variables, classes = catcher.uses.variables()
    except Exception:  # whatever it is goes on: no table of ours stays behind
        engine.drop(*catcher.tables)
        raise
    return Forest(top, variables, classes, catcher.tables, spots)


def _distinct_places(block: Block, places: Restriction | None) -> tuple[Restriction, Array] | None:
    """The places, each once, and the number of each one given, where they name rows of `block` by all of its keys."""
    if places is None or block.plan.group_by is None or block.bag or len(set(places.positions)) != 1:
        return None
    named = {e.sql: e.aliases for e in (block.plan.outputs[i].expr for i in places.positions[0])}
    if not {e.sql for e in block.plan.group_by} <= set(named):
        return None
    if places.n > MOST_LISTED and len({alias for aliases in named.values() for alias in aliases}) > 1:
        return None  # a table of places beside keys of several sources would be joined with one of these alone first
    try:
        distinct = dict.fromkeys(places.values)
    except TypeError:  # a list or a dictionary as a value
        return None
    if len(distinct) == places.n:
        return places, np.arange(places.n)
    number = {values: i for i, values in enumerate(distinct)}
    return Restriction(places.positions[: len(number)], list(number)), np.array([number[v] for v in places.values])


class _Capture:
    """One capture on its way through the tree."""

    def __init__(
        self, engine: Engine, models: Mapping[str, ModelInfo], name: str, counts: Mapping[str, Array], *, merge: bool
    ) -> None:
        self.engine = engine
        self.counts = counts
        self.merge = merge
        self.models = models
        self.name = name
        self.tables: list[str] = []
        self.derived: set[str] = set()
        self.uses = Uses(engine, models)
        self._numbers = itertools.count()

    def rows(self, body: Body, places: Restriction | None = None) -> Rows:
        """The rows of one body."""
        if isinstance(body, Block):
            return self.block(body, places)
        if isinstance(body, Merge):
            parts = [self.rows(part, places) for part in parts_of_merge(body)]
            return merge_rows(body, parts, self.engine, self._keep)
        return window_rows(body, self.rows(body.below.body), self.engine, self._keep)

    def block(
        self,
        block: Block,
        places: Restriction | None = None,
        events_table: tuple[str, int] | None = None,
        *,
        rows_are_places: bool = False,
        readable: bool = True,
    ) -> BlockRows:
        """The alternatives of a block whose rows are those of `events_table`, or the places, or what its keys say."""
        plan = block.plan
        prepare_sources(plan, self.engine, self.derived)
        below = {b.name: self._below(b) for b in block.below}
        tables = {b.name: below[b.name].table for b in block.below if not b.single}
        if block.event_table is not None and events_table is not None:
            tables[block.event_table] = events_table[0]
        only = []
        for table, name, pairs in reached(block, below, self.counts):
            tables[table] = self._upload(pairs)
            only.append(f"{table}.row = {alias_of(plan, name)}.{ROW}")
        query = BlockQuery(block, self.engine, self.models, tables, places, rows_are_places, only)
        sql = query.sql()
        if self.merge and query.can_merge and self._fans_out(query, sql, below):
            sql = query.merged(sql)
        # Rows of one source are no more than it has; what is joined, predicted or not, may multiply them.
        most = MAX_NUMBERS // (query.width + 2) if " JOIN " in plan.from_sql else None
        whole = sql + (f" LIMIT {most + 1}" if most is not None else "")
        numbered = rows_are_places or events_table is not None or (plan.group_by == () and not readable)
        if numbered and not any(event.keys for event in query.events):
            # Nothing else reads them: they are fetched as they are found.
            alternatives, order = f"({whole})", ""
        else:
            # A table's row ids are in the order of its rows: they number the alternatives.
            alternatives, order = self._keep(whole)[0], " ORDER BY a.rowid"
        relation, join = "", ""
        if rows_are_places:
            number = 'a."row"'
        elif events_table is not None:
            number = f'a."out_{query.outputs[-1]}"'
        elif numbered:
            number = "0"
        else:
            relation, join, number = self._relation(query, alternatives)
        events: dict[str, Rows] = {}
        event_rows: dict[str, str] = {}
        for event in query.events:
            events[event.name], table, on = self._event(event, alternatives)
            event_rows[event.name] = f"{table}.{ROW}"
            join += f" JOIN {table} ON {on}"
        fetched, kinds = self._fetched(query, alternatives, number, event_rows, join + order)
        n = fetched.n_rows
        if most is not None and n > most:
            raise LineageError(
                f"this query has more than {most:,} alternatives of tuples: they do not fit in memory",
                where=plan.from_sql, hint="join on equal columns, or name fewer places",
            )  # fmt: skip
        literals = self._literals(query, fetched)
        numbers = self._moving_numbers(query, fetched)
        row = np.arange(n) if not number else np.zeros(n, dtype=np.int64) if number == "0" else known(fetched, "row")[0]
        if events_table is not None:
            n_rows = events_table[1]
        elif rows_are_places:
            n_rows = places.n if places is not None else 0
        else:
            n_rows = 1 if plan.group_by == () else int(row.max(initial=-1)) + 1
        constants, of = ({}, {}) if n else self._constants(query)
        return BlockRows(
            block, relation, n_rows, row, literals, numbers, fetched, query.texts, below, events, sql, kinds | of,
            constants,
        )  # fmt: skip

    def _fans_out(self, query: BlockQuery, sql: str, below: Mapping[str, Rows]) -> bool:
        """True where there may be so many alternatives for one row that is read, that the engine should merge them."""
        many = self.engine.estimated_rows(sql) if " JOIN " in query.plan.from_sql else 0
        if many < MANY:
            return False
        head = f"{query.plan.with_sql} SELECT * FROM"
        read = [self.engine.estimated_rows(f"{head} {s.from_sql}") for s in query.plan.sources]
        read += [below[b.name].n_rows for b in query.block.below if not b.single]
        return many >= FAN_OUT * max(read, default=1)

    def _constants(self, query: BlockQuery) -> tuple[dict[str, float], dict[str, str]]:
        """The numbers and truth values among expressions that read no column, NULL left out; and the kind of each."""
        if not query.constants:
            return {}, {}
        head, texts = f"{query.plan.with_sql} SELECT", query.constants
        types = self.engine.types(f"{head} {', '.join(f'{text} AS c{i}' for i, text in enumerate(texts.values()))}")
        kinds = {sql: kind_of(of) for sql, (_, of) in zip(texts, types, strict=True)}
        numbers = [sql for sql in texts if kinds[sql] in ("number", "bool")]
        items = ", ".join(f"{as_double(self.engine, texts[sql], kinds[sql])} AS c{i}" for i, sql in enumerate(numbers))
        found = self.engine.table(f"{head} {items or '1 AS one'}")
        columns = {sql: found[f"c{i}"] for i, sql in enumerate(numbers)}
        return {t: float(c.values[0]) for t, c in columns.items() if c.valid is None or c.valid[0]}, kinds

    def _keep(self, sql: str) -> tuple[str, int]:
        """A temporary table of the answer to `sql`, and how many rows it has."""
        table = f"{self.name}_{next(self._numbers)}"
        self.tables.append(table)
        return table, self.engine.keep(table, sql)

    def _upload(self, table: Table) -> str:
        """The name of a temporary table that holds `table`."""
        name = f"{self.name}_{next(self._numbers)}"
        self.tables.append(name)
        self.engine.upload(name, table)
        return name

    def _below(self, below: Below) -> Rows:
        if below.single and isinstance(below.body, Block):
            return self.block(below.body, readable=False)  # a number, wherever it is read
        return self.rows(below.body)

    def _event(self, event: Event, alternatives: str) -> tuple[Rows, str, str]:
        """A subquery for each combination of its keys, the table of these, and how alternatives `a` join it."""
        assert isinstance(event.body, Block)
        columns = [f"{quote(f'{event.name}_x{j}')} AS x{j}" for j in range(len(event.keys))]
        distinct = f"SELECT DISTINCT {', '.join(columns)} FROM {alternatives}" if columns else "SELECT 1 AS none"
        table, n = self._keep(f"SELECT row_number() OVER () - 1 AS {ROW}, * FROM ({distinct})")
        keys = range(len(event.keys))
        same = [self.engine.same(f"a.{quote(f'{event.name}_x{j}')}", f"{table}.x{j}") for j in keys]
        return self.block(event.body, events_table=(table, n)), table, " AND ".join(same) or "TRUE"

    def _relation(self, query: BlockQuery, alternatives: str) -> tuple[str, str, str]:
        """The table of the block's rows, the SQL that joins alternatives `a` with it, and the row of each of these.

        Where that is empty each alternative is a row of its own.
        """
        plan, columns = query.plan, query.block.columns
        named = [f"{quote(f'out_{i}')} AS {quote(columns[i].name)}" for i in query.outputs]
        if plan.group_by is None:
            items = ", ".join([f"row_number() OVER (ORDER BY rowid) - 1 AS {ROW}", *named])
            return self._keep(f"SELECT {items} FROM {alternatives}")[0], "", ""
        if not plan.group_by:
            some = [self._over_all(plan.outputs[i].expr, i, columns[i].name) for i in query.outputs]
            source = f" FROM {alternatives}" if some else ""
            return self._keep(f"SELECT {', '.join([f'0 AS {ROW}', *some])}{source}")[0], "", "0"
        keys = [f"key_{i}" for i in range(len(plan.group_by))]
        seen = [f"any_value({quote(f'out_{i}')}) AS {quote(columns[i].name)}" for i in query.outputs]
        table, _ = self._keep(
            f"SELECT {', '.join([f'row_number() OVER () - 1 AS {ROW}', *seen, *keys])} "
            f"FROM {alternatives} GROUP BY {', '.join(keys)}"
        )
        on = " AND ".join(self.engine.same(f"rel.{k}", f"a.{k}") for k in keys)
        return table, f"JOIN {table} AS rel ON {on}", f"rel.{ROW}"

    def _over_all(self, e: Expr, i: int, name: str) -> str:
        """An output of the one group of all alternatives; a constant stands there over none of them, too."""
        text = f"any_value({quote(f'out_{i}')})"
        text = text if e.has_columns or e.atoms else f"coalesce({text}, {e.sql})"
        return f"{text} AS {quote(name)}"

    def _fetched(
        self, query: BlockQuery, alternatives: str, number: str, event_rows: Mapping[str, str], rest: str
    ) -> tuple[Table, dict[str, str]]:
        """What NumPy gets of each alternative, and the kind of each text."""
        texts = query.texts
        types = dict(self.engine.types(f"SELECT {', '.join(texts.values())} FROM {alternatives}")) if texts else {}
        kinds = {text: query.words.get(name) or kind_of(types[name]) for text, name in texts.items()}
        selected = [f"{number} AS row"] if number not in ("", "0") else []
        for name in query.items:
            if name.startswith(("code_", "rid_", "below_")):
                selected.append(f"a.{quote(name)} AS {quote(name)}")
        for text, name in texts.items():
            if kinds[text] in ("number", "bool"):
                selected.append(f"{as_double(self.engine, f'a.{name}', kinds[text])} AS {name}")
            else:
                selected.append(f"{as_double(self.engine, f'(a.{name} IS NOT NULL)', 'bool')} AS {name}")
                selected.append(f"dense_rank() OVER (ORDER BY a.{name}) AS {name}_id")
        if query.is_merged:
            selected += [f"a.{name}" for name in (COPIES, *(f"{KNOWN}{total}" for total in query.totals))]
        for name, text in event_rows.items():
            selected.append(f"{text} AS {quote(f'event_{name}')}")
        listed = ", ".join(selected) or "1 AS one"
        return self.engine.table(f"SELECT {listed} FROM {alternatives} AS a {rest}"), kinds

    def _literals(self, query: BlockQuery, fetched: Table) -> list[Literals]:
        """What each alternative presumes."""
        n, found = fetched.n_rows, []
        for atom in query.states:
            if atom.index in query.settled:
                codes = np.full(n, query.settled[atom.index][0], dtype=np.int64)
            else:
                codes = fetched[f"code_{atom.index}"].values.astype(np.int64)
            if atom.kind == "class":
                found.append(self.uses.literal(query.plan, atom, fetched, query.rids, codes))
                continue
            name = atom.identity[1]
            subquery = any(event.name == name for event in query.events)
            rows = fetched[f"event_{name}"].values.astype(np.int64) if subquery else np.arange(n)
            found.append(Literals("event", name, rows, codes))
        for b in query.block.below:
            if not b.single:
                rows, there = known(fetched, f"below_{b.name}")
                found.append(Literals("below", b.name, rows, np.where(there, 0, -1)))
        return found

    def _moving_numbers(self, query: BlockQuery, fetched: Table) -> dict[int, Literals]:
        """Where each alternative finds the numbers that predictions move, by atom."""
        found: dict[int, Literals] = {}
        none = np.zeros(fetched.n_rows, dtype=np.int64)
        for atom in query.plan.atoms:
            if atom.kind in ("proba", "number"):
                found[atom.index] = self.uses.literal(query.plan, atom, fetched, query.rids, none)
            elif atom.kind == "value":
                column = f"below_{atom.identity[1]}"
                rows = known(fetched, column)[0] if column in query.items else none
                found[atom.index] = Literals("below", atom.identity[1:], rows, none)
            elif atom.kind == "lookup":
                rows = fetched[f"event_{atom.identity[1]}"].values.astype(np.int64)
                found[atom.index] = Literals("event", atom.identity[1], rows, none)
        return found
