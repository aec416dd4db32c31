"""Text → `Nested`: queries with predictions below, above and beside what one flat block can hold."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.qualify import qualify

from rain_debug.errors import SQLError, nearest
from rain_debug.sql import grouping, outer, rewrite
from rain_debug.sql.atoms import AtomCall, column_named, mark_nested
from rain_debug.sql.convert import ATOM, NestedConverter, atom_number, conjuncts, is_atom
from rain_debug.sql.derived import RID, expose_row_ids, fingerprint
from rain_debug.sql.expr import Expr
from rain_debug.sql.plan import Atom, Catalog, OutputColumn, Plan, Source
from rain_debug.sql.planner import Planner, group_by_all
from rain_debug.sql.read import read
from rain_debug.sql.refusals import NESTED, refuse_labels, refuse_nested, refuse_ungrouped
from rain_debug.sql.rewrite import has_atoms, sources_of
from rain_debug.sql.tree import Below, Block, Body, Event, Merge, Nested, OutColumn, Reader, Window, Windowed
from rain_debug.sql.windows import expand_windows, lift_window, window_of

ROW = "__rain_row"


def plan_nested(sql: str, catalog: Catalog, dialect: str = "duckdb") -> Nested:
    """The tree of one query over predictions; SQLError, underlined, for what cannot be traced."""
    return _Nested(sql, catalog, dialect).nested()


def invalid(sql: str, catalog: Catalog, dialect: str = "duckdb") -> SQLError | None:
    """What is wrong with a query that the engine refused, underlined; None where nothing is found."""
    try:
        _Nested(sql, catalog, dialect).check()
    except SQLError as error:
        return error
    return None


class _Nested(Planner):
    """One query on its way from text to tree."""

    def __init__(self, sql: str, catalog: Catalog, dialect: str) -> None:
        super().__init__(sql, catalog, dialect)
        self.convert = NestedConverter(sql, dialect, catalog.is_aggregate)
        self.calls: list[AtomCall] = []
        self.names = rewrite.Names()
        self.numbers = itertools.count()
        self.declared: dict[str, str] = {}
        self.bodies: dict[str, Body] = {}
        self._keys: dict[str, list[exp.Expr]] = {}
        self._materialised: dict[str, str] = {}
        self._with: exp.With | None = None

    def nested(self) -> Nested:
        tree = read(self.sql, self.dialect, self.catalog)
        refuse_nested(tree, self.convert, self.catalog)
        expand_windows(tree)
        self._name_relations(tree)
        self.calls = mark_nested(tree, self.sql, self.catalog, self.convert)
        self.declared = self._all_names(tree)
        tree = self._qualify_all(tree)
        self._restore_relations(tree)
        _group_by_position(tree)
        self._name_aggregates(tree)
        self._explicit_features(tree)
        refuse_labels(tree, self.convert, self.calls)
        shown = tuple(self.declared.get(n.lower(), n) for n in tree.named_selects)
        self.names.rename(tree)
        self._number_alike(tree)
        merged = rewrite.push_conditions(
            rewrite.merge_blocks(rewrite.semi_joins(rewrite.inline_ctes(tree, self.names)))
        )
        assert isinstance(merged, exp.Query)
        tree = merged
        _group_by_position(tree)
        self.names = rewrite.Names()
        self.names.rename(tree)
        limited = bool(tree.args.get("limit") or tree.args.get("offset"))
        for node in tree.find_all(exp.Anonymous):
            if is_atom(node) and any(has_atoms(a) for a in node.expressions[1:]):
                call = self.calls[atom_number(node)]
                raise SQLError("a prediction as a feature of another prediction is not supported", sql=self.sql,
                               start=call.start, end=call.end, hint=NESTED)  # fmt: skip
        refuse_labels(tree, self.convert, self.calls)  # again: classes are now compared where CTEs named them
        answer, unlimited, rows, readers = self._answer(tree.copy())
        traced = tree.copy()
        self._with = traced.args.get("with_")
        body = self._body(traced, shown)
        return Nested(self.sql, body, answer, unlimited, limited, rows, readers, self.bodies)

    def check(self) -> None:
        """SQLError for what SQL itself does not allow."""
        tree = read(self.sql, self.dialect, self.catalog)
        expand_windows(tree)
        self._name_relations(tree)
        self.calls = mark_nested(tree, self.sql, self.catalog, self.convert)
        tree = self._qualify_all(tree)
        self._restore_relations(tree)
        self._name_aggregates(tree)
        for merged in tree.find_all(exp.SetOperation):
            if len(merged.left.named_selects) != len(merged.right.named_selects):
                one, two = len(merged.left.named_selects), len(merged.right.named_selects)
                what = f"{merged.key.upper()} of {one} and {two} columns"
                raise self.convert.refuse(merged.right, what, "select as many columns on both sides")
        for column in tree.find_all(exp.Column):
            around = column.find_ancestor(exp.Select)
            shown = [n.lower() for n in around.named_selects] if around is not None else []
            if not column.table and column.name.lower() not in shown and not isinstance(column.this, exp.Star):
                hint = nearest(column.name, [*shown, *(c for r in self.relations.values() for c, _ in r.columns)])
                raise self.convert.refuse(column, f"there is no column '{column.name}'", hint)
        for select in tree.find_all(exp.Select):
            for found in (n for n in select.find_all(exp.AggFunc) if n.find_ancestor(exp.Select) is select):
                if found.find_ancestor(exp.Where) is not None and found.find_ancestor(exp.Filter) is None:
                    hint = "conditions on groups stand in HAVING"
                    raise self.convert.refuse(found, "an aggregate cannot stand in WHERE", hint)
                inner = found.find_ancestor(exp.AggFunc, exp.Window, exp.Select)
                if isinstance(inner, exp.AggFunc):
                    what = "an aggregate inside an aggregate is not supported"
                    raise self.convert.refuse(inner, what, "compute the inner one in a CTE")
            if select.args.get("group") is None or not list(_own_windows(select)):
                refuse_ungrouped(select, self.convert, self.calls)

    # -- names --------------------------------------------------------------------------------------------------

    def _all_names(self, tree: exp.Expr) -> dict[str, str]:
        names: dict[str, str] = {}
        for relation in self.relations.values():
            names |= {c.lower(): c for c, _ in relation.columns}
        for select in tree.find_all(exp.Select):
            names |= self._declared_names(select)
        return names

    def _qualify_all(self, tree: exp.Expr) -> exp.Query:
        schema: dict[str, Any] = {n: dict(r.columns) for n, r in self.relations.items()}
        for select in tree.find_all(exp.Select):
            group = select.args.get("group")
            if group is not None and group.args.get("all"):
                select.set("group", group_by_all(select))
        try:
            qualified = qualify(tree, schema=schema, dialect=self.dialect)
        except SqlglotError as error:
            raise self._unresolved(tree, str(error)) from None
        assert isinstance(qualified, exp.Query)
        return qualified

    def _name_aggregates(self, tree: exp.Expr) -> None:
        """Aggregates that sqlglot does not know become known as such."""
        for node in list(tree.find_all(exp.Anonymous)):
            if not is_atom(node) and self.catalog.is_aggregate(node.name):
                known = exp.AnonymousAggFunc(this=node.this, expressions=node.expressions)
                known.meta.update(node.meta)
                node.replace(known)

    def _explicit_features(self, tree: exp.Expr) -> None:
        """The features that a call takes by name, as columns that stand in it."""
        for node in list(tree.find_all(exp.Anonymous)):
            if not is_atom(node):
                continue
            call = self.calls[atom_number(node)]
            if not call.by_name:
                continue
            for name in call.model.features:
                found = [
                    (alias, column)
                    for alias, columns in self._visible(node, call.reads)
                    for column in column_named(alias, columns, name, len(call.reads) > 1)
                ]
                if len(found) != 1:
                    there = ", ".join(c for _, cs in self._visible(node, call.reads) for c in cs[:30]) or "no columns"
                    what = "lack" if not found else "have more than once"
                    raise SQLError(
                        f"model '{call.model.name}' needs the feature '{name}', which {' and '.join(call.reads)} {what}"
                        if len(call.reads) > 1
                        else f"model '{call.model.name}' needs the feature '{name}', which {call.reads[0]} lacks",
                        sql=self.sql, start=call.start, end=call.end,
                        hint=f"columns there: {there}; or give the features by position: "
                        f"predict({call.model.name}, …)",
                    )  # fmt: skip
                alias, column = found[0]
                node.append("expressions", exp.column(column, table=alias, quoted=True))

    def _number_alike(self, tree: exp.Expr) -> None:
        """Calls of one model on the same columns get one number: their texts are then equal."""
        seen: dict[tuple[object, ...], int] = {}
        for node in [n for n in tree.find_all(exp.Anonymous) if is_atom(n)]:
            number = atom_number(node)
            call = self.calls[number]
            texts = tuple(a.sql(self.dialect) for a in node.expressions[1:])
            first = seen.setdefault((call.kind, call.model.name, call.class_code, texts), number)
            node.set("expressions", [exp.Literal.number(first), *node.expressions[1:]])

    def _visible(self, node: exp.Expr, wanted: Sequence[str]) -> list[tuple[str, tuple[str, ...]]]:
        found = []
        for name in dict.fromkeys(w.lower() for w in wanted):
            for select in rewrite.enclosing(node):
                source = next((s for s in sources_of(select) if s.alias_or_name.lower() == name), None)
                if source is not None:
                    found.append((source.alias_or_name, self._columns_in(source)))
                    break
        return found

    def _columns_in(self, source: exp.Expr) -> tuple[str, ...]:
        """The names of a source's columns."""
        relation = self._relation_of(source)
        own: list[str] = []
        if relation is not None:
            own = [c for c, _ in relation.columns]
        elif isinstance(source, exp.Subquery):
            own = list(source.this.named_selects)
        elif isinstance(source, exp.Table):
            cte = self._cte(source, source.name)
            own = list(cte.this.named_selects) if cte is not None else []
        renamed = source.alias_column_names
        return (*renamed, *own[len(renamed) :])

    # -- the tree -----------------------------------------------------------------------------------------------

    def _body(self, node: exp.Expr, shown: Sequence[str] | None = None) -> Body:
        """The tree of one SELECT or set operation; `shown` are the names of its columns where it is the whole."""
        while isinstance(node, exp.Subquery | exp.Paren):
            node = node.this
        assert isinstance(node, exp.Query)
        names = tuple(shown or (self.declared.get(n.lower(), n) for n in node.named_selects))
        if shown is None and (node.args.get("limit") or node.args.get("offset")):
            raise self._refuse_tree(node.args.get("limit") or node.args["offset"],
                                    "LIMIT inside a query, over predictions, is not supported", "LIMIT")  # fmt: skip
        if isinstance(node, exp.SetOperation):
            return self._merge(node, names)
        assert isinstance(node, exp.Select)
        distinct = node.args.get("distinct")
        if distinct is not None and distinct.args.get("on") is not None:
            raise self._refuse_tree(distinct, "DISTINCT ON over predictions is not supported", "DISTINCT")
        node = outer.split(node, self._refuse_tree, self.names)
        if any(True for _ in _own_windows(node)):
            _group_by_text(node)
            return self._windowed(node, names)
        split = grouping.sets(node)
        if split is not None:
            parts = tuple(self._body(part, names) for part in split)
            return Merge("union", True, parts, _merged_columns(names, parts))
        group = node.args.get("group")
        if group is not None and all(isinstance(k, exp.Tuple) and not k.expressions for k in group.expressions):
            node.set("group", None)
        return self._block(node, names)

    def _refuse_tree(self, node: exp.Expr, message: str, keyword: str = "") -> SQLError:
        return self.convert.refuse(node, message, NESTED, keyword)

    def _merge(self, node: exp.SetOperation, names: tuple[str, ...]) -> Body:
        op = {exp.Union: "union", exp.Intersect: "intersect", exp.Except: "except"}[type(node)]
        if node.args.get("by_name"):
            raise self._refuse_tree(node, f"{op.upper()} BY NAME over predictions is not supported")
        if op != "union" and not node.args.get("distinct"):
            raise self._refuse_tree(node, f"{op.upper()} ALL over predictions is not supported")
        parts = tuple(self._body(side) for side in (node.left, node.right))
        return Merge(op, not node.args.get("distinct"), parts, _merged_columns(names, parts))

    def _block(self, select: exp.Select, names: tuple[str, ...], event_table: str | None = None) -> Block:
        """One SELECT without windows: its flat plan, what stands below it, its events."""
        below: list[Below] = []
        events: list[Event] = []
        values: dict[str, Below] = {}
        self._take_sources(select, below, values)
        self._take_subqueries(select, below, events)
        atoms: list[Atom] = []
        sources: dict[str, Source] = {s.alias: s for s in self._atom_sources(select)}
        self._take_values(select, values, atoms)
        self._take_calls(select, sources, atoms)
        for atom_node in [n for n in select.find_all(exp.Anonymous) if is_atom(n)]:
            atom_node.set("expressions", [atom_node.expressions[0]])
        self._take_comparisons(select, atoms, events)
        events = [replace(e, keys=tuple(k.sql(self.dialect) for k in self._keys.pop(e.name, ()))) for e in events]
        from_sql, where, inner = self._from_text(select)
        where += conjuncts(select.args["where"].this) if select.args.get("where") else []
        convert = self.convert
        outputs = tuple(OutputColumn(n, convert(_bare(e))) for n, e in zip(names, select.expressions, strict=True))
        group = select.args.get("group")
        grouped = group is not None or any(o.expr.has_aggregate for o in outputs) or bool(select.args.get("having"))
        keys: tuple[Expr, ...] | None = None
        if grouped:
            keys = tuple(self._group_key(e, outputs) for e in (group.expressions if group is not None else []))
        elif select.args.get("distinct"):
            keys = tuple({o.expr.sql: o.expr for o in outputs}.values())
        numbers = {a.index for a in atoms if a.kind in ("value", "number", "proba", "lookup")}
        uncertain = [o.expr.has_aggregate or bool(numbers & set(o.expr.atoms)) for o in outputs]
        bag = keys is None
        if keys is None and not any(uncertain):
            keys = self._tuple_keys(select, outputs, sources)
        if keys is not None:
            for e in keys:
                if numbers & set(e.atoms):
                    raise SQLError("rows are told apart here by a number that predictions move", sql=self.sql,
                                   start=e.start, end=e.end, hint=NESTED)  # fmt: skip
        texts = {e.sql for e in keys or ()}
        columns = tuple(
            OutColumn(o.name, u, not u and (keys is None or o.expr.sql in texts))
            for o, u in zip(outputs, uncertain, strict=True)
        )
        conditions = tuple(convert(c) for c in where)
        for condition in conditions:
            if numbers & set(condition.atoms):
                raise SQLError("this condition on a number that predictions move is not supported", sql=self.sql,
                               start=condition.start, end=condition.end, hint=NESTED)  # fmt: skip
        plan = Plan(
            sql=self.sql, with_sql=self._with_sql(select), from_sql=from_sql, sources=tuple(sources.values()),
            atoms=tuple(atoms), conjuncts=conditions, outputs=outputs, group_by=keys,
            order_by=(), limit_sql="", inner=inner,
        )  # fmt: skip
        having = conjuncts(select.args["having"].this) if select.args.get("having") else []
        single = grouped and group is None and not having
        return Block(
            plan, columns, tuple(below), tuple(events), tuple(convert(h) for h in having), event_table, single, bag
        )

    def _tuple_keys(
        self, select: exp.Select, outputs: Sequence[OutputColumn], sources: dict[str, Source]
    ) -> tuple[Expr, ...] | None:
        """What tells the block's tuples apart, and its outputs: alternatives of one tuple become one row; else None."""
        rids = []
        for source in sources_of(select):
            alias = source.alias_or_name
            relation = self._relation_of(source)
            if alias in sources:
                rids.append(str(sources[alias].rid))
            elif source.meta.get("below") or alias.startswith("__rain_event"):
                rids.append(f"{_quote(alias)}.{ROW}")
            elif relation is not None and relation.is_table:
                rids.append(f"{_quote(alias)}.rowid")
            else:
                return None
        if not rids:
            return None
        keys = [Expr("pure", (), rid, (), True, 0, 0) for rid in rids]
        return tuple({e.sql: e for e in (*keys, *(o.expr for o in outputs))}.values())

    def _take_sources(self, select: exp.Select, below: list[Below], values: dict[str, Below]) -> None:
        """Subqueries with predictions in FROM become tables that the lineage fills."""
        for source in sources_of(select):
            if not isinstance(source, exp.Subquery) or not has_atoms(source.this):
                continue
            name = f"__rain_below_{next(self.numbers)}"
            alias = source.alias_or_name
            renamed = source.alias_column_names
            body = self._body(source.this)
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
            if isinstance(node, exp.Subquery) and isinstance(node.parent, exp.In | exp.Exists):
                continue
            if isinstance(node.parent, exp.Any | exp.All):
                word = type(node.parent).__name__.upper()
                raise self._refuse_tree(node, f"{word} (SELECT …) over predictions is not supported", word)
            start, end = self.convert.extent(node)
            text = node.sql(self.dialect)
            if text in known and not isinstance(node, exp.Subquery):
                name, keys = known[text]
                self._placed(node, "event", name, [k.copy() for k in keys])
                continue
            name = f"__rain_event_{next(self.numbers)}"
            if isinstance(node, exp.Subquery):
                self._take_scalar(node, query, name, below, events)
                continue
            inner, keys = self._event_select(node, query, name)
            known[text] = (name, keys)
            body = self._block(inner, ("event",), event_table=name)
            events.append(Event(name, body, (), None, start, end))
            self._keys[name] = self._placed(node, "event", name, keys)

    def _placed(self, node: exp.Expr, kind: str, name: str, keys: Sequence[exp.Expr]) -> list[exp.Expr]:
        """Put an atom in the place of `node`; its keys stay in it while the calls among them are numbered."""
        mark = exp.Anonymous(this=ATOM, expressions=[exp.Literal.string(f"{kind}:{name}"), *keys])
        mark.meta.update(_meta_of(self.convert.extent(node)))
        node.replace(mark)
        return list(mark.expressions[1:])

    def _take_scalar(
        self, node: exp.Subquery, query: exp.Query, name: str, below: list[Below], events: list[Event]
    ) -> None:
        single = isinstance(query, exp.Select) and not query.args.get("group") and len(query.expressions) == 1
        if not single or not any(isinstance(n, exp.AggFunc) for n in query.expressions[0].walk()):
            raise self._refuse_tree(
                node, "a subquery that stands for one value must be one aggregate, without GROUP BY"
            )
        assert isinstance(query, exp.Select)
        keys = self._correlated(query, name)
        start, end = self.convert.extent(node)
        if not keys:
            below.append(Below(name, self._body(query), single=True))
            self._placed(node, "scalar", name, ())
            return
        inner = query.copy()
        _add_source(inner, name)
        inner.set("expressions", [*inner.expressions, exp.alias_(exp.column(ROW, table=name), "event")])
        inner.set("group", exp.Group(expressions=[exp.column(ROW, table=name)]))
        body = self._block(inner, ("value", "event"), event_table=name)
        events.append(Event(name, body, (), None, start, end))
        self._keys[name] = self._placed(node, "lookup", name, keys)

    def _event_select(self, node: exp.Expr, query: exp.Query, name: str) -> tuple[exp.Select, list[exp.Expr]]:
        """The subquery of EXISTS or IN as a SELECT that groups by the event; and the texts outside that it needs."""
        keys: list[exp.Expr] = []
        if isinstance(query, exp.Select) and query.args.get("limit") and isinstance(node, exp.In):
            raise self._refuse_tree(node, "IN over a subquery with LIMIT and predictions is not supported")
        plain = (
            rewrite.is_simple(_without(query, "distinct", "order", "limit")) if isinstance(query, exp.Select) else False
        )
        if plain:
            assert isinstance(query, exp.Select)
            keys = self._correlated(query, name)
            inner = _without(query, "distinct", "order", "limit")
        else:
            if self._correlated(query.copy(), name):
                raise self._refuse_tree(node, "a correlated subquery with groups, over predictions, is not supported")
            alias = self.names.fresh("__s")
            table = exp.Subquery(this=_without(query, "order"), alias=exp.TableAlias(this=exp.to_identifier(alias)))
            inner = exp.Select(expressions=[exp.column(n, table=alias, quoted=True) for n in query.named_selects])
            inner.set("from_", exp.From(this=table))
        if isinstance(node, exp.In):
            lefts = list(node.this.expressions) if isinstance(node.this, exp.Tuple) else [node.this]
            matches: list[exp.Expr] = []
            for left, item in zip(lefts, inner.expressions, strict=True):
                outside = exp.column(f"x{len(keys)}", table=name)
                equal = exp.EQ(this=exp.paren(item.unalias().copy()), expression=outside)
                equal.meta.update(_meta_of(self.convert.extent(node)))
                matches.append(equal)
                keys.append(left.copy())
            match: exp.Expr = exp.and_(*matches)
            if _is_negated(node, self._refuse_tree):
                match = exp.Not(this=exp.paren(exp.Is(this=exp.paren(match), expression=exp.false())))
            inner.where(match, copy=False)
        _add_source(inner, name)
        inner.set("expressions", [exp.alias_(exp.column(ROW, table=name), "event")])
        inner.set("group", exp.Group(expressions=[exp.column(ROW, table=name)]))
        return inner, keys

    def _correlated(self, query: exp.Expr, name: str) -> list[exp.Expr]:
        """What `query` reads from outside, each replaced by a column of the events' table."""
        inside = {s.alias_or_name for q in query.find_all(exp.Select) for s in sources_of(q)}
        keys: list[exp.Expr] = []
        texts: list[str] = []

        def external(node: exp.Expr) -> bool:
            columns = list(node.find_all(exp.Column))
            return bool(columns) and all(c.table and c.table not in inside for c in columns)

        def visit(node: exp.Expr) -> None:
            if (isinstance(node, exp.Column) or is_atom(node)) and external(node):
                text = node.sql(self.dialect)
                if text not in texts:
                    texts.append(text)
                    keys.append(node.copy())
                node.replace(exp.column(f"x{texts.index(text)}", table=name))
                return
            for child in list(node.iter_expressions()):
                visit(child)

        visit(query)
        return keys

    def _atom_sources(self, select: exp.Select) -> list[Source]:
        """The sources whose rows this SELECT's own calls predict."""
        found: dict[str, Source] = {}
        for node in [n for n in select.find_all(exp.Anonymous) if is_atom(n) and not _is_placed(n)]:
            for alias in self._aliases_read(node):
                if alias not in found:
                    owner, source = self._find_source(node, alias)
                    if owner is not select or alias.startswith("__rain_event"):
                        what = "a prediction for a row together with one of the query around it is not supported"
                        raise self._refuse_tree(node, what)
                    found[alias] = self._predicted_source(select, source)
        return list(found.values())

    def _take_values(self, select: exp.Select, values: dict[str, Below], atoms: list[Atom]) -> None:
        """Columns below that predictions move become atoms."""
        for alias, source in values.items():
            moving = {c.name.lower(): c.name for c in source.body.columns if c.uncertain}
            for column in list(select.find_all(exp.Column)):
                if column.table != alias or column.name.lower() not in moving:
                    continue
                name = moving[column.name.lower()]
                identity = ("value", source.name, name)
                number = next((a.index for a in atoms if a.identity == identity), None)
                if number is None:
                    number = len(atoms)
                    start, end = self.convert.extent(column)
                    atoms.append(
                        Atom(number, "value", "", (), (alias,), identity, (f"{_quote(alias)}.{ROW}",), start, end)
                    )
                mark = exp.Anonymous(this=ATOM, expressions=[exp.Literal.number(number)])
                mark.meta.update(_meta_of(self.convert.extent(column)), done=True)
                column.replace(mark)

    def _take_calls(self, select: exp.Select, sources: dict[str, Source], atoms: list[Atom]) -> None:
        """Calls of models, and the atoms that stand for subqueries, get their numbers."""
        for node in [n for n in select.find_all(exp.Anonymous) if is_atom(n) and not n.meta.get("done")]:
            if _is_placed(node):
                kind, name = node.expressions[0].name.split(":")
                atom = Atom(len(atoms), "value" if kind == "scalar" else kind, "", (), (), (kind, name), (),
                            *self.convert.extent(node))  # fmt: skip
            else:
                aliases = self._aliases_read(node)
                atom = self._atom(node, aliases, sources, len(atoms))
            key = (atom.kind, atom.class_code, atom.identity, atom.aliases)
            number = next((a.index for a in atoms if (a.kind, a.class_code, a.identity, a.aliases) == key), None)
            if number is None:
                number = len(atoms)
                atoms.append(atom)
            node.meta["done"] = True
            node.set("expressions", [exp.Literal.number(number), *node.expressions[1:]])

    def _take_comparisons(self, select: exp.Select, atoms: list[Atom], events: list[Event]) -> None:
        """Comparisons of numbers that predictions move, within one tuple, become events."""
        moving = {a.index for a in atoms if a.kind in ("value", "number", "proba", "lookup")}
        if not moving:
            return
        known: dict[str, int] = {}
        kinds = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.Between, exp.Is)
        for node in reversed(list(select.find_all(*kinds))):  # the innermost first
            numbers = {atom_number(n) for n in node.walk() if is_atom(n)}
            if not numbers & moving or node.find(exp.AggFunc) is not None or node.parent is None:
                continue
            if node.root() is not select.root():
                continue
            start, end = self.convert.extent(node)
            parts: list[exp.Expr] = [node]
            if isinstance(node, exp.Between):
                parts = conjuncts(exp.and_(
                    exp.GTE(this=node.this.copy(), expression=node.args["low"].copy()),
                    exp.LTE(this=node.this.copy(), expression=node.args["high"].copy()),
                ))  # fmt: skip
            marks: list[exp.Expr] = []
            for part in parts:
                condition = self.convert(part)
                if condition.sql not in known:
                    known[condition.sql] = len(atoms)
                    name = f"__rain_event_{next(self.numbers)}"
                    atoms.append(Atom(len(atoms), "event", "", (), (), ("event", name), (), start, end))
                    events.append(Event(name, None, (), condition, start, end))
                number = known[condition.sql]
                mark = exp.Anonymous(this=ATOM, expressions=[exp.Literal.number(number)])
                mark.meta.update(_meta_of((start, end)), done=True)
                marks.append(mark)
            node.replace(exp.paren(exp.and_(*marks)) if len(marks) > 1 else marks[0])

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
            if moved and side in ("RIGHT", "FULL"):
                what = f"a {side} JOIN after an inner join is not supported in a query with predictions"
                raise self._refuse_tree(join, what, side)
            words = " ".join(w for w in (method, side, kind, "JOIN") if w)
            text.append(f"{words} {source}" + (f" ON {on.sql(self.dialect)}" if on is not None else ""))
        return " ".join(text), moved, inner

    def _source_text(self, node: exp.Expr) -> str:
        made = self._materialised.get(node.alias_or_name)
        return f"{made} AS {_quote(node.alias_or_name)}" if made is not None else str(node.sql(self.dialect))

    def _windowed(self, select: exp.Select, names: tuple[str, ...]) -> Windowed:
        """Window functions above the rest of their SELECT."""
        alias = "__w"
        items: dict[str, tuple[str, exp.Expr]] = {}

        def lift(node: exp.Expr) -> exp.Expr:
            if not node.find(exp.Window):
                if not node.find(exp.Column, exp.AggFunc) and not has_atoms(node):
                    return node
                text = node.sql(self.dialect)
                name = items.setdefault(text, (f"w{len(items)}", node.copy()))[0]
                lifted = exp.column(name, table=alias, quoted=True)
                lifted.this.meta.update(_meta_of(self.convert.extent(node)))
                return lifted
            if isinstance(node, exp.Window):
                lift_window(node, lift)
                return node
            for child in list(node.iter_expressions()):
                new = lift(child)
                if new is not child:
                    child.replace(new)
            return node

        outputs = [lift(_bare(e.copy())) for e in select.expressions]
        qualify = [lift(c.copy()) for c in conjuncts(select.args["qualify"].this)] if select.args.get("qualify") else []
        distinct = select.args.get("distinct")
        if distinct is not None:
            raise self._refuse_tree(distinct, "DISTINCT beside window functions over predictions is not supported")
        inner = _without(select, "qualify", "order", "limit", "offset")
        inner.set("expressions", [rewrite.named(n, w) for w, n in items.values()])
        name = f"__rain_below_{next(self.numbers)}"
        below = Below(name, self._body(inner))
        outer = exp.Select(expressions=[rewrite.named(o, n) for o, n in zip(outputs, names, strict=True)])
        outer.set(
            "from_",
            exp.From(this=exp.Table(this=exp.to_identifier(name), alias=exp.TableAlias(this=exp.to_identifier(alias)))),
        )
        if qualify:
            outer.set("where", exp.Where(this=exp.and_(*qualify)))
        atoms: list[Atom] = []
        events: list[Event] = []
        self._take_values(outer, {alias: below}, atoms)
        windows: list[Window] = []
        for node in list(outer.find_all(exp.Window)):
            number = len(atoms)
            windows.append(window_of(node, self.convert, self._refuse_tree, self.dialect))
            identity, extent = ("window", str(len(windows) - 1)), self.convert.extent(node)
            atoms.append(Atom(number, "window", "", (), (alias,), identity, (f"{alias}.{ROW}",), *extent))
            mark = exp.Anonymous(this=ATOM, expressions=[exp.Literal.number(number)])
            mark.meta.update(_meta_of(self.convert.extent(node)), done=True)
            node.replace(mark)
        convert = self.convert
        out = tuple(OutputColumn(n, convert(e.unalias())) for n, e in zip(names, outer.expressions, strict=True))
        conditions = conjuncts(outer.args["where"].this) if qualify else []
        plan = Plan(
            sql=self.sql, with_sql="", from_sql=f"{name} AS {alias}", sources=(), atoms=tuple(atoms),
            conjuncts=(), outputs=out, group_by=None, order_by=(), limit_sql="", inner=True,
        )  # fmt: skip
        columns = tuple(OutColumn(o.name, bool(o.expr.atoms), not o.expr.atoms) for o in out)
        return Windowed(below, plan, tuple(windows), columns, tuple(convert(c) for c in conditions), tuple(events))

    # -- the exact answer ---------------------------------------------------------------------------------------

    def _answer(self, tree: exp.Query) -> tuple[str, str, Plan, tuple[Reader, ...]]:
        """The query with each predicted source as a table that holds its predictions, and a plan of those sources."""
        atoms: list[Atom] = []
        sources: dict[str, Source] = {}
        filters: dict[str, Expr] = {}
        seen: dict[tuple[Any, ...], int] = {}
        selects: dict[str, exp.Expr] = {}
        for node in [n for n in tree.find_all(exp.Anonymous) if is_atom(n)]:
            aliases = self._aliases_read(node)
            for alias in aliases:
                if alias not in sources:
                    select, source = self._find_source(node, alias)
                    sources[alias] = self._predicted_source(select, source)
                    selects[alias] = source
                    for condition in self._own_conditions(select, aliases):
                        filters.setdefault(condition.sql, condition)
            atom = self._atom(node, aliases, sources, len(atoms))
            key = (atom.kind, atom.class_code, atom.identity, atom.aliases)
            if key not in seen:
                seen[key] = len(atoms)
                atoms.append(atom)
            number = seen[key]
            node.set("expressions", [exp.Literal.number(number)])
        readers: list[Reader] = []
        for alias, standing in selects.items():
            mine = tuple(a.index for a in atoms if a.aliases == (alias,))
            name = f"__rain_reader_{len(readers)}"
            home = sources[alias]
            readers.append(Reader(name, alias, home.from_sql, str(home.rid), mine))
            table = exp.Table(this=exp.to_identifier(name))
            rewrite.set_alias(table, alias)
            standing.replace(table)
        rows = Plan(
            sql=self.sql, with_sql=self._with_sql(tree), from_sql="", sources=tuple(sources.values()),
            atoms=tuple(atoms),
            conjuncts=tuple(filters.values()), outputs=(), group_by=None, order_by=(), limit_sql="", inner=True,
        )  # fmt: skip
        _number_outputs(tree)
        whole = tree.sql(self.dialect)
        for part in ("limit", "offset"):
            tree.set(part, None)
        return whole, tree.sql(self.dialect), rows, tuple(readers)

    def _aliases_read(self, node: exp.Anonymous) -> list[str]:
        aliases = list(dict.fromkeys(c.table for a in node.expressions[1:] for c in a.find_all(exp.Column)))
        if not aliases:
            raise self.convert.refuse(node, "this prediction reads no column", "name an alias, or columns as features")
        return aliases

    def _find_source(self, node: exp.Expr, alias: str) -> tuple[exp.Select, exp.Expr]:
        for select in rewrite.enclosing(node):
            for source in sources_of(select):
                if source.alias_or_name == alias:
                    return select, source
        raise self.convert.refuse(node, f"there is no table or alias '{alias}' here")

    def _predicted_source(self, select: exp.Select, node: exp.Expr) -> Source:
        """The source whose rows a model predicts; SQLError where its rows depend on predictions themselves."""
        if isinstance(node, exp.Subquery) and has_atoms(node.this):
            raise self.convert.refuse(
                node, "a prediction for rows that other predictions make is not supported",
                "predict on a table, or on a subquery that only filters, joins and projects",
            )  # fmt: skip
        source = self._identify_in(select, node)
        if source.rid is None:
            raise self.convert.refuse(node, f"the rows of '{source.alias}' cannot be told apart",
                                      "predict on a table, a view, a subquery or a CTE")  # fmt: skip
        text = node.sql(self.dialect)
        if source.materialised is not None:
            text = f"{source.materialised} AS {_quote(source.alias)}"
            self._materialised[source.alias] = source.materialised
        return replace(source, from_sql=text)

    def _identify_in(self, select: exp.Select, node: exp.Expr) -> Source:
        """As `_identify`, in any scope: a CTE's name is looked up from where it stands."""
        body = self._body_of(node)
        if body is None:
            return self._identify(select, node, {node.alias_or_name})
        alias = node.alias_or_name
        columns = self._columns_in(node)
        exposed = expose_row_ids(body, self._relation_of, self._body_of)
        if exposed is not None:
            rid = f"{_quote(alias)}.{_quote(RID)}"
            return Source(alias, alias, columns, exposed.identity, rid, origin=exposed.origin)
        text = " ".join(t for t in (self._with_sql(node), body.sql(self.dialect)) if t)
        made = fingerprint(text)
        return Source(alias, text, columns, made, f"{_quote(alias)}.rowid", materialised=made)

    def _cte(self, node: exp.Expr, name: str) -> exp.CTE | None:
        """The CTE of that name; a block that was taken out of the whole sees the CTEs of the whole."""
        found = rewrite.cte_named(node, name)
        if found is None and self._with is not None:
            found = next((c for c in self._with.expressions if c.alias.lower() == name.lower()), None)
        return found

    def _with_sql(self, node: exp.Expr) -> str:
        """WITH …: the CTEs that can be named where `node` stands."""
        text = _with_sql(node, self.dialect)
        return text if text or self._with is None else str(self._with.sql(self.dialect))

    def _body_of(self, node: exp.Expr) -> exp.Query | None:
        """The query behind a subquery or the name of a CTE."""
        if isinstance(node, exp.Subquery) and isinstance(node.this, exp.Query):
            return node.this
        cte = self._cte(node, node.name) if isinstance(node, exp.Table) and "relation" not in node.meta else None
        return cte.this if cte is not None and isinstance(cte.this, exp.Query) else None

    def _own_conditions(self, select: exp.Select, aliases: Sequence[str]) -> list[Expr]:
        """Conditions that rows of `aliases` must meet for their prediction to matter."""
        joins = select.args.get("joins") or []
        if any(j.side or j.args.get("method") or j.kind.upper() in ("SEMI", "ANTI") for j in joins):
            return []
        parts = conjuncts(select.args["where"].this) if select.args.get("where") else []
        for join in joins:
            parts += conjuncts(join.args.get("on"))
        found = []
        for part in parts:
            if not has_atoms(part) and part.find(exp.Query) is None:
                e = self.convert(part)
                if e.is_pure and e.aliases and set(e.aliases) <= set(aliases):
                    found.append(e)
        return found

    def _atom(self, node: exp.Anonymous, aliases: Sequence[str], sources: dict[str, Source], index: int) -> Atom:
        call = self.calls[atom_number(node)]
        features, traced = [], []
        for argument in node.expressions[1:]:
            features.append(argument.sql(self.dialect))
            copy = exp.paren(argument.copy())
            for column in list(copy.find_all(exp.Column)):
                base = sources[column.table].base_column(column.name)
                column.replace(exp.column(base, table=f"${aliases.index(column.table)}", quoted=True))
            traced.append(copy.this.sql(self.dialect))
        identity = (call.model.name, *(str(sources[a].identity) for a in aliases), *traced)
        rids = tuple(str(sources[a].rid) for a in aliases)
        kind = call.kind if call.model.classes else "number"
        return Atom(index, kind, call.model.name, tuple(features), tuple(aliases), identity, rids,
                    call.start, call.end, call.class_code)  # fmt: skip


def _merged_columns(names: Sequence[str], parts: Sequence[Body]) -> tuple[OutColumn, ...]:
    moving = [any(p.columns[i].uncertain for p in parts) for i in range(len(names))]
    return tuple(OutColumn(n, u, not u) for n, u in zip(names, moving, strict=True))


def _own_windows(select: exp.Select) -> Iterator[exp.Expr]:
    parts = [*select.expressions, select.args.get("qualify")]
    for part in parts:
        for node in part.find_all(exp.Window) if part is not None else []:
            if node.find_ancestor(exp.Select) is select:
                yield node


def _without(query: exp.Query, *parts: str) -> Any:
    copy = query.copy()
    for part in parts:
        copy.set(part, None)
    return copy


def _add_source(select: exp.Select, name: str) -> None:
    table = exp.Table(this=exp.to_identifier(name), alias=exp.TableAlias(this=exp.to_identifier(name)))
    select.set("joins", [*(select.args.get("joins") or []), exp.Join(this=table, kind="CROSS")])


def _is_placed(node: exp.Expr) -> bool:
    return isinstance(node.expressions[0], exp.Literal) and node.expressions[0].is_string


def _meta_of(extent: tuple[int, int]) -> dict[str, int]:
    start, end = extent
    return {"start": start, "end": end - 1} if end else {}


def _is_negated(node: exp.Expr, refuse: Callable[[exp.Expr, str], SQLError]) -> bool:
    """True where the condition stands under an odd number of NOTs; SQLError where NULL and FALSE would differ."""
    negated, above = False, node.parent
    while isinstance(above, exp.And | exp.Or | exp.Not | exp.Paren):
        negated ^= isinstance(above, exp.Not)
        above = above.parent
    if not isinstance(above, exp.Where | exp.Join | exp.Having | exp.Qualify | exp.If):
        raise refuse(node, "IN (SELECT …) over predictions is supported as a condition only")
    return negated


def _group_by_position(tree: exp.Expr) -> None:
    """A selected expression with a subquery is grouped by its position: its text would be another subquery."""
    for select in tree.find_all(exp.Select):
        group = select.args.get("group")
        for key in list(group.expressions) if group is not None else []:
            if key.find(exp.Query) is None:
                continue
            text = grouping.text_of(key)
            same = [i for i, e in enumerate(select.expressions, 1) if grouping.text_of(e.unalias()) == text]
            if same:
                key.replace(exp.Literal.number(same[0]))


def _bare(item: exp.Expr) -> exp.Expr:
    """An item of a select list without its alias; a subquery carries its own."""
    inner = item.unalias()
    if isinstance(inner, exp.Subquery) and inner.args.get("alias") is not None:
        inner.set("alias", None)
    return inner


def _group_by_text(select: exp.Select) -> None:
    """GROUP BY positions as the expressions that they mean."""
    group = select.args.get("group")
    for key in list(group.expressions) if group is not None else []:
        if isinstance(key, exp.Literal) and key.is_int:
            key.replace(select.expressions[int(key.name) - 1].unalias().copy())


def _number_outputs(tree: exp.Query) -> None:
    """Call the answer's columns o0, o1, …, also where ORDER BY names them."""
    first: exp.Expr = tree
    while isinstance(first, exp.SetOperation | exp.Subquery):
        first = first.this
    assert isinstance(first, exp.Select)
    new: dict[str, str] = {}
    items = []
    for i, item in enumerate(first.expressions):
        new.setdefault(item.alias_or_name.lower(), f"o{i}")
        items.append(exp.Alias(this=_bare(item), alias=exp.to_identifier(f"o{i}")))
    first.set("expressions", items)
    for select in (tree, first):
        order = select.args.get("order")
        for column in list(order.find_all(exp.Column)) if order is not None else []:
            if not column.table and column.name.lower() in new:
                column.replace(exp.column(new[column.name.lower()]))


def _with_sql(node: exp.Expr, dialect: str = "duckdb") -> str:
    """WITH …: the CTEs that can be named where `node` stands, and those inside it."""
    root = node.root()
    ctes = list({c.alias.lower(): c for c in root.find_all(exp.CTE, bfs=False)}.values())
    recursive = any(w.recursive for w in root.find_all(exp.With))
    text = ", ".join(c.sql(dialect) for c in ctes)
    return f"WITH {'RECURSIVE ' if recursive else ''}{text}" if ctes else ""


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
