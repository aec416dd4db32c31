"""An element of all classes' probabilities: `pgml.predict_proba('m', ARRAY[…])[2]`."""

from __future__ import annotations

from sqlglot import exp

from rain_debug.errors import SQLError
from rain_debug.sql.forms.reading import Reading
from rain_debug.sql.plan import ModelInfo
from rain_debug.sql.tokens import PREDICT_PROBA, PROBABILITIES


def choose_classes(tree: exp.Expr, reading: Reading) -> None:
    """`probabilities(m, …)[2]` → `predict_proba(m, …, 'yes')`: the second class, or the class of that label."""
    for node in list(tree.find_all(exp.Anonymous)):
        if node.name.upper() != PROBABILITIES:
            continue
        whole: exp.Expr = node
        while isinstance(whole.parent, exp.Paren):
            whole = whole.parent
        info = reading.catalog.model(node.expressions[0].name) if reading.catalog is not None else None
        bracket = whole.parent
        if not isinstance(bracket, exp.Bracket) or bracket.this is not whole or len(bracket.expressions) != 1:
            raise _wrong(node, info, reading, "these are the probabilities of all classes: choose one")
        label = _label(bracket.expressions[0], info)
        if label is None:
            raise _wrong(node, info, reading, f"there is no class {_shown(bracket.expressions[0])} of this model")
        node.set("this", PREDICT_PROBA)
        node.append("expressions", label)
        bracket.replace(node)


def _label(index: exp.Expr, info: ModelInfo | None) -> exp.Expr | None:
    """The class at that position (from 0: sqlglot counts so), or of that label."""
    value = index.to_py() if isinstance(index, exp.Literal | exp.Neg | exp.Boolean) else None
    if info is None:
        return index.copy() if isinstance(value, str) else None
    if isinstance(value, str):
        return next((exp.convert(c) for c in info.classes if str(c) == value), None)
    return exp.convert(info.classes[value]) if isinstance(value, int) and 0 <= value < len(info.classes) else None


def _shown(index: exp.Expr) -> str:
    return str(int(index.name) + 1) if isinstance(index, exp.Literal) and index.is_int else index.sql()


def _wrong(node: exp.Expr, info: ModelInfo | None, reading: Reading, message: str) -> SQLError:
    classes = (
        f"[1] is the first of the classes {', '.join(map(str, info.classes))}" if info is not None else "as in [1]"
    )
    start = node.meta.get("start", 0)
    end = max((n.meta["end"] for n in node.walk() if "end" in n.meta), default=len(reading.sql) - 1)
    text = reading.sql[start:]
    end = start + text.find(")", end - start) + 1 or len(reading.sql)
    return SQLError(message, sql=reading.sql, start=start, end=end, hint=classes)
