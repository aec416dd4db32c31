"""The table of SQL features in `docs/sql.md`, made by asking the rules themselves: `python docs/features.py`.

Each example of `features.sql` is run on five users and five orders; what its capture says of its values and its rows is
what the table says. A test keeps the page current.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import duckdb
from sklearn.linear_model import LogisticRegression, Ridge

import rain_debug as rain
from rain_debug.relax import Target

HERE = Path(__file__).resolve().parent
PAGE = HERE / "sql.md"
BEGIN = "<!-- begin: made by docs/features.py -->"
END = "<!-- end: made by docs/features.py -->"


def sections() -> dict[str, list[tuple[str, str]]]:
    """What `features.sql` holds: for each heading its (feature, SQL) in order."""
    found: dict[str, list[tuple[str, str]]] = {}
    title, lines = "", []
    for line in (HERE / "features.sql").read_text(encoding="utf-8").splitlines():
        if line.startswith("-- # "):
            items = found.setdefault(line[5:], [])
        elif line.startswith("-- "):
            title = line[3:]
        elif line:
            lines.append(line.strip().removesuffix(";"))
            if line.endswith(";"):
                items.append((title, " ".join(lines)))
                lines = []
    return found


def database(setup: list[tuple[str, str]]) -> rain.Database:
    """Users, orders and four models, each trained on a handful of records."""
    connection = duckdb.connect()
    for _, statement in setup:
        connection.execute(statement)
    db = rain.connect(connection)
    for name, estimator, label in (
        ("churn", LogisticRegression(), "churned"),
        ("grade", LogisticRegression(C=100.0), "grade"),
        ("worth", Ridge(), "worth"),
    ):
        db.create_model(name, estimator, training=f"SELECT x, {label} FROM training", label=label)
    db.create_model("same", LogisticRegression(), training="SELECT * FROM pairs", label="same")
    return db


def entry(db: rain.Database, sql: str) -> tuple[str, str, str]:
    """What the rules say of a query's predicted values, of its rows, and in which words."""
    try:
        query = db.query(sql)
    except rain.RainError as error:
        return "refused", "refused", error.message
    values, rows = targets(query)
    value, rule = status(query, values)
    row, how = status(query, rows)
    more = [word for word in how if word not in rule and word != "always there"]
    return value, row, "; ".join([*rule, *(f"row: {word}" if rule and word == more[0] else word for word in more)])


def targets(query: Any) -> tuple[list[Target], list[Target]]:
    """Every predicted cell of the answer, and whether its rows are there."""
    moving = query.moving()
    keys = [n for n in (query.keys or query.columns) if n not in moving]
    values, rows = [], []
    for row in query.rows():
        place = tuple((k, row[k]) for k in keys)
        rows.append(Target("present", None, place))
        for name in moving:
            text = query.answer[name].kind == "text"
            if text and row[name] is None:
                continue
            values.append(Target("is" if text else "value", name, place, row[name] if text else None))
    return values, rows


def status(query: Any, asked: list[Target]) -> tuple[str, list[str]]:
    """The worst of always, exact, approximate and refused, and why; – where there is nothing to ask."""
    if not asked:
        return "–", []
    try:
        rules = query.capture(asked).program.rules()
    except rain.RainError as error:
        return "refused", [error.message]
    found = [
        ("always" if rule == "always there" else "approximate" if loose else "exact", rule) for rule, loose in rules
    ]
    worst = next(s for s in ("approximate", "exact", "always") if any(s == status for status, _ in found))
    return worst, list(dict.fromkeys(word for s, rule in found if s == worst for word in rule.split("; ")))


def table() -> str:
    """The tables as Markdown, one a heading."""
    found = sections()
    db = database(found.pop("setup"))
    given = found.pop("given")
    lines = []
    for heading, features in found.items():
        lines += [f"### {heading}", ""]
        for name, sql in given:
            if any(re.search(rf"\b{name}\b", text) for _, text in features):
                lines += [f"`{name}` is the CTE `{sql}`.", ""]
        lines += ["| feature | example | value | row | rule, or why not |", "|---|---|---|---|---|"]
        for feature, sql in features:
            ctes = [f"{name} AS ({text})" for name, text in given if re.search(rf"\b{name}\b", sql)]
            cells = (feature, f"`{sql}`", *entry(db, f"WITH {', '.join(ctes)} {sql}" if ctes else sql))
            lines.append("| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |")
        lines.append("")
    return "\n".join(lines)


def page(text: str) -> str:
    """`text` with what the rules say now between its marks."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n\n{table()}\n{END}{tail}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
