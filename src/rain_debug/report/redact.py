"""What a saved report leaves out: whole columns wherever their values stand, or every record.

Values stand in tables, in places ("n where week = '2026-11-09'"), in conditions that records share, in SQL and in
sentences. Tables lose the column's values; text loses whatever is compared with the column, and every text value of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from rain_debug.errors import ReportError, nearest

HIDDEN = "▇▇▇"
"""In the place of a redacted value."""
CONDITION = f"a condition on {HIDDEN}"

_LITERAL = r"""(?:(?:DATE|TIMESTAMP)\s+)?(?:'(?:[^']|'')*'|[-+]?[\d.]+(?:e[-+]?\d+)?|NULL|TRUE|FALSE)"""
_SCHEMA = {"columns", "keys", "labels", "chart", "marked", "kind", "id", "at", "state", "settings", "name"}
"""What holds names and kinds, and no values."""


def without_rows(saved: dict[str, Any]) -> dict[str, Any]:
    """The same without records, and without the rows of answers that are rows of the queried data."""
    run, open_queries = saved["run"], {c["query"] for c in saved["run"]["changes"] if not c["grouped"]}
    changes = [
        {**c, "before": [], "after": [], "marked": [], "chart": _table()} if c["query"] in open_queries else c
        for c in run["changes"]
    ]
    return {
        **saved,
        "run": {**run, "changes": changes},
        "records": {**saved["records"], "rows": []},
        "effects": None if open_queries else saved["effects"],
    }


def redacted(saved: dict[str, Any], names: Sequence[str], also: Iterable[str] = ()) -> dict[str, Any]:
    """The same with no value of the columns `names`; ReportError for one that there is not, or all is about.

    `also` are columns that there are, though no value of theirs is listed.
    """
    wanted = set(names)
    _check(saved, wanted, also)
    hide = _hider(wanted, _texts(saved, wanted))
    run, models = saved["run"], saved["run"]["models"]
    keys = {m["name"] for m in models if wanted & {*m["keys"]}}
    labels = {m["name"] for m in models if wanted & {*m["labels"]}}
    patterns = [_pattern(p, wanted) for p in run["patterns"]]
    line = run["pattern"]
    if line and _names(line, wanted):
        line = f"{line.split(': ')[0]}: {CONDITION}"
    made: dict[str, Any] = hide({**saved, "run": {**run, "patterns": patterns, "pattern": line}})
    for row, new in zip(saved["records"]["rows"], made["records"]["rows"], strict=True):
        if row["model"] in keys:
            new["key"] = HIDDEN
        if row["model"] in labels:
            new["label"], new["fix"] = HIDDEN, row["fix"].split()[0]
    for columns, rows in _tables(made):
        for i, column in enumerate(columns):
            if column["name"] in wanted:
                for values in rows:
                    values[i] = None if values[i] is None else HIDDEN
    for change in made["run"]["changes"]:
        drawn = {change["chart"]["x"], change["chart"]["color"], *change["chart"]["y"]}
        change["chart"] = _table() if drawn & wanted else change["chart"]
    return made


def columns_of(saved: dict[str, Any]) -> list[str]:
    """Every column whose values the report may hold."""
    own = [n for m in saved["run"]["models"] for n in (*m["keys"], *m["labels"])]
    return list(dict.fromkeys([*own, *(c["name"] for columns, _ in _tables(saved) for c in columns)]))


def _check(saved: dict[str, Any], wanted: set[str], also: Iterable[str]) -> None:
    known = {*columns_of(saved), *also}
    for name in sorted(wanted - set(known)):
        raise ReportError(f"there is no column '{name}' to redact", hint=nearest(name, known))
    for standing in saved["run"]["standings"]:
        if standing["place"] and standing["place"]["column"] in wanted:
            raise ReportError(
                f"the complaints are about '{standing['place']['column']}': without it the report says nothing",
                hint="redact other columns, or save the ranking as CSV",
            )


def _table() -> dict[str, Any]:
    return {"type": "table", "x": None, "scale": "order", "y": [], "color": None}


def _tables(saved: dict[str, Any]) -> Iterator[tuple[list[dict[str, Any]], list[list[Any]]]]:
    """Columns and rows of values of everything that is a table."""
    yield saved["records"]["columns"], [row["values"] for row in saved["records"]["rows"]]
    for change in saved["run"]["changes"]:
        yield change["columns"], [row for side in ("before", "after") for row in change[side] if row is not None]
    for table in (saved["effects"] or {"tables": []})["tables"]:
        yield table["rows"]["columns"], table["rows"]["rows"]


def _texts(saved: dict[str, Any], wanted: set[str]) -> set[str]:
    """The columns' values that are text: wherever else they stand they are told by themselves."""
    found: list[Any] = []
    for columns, rows in _tables(saved):
        found += [values[i] for i, c in enumerate(columns) if c["name"] in wanted for values in rows]
    for m in saved["run"]["models"]:
        for field in ("key", "label"):
            if wanted & {*m[f"{field}s"]}:
                found += [row[field] for row in saved["records"]["rows"] if row["model"] == m["name"]]
    return {v for v in found if isinstance(v, str) and v.strip()}


def _hider(wanted: set[str], texts: Iterable[str]) -> Callable[[Any], Any]:
    """A function that takes values out of every text of a structure, and out of places that name rows by them."""
    column = rf"""(?<![\w"])"?(?:{"|".join(re.escape(n) for n in sorted(wanted, key=len, reverse=True))})"?\)?"""
    sign = r"=|<>|!=|>=|<=|<|>|\bIS(?:\s+NOT)?\b|\b(?:NOT\s+)?I?LIKE\b|\b(?:NOT\s+)?IN\s*\(|\b(?:NOT\s+)?BETWEEN\b"
    compared = re.compile(
        rf"(?P<left>{column}\s*(?:{sign})\s*){_LITERAL}(?:\s*(?:,|\bAND\b)\s*{_LITERAL})*", re.IGNORECASE
    )
    strip = _stripper(texts)

    def hide(found: Any) -> Any:
        if isinstance(found, str):
            return strip(compared.sub(lambda m: f"{m['left']}{HIDDEN}", found))
        if isinstance(found, list):
            return [hide(v) for v in found]
        if not isinstance(found, dict):
            return found
        return {k: place(v) if k == "where" else v if k in _SCHEMA else hide(v) for k, v in found.items()}

    def place(where: Any) -> Any:
        return {k: HIDDEN if k in wanted else hide(v) for k, v in where.items()} if isinstance(where, dict) else where

    return hide


def _stripper(texts: Iterable[str]) -> Callable[[str], str]:
    """A function that hides each of `texts` where it stands as a whole word or words.

    >>> _stripper(["no", "Ann Lee", "+1"])("no, Ann Lee (+1) is not noted; Ann is")
    '▇▇▇, ▇▇▇ (▇▇▇) is not noted; Ann is'
    """
    whole = set(texts)
    by_word: dict[str, list[tuple[str, int]]] = {}
    for text in sorted(whole, key=len, reverse=True):
        first = re.search(r"\w+", text)
        if first is not None:
            by_word.setdefault(first[0], []).append((text, first.start()))

    def strip(found: str) -> str:
        if found in whole:
            return HIDDEN
        parts, done = [], 0
        for word in re.finditer(r"\w+", found):
            for text, offset in by_word.get(word[0], ()):
                start = word.start() - offset
                end = start + len(text)
                cuts = text[-1].isalnum() and found[end : end + 1].isalnum()
                if start >= done and found.startswith(text, start) and not cuts:
                    parts += [found[done:start], HIDDEN]
                    done = end
                    break
        return "".join([*parts, found[done:]])

    return strip


def _names(sql: str, wanted: set[str]) -> bool:
    return any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", sql) for name in wanted)


def _pattern(pattern: dict[str, Any], wanted: set[str]) -> dict[str, Any]:
    """A pattern whose condition is on a redacted column says no more than that."""
    return {**pattern, "sql": CONDITION, "words": CONDITION} if _names(pattern["sql"], wanted) else pattern
