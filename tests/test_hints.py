"""Every error that a user can cause says what to do, where it is made: the remedy is no afterthought."""

from __future__ import annotations

import ast
from pathlib import Path

from rain_debug import errors

SRC = Path(errors.__file__).parent
KINDS = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.RainError)}
OWN_WORDS = ("the database says: ", "the database was asked to stop")
"""What the database itself answers, which alone knows the remedy, and what its user asked for."""


def without_remedy(text: str) -> list[str]:
    """The calls of a source that make an error without a hint, and the functions that need none to make one."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in KINDS:
            hints = [k.value for k in node.keywords if k.arg in ("hint", None)]
            own = ast.unparse(node.args[0]).lstrip("f'\"").startswith(OWN_WORDS) if node.args else False
            if not own and not any(not isinstance(h, ast.Constant) or h.value for h in hints):
                found.append(f"{node.lineno}: {ast.unparse(node)}")
        elif isinstance(node, ast.FunctionDef) and node.returns is not None and ast.unparse(node.returns) in KINDS:
            named = [*node.args.posonlyargs, *node.args.args]
            pairs = [
                *zip(named[::-1], node.args.defaults[::-1], strict=False),
                *zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True),
            ]
            if any(a.arg == "hint" and isinstance(d, ast.Constant) and d.value is None for a, d in pairs):
                found.append(f"{node.lineno}: {node.name}(hint=None)")
    return found


def test_every_error_says_what_to_do() -> None:
    missing = {str(p.relative_to(SRC)): without_remedy(p.read_text()) for p in sorted(SRC.rglob("*.py"))}
    assert {name: found for name, found in missing.items() if found} == {}


def test_what_is_looked_for_is_found() -> None:
    text = """
def refuse(message: str, hint: str | None = None) -> SQLError:
    return SQLError(message, hint=hint)
def other(message: str, *, hint: str = "ask") -> SQLError: ...
raise DataError("no rows")
raise DataError("no rows", hint=None)
raise EngineError(f"the database says: {said}")
raise ValueError("ours")
"""
    assert [found.partition(":")[0] for found in without_remedy(text)] == ["2", "5", "6"]
