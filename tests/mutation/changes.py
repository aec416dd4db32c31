"""Small wrong changes to a module's functions: what a test that bites must notice.

A change is made inside a function or a lambda: an operator, a constant, a condition, a keyword argument, a result or a
statement is swapped, turned or lost. Left alone are docstrings, annotations, asserts and what is one (zip's `strict`),
the wording of errors, and what is made when the module is imported.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
    ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
WORDING = {"cast", "TypeVar"}
"""Calls whose arguments say something to people or to the type checker alone."""


@dataclass(frozen=True)
class Change:
    """One change of a module: its number there, the function, the lines of the statement, and what becomes of what."""

    number: int
    function: str
    lines: tuple[int, int]
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.lines[0]} in {self.function}: {self.before} → {self.after}"


@dataclass(frozen=True)
class _Site:
    function: str
    lines: tuple[int, int]
    node: ast.AST
    act: Callable[[], ast.AST]


def changes(text: str) -> list[Change]:
    """All changes of a module's source, in the order of the text.

    >>> for c in changes("def f(a):\\n    return a[0] < 1"):
    ...     print(c)
    2 in f: return a[0] < 1 → return None
    2 in f: a[0] < 1 → a[0] <= 1
    2 in f: 0 → 1
    2 in f: 1 → 2
    """
    found = []
    for number, site in enumerate(_sites(ast.parse(text))):
        before = ast.unparse(site.node)
        after = ast.unparse(ast.copy_location(site.act(), site.node))
        found.append(Change(number, site.function, site.lines, _short(before), _short(after)))
    return found


def changed(text: str, number: int) -> ast.Module:
    """The module with one change made.

    >>> ast.unparse(changed("def f(a):\\n    return a[0] < 1", 1)).splitlines()[1].strip()
    'return a[0] <= 1'
    """
    tree = ast.parse(text)
    site = next(s for i, s in enumerate(_sites(tree)) if i == number)
    made = _Put(site.node, site.act()).visit(tree)
    return ast.fix_missing_locations(made)


class _Put(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, ast.copy_location(new, old)

    def visit(self, node: ast.AST) -> ast.AST:
        return self.new if node is self.old else super().generic_visit(node)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 100 else text[:97] + "…"


def _sites(tree: ast.Module) -> Iterator[_Site]:
    yield from _inside(tree, "", (0, 0), wording=False)


def _inside(node: ast.AST, function: str, lines: tuple[int, int], wording: bool) -> Iterator[_Site]:
    if isinstance(node, ast.Assert | ast.Import | ast.ImportFrom):
        return
    name = getattr(node, "name", "lambda") if isinstance(node, (*FUNCTIONS, ast.ClassDef)) else ""
    if isinstance(node, ast.stmt):
        lines = _lines(node)
    elif isinstance(node, ast.Lambda):  # of a table of many, only those that run it
        lines = node.lineno, node.end_lineno or node.lineno
    if function:
        for act in _acts(node, wording):
            yield _Site(function, lines, node, act)
    within = f"{function}.{name}".strip(".") if isinstance(node, FUNCTIONS) else function
    wording = wording or isinstance(node, ast.Raise) or (isinstance(node, ast.Call) and _called(node) in WORDING)
    for child in _children(node):
        yield from _inside(child, within, lines, wording)


def _lines(statement: ast.stmt) -> tuple[int, int]:
    """A statement's lines; of one with a body, its head's."""
    body = getattr(statement, "body", None)
    last = body[0].lineno - 1 if body else statement.end_lineno
    return statement.lineno, max(statement.lineno, last or 0)


def _called(node: ast.Call) -> str:
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


def _children(node: ast.AST) -> Iterator[ast.AST]:
    """The parts that run: not annotations, decorators, defaults or docstrings."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield from node.body[_has_docstring(node) :]
    elif isinstance(node, ast.Lambda):
        yield node.body
    elif isinstance(node, ast.AnnAssign):
        yield from [node.value] if node.value else []
    elif isinstance(node, ast.JoinedStr):
        yield from (v for v in node.values if isinstance(v, ast.FormattedValue))
    elif isinstance(node, ast.FormattedValue):
        yield node.value
    elif isinstance(node, ast.Call):
        yield from (node.func, *node.args, *(k.value for k in node.keywords if k.arg != "strict"))
    else:
        yield from ast.iter_child_nodes(node)


def _has_docstring(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    first = node.body[0]
    return isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)


def _acts(node: ast.AST, wording: bool) -> Iterator[Callable[[], ast.AST]]:
    """Every change of this one node."""
    for make in (_compare, _compute, _connect, _constant, _condition, _argument, _statement):
        for act in make(node):
            if not (wording and make in (_constant, _argument)):
                yield act


def _with(node: ast.AST, **fields: object) -> Callable[[], ast.AST]:
    def act() -> ast.AST:
        made = copy.copy(node)
        for field, value in fields.items():
            setattr(made, field, value)
        return made

    return act


def _compare(node: ast.AST) -> Iterator[Callable[[], ast.AST]]:
    if isinstance(node, ast.Compare):
        for i, op in enumerate(node.ops):
            yield _with(node, ops=[*node.ops[:i], COMPARED[type(op)](), *node.ops[i + 1 :]])


def _compute(node: ast.AST) -> Iterator[Callable[[], ast.AST]]:
    if isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in COMPUTED:
        yield _with(node, op=COMPUTED[type(node.op)]())
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Not | ast.Invert):
        yield lambda: node.operand


def _connect(node: ast.AST) -> Iterator[Callable[[], ast.AST]]:
    if isinstance(node, ast.BoolOp):
        yield _with(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())


def _constant(node: ast.AST) -> Iterator[Callable[[], ast.AST]]:
    if not isinstance(node, ast.Constant):
        return
    if isinstance(node.value, bool):
        yield _with(node, value=not node.value)
    elif isinstance(node.value, int | float):
        yield _with(node, value=node.value + 1)
    elif isinstance(node.value, str):
        yield _with(node, value=f"not {node.value}")


def _condition(node: ast.AST) -> Iterator[Callable[[], ast.AST]]:
    """A name or a call as a condition is turned; comparisons are turned where they stand."""
    if isinstance(node, ast.If | ast.IfExp | ast.While) and isinstance(node.test, ast.Name | ast.Call | ast.Attribute):
        yield _with(node, test=ast.UnaryOp(ast.Not(), node.test))
    elif isinstance(node, ast.comprehension):
        for i in range(len(node.ifs)):
            yield _with(node, ifs=[*node.ifs[:i], *node.ifs[i + 1 :]])


def _argument(node: ast.AST) -> Iterator[Callable[[], ast.AST]]:
    """A keyword argument is lost."""
    if isinstance(node, ast.Call):
        for i, keyword in enumerate(node.keywords):
            if keyword.arg != "strict":
                yield _with(node, keywords=[*node.keywords[:i], *node.keywords[i + 1 :]])


def _statement(node: ast.AST) -> Iterator[Callable[[], ast.AST]]:
    if isinstance(node, ast.Return) and node.value is not None and not _is_none(node.value):
        yield _with(node, value=ast.Constant(None))
    elif isinstance(node, ast.Break | ast.Continue):
        yield ast.Continue if isinstance(node, ast.Break) else ast.Break
    elif isinstance(node, ast.Raise) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
        yield ast.Pass
    elif isinstance(node, ast.AugAssign):
        yield lambda: ast.Assign([node.target], node.value)


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None
