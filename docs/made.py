"""What the pages say that the source says already: every class of errors, every message, every file of a room.

mkdocs calls `on_page_markdown`, which puts messages and files in the places of `<!-- messages -->` and
`<!-- files: sql -->` when pages are built. By hand: `python docs/made.py messages`, `python docs/made.py files sql`.
The table of classes stands in `docs/errors.md` itself, and a test compares the two: `python docs/made.py classes`.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

SRC = Path(__file__).resolve().parent.parent / "src" / "rain_debug"
PLACE = re.compile(r"<!-- (messages|files: (\w+)) -->")


@dataclass(frozen=True)
class Message:
    """One place where an error is made: its class, its text and its remedy, with … where a value stands."""

    kind: str
    text: str
    hint: str
    file: str
    line: int


@cache
def kinds() -> frozenset[str]:
    """The names of the error classes."""
    tree = ast.parse((SRC / "errors.py").read_text(encoding="utf-8"))
    return frozenset(n.name for n in tree.body if isinstance(n, ast.ClassDef) and n.name.endswith("Error"))


def remedies() -> dict[str, tuple[str, str]]:
    """What each class of errors means, and what to do, from its docstring."""
    tree = ast.parse((SRC / "errors.py").read_text(encoding="utf-8"))
    found = {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name in kinds() - {"RainError"}:
            means, _, todo = (ast.get_docstring(node) or "").partition("What to do:")
            found[node.name] = " ".join(means.split()), " ".join(todo.split())
    return found


def classes() -> str:
    """The table of the classes of errors."""
    rows = [f"| `{name}` | {means} | {todo} |" for name, (means, todo) in remedies().items()]
    return "\n".join(["| class | when | what to do |", "|---|---|---|", *rows])


@cache
def messages() -> list[Message]:
    """Every error that the source makes, by class and text; those whose whole text is a value are left out."""
    known, found = kinds(), []
    for path in sorted(SRC.rglob("*.py")):
        for scope in _scopes(ast.parse(path.read_text(encoding="utf-8"))):
            found += [_message(call, scope, path) for call in _own(scope) if _kind(call, known)]
    return sorted((m for m in found if m.text.strip("… ")), key=lambda m: (m.kind, m.text, m.file))


def _scopes(tree: ast.AST) -> Iterator[ast.AST]:
    yield tree
    yield from (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))


def _own(scope: ast.AST) -> Iterator[ast.Call]:
    """The calls in a function, those of functions inside of it left out."""
    pending = list(ast.iter_child_nodes(scope))
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.Call):
            yield node
        pending += ast.iter_child_nodes(node)


def _kind(call: ast.Call, known: frozenset[str]) -> str:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name in known:
        return str(name)
    return {"refuse": "SQLError", "fail": "ConfigError"}.get(name, "") if _says(call) else ""


def _says(call: ast.Call) -> bool:
    """Whether a call of `refuse(node, "…")` or `fail("…")` names its own text."""
    return any(isinstance(a, ast.Constant | ast.JoinedStr) and _words(a, {}).strip("… ") for a in call.args[:2])


def _message(call: ast.Call, scope: ast.AST, path: Path) -> Message:
    names = {
        t.id: n.value
        for n in ast.walk(scope)
        if isinstance(n, ast.Assign)
        for t in n.targets
        if isinstance(t, ast.Name)
    }
    kind = _kind(call, kinds())
    texts = [a for a in call.args if not isinstance(a, ast.Name | ast.Attribute | ast.Call) or a is call.args[0]]
    text = next((w for w in (_words(a, names) for a in texts) if len(w.strip("… ")) > 2), "…")
    hint = next((_words(k.value, names) for k in call.keywords if k.arg == "hint"), "")
    if not hint and kind == "SQLError" and isinstance(call.func, ast.Attribute) and len(call.args) > 2:
        hint = _words(call.args[2], names)
    return Message(kind, text, hint, str(path.relative_to(SRC)), call.lineno)


def _words(node: Any, names: dict[str, Any], depth: int = 0) -> str:
    """The text of an expression, … for what is only known when it runs."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_words(v, names, depth) for v in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _words(node.left, names, depth) + _words(node.right, names, depth)
    if isinstance(node, ast.IfExp):
        one, two = (_words(n, names, depth) for n in (node.body, node.orelse))
        return one if one == two or not two.strip("… ") else two if not one.strip("… ") else f"{one} / {two}"
    if isinstance(node, ast.Name) and node.id in names and depth < 3:
        return _words(names[node.id], names, depth + 1)
    if isinstance(node, ast.Constant) and node.value is None:
        return ""
    return "…"


def message_list() -> str:
    """Every message with its remedy, a heading a class."""
    lines: list[str] = []
    every, todo = messages(), {name: _cell(text) for name, (_, text) in remedies().items()}
    for kind in sorted({m.kind for m in every}):
        lines += [f"### {kind}: every message", "", "| it says | and what to do |", "|---|---|"]
        rows = dict.fromkeys((_cell(m.text), _cell(m.hint)) for m in every if m.kind == kind)
        lines += [f"| {text} | {hint.strip('… ') or todo[kind]} |" for text, hint in rows]
        lines.append("")
    return "\n".join(lines)


def _cell(text: str) -> str:
    flat = re.sub(r"\s+", " ", re.sub(r"…+", "…", text)).strip()
    for sign in "\\`*_|<>[]{}":
        flat = flat.replace(sign, f"&#{ord(sign)};")
    return flat


def files(room: str) -> str:
    """The files of a room, each with the first sentence of its docstring."""
    home = SRC / room
    paths = sorted(home.rglob("*.py")) if home.is_dir() else sorted(SRC.glob(f"{room}.py"))
    lines = ["| file | |", "|---|---|"]
    for path in paths:
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        first = text.split("\n\n")[0].replace("\n", " ").replace("|", "\\|")
        lines.append(f"| `{path.relative_to(SRC)}` | {first} |")
    return "\n".join(lines)


def made(markdown: str) -> str:
    """A page with what is made in its places.

    >>> made("<!-- files: influence -->").splitlines()[2].startswith("| `influence.py` | ")
    True
    """
    return PLACE.sub(lambda m: message_list() if m[1] == "messages" else files(m[2]), markdown)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """What mkdocs calls for every page."""
    return made(markdown)


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    print({"classes": classes, "messages": message_list}[what]() if not rest else files(rest[0]))
