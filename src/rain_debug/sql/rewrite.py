"""Trees of SELECTs made simpler without changing their meaning: names made unique, CTEs put in place, blocks merged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import count

from sqlglot import exp

from rain_debug.sql.convert import branches_of, conjuncts, is_atom, searched, sources_of
from rain_debug.sql.grouping import key_texts

OUTER = ("LEFT", "RIGHT", "FULL")


def has_atoms(node: exp.Expr) -> bool:
    """True where a prediction stands in it."""
    return any(is_atom(n) for n in node.walk())


def enclosing(node: exp.Expr) -> Iterator[exp.Select]:
    """The SELECTs around `node`, innermost first."""
    above = node.parent
    while above is not None:
        if isinstance(above, exp.Select):
            yield above
        above = above.parent


def owner(column: exp.Column) -> exp.Select | None:
    """The SELECT that has the column's table in its FROM."""
    for select in enclosing(column):
        if any(s.alias_or_name == column.table for s in sources_of(select)):
            return select
    return None


def cte_named(node: exp.Expr, name: str) -> exp.CTE | None:
    """The CTE that `name` means where `node` stands."""
    above: exp.Expr | None = node
    while above is not None:
        with_ = above.args.get("with_")
        for cte in with_.expressions if with_ is not None else []:
            if cte.alias.lower() == name.lower() and not _within(node, cte):
                return cte
        above = above.parent
    return None


def _within(node: exp.Expr, ancestor: exp.Expr) -> bool:
    above: exp.Expr | None = node
    while above is not None:
        if above is ancestor:
            return True
        above = above.parent
    return False


class Names:
    """Aliases that were not taken yet."""

    def __init__(self) -> None:
        self.taken: set[str] = set()

    def fresh(self, name: str) -> str:
        """`name`, or `name_2`, …"""
        candidate, k = name, 1
        while candidate.lower() in self.taken:
            k += 1
            candidate = f"{name}_{k}"
        self.taken.add(candidate.lower())
        return candidate

    def rename(self, tree: exp.Expr) -> None:
        """Every alias in FROM of `tree` gets a name of its own; columns follow."""
        owners = [(c, owner(c)) for c in tree.find_all(exp.Column) if c.table]
        new: dict[tuple[int, str], str] = {}
        for select in tree.find_all(exp.Select):
            for source in sources_of(select):
                old = source.alias_or_name
                new[id(select), old] = self.fresh(old)
        for column, home in owners:
            if home is not None and (id(home), column.table) in new:
                named = exp.to_identifier(new[id(home), column.table], quoted=True)
                named.meta.update(column.args["table"].meta)
                column.set("table", named)
        for select in tree.find_all(exp.Select):
            for source in sources_of(select):
                name = new[id(select), source.alias_or_name]
                if name != source.alias_or_name:
                    set_alias(source, name)


def named(node: exp.Expr, name: str) -> exp.Alias:
    """`node` AS `name`, in a select list."""
    return exp.Alias(this=node, alias=exp.to_identifier(name, quoted=True))


def set_alias(source: exp.Expr, name: str) -> None:
    """Give a source another alias; its column aliases stay."""
    alias = source.args.get("alias")
    columns = alias.columns if isinstance(alias, exp.TableAlias) else []
    source.set("alias", exp.TableAlias(this=exp.to_identifier(name, quoted=True), columns=columns))


def inline_ctes(tree: exp.Expr, names: Names) -> exp.Expr:
    """CTEs with predictions become subqueries where they are named; the others stay."""
    while True:
        found = None
        for table in tree.find_all(exp.Table):
            if "relation" in table.meta or not isinstance(table.this, exp.Identifier):
                continue
            cte = cte_named(table, table.name)
            if cte is not None and has_atoms(cte.this):
                found = (table, cte)
                break
        if found is None:
            break
        table, cte = found
        body = cte.this.copy()
        names.rename(body)
        inner = exp.Subquery(this=body)
        alias = table.args.get("alias")
        inner.set("alias", alias.copy() if alias is not None else exp.TableAlias(this=exp.to_identifier(table.name)))
        inner.meta["cte"] = cte.alias
        table.replace(inner)
    for with_ in list(tree.find_all(exp.With)):
        kept = [c for c in with_.expressions if not has_atoms(c.this)]
        if kept:
            with_.set("expressions", kept)
        elif with_.parent is not None:
            with_.parent.set("with_", None)
    return tree


def semi_joins(tree: exp.Expr) -> exp.Expr:
    """SEMI and ANTI joins that predictions decide, as EXISTS and NOT EXISTS."""
    for select in list(tree.find_all(exp.Select)):
        kept = []
        for join in select.args.get("joins") or []:
            kind, on = join.kind.upper(), join.args.get("on")
            if kind not in ("SEMI", "ANTI") or not has_atoms(join):
                kept.append(join)
                continue
            inner = exp.Select(expressions=[exp.Literal.number(1)])
            inner.set("from_", exp.From(this=join.this))
            inner.set("where", exp.Where(this=on) if on is not None else None)
            exists: exp.Expr = exp.Exists(this=inner)
            select.where(exists if kind == "SEMI" else exp.Not(this=exists), copy=False)
        select.set("joins", kept)
    return tree


def merge_blocks(tree: exp.Expr, number_alike: Callable[[exp.Expr], None]) -> exp.Expr:
    """Subqueries with predictions that only filter, join and project become part of the SELECT around them.

    `number_alike` gives equal predictions equal texts.
    """
    again = True
    while again:
        again = False
        for select in list(tree.find_all(exp.Select)):
            for source in sources_of(select):
                if (
                    isinstance(source, exp.Subquery)
                    and has_atoms(source.this)
                    and _mergeable(select, source, number_alike)
                ):
                    _merge(select, source)
                    again = True
                    break
            if again:
                break
    return tree


def is_simple(select: exp.Expr) -> bool:
    """True for a SELECT of rows as they are: no groups, windows, DISTINCT, LIMIT."""
    if not isinstance(select, exp.Select) or select.args.get("from_") is None:
        return False
    parts = ("group", "having", "distinct", "limit", "offset", "qualify", "laterals", "with_")
    if any(select.args.get(p) for p in parts):
        return False
    own = (n for e in select.expressions for n in e.walk() if isinstance(n, exp.AggFunc | exp.Window))
    return not any(n.find_ancestor(exp.Select) is select for n in own)


def _named_item(items: Mapping[str, exp.Expr], column: exp.Column) -> exp.Expr:
    return items[column.name.lower()].copy()


def _mergeable(select: exp.Select, source: exp.Subquery, number_alike: Callable[[exp.Expr], None]) -> bool:
    if not is_simple(source.this) or source.args.get("pivots") or source.args.get("sample"):
        return False
    sets = select.args.get("group") and select.args["group"].find(exp.Rollup, exp.Cube, exp.GroupingSets)
    if sets and any(e.find(exp.Query) for e in source.this.expressions):
        return False  # a subquery there would be the key of a set, which no database knows again where it is selected
    if sets:
        merged = _merged_into(select.args["group"].copy(), source)
        number_alike(merged)
        if len(key_texts(merged)) < len(key_texts(select.args["group"])):
            return False  # two keys would be one, which is in a set where either is
    joins = select.args.get("joins") or []
    if any(j.side.upper() in ("RIGHT", "FULL") or j.args.get("method") for j in joins):
        return False
    mine = next((j for j in joins if j.this is source), None)
    inner_joins = source.this.args.get("joins") or []
    if mine is None:
        return True
    return (
        mine.side.upper() not in OUTER
        and mine.kind.upper() not in ("SEMI", "ANTI")
        and not any(j.side.upper() in OUTER or j.args.get("method") for j in inner_joins)
    )


def _merged_into(node: exp.Expr, source: exp.Subquery) -> exp.Expr:
    """`node` with the columns of `source` replaced by what they are there."""
    names = source.alias_column_names or source.this.named_selects
    items = {n.lower(): e.unalias() for n, e in zip(names, source.this.expressions, strict=False)}
    replace_columns(node, source.alias_or_name, partial(_named_item, items))
    return node


def _merge(select: exp.Select, source: exp.Subquery) -> None:
    body = source.this
    _merged_into(select, source)
    joins = select.args.get("joins") or []
    conditions = [body.args["where"].this] if body.args.get("where") else []
    inner = body.args.get("joins") or []
    if select.args["from_"].this is source:
        select.args["from_"].set("this", body.args["from_"].this)
        select.set("joins", [*inner, *joins])
    else:
        at = next(i for i, j in enumerate(joins) if j.this is source)
        if joins[at].args.get("on") is not None:
            conditions.append(joins[at].args["on"])
        first = exp.Join(this=body.args["from_"].this, kind="CROSS")
        select.set("joins", [*joins[:at], first, *inner, *joins[at + 1 :]])
    for condition in conditions:
        select.where(exp.paren(condition.copy()), copy=False)


def push_conditions(tree: exp.Expr) -> exp.Expr:
    """Conditions on the groups of one subquery with predictions become its HAVING."""
    for select in list(tree.find_all(exp.Select)):
        where = select.args.get("where")
        joins = select.args.get("joins") or []
        if where is None or any(j.side or j.args.get("method") for j in joins):
            continue
        kept: list[exp.Expr] = []
        for condition in conjuncts(where.this):
            names = {c.table for c in condition.find_all(exp.Column)}
            source = next((s for s in sources_of(select) if {s.alias_or_name} == names), None)
            if source is None or not _takes_having(source) or condition.find(exp.Query) or has_atoms(condition):
                kept.append(condition)
                continue
            assert isinstance(source, exp.Subquery)
            body = source.this
            items = {
                n.lower(): e.unalias()
                for n, e in zip(source.alias_column_names or body.named_selects, body.expressions, strict=False)
            }
            moved = exp.paren(condition.copy())
            replace_columns(moved, source.alias_or_name, partial(_named_item, items))
            if not any(isinstance(n, exp.AggFunc) for n in moved.walk()):
                kept.append(condition)
                continue
            body.having(moved.this, copy=False)
        select.set("where", exp.Where(this=exp.and_(*kept)) if kept else None)
    return tree


def _takes_having(source: exp.Expr) -> bool:
    body = source.this if isinstance(source, exp.Subquery) else None
    if not isinstance(body, exp.Select) or not has_atoms(body) or not body.args.get("group"):
        return False
    group = body.args["group"]
    if any(isinstance(n, exp.Rollup | exp.Cube | exp.GroupingSets) for n in group.expressions):
        return False
    windows = any(isinstance(n, exp.Window) for e in body.expressions for n in e.walk())
    return not windows and not any(body.args.get(p) for p in ("limit", "offset", "distinct", "qualify"))


def absent(select: exp.Select) -> set[str]:
    """Aliases of the sources whose rows an outer join may not find."""
    found: set[str] = set()
    before = [source.alias_or_name for source in sources_of(select)[:1]]
    for join in select.args.get("joins") or []:
        if join.side.upper() in ("RIGHT", "FULL"):
            found |= set(before)
        before.append(join.this.alias_or_name)
        if join.side.upper() in ("LEFT", "FULL"):
            found.add(before[-1])
    return found


def lift_words(tree: exp.Expr) -> exp.Expr:
    """What CASE says of a subquery's groups is said around it, where rows are grouped by it or added up.

    The subquery then has the aggregates that the CASE asks for as columns, in the place of what it made of them.
    """
    for select in list(tree.find_all(exp.Select)):
        grouped = select.args.get("group") or select.args.get("distinct")
        if not grouped and not any(isinstance(n, exp.AggFunc) for e in select.expressions for n in e.walk()):
            continue
        for source in sources_of(select):
            if _takes_having(source) and not source.alias_column_names:
                assert isinstance(source, exp.Subquery)
                _lift_words(select, source)
    return tree


def _lift_words(select: exp.Select, source: exp.Subquery) -> None:
    body, alias = source.this, source.alias_or_name
    for item in list(body.expressions):
        name = item.alias_or_name.lower()
        read = [c for c in select.find_all(exp.Column) if c.table == alias and c.name.lower() == name]
        if not read or not _is_word(item.unalias()):
            continue
        word = searched(item.unalias())
        for part in list(word.walk(prune=lambda n: isinstance(n, _LIFTED))):
            if isinstance(part, _LIFTED):
                part.replace(_column_for(body, part.copy(), alias))
        body.set("expressions", [e for e in body.expressions if e is not item])
        if alias in absent(select):  # where an outer join finds no row the word is NULL, whatever its ELSE says
            missed = exp.Is(this=_column_for(body, exp.true(), alias), expression=exp.null())
            word.set("ifs", [exp.If(this=missed, true=exp.null()), *word.args["ifs"]])
        for column in read:
            column.replace(exp.paren(word.copy()))


def _column_for(body: exp.Select, value: exp.Expr, alias: str) -> exp.Column:
    """The column of the subquery `alias` that `value` is from now on."""
    known = set(body.named_selects)
    name = next(name for name in (f"__rain_of_{i}" for i in count()) if name not in known)
    body.append("expressions", named(value, name))
    return exp.column(name, table=alias, quoted=True)


_LIFTED = exp.Column | exp.AggFunc | exp.Filter
"""What a subquery has for each of its groups."""


def _is_word(node: exp.Expr) -> bool:
    """True for a CASE over aggregates, whose values no prediction moves."""
    if not isinstance(node, exp.Case | exp.If) or node.find(exp.Query, exp.WithinGroup, exp.IgnoreNulls) is not None:
        return False
    branches, default = branches_of(node)
    values = [*(value for _, value in branches), default]
    outside = node.walk(prune=lambda n: isinstance(n, exp.AggFunc | exp.Filter))
    moved = any(map(is_atom, outside)) or any(value.find(exp.AggFunc) is not None for value in values)
    return node.find(exp.AggFunc) is not None and not moved


def replace_columns(tree: exp.Expr, alias: str, by: Callable[[exp.Column], exp.Expr]) -> None:
    """Every column of `alias` in `tree` becomes what `by` says; a number that is a key is no position."""
    sets = tree.find(exp.Rollup, exp.Cube, exp.GroupingSets) is not None
    for column in list(tree.find_all(exp.Column)):
        if column.table != alias:
            continue
        new = by(column)
        key = sets or isinstance(column.parent, exp.Group | exp.Ordered)
        if isinstance(new, exp.Literal) and not new.is_string and key:
            new = exp.cast(new, "DOUBLE" if "." in new.name else "BIGINT")
        elif not isinstance(new, exp.Column | exp.Literal | exp.Anonymous | exp.Null | exp.Boolean):
            new = exp.paren(new)
        column.replace(new)
