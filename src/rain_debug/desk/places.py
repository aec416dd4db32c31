"""Places and complaints: from a page's JSON to cells of a query, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rain_debug.complaints import Cell, Complaint, Row, goals
from rain_debug.desk.answers import Answers
from rain_debug.desk.requests import Asked
from rain_debug.errors import ComplaintError, DeskError, RainError
from rain_debug.report.view import complained_place, target_place
from rain_debug.sql import quote
from rain_debug.view.answer import MOST_CLASSES
from rain_debug.view.values import original, value

PLACE = ("query", "column", "where", "total")
COMPLAINT = ("place", "claim", "value", "tolerance", "against", "given")
CLAIMS = ("too_low", "too_high", "should_be", "at_least", "at_most", "is_right", "should_equal",
          "should_exist", "should_not_exist")  # fmt: skip
MOST_TOTALS = 100


class Places:
    """What a page points at: cells, rows, and a column's total, which is a query of its own over the answer."""

    def __init__(self, db: Any, answers: Answers, given: list[Complaint]) -> None:
        self._db, self._answers, self._given = db, answers, given
        self._totals: dict[tuple[str, str, str, tuple[str, ...]], Any] = {}

    def find(self, asked: Asked) -> Cell | Row:
        """The cell or row of a Place; RainErrors say why there is none."""
        query, column = self._answers.query(asked.text("query")), asked.text("column", None)
        where = asked.values("where")
        answer = query.keyed_answer
        exact = {k: original(v, answer[k]) if k in answer else v for k, v in where.items()}
        if asked.flag("total"):
            if column is None:
                raise DeskError("a total is one of a column", where=asked.where, hint="name the column")
            return self._total(query, column, exact)
        found: Cell | Row = query.cell(column, where=exact) if column is not None else query.row(exact)
        return found

    def _total(self, query: Any, column: str, where: Mapping[str, Any]) -> Cell:
        """The sum of a column over the rows `where`, grouped by what these name."""
        by = tuple(where)
        known = query.name, query.sql, column, by
        if known not in self._totals:
            if query.like(column) is None:  # a sum of what does not move does not move either: the query says so better
                query.cell(column)
            name = f"{query.name}: total {column}" + (f" by {', '.join(by)}" if by else "")
            try:
                self._totals[known] = self._db.query(total_sql(query.sql, column, by), name=name)
            except RainError as error:
                raise ComplaintError(
                    f"the total of '{column}' is no place to complain about: {error.message}",
                    where=query.name,
                    hint="every column that it reads needs a name (count(*) AS n), and a LIMIT cannot stand below it",
                ) from None
            if len(self._totals) > MOST_TOTALS:
                self._totals.pop(next(iter(self._totals)))
        found: Cell = self._totals[known].cell(column, where=dict(where))
        return replace(found, label=f"the total of {found.target}")

    def complaint(self, asked: Asked) -> Complaint:
        """What a page's complaint says, of the place it names; RainErrors say why it cannot."""
        given = asked.whole("given", otherwise=None)
        if given is not None:
            if given >= len(self._given):
                raise DeskError(f"there is no complaint {given} in the project", where=asked.where,
                                hint=f"it has {len(self._given)}, counted from 0")  # fmt: skip
            return self._given[given]
        claim = asked.one_of("claim", CLAIMS)
        place = self.find(asked.inner("place", PLACE))
        number = asked.value("value")
        tolerance = asked.number("tolerance")
        if isinstance(place, Row):
            return _of_row(asked, place, claim)
        match claim:
            case "too_low" | "too_high":
                return self._say(place, claim, **({} if number is None else {"by": _number(place, number)}))
            case "should_be" | "at_least" | "at_most":
                if "value" not in asked.fields or (number is None and place.kind != "class"):
                    raise DeskError("it is not said what the value should be", where=asked.where, hint="give 'value'")
                more = {} if tolerance is None or claim != "should_be" else {"tolerance": tolerance}
                return self._say(place, claim, _number(place, number), **more)
            case "is_right":
                return place.is_right(tolerance)
            case "should_equal":
                other = self.find(asked.inner("against", PLACE))
                if not isinstance(other, Cell):
                    raise DeskError("a cell cannot equal a row", where=asked.where, hint="name a column in 'against'")
                return place.should_equal(other, tolerance)
        raise DeskError(f"a cell cannot be said to '{claim}'", where=asked.where,
                        hint="leave the place's column out: whether it is there is said of a row")  # fmt: skip

    def _say(self, place: Cell, claim: str, *args: Any, **more: Any) -> Complaint:
        made: Complaint = getattr(place, claim)(*args, **more)
        return made

    def now(self, asked: Asked) -> dict[str, Any]:
        """A place in words, and what stands there."""
        place = self.find(asked)
        query, answer = place.query, place.query.keyed_answer
        if isinstance(place, Row):
            there = bool(query.read(answer, place.should_exist().target))
            return {"text": str(place), "value": there, "says": "row", "classes": [], "whole": False}
        says = "class" if place.kind == "class" else "value"
        if says == "class":
            found = next((c for c in place.classes if query.read(answer, place.should_be(c).target) == 1.0), None)
        else:
            read = query.read(answer, place.target)
            found = int(read) if place.whole and read == read else read
        return {
            "text": str(place),
            "value": value(found),
            "says": says,
            "classes": [value(c) for c in place.classes[:MOST_CLASSES]],
            "whole": place.whole,
        }

    def describe(self, asked: Asked) -> dict[str, Any]:
        """A complaint in words, and whether it holds already: then there is nothing to find."""
        complaint = self.complaint(asked)
        read = float(complaint.query.read(complaint.query.keyed_answer, complaint.target))
        (goal,) = goals([complaint], [read], [read])
        return {"text": complaint.describe(), "holds": goal.resolved(read)}

    def place_of(self, complaint: Complaint) -> dict[str, Any] | None:
        """Where a complaint points, as a page names it; None where no query of the page has the place."""
        for (name, _, _, _), query in self._totals.items():
            if query is complaint.query:
                return {**target_place(complaint), "query": name, "total": True}
        if complaint.query.name in self._answers.names():
            return complained_place(complaint)
        return None

    def given(self) -> list[dict[str, Any]]:
        """The project's own complaints; those that a page has no words for are asked for by their number."""
        return [{"complaint": self.spoken(c), "text": c.describe()} for c in self._given]

    def spoken(self, complaint: Complaint) -> dict[str, Any]:
        """A complaint as a page says it, or by its number among the project's own where a page has no words for it."""
        place = self.place_of(complaint)
        said = _spoken(complaint, place) if place is not None else None
        number = self._given.index(complaint) if complaint in self._given else 0
        return said or {"place": target_place(complaint), "claim": "is_right", "given": number}


def total_sql(sql: str, column: str, by: tuple[str, ...]) -> str:
    """The query for a column's sum over the rows of another query's answer, for each value of `by`.

    >>> print(total_sql("SELECT week, n FROM t;", "n", ("week",)))
    SELECT "week", sum("n") AS "n" FROM (
    SELECT week, n FROM t
    ) AS answer GROUP BY "week"
    """
    names = [quote(name) for name in by]
    shown = ", ".join([*names, f"sum({quote(column)}) AS {quote(column)}"])
    inner = sql.strip().rstrip(";").rstrip()
    return f"SELECT {shown} FROM (\n{inner}\n) AS answer" + (f" GROUP BY {', '.join(names)}" if names else "")


def _of_row(asked: Asked, place: Row, claim: str) -> Complaint:
    if claim not in ("should_exist", "should_not_exist", "is_right"):
        raise DeskError(f"a row cannot be said to be '{claim}'", where=asked.where,
                        hint="name a column, or say should_exist, should_not_exist or is_right")  # fmt: skip
    made: Complaint = getattr(place, claim)()
    return made


def _number(place: Cell, given: Any) -> Any:
    """The value asked for: whole numbers beyond 2⁵³ come as text."""
    if place.kind != "class" and isinstance(given, str):
        try:
            return int(given)
        except ValueError:
            return given
    return given


def _spoken(complaint: Complaint, place: dict[str, Any]) -> dict[str, Any] | None:
    """A complaint as a page says it; None where a page has no words for it."""
    words = {"be": "should_be", "is": "should_be", "right": "is_right", "exist": "should_exist",
             "not_exist": "should_not_exist"}  # fmt: skip
    found: dict[str, Any] = {"place": place, "claim": words.get(complaint.says, complaint.says)}
    if complaint.tolerance is not None:
        found["tolerance"] = complaint.tolerance
    target = complaint.target
    if target.against is not None:
        if (target.how, complaint.says, complaint.value) != ("difference", "be", 0.0):
            return None
        other = {"query": complaint.query.name, "column": target.against.column}
        where = {name: value(v) for name, v in target.against.where}
        return {**found, "claim": "should_equal", "against": {**other, "where": where}}
    asked = target.value if complaint.says == "is" else complaint.value
    return found if asked is None and complaint.says != "is" else {**found, "value": value(asked)}
