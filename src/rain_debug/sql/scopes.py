"""What names mean in a nested query: tables, CTEs and columns where they are read; the rows that calls predict."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.qualify import qualify

from rain_debug.errors import SQLError
from rain_debug.sql import rewrite
from rain_debug.sql.atoms import AtomCall, column_named, mark_nested
from rain_debug.sql.convert import NestedConverter, atom_number, conjuncts, is_atom, sources_of
from rain_debug.sql.derived import RID, expose_row_ids, fingerprint
from rain_debug.sql.dialects import mark_whole_divisions, schema_of
from rain_debug.sql.expr import Expr
from rain_debug.sql.nodes import quote
from rain_debug.sql.plan import Atom, Catalog, Source
from rain_debug.sql.planner import Planner, group_by_all
from rain_debug.sql.refusals import NESTED
from rain_debug.sql.rewrite import has_atoms
from rain_debug.sql.windows import expand_windows


class Scopes(Planner):
    """The names of one query on its way from text to tree, in any of its SELECTs.

    `calls` are its predictions, `declared` its columns' names as they are spelled, `numbers` counts the tables that
    lineage will make; `outside` is the WITH of the whole, which a block that was taken out of it still sees; `around`
    are the rows of the query around a subquery that its calls read, by the name of the subquery's table of events.
    """

    def __init__(self, sql: str, catalog: Catalog, dialect: str) -> None:
        super().__init__(sql, catalog, dialect)
        self.convert: NestedConverter = NestedConverter(sql, dialect)
        self.calls: list[AtomCall] = []
        self.names = rewrite.Names()
        self.numbers = itertools.count()
        self.declared: dict[str, str] = {}
        self.materialised: dict[str, str] = {}
        self.around: dict[str, Source] = {}
        self.outside: exp.With | None = None

    # -- names --------------------------------------------------------------------------------------------------

    def qualified(self, tree: exp.Expr) -> exp.Query:
        """The tree, its calls marked, each column with its table; SQLError for names that mean nothing."""
        expand_windows(tree)
        self._name_relations(tree)
        self.calls = mark_nested(tree, self.sql, self.catalog, self.convert)
        self.declared = self._all_names(tree)
        tree = self._qualify_all(tree)
        self._restore_relations(tree)
        return tree

    def _all_names(self, tree: exp.Expr) -> dict[str, str]:
        """Lower-case name → the name as a table or the query spells it, over all SELECTs."""
        names: dict[str, str] = {}
        for relation in self.relations.values():
            names |= {c.lower(): c for c, _ in relation.columns}
        for select in tree.find_all(exp.Select):
            names |= self._declared_names(select)
        return names

    def _qualify_all(self, tree: exp.Expr) -> exp.Query:
        """The tree with every column's table named; SQLError for columns that are not there."""
        schema = schema_of(self.relations, self.dialect)
        for select in tree.find_all(exp.Select):
            group = select.args.get("group")
            if group is not None and group.args.get("all"):
                select.set("group", group_by_all(select))
        try:
            qualified = qualify(tree, schema=schema, dialect=self.dialect)
        except SqlglotError as error:
            raise self._unresolved(tree, str(error)) from None
        assert isinstance(qualified, exp.Query)
        self._forget_positions(qualified)
        mark_whole_divisions(qualified, schema, self.dialect)
        return qualified

    def name_aggregates(self, tree: exp.Expr) -> None:
        """Aggregates that sqlglot does not know become known as such."""
        for node in list(tree.find_all(exp.Anonymous)):
            if not is_atom(node) and self.catalog.is_aggregate(node.name):
                known = exp.AnonymousAggFunc(this=node.this, expressions=node.expressions)
                known.meta.update(node.meta)
                node.replace(known)

    def explicit_features(self, tree: exp.Expr) -> None:
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

    def number_alike(self, tree: exp.Expr) -> None:
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
                    found.append((source.alias_or_name, self.columns_in(source)))
                    break
        return found

    def columns_in(self, source: exp.Expr) -> tuple[str, ...]:
        """The names of a source's columns."""
        relation = self.relation_of(source)
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

    def refuse_tree(self, node: exp.Expr, message: str, keyword: str = "") -> SQLError:
        """The error that underlines `node`, with what is supported as its hint."""
        return self.convert.refuse(node, message, NESTED, keyword)

    # -- the rows that are predicted ----------------------------------------------------------------------------

    def aliases_read(self, node: exp.Anonymous) -> list[str]:
        """The aliases whose columns a call reads."""
        aliases = list(dict.fromkeys(c.table for a in node.expressions[1:] for c in a.find_all(exp.Column)))
        if not aliases:
            raise self.convert.refuse(node, "this prediction reads no column", "name an alias, or columns as features")
        return aliases

    def find_source(self, node: exp.Expr, alias: str) -> tuple[exp.Select, exp.Expr]:
        """The SELECT around `node` that has `alias` in its FROM, and what stands there."""
        for select in rewrite.enclosing(node):
            for source in sources_of(select):
                if source.alias_or_name == alias:
                    return select, source
        raise self.convert.refuse(node, f"there is no table or alias '{alias}' here", "name an alias of this FROM")

    def predicted_source(self, select: exp.Select, node: exp.Expr) -> Source:
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
            text = f"{source.materialised} AS {quote(source.alias)}"
            self.materialised[source.alias] = source.materialised
        return replace(source, from_sql=text)

    def _identify_in(self, select: exp.Select, node: exp.Expr) -> Source:
        """As `_identify`, in any scope: a CTE's name is looked up from where it stands."""
        body = self._body_of(node)
        if body is None:
            return self._identify(select, node, {node.alias_or_name})
        alias = node.alias_or_name
        columns = self.columns_in(node)
        exposed = expose_row_ids(body, self.relation_of, self._body_of)
        if exposed is not None:
            rid = f"{quote(alias)}.{quote(RID)}"
            return Source(alias, alias, columns, exposed.identity, rid, origin=exposed.origin)
        text = " ".join(t for t in (self.with_sql(node), body.sql(self.dialect)) if t)
        made = fingerprint(text)
        return Source(alias, text, columns, made, f"{quote(alias)}.rowid", materialised=made)

    def _cte(self, node: exp.Expr, name: str) -> exp.CTE | None:
        """The CTE of that name; a block that was taken out of the whole sees the CTEs of the whole."""
        found = rewrite.cte_named(node, name)
        if found is None and self.outside is not None:
            found = next((c for c in self.outside.expressions if c.alias.lower() == name.lower()), None)
        return found

    def with_sql(self, node: exp.Expr) -> str:
        """WITH …: the CTEs that can be named where `node` stands, and those inside it."""
        root = node.root()
        ctes = list({c.alias.lower(): c for c in root.find_all(exp.CTE, bfs=False)}.values())
        if not ctes:
            return "" if self.outside is None else str(self.outside.sql(self.dialect))
        recursive = any(w.recursive for w in root.find_all(exp.With))
        return f"WITH {'RECURSIVE ' if recursive else ''}{', '.join(c.sql(self.dialect) for c in ctes)}"

    def _body_of(self, node: exp.Expr) -> exp.Query | None:
        """The query behind a subquery or the name of a CTE."""
        if isinstance(node, exp.Subquery) and isinstance(node.this, exp.Query):
            return node.this
        cte = self._cte(node, node.name) if isinstance(node, exp.Table) and "relation" not in node.meta else None
        return cte.this if cte is not None and isinstance(cte.this, exp.Query) else None

    def own_conditions(self, select: exp.Select, aliases: Sequence[str]) -> list[Expr]:
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

    def atom(self, node: exp.Anonymous, aliases: Sequence[str], sources: dict[str, Source], index: int) -> Atom:
        """The prediction that a call stands for; `aliases` are those that it reads."""
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
