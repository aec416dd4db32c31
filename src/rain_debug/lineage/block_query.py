"""One block → the text of one query for its alternatives: every predicted row stands once for each class."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rain_debug.engines import Engine
from rain_debug.lineage.exports import kind_of
from rain_debug.lineage.forest import COPIES, KNOWN, NULL
from rain_debug.lineage.leaves import added_up, atoms_used, block_leaves
from rain_debug.lineage.listed import listed
from rain_debug.lineage.places import MOST_LISTED, Restriction, find_spots, uploaded_places
from rain_debug.lineage.weaken import one_group_a_row
from rain_debug.sql import Atom, Block, Event, Expr, ModelInfo, Plan, render
from rain_debug.sql.nodes import quote
from rain_debug.sql.tree import ROW

NUMBERS = ("value", "number", "proba", "lookup", "window")
"""Kinds of atoms that are numbers which predictions move."""


class BlockQuery:
    """The query of a block's alternatives, with the tables `tables` in place of the names in its FROM.

    `items` are what it selects, by name: `code_k` is the state of atom k, `rid_i` the row id `rids[i]`, `below_b` the
    row of relation b; then `row`, or `key_i` and `out_i`; the keys of `events`; and `texts`, what NumPy computes with,
    `constants` among them.
    `states` are the atoms with states, those in `settled` with but one that their conditions let through.
    `only` are conditions beside its own. `totals` are the names among `texts` that `merged` adds up.
    """

    def __init__(
        self,
        block: Block,
        engine: Engine,
        models: Mapping[str, ModelInfo],
        tables: Mapping[str, str],
        places: Restriction | None,
        rows_are_places: bool,
        only: Sequence[str] = (),
    ) -> None:
        self.block = block
        self.plan = plan = block.plan
        self.engine = engine
        self.models = models
        self.tables = tables
        used = atoms_used(block)
        self.states = [a for a in plan.atoms if a.kind in ("class", "event") and a.index in used]
        self.settled: dict[int, tuple[int, str]] = {}
        self.items: dict[str, str] = {}
        self.texts: dict[str, str] = {}
        self.constants: dict[str, str] = {}
        self.is_merged = False
        self.words: dict[str, str] = {}
        self._moving = {a.index for a in plan.atoms if a.kind in NUMBERS}
        self._added = added_up(block, self._moving)
        self._of_a_row: list[str] = []
        self.events: list[Event] = [event for event in block.events if event.body is not None]
        self.outputs = [i for i, c in enumerate(block.columns) if not c.uncertain]
        self.rids = list(dict.fromkeys(r for a in plan.atoms if a.kind in ("class", "proba", "number") for r in a.rids))
        self._absent = {a.index: _absence(a) for a in self.states if any(plan.source(x).nullable for x in a.aliases)}
        self._froms = [_replaced(plan.from_sql, tables)]
        self._conditions = list(only)
        self._conjuncts = list(plan.conjuncts)
        for atom in self.states:
            self._try_each_state(atom)
        self._select_rows()
        if rows_are_places:
            self._number_by(places)
        else:
            self._tell_apart(places)
        self._select_leaves()
        self.totals = [name for text, name in self.texts.items() if text in (self._added or ())]

    @property
    def width(self) -> int:
        """How many columns it selects."""
        return len(self.items) + self.is_merged * (1 + len(self.totals))

    @property
    def can_merge(self) -> bool:
        """True where tuples of equal variables may be added up."""
        return self._added is not None

    def sql(self) -> str:
        """The whole query."""
        selected = ", ".join(f"{sql} AS {quote(n)}" for n, sql in self.items.items()) or "1 AS one"
        head = f"SELECT {selected} FROM {' '.join(self._froms)} WHERE"
        ways = _ways(self._conjuncts, self.block.event_table, self._conditions, self._text)
        tail = one_group_a_row(self.plan, self.engine.dialect)
        return f"{self.plan.with_sql} {' UNION ALL '.join(f'{head} {w}' for w in ways)}{tail}"

    def merged(self, sql: str) -> str:
        """`sql`, the whole query, with alternatives that differ in `totals` alone as one, made of so many `COPIES`.

        A name in `totals` is then the sum of what these have there, and with `KNOWN` before it how many have anything.
        """
        self.is_merged = True
        kinds = {name: kind_of(t) for name, t in self.engine.types(sql)}
        self.words = {name: kinds[name] for name in self.totals if kinds[name] not in ("number", "bool")}
        totals = [f"count(*) AS {COPIES}"]
        for name in self.totals:
            x = f"t.{name}" if kinds[name] == "number" else f"CAST(t.{name} AS INTEGER)"
            total = f"count(t.{name})" if name in self.words else f"sum({x})"
            totals += [f"{total} AS {name}", f"count(t.{name}) AS {KNOWN}{name}"]
        keys = [name for name in self.items if name not in {*self.totals, *self._of_a_row}]
        apart = ", ".join(f"t.{quote(name)}" for name in keys)
        items = [f"t.{quote(name)}" if name in keys else f"any_value(t.{quote(name)}) AS {quote(name)}"
                 for name in self.items if name not in self.totals]  # fmt: skip
        grouped = f"GROUP BY {apart} ORDER BY {apart}" if keys else "HAVING count(*) > 0"
        return f"SELECT {', '.join([*items, *totals])} FROM ({sql}) AS t {grouped}"

    # -- texts --------------------------------------------------------------------------------------------------

    def _text(self, sql: str) -> str:
        return _replaced(render(sql, self._read), self.tables)

    def _read(self, k: int) -> str:
        if k in self.settled:
            return self.settled[k][1]
        return f"(CASE WHEN {self._absent[k]} THEN NULL ELSE __w{k}.c END)" if k in self._absent else f"__w{k}.c"

    def _state(self, k: int) -> str:
        return str(self.settled[k][0]) if k in self.settled else f"__w{k}.i"

    # -- states of atoms ----------------------------------------------------------------------------------------

    def _try_each_state(self, atom: Atom) -> None:
        truth = (False, True, None)[: NULL + self._is_nullable(atom)]
        labels = self.models[atom.model].classes if atom.kind == "class" else truth
        states = [(i, self.engine.literal(v)) for i, v in enumerate(labels)]
        if atom.index not in self._absent:
            states, self._conjuncts = self._possible(atom, states)
        if len(states) == 1:  # nothing is left to try
            self.settled[atom.index] = states[0]
            return
        self._froms.append(f"CROSS JOIN {_states(f'__w{atom.index}', states)}")
        self.items[f"code_{atom.index}"] = f"__w{atom.index}.i"

    def _is_nullable(self, atom: Atom) -> bool:
        return any(event.nullable for event in self.block.events if event.name == atom.identity[1])

    def _possible(self, atom: Atom, states: list[tuple[int, str]]) -> tuple[list[tuple[int, str]], list[Expr]]:
        """The states of a prediction that conditions on it alone let through, and the other conditions."""
        alone = [c for c in self._conjuncts if c.atoms == (atom.index,) and not (c.has_columns or c.has_aggregate)]
        texts = [render(c.sql, lambda k: "w.c") for c in alone]
        if not alone or any("(" in t for t in texts):  # a function's value may be another one next time
            return states, self._conjuncts
        found = self.engine.constant(
            f"SELECT {' AND '.join(f'({t})' for t in texts)} AS x FROM {_states('w', states)} ORDER BY w.i"
        )
        holds = [bool(x) for x in found["x"].to_list()]
        left = [s for s, there in zip(states, holds, strict=True) if there]
        return (left, [c for c in self._conjuncts if c not in alone]) if left else (states, self._conjuncts)

    # -- what is selected ---------------------------------------------------------------------------------------

    def _select_rows(self) -> None:
        """The rows that an alternative consists of, and that states of the same row are the same."""
        for i, rid in enumerate(self.rids):
            self.items[f"rid_{i}"] = rid
        for atom in self.states:
            if atom.index in self._absent:
                # A row that an outer join did not find has no prediction: NULL, once.
                self._conditions.append(f"(__w{atom.index}.i = 0 OR NOT ({self._absent[atom.index]}))")
            for other in self.states:
                if other.index < atom.index and other.identity == atom.identity and atom.kind == "class":
                    same = " AND ".join(f"{a} = {b}" for a, b in zip(atom.rids, other.rids, strict=True))
                    equal = f"{self._state(atom.index)} = {self._state(other.index)}"
                    self._conditions.append(f"(NOT coalesce({same}, FALSE) OR {equal})")
        for b in self.block.below:
            if not b.single:
                self.items[f"below_{b.name}"] = f"{alias_of(self.plan, b.name)}.{ROW}"

    def _number_by(self, places: Restriction | None) -> None:
        """The number of the place as the row."""
        assert places is not None
        texts = [self._text(self.plan.outputs[i].expr.sql) for i in places.positions[0]]
        spots = find_spots(self.engine, texts, self._kinds(texts), places.values)
        self._froms.append(spots.join)
        self._conditions += spots.where
        self.items["row"] = spots.item

    def _tell_apart(self, places: Restriction | None) -> None:
        """Keys and columns that tell rows apart, at the places alone."""
        self._conditions += self._restricted(places)
        numbered = [(f"key_{i}", e) for i, e in enumerate(self.plan.group_by or ())]
        numbered += [(f"out_{i}", self.plan.outputs[i].expr) for i in self.outputs]
        read = {s.alias for s in self.plan.sources if s.rid in self.rids and s.is_whole}
        for name, e in numbered:
            self.items[name] = self._text(e.sql)
            if e.aliases and set(e.aliases) <= read and not e.atoms:
                self._of_a_row.append(name)  # it is the same wherever the row ids are

    def _select_leaves(self) -> None:
        for event in self.events:
            for j, key in enumerate(event.keys):
                self.items[f"{event.name}_x{j}"] = self._text(key)
        for j, leaf in enumerate(block_leaves(self.block, self._moving)):
            self.texts[leaf.sql] = f"e_{j}"
            self.items[f"e_{j}"] = self._text(leaf.sql)
            if not leaf.aliases and not leaf.atoms:
                self.constants[leaf.sql] = self._text(leaf.sql)

    # -- places -------------------------------------------------------------------------------------------------

    def _kinds(self, texts: Sequence[str]) -> list[str]:
        """The types of some expressions over the sources."""
        asked = ", ".join(f"{sql} AS x{i}" for i, sql in enumerate(texts))
        if not texts:
            return []
        return [t for _, t in self.engine.types(f"{self.plan.with_sql} SELECT {asked} FROM {' '.join(self._froms)}")]

    def _restricted(self, places: Restriction | None) -> list[str]:
        """Conditions of the places' own columns."""
        if places is None or not any(places.positions):
            return []
        certain = sorted({i for one in set(places.positions) for i in one})
        here = {i: self._text(self.plan.outputs[i].expr.sql) for i in certain}
        each_place = places.maps()
        kinds = dict(zip(here, self._kinds(list(here.values())), strict=True))
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
            return f"({here[i]}) = {self.engine.attempt(self.engine.literal(value), kinds[i])}"

        each = [[equal(i, v) for i, v in place.items()] for place in each_place]
        if len(each) == 1:
            return each[0]
        return [" OR ".join(f"({' AND '.join(one) or 'TRUE'})" for one in each)]


def _states(name: str, states: Sequence[tuple[int, str]]) -> str:
    return listed(name, ("i", "c"), [(str(i), v) for i, v in states])


def _absence(atom: Atom) -> str:
    return " OR ".join(f"{rid} IS NULL" for rid in atom.rids)


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


def alias_of(plan: Plan, name: str) -> str:
    """The alias of the table `name` in FROM, as it is written there."""
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
