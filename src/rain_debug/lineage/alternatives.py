"""A tree of blocks → the alternatives of its tuples, as columns.

An *alternative* is a tuple together with one class for each of its prediction variables. Each block becomes one query
in which every predicted row stands once for each class, so that the engine itself evaluates conditions, keys and
values; alternatives of one tuple exclude each other. What tells a relation's rows apart stays in the engine, as a
temporary table with the row's number; NumPy gets numbers.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from rain_debug.engines import Engine, Table
from rain_debug.engines.arrow import concatenate
from rain_debug.errors import LineageError, SQLError
from rain_debug.lineage.exports import kind_of
from rain_debug.lineage.places import MOST_LISTED, Restriction, Spots, find_spots, uploaded_places
from rain_debug.lineage.predictions import prepare_sources
from rain_debug.lineage.variables import Block as Variables
from rain_debug.lineage.variables import fetch_rows, number_variables
from rain_debug.lineage.weaken import one_group_a_row
from rain_debug.sql import Atom, Below, Block, Body, Expr, Merge, ModelInfo, Plan, Windowed, render

Array = np.ndarray
MAX_NUMBERS = 200_000_000
ROW = "__rain_row"
NUMBERS = ("value", "number", "proba", "lookup", "window")


@dataclass(eq=False)
class Literals:
    """What an alternative presumes: `rows` (n,) the variable, event or row below, −1 for none; `codes` its state.

    `kind` is `class` (of the variables `source`, an identity until all are numbered), `event` or `below` (by name).
    """

    kind: str
    source: Any
    rows: Array
    codes: Array
    block: int = -1


@dataclass(eq=False)
class BlockRows:
    """Alternatives of one block: `row` (n,) is the row of the relation that each belongs to.

    `table` holds what tells its rows apart, where anything reads that; otherwise it is empty.
    """

    block: Block
    table: str
    n_rows: int
    row: Array
    literals: list[Literals]
    numbers: dict[int, Literals]
    exports: Table
    texts: Mapping[str, str]
    below: dict[str, Rows]
    events: dict[str, Rows]
    sql: str
    kinds: Mapping[str, str]


@dataclass(eq=False)
class MergeRows:
    """Rows of a set operation: `rows[i]` maps the rows of part i to those of the whole."""

    body: Merge
    table: str
    n_rows: int
    parts: list[Rows]
    rows: list[Array]


@dataclass(eq=False)
class WindowRows:
    """Rows with window functions: `order[i]` sorts them by partition and order of window i, whose number is `partition`
    and whose ties share `peer`, all in sorted order."""

    body: Windowed
    table: str
    n_rows: int
    below: Rows
    order: list[Array]
    partition: list[Array]
    peer: list[Array]
    exports: Table
    texts: Mapping[str, str]
    kinds: Mapping[str, str]


Rows = BlockRows | MergeRows | WindowRows


@dataclass(eq=False)
class Forest:
    """All relations of a query, and the variables that they share.

    `spots` (n_places,) are the rows of the top relation at the places asked for, −1 where no tuple has any; None where
    they have to be looked up in its table.
    """

    top: Rows
    variables: tuple[Variables, ...]
    classes: tuple[int, ...]
    tables: list[str] = field(default_factory=list)
    spots: Array | None = None

    def walk(self) -> Iterator[Rows]:
        """Every relation, those below first."""
        return _walk(self.top)


def _walk(rows: Rows) -> Iterator[Rows]:
    if isinstance(rows, BlockRows):
        for part in (*rows.below.values(), *rows.events.values()):
            yield from _walk(part)
    elif isinstance(rows, MergeRows):
        for part in rows.parts:
            yield from _walk(part)
    else:
        yield from _walk(rows.below)
    yield rows


def capture_forest(
    body: Body,
    engine: Engine,
    models: Mapping[str, ModelInfo],
    name: str,
    places: Restriction | None = None,
    *,
    readable: bool = True,
) -> Forest:
    """The alternatives of a tree of blocks, at `places` alone where given; LineageError where there are too many.

    The temporary tables are called `name_…`; the caller drops `tables`. `readable` asks for the top relation's table.
    """
    catcher = _Capture(engine, models, name)
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
        variables, classes = catcher.variables()
    except Exception:
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
        number = {values: i for i, values in enumerate(dict.fromkeys(places.values))}
    except TypeError:  # a list or a dictionary as a value
        return None
    rows = np.arange(len(number)) if len(number) == places.n else np.array([number[v] for v in places.values])
    return Restriction(places.positions[: len(number)], list(number)), rows


class _Capture:
    """One capture on its way through the tree."""

    def __init__(self, engine: Engine, models: Mapping[str, ModelInfo], name: str) -> None:
        self.engine = engine
        self.models = models
        self.name = name
        self.tables: list[str] = []
        self._numbers = itertools.count()
        self._uses: dict[tuple[str, ...], list[tuple[Plan, Atom, Literals, Array]]] = {}

    def rows(self, body: Body, places: Restriction | None = None) -> Rows:
        """The rows of one body."""
        if isinstance(body, Block):
            return self.block(body, places)
        if isinstance(body, Merge):
            return self._merge(body, places)
        return self._windowed(body)

    def _keep(self, sql: str) -> tuple[str, int]:
        """A temporary table of the answer to `sql`, and how many rows it has."""
        table = f"{self.name}_{next(self._numbers)}"
        self.tables.append(table)
        return table, self.engine.keep(table, sql)

    # -- a block ------------------------------------------------------------------------------------------------

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
        prepare_sources(plan, self.engine)
        below = {b.name: self._below(b) for b in block.below}
        names = {b.name: below[b.name].table for b in block.below if not b.single}
        if block.event_table is not None and events_table is not None:
            names[block.event_table] = events_table[0]

        absent: dict[int, str] = {}
        settled: dict[int, tuple[int, str]] = {}

        def read(k: int) -> str:
            if k in settled:
                return settled[k][1]
            return f"(CASE WHEN {absent[k]} THEN NULL ELSE __w{k}.c END)" if absent.get(k) else f"__w{k}.c"

        def state(k: int) -> str:
            return str(settled[k][0]) if k in settled else f"__w{k}.i"

        def text(sql: str) -> str:
            return _replaced(render(sql, read), names)

        numbers = {a.index for a in plan.atoms if a.kind in NUMBERS}
        used = _atoms_used(block)
        states = [a for a in plan.atoms if a.kind in ("class", "event") and a.index in used]
        if not plan.inner:
            absent |= {a.index: " OR ".join(f"{r} IS NULL" for r in a.rids) for a in states if a.rids}
        froms = [_replaced(plan.from_sql, names)]
        conditions: list[str] = []
        items: dict[str, str] = {}
        conjuncts = list(plan.conjuncts)
        for atom in states:
            labels = self.models[atom.model].classes if atom.kind == "class" else (False, True)
            texts_of = [(i, self.engine.literal(v)) for i, v in enumerate(labels)]
            if not absent.get(atom.index):
                texts_of, conjuncts = self._possible(atom, texts_of, conjuncts)
            if len(texts_of) == 1:  # nothing is left to try
                settled[atom.index] = texts_of[0]
                continue
            listed = ", ".join(f"({i}, {v})" for i, v in texts_of)
            froms.append(f"CROSS JOIN (VALUES {listed}) AS __w{atom.index}(i, c)")
            items[f"code_{atom.index}"] = f"__w{atom.index}.i"
        rids = list(dict.fromkeys(r for a in plan.atoms if a.kind in ("class", "proba", "number") for r in a.rids))
        for i, rid in enumerate(rids):
            items[f"rid_{i}"] = rid
        for atom in states:
            if absent.get(atom.index):
                # A row that an outer join did not find has no prediction: NULL, once.
                conditions.append(f"(__w{atom.index}.i = 0 OR NOT ({absent[atom.index]}))")
            for other in states:
                if other.index < atom.index and other.identity == atom.identity and atom.kind == "class":
                    same = " AND ".join(f"{a} = {b}" for a, b in zip(atom.rids, other.rids, strict=True))
                    conditions.append(f"(NOT coalesce({same}, FALSE) OR {state(atom.index)} = {state(other.index)})")
        for b in block.below:
            if not b.single:
                items[f"below_{b.name}"] = f"{_alias_of(plan, b.name)}.{ROW}"
        keys = [*(plan.group_by or ())] if plan.group_by is not None else []
        outputs = [(i, o) for i, (o, c) in enumerate(zip(plan.outputs, block.columns, strict=True)) if not c.uncertain]
        if rows_are_places:
            spots = self._spots(block, places, text, froms)
            froms.append(spots.join)
            conditions += spots.where
            items["row"] = spots.item
        else:
            conditions += self._restricted(block, places, text, froms)
            for i, e in enumerate(keys):
                items[f"key_{i}"] = text(e.sql)
            for i, o in outputs:
                items[f"out_{i}"] = text(o.expr.sql)
        events = [event for event in block.events if event.body is not None]
        for event in events:
            for j, key in enumerate(event.keys):
                items[f"{event.name}_x{j}"] = text(key)
        texts: dict[str, str] = {}
        kinds: dict[str, str] = {}
        for j, leaf in enumerate(_leaves(block, numbers)):
            texts[leaf.sql] = f"e_{j}"
            items[f"e_{j}"] = text(leaf.sql)
        selected = ", ".join(f"{sql} AS {self._quoted(n)}" for n, sql in items.items()) or "1 AS one"
        head = f"SELECT {selected} FROM {' '.join(froms)} WHERE"
        ways = _ways(conjuncts, block.event_table, conditions, text)
        sql = f"{plan.with_sql} {' UNION ALL '.join(f'{head} {where}' for where in ways)}{one_group_a_row(plan)}"
        most = MAX_NUMBERS // (len(items) + 2) if len(plan.sources) + len(block.below) > 1 else None
        whole = sql + (f" LIMIT {most + 1}" if most is not None else "")
        numbered = rows_are_places or events_table is not None or (plan.group_by == () and not readable)
        if numbered and not any(event.keys for event in events):
            # Nothing else reads them: they are fetched as they are found.
            alternatives, order = f"({whole})", ""
        else:
            # A table's row ids are in the order of its rows: they number the alternatives.
            alternatives, order = self._keep(whole)[0], " ORDER BY a.rowid"
        if numbered:
            relation, join = "", ""
            number = 'a."row"' if rows_are_places else f'a."out_{outputs[-1][0]}"' if events_table is not None else "0"
        else:
            relation, join, number = self._relation(block, alternatives, keys, outputs)
        found_events: dict[str, Rows] = {}
        event_rows: dict[str, str] = {}
        for event in events:
            assert event.body is not None and isinstance(event.body, Block)
            columns = [f"{self._quoted(f'{event.name}_x{j}')} AS x{j}" for j in range(len(event.keys))]
            distinct = f"SELECT DISTINCT {', '.join(columns)} FROM {alternatives}" if columns else "SELECT 1 AS none"
            made, n_events = self._keep(f"SELECT row_number() OVER () - 1 AS {ROW}, * FROM ({distinct})")
            on = " AND ".join(
                f"a.{self._quoted(f'{event.name}_x{j}')} IS NOT DISTINCT FROM {made}.x{j}"
                for j in range(len(event.keys))
            )
            event_rows[event.name] = f"{made}.{ROW}"
            join += f" JOIN {made} ON {on or 'TRUE'}"
            found_events[event.name] = self.block(event.body, events_table=(made, n_events))
        fetched = self._fetched(alternatives, items, texts, kinds, number, event_rows, join, order)
        n = fetched.n_rows
        if most is not None and n > most:
            raise LineageError(
                f"this query has more than {most:,} alternatives of tuples: they do not fit in memory",
                where=plan.from_sql, hint="join on equal columns, or name fewer places",
            )  # fmt: skip
        literals: list[Literals] = []
        for atom in states:
            if atom.index in settled:
                codes = np.full(n, settled[atom.index][0], dtype=np.int64)
            else:
                codes = fetched[f"code_{atom.index}"].values.astype(np.int64)
            if atom.kind == "event":
                name = atom.identity[1]
                rows = fetched[f"event_{name}"].values.astype(np.int64) if name in event_rows else np.arange(n)
                literals.append(Literals("event", name, rows, codes))
                continue
            literals.append(self._variables(plan, atom, fetched, rids, codes))
        for b in block.below:
            if not b.single:
                rows, there = _known(fetched, f"below_{b.name}")
                literals.append(Literals("below", b.name, rows, np.where(there, 0, -1)))
        numbers_found: dict[int, Literals] = {}
        for atom in plan.atoms:
            if atom.kind in ("proba", "number"):
                numbers_found[atom.index] = self._variables(plan, atom, fetched, rids, np.zeros(n, dtype=np.int64))
            elif atom.kind == "value":
                name = atom.identity[1]
                rows = np.zeros(n, dtype=np.int64)
                if f"below_{name}" in items:
                    rows, _ = _known(fetched, f"below_{name}")
                numbers_found[atom.index] = Literals("below", atom.identity[1:], rows, np.zeros(n, dtype=np.int64))
            elif atom.kind == "lookup":
                name = atom.identity[1]
                rows = fetched[f"event_{name}"].values.astype(np.int64)
                numbers_found[atom.index] = Literals("event", name, rows, np.zeros(n, dtype=np.int64))
        row = (
            np.arange(n) if not number else np.zeros(n, dtype=np.int64) if number == "0" else _known(fetched, "row")[0]
        )
        if events_table is not None:
            n_rows = events_table[1]
        elif rows_are_places:
            n_rows = places.n if places is not None else 0
        else:
            n_rows = 1 if plan.group_by == () else int(row.max(initial=-1)) + 1
        return BlockRows(
            block, relation, n_rows, row, literals, numbers_found, fetched, texts, below, found_events, sql, kinds
        )

    def _possible(
        self, atom: Atom, states: list[tuple[int, str]], conjuncts: list[Expr]
    ) -> tuple[list[tuple[int, str]], list[Expr]]:
        """The states of a prediction that conditions on it alone let through, and the other conditions."""
        alone = [c for c in conjuncts if c.atoms == (atom.index,) and not (c.has_columns or c.has_aggregate)]
        texts = [render(c.sql, lambda k: "w.c") for c in alone]
        if not alone or any("(" in t for t in texts):  # a function's value may be another one next time
            return states, conjuncts
        asked = ", ".join(f"({i}, {v})" for i, v in states)
        found = self.engine.constant(
            f"SELECT {' AND '.join(f'({t})' for t in texts)} AS x FROM (VALUES {asked}) AS w(i, c) ORDER BY w.i"
        )
        holds = [bool(x) for x in found["x"].to_list()]
        left = [s for s, there in zip(states, holds, strict=True) if there]
        return (left, [c for c in conjuncts if c not in alone]) if left else (states, conjuncts)

    def _below(self, below: Below) -> Rows:
        if below.single and isinstance(below.body, Block):
            return self.block(below.body, readable=False)  # a number, wherever it is read
        return self.rows(below.body)

    def _spots(self, block: Block, places: Restriction | None, text: Any, froms: Sequence[str]) -> Spots:
        """How alternatives find their place, whose number is their row."""
        assert places is not None
        texts = [text(block.plan.outputs[i].expr.sql) for i in places.positions[0]]
        return find_spots(self.engine, texts, self._kinds(block, texts, froms), places.values)

    def _kinds(self, block: Block, texts: Sequence[str], froms: Sequence[str]) -> list[str]:
        """The types of some expressions over the sources."""
        asked = ", ".join(f"{sql} AS x{i}" for i, sql in enumerate(texts))
        if not texts:
            return []
        return [t for _, t in self.engine.types(f"{block.plan.with_sql} SELECT {asked} FROM {' '.join(froms)}")]

    def _restricted(self, block: Block, places: Restriction | None, text: Any, froms: Sequence[str]) -> list[str]:
        """Conditions of the places' own columns."""
        if places is None or not any(places.positions):
            return []
        certain = sorted({i for one in set(places.positions) for i in one})
        here = {i: text(block.plan.outputs[i].expr.sql) for i in certain}
        each_place = places.maps()
        kinds = dict(zip(here, self._kinds(block, list(here.values()), froms), strict=True))
        if places.n > MOST_LISTED:
            rows = [[place.get(i) for i in here] for place in each_place]
            if any(v is None for row in rows for v in row):
                return []
            values = uploaded_places(self.engine, rows, list(kinds.values()))
            names = ", ".join(f"k{j}" for j in range(len(here)))
            return [f"({', '.join(here.values())}) IN (SELECT {names} FROM {values})"]

        def equal(i: int, value: Any) -> str:
            if value is None:
                return f"({here[i]}) IS NULL"
            return f"({here[i]}) = TRY_CAST({self.engine.literal(value)} AS {kinds[i]})"

        each = [[equal(i, v) for i, v in place.items()] for place in each_place]
        if len(each) == 1:
            return each[0]
        return [" OR ".join(f"({' AND '.join(one) or 'TRUE'})" for one in each)]

    def _relation(self, block: Block, alternatives: str, keys: Sequence[Expr], outputs: Any) -> tuple[str, str, str]:
        """The table of the block's rows, the SQL that joins alternatives `a` with it, and the row of each of these.

        Where that is empty each alternative is a row of its own.
        """
        plan = block.plan
        named = [f"{self._quoted(f'out_{i}')} AS {self._quoted(block.columns[i].name)}" for i, _ in outputs]
        if plan.group_by is None:
            items = ", ".join([f"row_number() OVER (ORDER BY rowid) - 1 AS {ROW}", *named])
            return self._keep(f"SELECT {items} FROM {alternatives}")[0], "", ""
        if not keys:
            some = [f"any_value({self._quoted(f'out_{i}')}) AS {self._quoted(block.columns[i].name)}"
                    for i, _ in outputs]  # fmt: skip
            source = f" FROM {alternatives}" if some else ""
            return self._keep(f"SELECT {', '.join([f'0 AS {ROW}', *some])}{source}")[0], "", "0"
        key_names = [f"key_{i}" for i in range(len(keys))]
        seen = [f"{self._quoted(f'out_{i}')}" for i, _ in outputs]
        distinct = ", ".join(dict.fromkeys([*key_names, *seen]))
        table, _ = self._keep(
            f"SELECT {', '.join([f'row_number() OVER () - 1 AS {ROW}', *named, *key_names])} "
            f"FROM (SELECT DISTINCT {distinct} FROM {alternatives})"
        )
        on = " AND ".join(f"rel.{k} IS NOT DISTINCT FROM a.{k}" for k in key_names)
        return table, f"JOIN {table} AS rel ON {on}", f"rel.{ROW}"

    def _fetched(
        self, alternatives: str, items: Mapping[str, str], texts: Mapping[str, str], kinds: dict[str, str],
        number: str, event_rows: Mapping[str, str], join: str, order: str,
    ) -> Table:  # fmt: skip
        types = dict(self.engine.types(f"SELECT {', '.join(texts.values())} FROM {alternatives}")) if texts else {}
        selected = [f"{number} AS row"] if number not in ("", "0") else []
        for name in items:
            if name.startswith(("code_", "rid_", "below_")):
                selected.append(f"a.{self._quoted(name)} AS {self._quoted(name)}")
        for text, name in texts.items():
            kind = kinds[text] = kind_of(types[name])
            quoted = f"a.{self._quoted(name)}"
            if kind in ("number", "bool"):
                selected.append(f"CAST({quoted} AS DOUBLE) AS {name}")
            else:
                selected.append(f"CAST({quoted} IS NOT NULL AS DOUBLE) AS {name}")
                selected.append(f"dense_rank() OVER (ORDER BY {quoted}) AS {name}_id")
        for name, text in event_rows.items():
            selected.append(f"{text} AS {self._quoted(f'event_{name}')}")
        listed = ", ".join(selected) or "1 AS one"
        return self.engine.table(f"SELECT {listed} FROM {alternatives} AS a {join}{order}")

    def _variables(self, plan: Plan, atom: Atom, table: Table, rids: Sequence[str], codes: Array) -> Literals:
        columns = [_known(table, f"rid_{rids.index(r)}") for r in atom.rids]
        there = np.logical_and.reduce([k for _, k in columns])
        literal = Literals("class", atom.identity, np.zeros(len(there), dtype=np.int64), np.where(there, codes, -1))
        values = np.stack([v for v, _ in columns], axis=1)
        self._uses.setdefault(atom.identity, []).append((plan, atom, literal, values))
        return literal

    def _quoted(self, name: str) -> str:
        return '"' + name.replace('"', '""') + '"'

    # -- set operations and windows -----------------------------------------------------------------------------

    def _merge(self, body: Merge, places: Restriction | None) -> MergeRows:
        parts = [self.rows(_grouped(p) if not body.all else p, places) for p in body.parts]
        names = [self._quoted(c.name) for c in body.columns if not c.uncertain]
        lists = []
        for part in body.parts:
            own = [c for c, whole in zip(part.columns, body.columns, strict=True) if not whole.uncertain]
            lists.append([f"{self._quoted(c.name)}" for c in own])
        if not body.all and any(c.uncertain for c in body.columns):
            first: Body = body
            while isinstance(first, Merge):
                first = first.parts[0]
            text = first.plan.sql
            raise SQLError(f"{body.op.upper()} of numbers that predictions move is not supported", sql=text, start=0,
                           end=len(text.rstrip()), hint="use UNION ALL, or leave the number out")  # fmt: skip
        if body.all:
            offset, texts, maps = 0, [], []
            for made, columns in zip(parts, lists, strict=True):
                pairs = [f"{c} AS {n}" for c, n in zip(columns, names, strict=True)]
                texts.append(f"SELECT {', '.join([f'{ROW} + {offset} AS {ROW}', *pairs])} FROM {made.table}")
                maps.append(np.arange(made.n_rows) + offset)
                offset += made.n_rows
            table, _ = self._keep(" UNION ALL ".join(texts))
            return MergeRows(body, table, offset, parts, maps)
        selects = []
        for made, columns in zip(parts, lists, strict=True):
            pairs = [f"{c} AS {n}" for c, n in zip(columns, names, strict=True)]
            selects.append(f"SELECT {', '.join(pairs)} FROM {made.table}")
        table, n_rows = self._keep(f"SELECT row_number() OVER () - 1 AS {ROW}, * FROM ({' UNION '.join(selects)})")
        maps = []
        for made, columns in zip(parts, lists, strict=True):
            same = [f"p.{c} IS NOT DISTINCT FROM w.{n}" for c, n in zip(columns, names, strict=True)]
            found = self.engine.table(
                f"SELECT w.{ROW} AS x FROM {made.table} AS p JOIN {table} AS w ON {' AND '.join(same) or 'TRUE'} "
                f"ORDER BY p.{ROW}"
            )
            maps.append(found["x"].values.astype(np.int64))
        return MergeRows(body, table, n_rows, parts, maps)

    def _windowed(self, body: Windowed) -> WindowRows:
        below = self.rows(body.below.body)
        source = f"{below.table} AS __w"
        order, partition, peer = [], [], []
        for window in body.windows:
            split = ", ".join(window.partition)
            by = ", ".join(window.order) if not window.by else ""
            over = (f"PARTITION BY {split}" if split else "") + (f" ORDER BY {by}" if by else "")
            part = f"dense_rank() OVER (ORDER BY {split})" if split else "0"
            found = self.engine.table(
                f"SELECT {ROW} AS row, {part} AS part, rank() OVER ({over}) AS peer "
                f"FROM {source} ORDER BY part{', ' + by if by else ''}, {ROW}"
            )
            order.append(found["row"].values.astype(np.int64))
            partition.append(found["part"].values.astype(np.int64))
            peer.append(found["peer"].values.astype(np.int64))
        texts: dict[str, str] = {}
        items = []
        for leaf in _window_leaves(body):
            if leaf.sql not in texts:
                texts[leaf.sql] = f"e_{len(texts)}"
                items.append(f"{leaf.sql} AS e_{len(texts) - 1}")
        types = self.engine.types(f"SELECT {', '.join(items)} FROM {source}") if items else []
        casts = [
            f"CAST({n} AS DOUBLE) AS {n}"
            if kind_of(t) in ("number", "bool")
            else f"CAST({n} IS NOT NULL AS DOUBLE) AS {n}"
            for n, t in types
        ]
        inner = f"SELECT {', '.join([ROW, *items])} FROM {source}"
        exports = self.engine.table(f"SELECT {', '.join([ROW, *casts])} FROM ({inner}) ORDER BY {ROW}")
        outputs = [
            f"{o.expr.sql} AS {self._quoted(c.name)}"
            for o, c in zip(body.plan.outputs, body.columns, strict=True)
            if not c.uncertain
        ]
        table, _ = self._keep(f"SELECT {', '.join([ROW, *outputs])} FROM {source}")
        named = dict(types)
        kinds = {text: kind_of(named[n]) for text, n in texts.items()}
        return WindowRows(body, table, below.n_rows, below, order, partition, peer, exports, texts, kinds)

    # -- variables ----------------------------------------------------------------------------------------------

    def variables(self) -> tuple[tuple[Variables, ...], tuple[int, ...]]:
        """Every variable of the tree once, numbered in the literals; blocks with features, and their widths."""
        blocks: list[Variables] = []
        widths: list[int] = []
        for identity, uses in self._uses.items():
            present = [values[literal.codes >= 0] for _, _, literal, values in uses]
            distinct, numbers = number_variables(present)
            missing = np.ones(len(distinct), dtype=bool)
            parts: list[Table] = []
            order: list[Array] = []
            for (plan, atom, literal, _), number in zip(uses, numbers, strict=True):
                rows = np.zeros(len(literal.codes), dtype=np.int64)
                rows[literal.codes >= 0] = number
                literal.rows, literal.block = rows, len(blocks)
                mine = np.zeros(len(distinct), dtype=bool)
                mine[number] = True
                chosen = np.flatnonzero(mine & missing)
                if len(chosen):
                    parts.append(
                        fetch_rows(plan, self.engine, atom, self.models[atom.model].features, distinct[chosen])
                    )
                    order.append(chosen)
                    missing[chosen] = False
            atom = uses[0][1]
            features = self.models[atom.model].features
            if not parts:
                parts.append(fetch_rows(uses[0][0], self.engine, atom, features, distinct))
                order.append(np.arange(0))
            table = concatenate(parts, list(features)).take(np.argsort(np.concatenate(order), kind="stable"))
            blocks.append(Variables(atom.model, identity, atom, distinct, table))
            widths.append(max(1, len(self.models[atom.model].classes)))
        return tuple(blocks), tuple(widths)


def _ways(
    conjuncts: Sequence[Expr], events: str | None, conditions: Sequence[str], text: Callable[[str], str]
) -> list[str]:
    """WHERE, as several that exclude each other where subqueries are met by one equality or another condition.

    The engine finds pairs that are equal by hashing; for OR it would compare all pairs.
    """
    rest = [*conditions]
    split: list[Expr] = []
    for c in conjuncts:
        some = _disjuncts(c)
        if not split and len(some) > 1 and events in c.aliases and any("=" in (d.op, d.name) for d in some):
            split = some
        else:
            rest.append(text(c.sql))
    if not split:
        return [" AND ".join(f"({c})" for c in rest) or "TRUE"]
    found = []
    for i, way in enumerate(split):
        before = " OR ".join(f"({text(d.sql)})" for d in split[:i])
        parts = [text(way.sql), *rest, *([f"({before}) IS NOT TRUE"] if before else [])]
        found.append(" AND ".join(f"({c})" for c in parts))
    return found


def _disjuncts(e: Expr) -> list[Expr]:
    return [d for arg in e.args for d in _disjuncts(arg)] if "or" in (e.op, e.name) else [e]


def _known(table: Table, name: str) -> tuple[Array, Array]:
    column = table[name]
    there = np.ones(table.n_rows, dtype=bool) if column.valid is None else np.asarray(column.valid)
    return np.where(there, column.values, 0).astype(np.int64), there


def _alias_of(plan: Plan, name: str) -> str:
    at = plan.from_sql.index(f"{name} AS ") + len(f"{name} AS ")
    text = plan.from_sql[at:]
    if text.startswith('"'):
        end = 1
        while text[end] != '"' or text[end : end + 2] == '""':
            end += 2 if text[end : end + 2] == '""' else 1
        return text[: end + 1]
    return text.split()[0]


def _replaced(text: str, names: Mapping[str, str]) -> str:
    for name, table in names.items():
        text = text.replace(f"{name} AS ", f"{table} AS ")
    return text


def _grouped(body: Body) -> Body:
    """A plain SELECT as one that keeps each row once."""
    if isinstance(body, Block) and body.bag and not any(c.uncertain for c in body.columns):
        keys = tuple({o.expr.sql: o.expr for o in body.plan.outputs}.values())
        return replace(body, plan=replace(body.plan, group_by=keys), bag=False)
    return body


def _atoms_used(block: Block) -> set[int]:
    """Atoms that conditions, keys, values or events read."""
    plan = block.plan
    found = {k for e in (*plan.conjuncts, *(plan.group_by or ()), *block.having) for k in e.atoms}
    found |= {k for o in plan.outputs for k in o.expr.atoms}
    for event in block.events:
        found |= set(event.condition.atoms) if event.condition is not None else set()
        for key in event.keys:
            found |= {int(part.split(")")[0]) for part in key.split("RAIN_ATOM(")[1:]}
    return found


def number_leaves(e: Expr, numbers: set[int]) -> Iterator[Expr]:
    """The largest parts of `e` that the engine evaluates for an alternative: those without numbers that move."""
    if e.op == "agg":
        return
    if not numbers & set(e.atoms) and not e.has_aggregate:
        yield e
        return
    for arg in e.args:
        yield from number_leaves(arg, numbers)


def _leaves(block: Block, numbers: set[int]) -> list[Expr]:
    """What the engine exports with each alternative, each text once."""
    found: dict[str, Expr] = {}
    aggregates: list[Expr] = []
    tops: list[Expr] = [*(o.expr for o in block.plan.outputs), *block.having]
    tops += [e.condition for e in block.events if e.condition is not None]
    for top in tops:
        aggregates += [x for x in top.walk() if x.op == "agg"]
        if not top.has_aggregate and numbers & set(top.atoms):
            for leaf in number_leaves(top, numbers):
                found.setdefault(leaf.sql, leaf)
        elif top.has_aggregate or top in block.having:
            for leaf in _beside(top, numbers):
                found.setdefault(leaf.sql, leaf)
    for aggregate in aggregates:
        if aggregate.name == "engine":
            continue
        for part in (*aggregate.args, *([aggregate.filter] if aggregate.filter is not None else [])):
            for leaf in number_leaves(part, numbers):
                found.setdefault(leaf.sql, leaf)
    return list(found.values())


def _beside(e: Expr, numbers: set[int]) -> Iterator[Expr]:
    """What stands beside aggregates in an expression over groups."""
    if e.op in ("agg", "atom"):
        return
    if not e.has_aggregate and not numbers & set(e.atoms):
        yield e
        return
    for arg in e.args:
        yield from _beside(arg, numbers)


def _window_leaves(body: Windowed) -> Iterator[Expr]:
    numbers = {a.index for a in body.plan.atoms}
    tops = [o.expr for o in body.plan.outputs] + list(body.qualify)
    tops += [a for w in body.windows for a in (*w.args, *w.by)]
    tops += [e.condition for e in body.events if e.condition is not None]
    for top in tops:
        yield from number_leaves(top, numbers)


__all__ = ["BlockRows", "Forest", "Literals", "MergeRows", "Rows", "WindowRows", "capture_forest", "number_leaves"]
