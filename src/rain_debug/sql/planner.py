"""The order in which text becomes a plan: read, name the relations, find the predictions, qualify, split."""

from __future__ import annotations

import re
from dataclasses import replace

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.qualify import qualify

from rain_debug.errors import EngineError, SQLError, nearest
from rain_debug.sql.atoms import AtomCall, atoms_of, mark_atoms
from rain_debug.sql.convert import Converter, atom_number, conjuncts, is_atom, span
from rain_debug.sql.derived import RID, expose_row_ids, fingerprint
from rain_debug.sql.dialects import mark_whole_divisions, one_form, schema_of
from rain_debug.sql.expr import Expr
from rain_debug.sql.nodes import quote
from rain_debug.sql.plan import Catalog, OutputColumn, Plan, Relation, Source
from rain_debug.sql.refusals import SUPPORTED, refuse_aggregates, refuse_labels, refuse_shape, refuse_ungrouped
from rain_debug.sql.rewrite import is_simple


def plan_query(sql: str, catalog: Catalog, dialect: str, tree: exp.Expr) -> Plan:
    """The plan of one SELECT over predictions; SQLError, underlined, for what lies outside the supported class.

    `tree` is what `read` made of the text; it is changed.
    """
    return Planner(sql, catalog, dialect).plan(tree)


class Planner:
    """One query on its way from text to plan; nothing of it outlives `plan()`."""

    def __init__(self, sql: str, catalog: Catalog, dialect: str) -> None:
        self.sql = sql
        self.catalog = catalog
        self.dialect = dialect
        self.convert = Converter(sql, dialect)
        self.relations: dict[str, Relation] = {}
        self.texts: dict[str, str] = {}

    def plan(self, whole: exp.Expr) -> Plan:
        tree = refuse_shape(whole, self.convert, self.catalog)
        self._name_relations(tree)
        calls = mark_atoms(tree, self.sql, self.catalog, self._aliases(tree), self.convert)
        if any(not call.model.classes for call in calls):
            raise SQLError("a model that predicts numbers is not supported in a flat block", hint=SUPPORTED)
        declared = self._declared_names(tree)
        tree = self._qualify(tree)
        self._restore_relations(tree)
        group = tree.args.get("group")
        if group is not None and all(isinstance(k, exp.Tuple) and not k.expressions for k in group.expressions):
            tree.set("group", None if not group.args.get("all") else group)
        refuse_aggregates(tree, self.convert, self.catalog)
        refuse_labels(tree, self.convert, calls)
        return self._split(tree, calls, declared)

    def _refuse(self, node: exp.Expr, message: str, keyword: str = "") -> SQLError:
        return self.convert.refuse(node, message, SUPPORTED, keyword)

    # -- relations ----------------------------------------------------------------------------------------------

    def _name_relations(self, tree: exp.Expr) -> None:
        """Every table gets a short name of its own: the tree is then qualified against one flat schema."""
        ctes = {c.alias.lower() for c in tree.find_all(exp.CTE)}
        waiting = list(tree.find_all(exp.Table))
        while waiting:
            table = waiting.pop(0)
            if isinstance(table.this, exp.Identifier) and not table.db and table.name.lower() in ctes:
                if not _names_what_it_hides(table) and "of_view" not in table.meta:
                    continue
            bare = table.copy()
            for part in ("alias", "joins", "pivots", "sample"):
                bare.set(part, None)
            text = bare.sql(self.dialect)
            try:
                relation = self.catalog.relation(text)
            except EngineError as error:
                known = nearest(table.name, self.catalog.relations())
                message = f"there is no table {text}" if isinstance(table.this, exp.Identifier) else error.message
                raise self.convert.refuse(table.this, message, known) from None
            view = _view_body(relation, self.dialect)
            if view is not None:
                inner = exp.Subquery(this=view)
                columns = alias.columns if (alias := table.args.get("alias")) is not None else []
                this = exp.to_identifier(table.alias_or_name)
                this.meta.update(_positions(table.this))
                inner.set("alias", exp.TableAlias(this=this, columns=columns))
                for part in ("pivots", "sample", "joins"):
                    inner.set(part, table.args.get(part))
                for found in view.find_all(exp.Table):
                    found.meta["of_view"] = True
                    waiting.append(found)
                table.replace(inner)
                continue
            name = next((n for n, t in self.texts.items() if t == text), f"rain_t{len(self.texts)}")
            self.texts[name] = text
            self.relations[name] = relation
            alias = table.args.get("alias")
            if alias is None or not alias.this:
                columns = alias.columns if alias is not None else []
                this = exp.to_identifier(table.name or name)
                this.meta.update(_positions(table.this))
                table.set("alias", exp.TableAlias(this=this, columns=columns))
            table.set("this", exp.to_identifier(name))
            for part in ("db", "catalog"):
                table.set(part, None)

    def _aliases(self, tree: exp.Select) -> list[str]:
        sources = [tree.args["from_"].this] if tree.args.get("from_") else []
        sources += [j.this for j in tree.args.get("joins") or []]
        return [s.alias_or_name for s in sources]

    def _declared_names(self, tree: exp.Select) -> dict[str, str]:
        """Lower-case name → the name as its table or the query spells it."""
        names: dict[str, str] = {}
        for relation in self.relations.values():
            names |= {c.lower(): c for c, _ in relation.columns}
        names |= {e.alias.lower(): e.alias for e in tree.expressions if e.alias}
        names |= {e.name.lower(): e.name for e in tree.expressions if isinstance(e, exp.Column) and e.name != "*"}
        return names

    def _qualify(self, tree: exp.Expr) -> exp.Select:
        schema = schema_of(self.relations, self.dialect)
        group = tree.args.get("group")
        if group is not None and group.args.get("all"):
            tree.set("group", group_by_all(tree))
        try:
            qualified = qualify(tree, schema=schema, dialect=self.dialect)
        except SqlglotError as error:
            raise self._unresolved(tree, str(error)) from None
        assert isinstance(qualified, exp.Select)
        self._forget_positions(qualified)
        mark_whole_divisions(qualified, schema, self.dialect)
        return qualified

    def _forget_positions(self, tree: exp.Expr) -> None:
        """A column's table that was not written stands where its alias does: such a place says nothing."""
        for column in tree.find_all(exp.Column):
            table, name = column.args.get("table"), column.this.meta
            if table is not None and "end" in table.meta and "start" in name:
                if self.sql[table.meta["end"] + 1 : name["start"]].strip(' "') != ".":
                    table.meta.clear()

    def _unresolved(self, tree: exp.Expr, message: str) -> SQLError:
        found = re.search(r"'([^']+)'|: (\S+)", message.split(" Line:")[0])
        name = (found[1] or found[2]).lower() if found else ""
        known = {c for r in self.relations.values() for c, _ in r.columns}
        aliases = self._aliases_anywhere(tree)
        if "already used" in message:
            twice = [t for t in tree.find_all(exp.Table, exp.Subquery) if t.alias_or_name.lower() == name][-1]
            return self.convert.refuse(twice, f"two tables of this query are called '{name}'", "name one with AS")
        if "output column" in message and tree.args.get("group") is not None:
            n = len(tree.expressions)
            ordinal = next((e for e in tree.args["group"].expressions if e.name == name), tree.args["group"])
            what = f"GROUP BY {name}: there {'is 1 column' if n == 1 else f'are {n} columns'}"
            return self.convert.refuse(ordinal, what, "count the columns of the select list from 1")
        for column in tree.find_all(exp.Column):
            if not name or name not in (column.name.lower(), column.sql(self.dialect).lower(), column.table.lower()):
                continue
            if column.table and column.table.lower() not in {a.lower() for a in aliases}:
                what = f"there is no table or alias '{column.table}' here"
                return self.convert.refuse(column, what, nearest(column.table, aliases))
            holders = [a for a in aliases if column.name.lower() in self._columns_of(tree, a)]
            if "mbiguous" in message or (not column.table and len(holders) > 1):
                which = ", ".join(f"{a}.{column.name}" for a in sorted(holders))
                return self.convert.refuse(column, f"column '{column.name}' is ambiguous", f"write one of {which}")
            if column.parent is not None and is_atom(column.parent) and not column.table:
                what = f"there is no table, alias or column '{column.name}' here"
                return self.convert.refuse(column, what, nearest(column.name, known | aliases))
            return self.convert.refuse(column, f"there is no column '{column.name}'", nearest(column.name, known))
        return SQLError(f"this query cannot be resolved: {message.split(' Line:')[0]}", hint=nearest(name, known))

    def _columns_of(self, tree: exp.Expr, alias: str) -> set[str]:
        tables = [t for t in tree.find_all(exp.Table) if t.alias_or_name == alias and t.name in self.relations]
        return {c.lower() for t in tables for c, _ in self.relations[t.name].columns}

    def _aliases_anywhere(self, tree: exp.Expr) -> set[str]:
        return {t.alias_or_name for t in tree.find_all(exp.Table, exp.Subquery) if t.alias_or_name}

    def _restore_relations(self, tree: exp.Expr) -> None:
        for table in tree.find_all(exp.Table):
            text = self.texts.get(table.name)
            if text is not None:
                original = exp.maybe_parse(text, into=exp.Table, dialect=self.dialect)
                for node in original.walk():  # its offsets are those of another text
                    node.meta.clear()
                table.set("this", original.this)
                table.set("db", original.args.get("db"))
                table.set("catalog", original.args.get("catalog"))
                table.meta["relation"] = text

    # -- the parts of the plan ----------------------------------------------------------------------------------

    def _split(self, tree: exp.Select, calls: list[AtomCall], declared: dict[str, str]) -> Plan:
        self._take_arguments(tree, calls)
        wanted = {alias for call in calls for alias in call.reads}
        sources, from_sql, where, inner = self._from(tree, wanted)
        by_alias = {s.alias: s for s in sources}
        atoms, renumber = atoms_of(calls, by_alias, self.sql, self.catalog, self.convert, self.dialect)
        for node in tree.find_all(exp.Anonymous):
            if is_atom(node):
                node.set("expressions", [exp.Literal.number(renumber[atom_number(node)])])
        refuse_ungrouped(tree, self.convert, atoms)
        where += conjuncts(tree.args["where"].this) if tree.args.get("where") else []
        outputs = tuple(
            OutputColumn(declared.get(e.alias_or_name.lower(), e.alias_or_name), self.convert(e.unalias()))
            for e in tree.expressions
        )
        grouped = tree.args.get("group") is not None or any(o.expr.has_aggregate for o in outputs)
        group_by = None
        if grouped:
            group = tree.args.get("group")
            group_by = tuple(self.group_key(e, outputs) for e in (group.expressions if group is not None else []))
        limit = " ".join(
            tree.args[part].sql(self.dialect).strip() for part in ("limit", "offset") if tree.args.get(part) is not None
        )
        return Plan(
            sql=self.sql,
            with_sql=tree.args["with_"].sql(self.dialect) if tree.args.get("with_") else "",
            from_sql=from_sql,
            sources=tuple(sources),
            atoms=atoms,
            conjuncts=tuple(self.convert(c) for c in where),
            outputs=outputs,
            group_by=group_by,
            order_by=tuple(
                self._order(e, tree) for e in (tree.args["order"].expressions if tree.args.get("order") else [])
            ),
            limit_sql=limit,
            inner=inner,
        )

    def _take_arguments(self, tree: exp.Select, calls: list[AtomCall]) -> None:
        """Positional features stand inside the atom while the tree is qualified; here they leave it."""
        for node in list(tree.find_all(exp.Anonymous)):
            if is_atom(node):
                call = calls[atom_number(node)]
                call.arguments = [a.copy() for a in node.expressions[1:]]
                for argument in call.arguments:
                    for column in argument.find_all(exp.Column):
                        if column.table not in call.reads:
                            call.reads.append(column.table)
                node.set("expressions", [node.expressions[0]])

    def _from(self, tree: exp.Select, wanted: set[str]) -> tuple[list[Source], str, list[exp.Expr], bool]:
        if tree.args.get("from_") is None:
            raise self._refuse(tree, "a prediction needs rows: there is no FROM")
        joins = tree.args.get("joins") or []
        sources = [self._source(tree, tree.args["from_"].this, wanted)]
        text = [sources[0].from_sql]
        moved: list[exp.Expr] = []
        inner = True
        for join in joins:
            side, kind, method = join.side.upper(), join.kind.upper(), (join.args.get("method") or "").upper()
            source = self._source(tree, join.this, wanted)
            on = join.args.get("on")
            if not side and not method and kind in ("", "INNER", "CROSS"):
                text.append(f"CROSS JOIN {source.from_sql}")
                moved += conjuncts(on)
                sources.append(source)
                continue
            inner = False
            if on is not None and any(is_atom(n) for n in on.walk()):
                raise self._refuse(on, f"a prediction in the ON of a {(side or method or kind)} JOIN is not supported")
            if side in ("RIGHT", "FULL") and moved:
                raise self._refuse(
                    join, f"a {side} JOIN after an inner join is not supported in a query with predictions", side
                )
            if side in ("RIGHT", "FULL"):
                sources = [_nullable(s) for s in sources]
            sources.append(_nullable(source) if side in ("LEFT", "FULL") else source)
            words = " ".join(w for w in (method, side, kind, "JOIN") if w)
            text.append(f"{words} {source.from_sql}" + (f" ON {on.sql(self.dialect)}" if on is not None else ""))
        return sources, " ".join(text), moved, inner

    def _source(self, tree: exp.Select, node: exp.Expr, wanted: set[str]) -> Source:
        source = self._identify(tree, node, wanted)
        text = node.sql(self.dialect)
        if source.materialised is not None:
            text = f"{source.materialised} AS {quote(source.alias)}"
        return replace(source, from_sql=text)

    def _identify(self, tree: exp.Select, node: exp.Expr, wanted: set[str]) -> Source:
        alias = node.alias_or_name
        relation = self.relation_of(node)
        if relation is not None and relation.rowid is not None:
            name = node.meta["relation"]
            own = [c for c, _ in relation.columns]
            columns = (*node.alias_column_names, *own[len(node.alias_column_names) :])
            origin = tuple(zip(columns, own, strict=True)) if node.alias_column_names else ()
            return Source(alias, name, columns, relation.name, relation.row_of(alias), origin=origin)
        body = _body(tree, node)
        if relation is not None:
            names = [*node.alias_column_names, *[c for c, _ in relation.columns][len(node.alias_column_names) :]]
            items = [
                exp.alias_(exp.column(c, quoted=True), n, quoted=True)
                for (c, _), n in zip(relation.columns, names, strict=True)
            ]
            body = exp.select(*items).from_(_unaliased(node))
        if isinstance(node, exp.Values) and node.alias_column_names:
            body = exp.select(*[exp.column(c, quoted=True) for c in node.alias_column_names]).from_(node.copy())
        if body is None:
            return Source(alias, node.sql(self.dialect), (), None, None)
        columns = tuple(body.named_selects)
        if alias not in wanted:
            return Source(alias, alias, columns, None, None)
        exposed = expose_row_ids(body, self.relation_of, lambda t: _body(tree, t))
        if exposed is not None:
            rid = f"{quote(alias)}.{quote(RID)}"
            return Source(alias, alias, columns, exposed.identity, rid, origin=exposed.origin)
        prefix = tree.args["with_"].sql(self.dialect) + " " if tree.args.get("with_") else ""
        text = prefix + body.sql(self.dialect)
        return Source(alias, text, columns, fingerprint(text), f"{quote(alias)}.rowid", materialised=fingerprint(text))

    def relation_of(self, node: exp.Expr) -> Relation | None:
        """The table, view or function that a node of FROM names; None for anything else."""
        text = node.meta.get("relation") if isinstance(node, exp.Table) else None
        return next((self.relations[n] for n, t in self.texts.items() if t == text), None) if text else None

    def group_key(self, node: exp.Expr, outputs: tuple[OutputColumn, ...]) -> Expr:
        """The expression that an item of GROUP BY means: a position, a name, or itself."""
        if isinstance(node, exp.Literal) and node.is_int:
            return outputs[int(node.name) - 1].expr
        if isinstance(node, exp.Column) and not node.table:
            found = next((o for o in outputs if o.name.lower() == node.name.lower()), None)
            if found is not None:
                return found.expr
        return self.convert(node)

    def _order(self, node: exp.Expr, tree: exp.Select) -> tuple[Expr, str]:
        named = {e.alias_or_name.lower(): e.unalias() for e in tree.expressions}
        for column in [] if isinstance(node.this, exp.Column) else list(node.find_all(exp.Column)):
            if not column.table and column.name.lower() in named:
                column.replace(exp.paren(named[column.name.lower()].copy()))
        expression = node.this
        start, end = span(expression)
        whole = node.sql(self.dialect)
        text = expression.sql(self.dialect)
        atoms = tuple(sorted({atom_number(n) for n in expression.walk() if is_atom(n)}))
        return Expr("other", (), text, atoms, True, start, end), whole[len(text):]  # fmt: skip


def _names_what_it_hides(table: exp.Table) -> bool:
    """True for the table in WITH t AS (SELECT … FROM t): the one outside."""
    cte = table.find_ancestor(exp.CTE)
    return (
        cte is not None
        and cte.alias.lower() == table.name.lower()
        and not (isinstance(cte.parent, exp.With) and cte.parent.recursive)
    )


def group_by_all(select: exp.Expr) -> exp.Group | None:
    """The keys that GROUP BY ALL stands for; None where nothing but constants is selected beside aggregates."""
    items = [e.unalias() for e in select.expressions if not e.find(exp.AggFunc)]
    keys = [e.copy() for e in items if e.find(exp.Column) is not None or any(is_atom(n) for n in e.walk())]
    return exp.Group(expressions=keys) if keys else None


def _view_body(relation: Relation, dialect: str) -> exp.Query | None:
    """The SELECT behind a view whose rows are those of a table; None where it is no such view, or cannot be read."""
    if relation.definition is None:
        return None
    try:
        created: exp.Expr = exp.maybe_parse(relation.definition, dialect=dialect)
    except SqlglotError:
        return None
    body = one_form(created.expression) if isinstance(created, exp.Create) else None
    if not isinstance(body, exp.Select) or not is_simple(body):
        return None
    if isinstance(created.this, exp.Schema) and created.this.expressions:
        return None
    for node in body.walk():  # its offsets are those of another text
        for mark in ("start", "end", "line", "col"):
            node.meta.pop(mark, None)
    return body


def _nullable(source: Source) -> Source:
    return replace(source, nullable=True)


def _positions(node: exp.Expr) -> dict[str, int]:
    return {k: node.meta[k] for k in ("line", "col", "start", "end") if k in node.meta}


def _unaliased(node: exp.Expr) -> exp.Expr:
    bare = node.copy()
    bare.set("alias", None)
    return bare


def _body(tree: exp.Select, node: exp.Expr) -> exp.Query | None:
    """The query behind a derived table or the name of a CTE; None for what has none (VALUES, a function)."""
    if isinstance(node, exp.Subquery) and isinstance(node.this, exp.Query):
        return node.this
    if isinstance(node, exp.Table) and "relation" not in node.meta:
        with_ = tree.args.get("with_")
        for cte in with_.expressions if with_ else []:
            if cte.alias.lower() == node.name.lower() and isinstance(cte.this, exp.Query):
                return cte.this
    return None
