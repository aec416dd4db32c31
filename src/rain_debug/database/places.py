"""Names and values that users give → the place of an answer that they mean, or an error that lists what there is."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from rain_debug.engines import Table
from rain_debug.errors import ComplaintError, nearest
from rain_debug.sql import Expr, Plan, free_name


@dataclass(frozen=True)
class Output:
    """One column of the answer as users name it; `hidden` is a group key that the query does not select."""

    name: str
    expr: Expr
    hidden: bool = False


def outputs_of(plan: Plan) -> tuple[Output, ...]:
    """The columns of the answer, names made unique, and the group keys that stand beside them."""
    found: list[Output] = []
    taken: set[str] = set()
    for o in plan.outputs:
        name = (
            o.name if not re.fullmatch(r"_col_\d+", o.name) else " ".join(plan.sql[o.expr.start : o.expr.end].split())
        )
        found.append(Output(free_name(name or o.name, taken), o.expr))
    shown = {o.expr.sql for o in plan.outputs}
    for e in plan.group_by or ():
        if e.sql not in shown:
            found.append(Output(free_name(e.sql.split(".")[-1].strip('"'), taken), e, hidden=True))
    return tuple(found)


def find_output(outputs: Sequence[Output], name: str) -> Output:
    """The column of that name, letter case and spaces aside; ComplaintError lists the columns."""
    found = find_name([o.name for o in outputs], name)
    return next(o for o in outputs if o.name == found)


def find_name(names: Sequence[str], name: str) -> str:
    """The column of that name, letter case and spaces aside; ComplaintError lists the columns."""
    wanted = _bare(name)
    for known in names:
        if _bare(known) == wanted:
            return known
    raise ComplaintError(f"the answer has no column '{name}'", hint=nearest(name, names))


def _bare(name: str) -> str:
    return "".join(name.lower().split()).replace("count_star()", "count(*)")


def matches(answer: Table, name: str, value: Any) -> np.ndarray:
    """Rows (mask) whose column `name` is `value`; dates match their text, numbers any number type."""
    column = answer[name]
    if value is None:
        return ~_known(answer, name)
    if column.kind == "number" and type(value) is int and column.values.dtype.kind == "i":
        return np.asarray(column.values == value) & _known(answer, name)
    if column.kind == "number" and _is_number(value):
        return np.asarray(column.values == float(value)) & _known(answer, name)
    if column.kind == "bool" and isinstance(value, bool):
        return np.asarray(column.values == value) & _known(answer, name)
    text = _text(value)
    return np.array([v is not None and _text(v) == text for v in column.to_list()], dtype=bool)


def _known(answer: Table, name: str) -> np.ndarray:
    valid = answer[name].valid
    return np.ones(answer.n_rows, dtype=bool) if valid is None else valid


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number | Decimal) and not isinstance(value, bool)


def _text(value: Any) -> str:
    if isinstance(value, datetime.datetime):
        text = value.isoformat(" ")
        return text[:-9] if text.endswith(" 00:00:00") else text
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def find_row(answer: Table, names: Sequence[str], where: Mapping[str, Any]) -> int:
    """The one row of the answer that `where` names; ComplaintError lists what there is."""
    mask = np.ones(answer.n_rows, dtype=bool)
    named = ", ".join(f"{n}={v!r}" if n.isidentifier() else f"{{{n!r}: {v!r}}}" for n, v in where.items())
    missed = f"if the predictions keep the row out: query.row({named}).should_exist()"
    if not answer.n_rows:
        hint = "check the query's own conditions" + (f"; {missed}" if where else "")
        raise ComplaintError("the answer is empty: it has no row to name", hint=hint)
    for name, value in where.items():
        here = matches(answer, name, value)
        if not here.any():
            raise ComplaintError(
                f"no row of the answer has {name} = {value!r}",
                hint=f"{nearest(_text(value), [_text(v) for v in answer[name].to_list() if v is not None])}; {missed}",
            )
        mask &= here
    rows = np.flatnonzero(mask)
    if len(rows) == 1:
        return int(rows[0])
    place = " and ".join(f"{n} = {v!r}" for n, v in where.items()) or "no condition"
    if not len(rows):
        raise ComplaintError(f"no row of the answer has {place}", hint=f"each value occurs, but not together; {missed}")
    others = [n for n in names if n not in where]
    raise ComplaintError(
        f"{len(rows)} rows of the answer match ({place})",
        hint=f"name one row: add a condition on {', '.join(others)}" if others else "name one row",
    )
