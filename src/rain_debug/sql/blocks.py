"""SELECTs and set operations over predictions as a tree of blocks: what lineage walks through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlglot import exp

from rain_debug.errors import SQLError
from rain_debug.sql import grouping, outer, rewrite
from rain_debug.sql.convert import atom_number, conjuncts, is_atom, sources_of
from rain_debug.sql.expr import Expr
from rain_debug.sql.marks import atom_sources, placed, take_calls, take_comparisons, take_values
from rain_debug.sql.nodes import add_source, bare, group_by_text, own_windows, quote
from rain_debug.sql.plan import Atom, OutputColumn, Plan, Source
from rain_debug.sql.rewrite import has_atoms
from rain_debug.sql.scopes import Scopes
from rain_debug.sql.subqueries import correlated, event_select
from rain_debug.sql.tree import EVENT, ROW, Below, Block, Body, Event, Merge, OutColumn
from rain_debug.sql.windowed import windowed


class Blocks:
    """The tree of one query; `bodies` are those of its CTEs that became subqueries."""

    def __init__(self, scopes: Scopes) -> None:
        self.scopes = scopes
        self.convert = scopes.convert
        self.refuse = scopes.refuse_tree
        self.bodies: dict[str, Body] = {}
        self._keys: dict[str, list[exp.Expr]] = {}

    def body(self, node: exp.Expr, shown: Sequence[str] | None = None) -> Body:
        """The tree of one SELECT or set operation; `shown` are the names of its columns where it is the whole."""
        while isinstance(node, exp.Subquery | exp.Paren):
            node = node.this
        assert isinstance(node, exp.Query)
        names = tuple(shown or (self.scopes.declared.get(n.lower(), n) for n in node.named_selects))
        if shown is None and (node.args.get("limit") or node.args.get("offset")):
            what = "LIMIT inside a query, over predictions, is not supported"
            raise self.refuse(node.args.get("limit") or node.args["offset"], what, "LIMIT")
        if isinstance(node, exp.SetOperation):
            return self._merge(node, names)
        assert isinstance(node, exp.Select)
        distinct = node.args.get("distinct")
        if distinct is not None and distinct.args.get("on") is not None:
            raise self.refuse(distinct, "DISTINCT ON over predictions is not supported", "DISTINCT")
        node = outer.split(node, self.scopes.refuse_tree, self.scopes.names)
        if any(True for _ in own_windows(node)):
            group_by_text(node)
            return windowed(node, names, self.scopes, self.body)
        split = grouping.sets(node)
        if split is not None:
            parts = tuple(self.body(part, names) for part in split)
            return Merge("union", True, parts, _merged_columns(names, parts))
        group = node.args.get("group")
        if group is not None and all(isinstance(k, exp.Tuple) and not k.expressions for k in group.expressions):
            node.set("group", None)
            node.meta["total"] = True  # one row, also where no aggregate says so
        return self._block(node, names)

    def _merge(self, node: exp.SetOperation, names: tuple[str, ...]) -> Body:
        op = {exp.Union: "union", exp.Intersect: "intersect", exp.Except: "except"}[type(node)]
        if node.args.get("by_name"):
            raise self.refuse(node, f"{op.upper()} BY NAME over predictions is not supported")
        if op != "union" and not node.args.get("distinct"):
            raise self.refuse(node, f"{op.upper()} ALL over predictions is not supported")
        parts = tuple(self.body(side) for side in (node.left, node.right))
        return Merge(op, not node.args.get("distinct"), parts, _merged_columns(names, parts))

    def _block(self, select: exp.Select, names: tuple[str, ...], event_table: str | None = None) -> Block:
        """One SELECT without windows: its flat plan, what stands below it, its events."""
        below: list[Below] = []
        events: list[Event] = []
        values: dict[str, Below] = {}
        self._take_sources(select, below, values)
        self._take_subqueries(select, below, events)
        atoms: list[Atom] = []
        sources: dict[str, Source] = {s.alias: s for s in atom_sources(select, self.scopes)}
        take_values(select, values, atoms, self.scopes)
        take_calls(select, sources, atoms, self.scopes)
        for atom_node in [n for n in select.find_all(exp.Anonymous) if is_atom(n)]:
            atom_node.set("expressions", [atom_node.expressions[0]])
        take_comparisons(select, atoms, events, {b.name: b.body for b in below}, self.scopes)
        events = [
            replace(e, keys=tuple(k.sql(self.scopes.dialect) for k in self._keys.pop(e.name, ()))) for e in events
        ]
        from_sql, where, inner = self._from_text(select)
        absent = _may_be_absent(select)
        sources = {alias: replace(s, nullable=alias in absent) for alias, s in sources.items()}
        where += conjuncts(select.args["where"].this) if select.args.get("where") else []
        having = conjuncts(select.args["having"].this) if select.args.get("having") else []
        held = {a.index for a in atoms if a.kind == "event"}
        group = select.args.get("group")
        if group is not None and group.expressions:
            # What subqueries hold for a group, they hold for each of its rows.
            of_rows = [h for h in having if _reads(h, held) and h.find(exp.AggFunc) is None]
            where += of_rows
            having = [h for h in having if not any(h is moved for moved in of_rows)]
        convert = self.convert
        outputs = tuple(OutputColumn(n, convert(bare(e))) for n, e in zip(names, select.expressions, strict=True))
        grouped = group is not None or any(o.expr.has_aggregate for o in outputs) or bool(select.args.get("having"))
        grouped = grouped or bool(select.meta.get("total"))
        keys: tuple[Expr, ...] | None = None
        if grouped:
            keys = tuple(self.scopes.group_key(e, outputs) for e in (group.expressions if group is not None else []))
        elif select.args.get("distinct"):
            keys = tuple({o.expr.sql: o.expr for o in outputs}.values())
        numbers = {a.index for a in atoms if a.kind in ("value", "number", "proba", "lookup")}
        uncertain = [o.expr.has_aggregate or bool(numbers & set(o.expr.atoms)) for o in outputs]
        bag = keys is None
        if keys is None and not any(uncertain):
            keys = self._tuple_keys(select, outputs, sources)
        what = "rows are told apart here by a number that predictions move"
        self._refuse_moved(keys or (), numbers, what, "compare it with thresholds, … > 10: any number may be predicted")
        texts = {e.sql for e in (*(keys or ()), *((o.expr for o in outputs) if bag else ()))}
        columns = tuple(
            OutColumn(o.name, u, not u and (keys is None or o.expr.sql in texts))
            for o, u in zip(outputs, uncertain, strict=True)
        )
        conditions = tuple(convert(c) for c in where)
        what = "this condition on a number that predictions move is not supported"
        self._refuse_moved(conditions, numbers, what, "compare it with <, <=, > or >=")
        of_groups = tuple(convert(h) for h in having)
        if grouped:
            over_groups = [o.expr for o in outputs if o.expr.has_aggregate]
            self._refuse_beside((*of_groups, *over_groups), held, {k.sql for k in keys or ()})
        plan = Plan(
            sql=self.scopes.sql, with_sql=self.scopes.with_sql(select), from_sql=from_sql,
            sources=tuple(sources.values()), atoms=tuple(atoms), conjuncts=conditions, outputs=outputs, group_by=keys,
            order_by=(), limit_sql="", inner=inner,
        )  # fmt: skip
        single = grouped and group is None and not having
        return Block(
            plan,
            columns,
            tuple(below),
            tuple(events),
            of_groups,
            event_table,
            single,
            bag,
        )

    def _refuse_moved(self, expressions: Sequence[Expr], numbers: set[int], message: str, hint: str) -> None:
        """SQLError where one of `expressions` reads the atoms `numbers`."""
        for e in expressions:
            if numbers & set(e.atoms):
                raise SQLError(message, sql=self.scopes.sql, start=e.start, end=e.end, hint=hint)

    def _refuse_beside(self, expressions: Sequence[Expr], held: set[int], keys: set[str]) -> None:
        """SQLError where an expression over groups reads what a subquery holds outside of an aggregate and of a key."""
        for e in expressions:
            if e.op == "agg" or e.sql in keys or not held & set(e.atoms):
                continue
            if e.args and e.op != "atom":
                self._refuse_beside(e.args, held, keys)
                continue
            raise SQLError(
                "EXISTS and IN (SELECT …) over predictions are not supported beside aggregates",
                sql=self.scopes.sql, start=e.start, end=e.end,
                hint="write it in WHERE, inside the aggregates, or as a condition of HAVING joined by AND",
            )  # fmt: skip

    def _tuple_keys(
        self, select: exp.Select, outputs: Sequence[OutputColumn], sources: dict[str, Source]
    ) -> tuple[Expr, ...] | None:
        """What tells the block's tuples apart, and outputs that predictions decide: alternatives of one tuple that have
        the same become one row; else None."""
        rids = []
        for source in sources_of(select):
            alias = source.alias_or_name
            relation = self.scopes.relation_of(source)
            if alias in sources:
                rids.append(str(sources[alias].rid))
            elif source.meta.get("below") or alias.startswith(EVENT):
                rids.append(f"{quote(alias)}.{ROW}")
            elif relation is not None and relation.rowid is not None:
                rids.append(relation.row_of(alias))
            else:
                return None
        if not rids:
            return None
        keys = [Expr("pure", (), rid, (), True, 0, 0) for rid in rids]
        return tuple({e.sql: e for e in (*keys, *(o.expr for o in outputs if o.expr.atoms))}.values())

    def _take_sources(self, select: exp.Select, below: list[Below], values: dict[str, Below]) -> None:
        """Subqueries with predictions in FROM become tables that the lineage fills."""
        for source in sources_of(select):
            if not isinstance(source, exp.Subquery) or not has_atoms(source.this):
                continue
            name = f"__rain_below_{next(self.scopes.numbers)}"
            alias = source.alias_or_name
            renamed = source.alias_column_names
            body = self.body(source.this)
            if renamed:
                columns = tuple(
                    replace(c, name=renamed[i]) if i < len(renamed) else c for i, c in enumerate(body.columns)
                )
                body = replace(body, columns=columns)
            below.append(Below(name, body))
            values[alias] = below[-1]
            table = exp.Table(this=exp.to_identifier(name))
            rewrite.set_alias(table, alias)
            table.meta["below"] = name
            if "cte" in source.meta:
                self.bodies[source.meta["cte"]] = body
            source.replace(table)

    def _take_subqueries(self, select: exp.Select, below: list[Below], events: list[Event]) -> None:
        """EXISTS, IN and scalar subqueries with predictions become atoms."""
        known: dict[str, tuple[str, list[exp.Expr]]] = {}
        for node in list(select.find_all(exp.Exists, exp.In, exp.Subquery)):
            if node.parent is None or node.find_ancestor(exp.Select) is not select or node.root() is not select.root():
                continue
            if isinstance(node.parent, exp.From | exp.Join):
                continue
            query = node.args.get("query") if isinstance(node, exp.In) else node.this
            if isinstance(query, exp.Subquery):
                query = query.this
            if not isinstance(query, exp.Query) or not has_atoms(query):
                continue
            if isinstance(node, exp.Subquery) and isinstance(node.parent, exp.In | exp.Exists) and not _is_left(node):
                continue
            if isinstance(node.parent, exp.Any | exp.All):
                word = type(node.parent).__name__.upper()
                raise self.refuse(node, f"{word} (SELECT …) over predictions is not supported", word)
            start, end = self.convert.extent(node)
            text = node.sql(self.scopes.dialect)
            if text in known and not isinstance(node, exp.Subquery):
                name, keys = known[text]
                placed(node, "event", name, [k.copy() for k in keys], self.scopes)
                continue
            name = f"{EVENT}{next(self.scopes.numbers)}"
            if isinstance(node, exp.Subquery):
                self._take_scalar(node, query, name, below, events)
                continue
            inner, keys = event_select(node, query, name, self.scopes)
            known[text] = (name, keys)
            body = self._block(inner, ("event",), event_table=name)
            events.append(Event(name, body, (), None, start, end))
            self._keys[name] = placed(node, "event", name, keys, self.scopes)

    def _take_scalar(
        self, node: exp.Subquery, query: exp.Query, name: str, below: list[Below], events: list[Event]
    ) -> None:
        single = isinstance(query, exp.Select) and not query.args.get("group") and len(query.expressions) == 1
        if not single or not any(isinstance(n, exp.AggFunc) for n in query.expressions[0].walk()):
            raise self.refuse(node, "a subquery that stands for one value must be one aggregate, without GROUP BY")
        assert isinstance(query, exp.Select)
        keys = correlated(query, name, self.scopes)
        start, end = self.convert.extent(node)
        if not keys:
            below.append(Below(name, self.body(query), single=True))
            placed(node, "scalar", name, (), self.scopes)
            return
        inner = query.copy()
        add_source(inner, name)
        inner.set("expressions", [*inner.expressions, exp.alias_(exp.column(ROW, table=name), "event")])
        inner.set("group", exp.Group(expressions=[exp.column(ROW, table=name)]))
        body = self._block(inner, ("value", "event"), event_table=name)
        events.append(Event(name, body, (), None, start, end))
        self._keys[name] = placed(node, "lookup", name, keys, self.scopes)

    def _from_text(self, select: exp.Select) -> tuple[str, list[exp.Expr], bool]:
        """FROM as text, conditions of inner joins apart; whether all joins are inner."""
        if select.args.get("from_") is None:
            return "(SELECT 1) AS __one", [], True
        text, moved, inner = [self._source_text(select.args["from_"].this)], [], True
        for join in select.args.get("joins") or []:
            side, kind, method = join.side.upper(), join.kind.upper(), (join.args.get("method") or "").upper()
            source, on = self._source_text(join.this), join.args.get("on")
            if not side and not method and kind in ("", "INNER", "CROSS"):
                text.append(f"CROSS JOIN {source}")
                moved += conjuncts(on)
                continue
            inner = False
            moving = next((n for n in on.walk() if is_atom(n)), None) if on is not None else None
            if moving is not None:
                raise self.refuse(moving, "an outer join on a number that predictions move is not supported")
            if moved and side in ("RIGHT", "FULL"):
                what = f"a {side} JOIN after an inner join is not supported in a query with predictions"
                raise self.refuse(join, what, side)
            words = " ".join(w for w in (method, side, kind, "JOIN") if w)
            text.append(f"{words} {source}" + (f" ON {on.sql(self.scopes.dialect)}" if on is not None else ""))
        return " ".join(text), moved, inner

    def _source_text(self, node: exp.Expr) -> str:
        made = self.scopes.materialised.get(node.alias_or_name)
        return f"{made} AS {quote(node.alias_or_name)}" if made is not None else str(node.sql(self.scopes.dialect))


def _reads(node: exp.Expr, atoms: set[int]) -> bool:
    """True where one of the atoms stands in `node`."""
    return any(is_atom(n) and atom_number(n) in atoms for n in node.walk())


def _is_left(node: exp.Subquery) -> bool:
    """True for the left side of IN."""
    return isinstance(node.parent, exp.In) and node.parent.this is node


def _may_be_absent(select: exp.Select) -> set[str]:
    """The aliases of FROM whose rows an outer join may not find."""
    before, absent = [select.args["from_"].this.alias_or_name] if select.args.get("from_") else [], set[str]()
    for join in select.args.get("joins") or []:
        name, side = join.this.alias_or_name, join.side.upper()
        absent |= {*(before if side in ("RIGHT", "FULL") else ()), *([name] if side in ("LEFT", "FULL") else ())}
        before.append(name)
    return absent


def _merged_columns(names: Sequence[str], parts: Sequence[Body]) -> tuple[OutColumn, ...]:
    moving = [any(p.columns[i].uncertain for p in parts) for i in range(len(names))]
    return tuple(OutColumn(n, u, not u) for n, u in zip(names, moving, strict=True))
