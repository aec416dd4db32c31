"""What each operation is asked and answers, as JSON Schemas: `ui/src/types.ts` in the words of OpenAPI.

`tests/web/test_contract.py` holds both texts to each other, and a desk's answers to this one.

>>> OPS["query"].request["required"]
['name']
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
COUNT: Schema = {"type": "integer", "minimum": 0, "maximum": 1 << 40}
FLAG: Schema = {"type": "boolean"}
VALUE: Schema = {"type": ["string", "number", "boolean", "null"]}


def ref(name: str) -> Schema:
    """The schema of that name."""
    return {"$ref": f"#/components/schemas/{name}"}


def many(of: Schema) -> Schema:
    return {"type": "array", "items": of}


def maybe(of: Schema) -> Schema:
    """The same, or null."""
    return (
        {**of, "type": [of["type"], "null"]} if isinstance(of.get("type"), str) else {"anyOf": [of, {"type": "null"}]}
    )


def words(*known: str) -> Schema:
    return {"type": "string", "enum": list(known)}


def thing(needed: dict[str, Schema] | None = None, /, **may: Schema) -> Schema:
    """An object with these fields and no others: all of `needed`, and perhaps some of `may`."""
    needed = needed or {}
    return {
        "type": "object", "properties": {**needed, **may}, "required": list(needed), "additionalProperties": False,
    }  # fmt: skip


def tagged(kind: str, **fields: Schema) -> Schema:
    """An object that its `type` tells from the others of a stream."""
    return thing({"type": {"const": kind}, **fields})


def also(base: Schema, more: Schema) -> Schema:
    """An object with the fields of both."""
    return {
        **base,
        "properties": {**base["properties"], **more["properties"]},
        "required": [*base["required"], *more["required"]],
    }


CLAIMS = words(
    "too_low", "too_high", "should_be", "at_least", "at_most", "is_right", "should_equal", "should_exist",
    "should_not_exist",
)  # fmt: skip
PAGE = {"offset": COUNT, "limit": COUNT}
SORT = {"sort": maybe(TEXT), "down": FLAG}
COLUMN = thing({"name": TEXT, "kind": words("number", "text", "bool", "date", "other")})
SETTINGS = thing(
    budget={"type": "integer", "minimum": 1, "maximum": 1_000_000},
    step={"type": "integer", "minimum": 1, "maximum": 1_000_000},
    ranker=TEXT,
    fix=words("delete", "relabel", "auto"),
    until=words("resolved", "budget"),
    seed={"type": "integer", "minimum": 0, "maximum": (1 << 32) - 1},
)
RUN_HEAD = thing(
    {
        "id": TEXT, "at": TEXT, "state": words("done", "interrupted", "failed"), "sentence": TEXT,
        "complaints": many(TEXT), "removed": COUNT, "met": FLAG, "seconds": NUMBER,
    }
)  # fmt: skip
FILTER = thing({"run": TEXT}, text=TEXT, pattern=maybe(COUNT), kept=maybe(FLAG))
RUN_REQUEST = thing({"complaints": many(ref("Complaint")), "settings": SETTINGS}, keep_of=maybe(TEXT))

SCHEMAS: dict[str, Schema] = {
    "Column": COLUMN,
    "Rows": thing({"columns": many(ref("Column")), "rows": many(many(VALUE)), "offset": COUNT, "total": COUNT}),
    "AnswerColumn": also(
        COLUMN, thing({"key": FLAG, "says": maybe(words("value", "class")),
                       "classes": many(VALUE), "whole": FLAG}),
    ),
    "Chart": thing(
        {"type": words("line", "bar", "scatter", "table"), "x": maybe(TEXT), "scale": words("time", "number", "order"),
         "y": many(TEXT), "color": maybe(TEXT)}
    ),
    "Place": thing(
        {"query": TEXT, "column": maybe(TEXT), "where": {"type": "object", "additionalProperties": VALUE}}, total=FLAG
    ),
    "Complaint": thing(
        {"place": ref("Place"), "claim": CLAIMS},
        value=VALUE, tolerance=maybe(NUMBER), against=ref("Place"), given=COUNT,
    ),
    "Standing": thing(
        {"text": TEXT, "query": TEXT, "place": maybe(ref("Place")), "asked": TEXT, "before": VALUE, "after": VALUE,
         "resolved": FLAG, "met": FLAG}
    ),
    "Failure": thing(
        {"kind": TEXT, "message": TEXT, "where": maybe(TEXT), "hint": maybe(TEXT), "fragment": maybe(TEXT),
         "line": maybe(COUNT), "column": maybe(COUNT)}
    ),
    "Settings": {**SETTINGS, "required": list(SETTINGS["properties"])},
    "Project": thing(
        {
            "title": TEXT, "version": TEXT, "queries": many(thing({"name": TEXT, "sql": TEXT, "own": FLAG})),
            "models": many(
                thing({"name": TEXT, "records": COUNT, "label": TEXT, "key": TEXT, "classes": many(VALUE),
                       "features": many(TEXT)})
            ),
            "tables": many(thing({"name": TEXT, "columns": many(ref("Column"))})),
            "complaints": many(thing({"complaint": ref("Complaint"), "text": TEXT})),
            "defaults": ref("Settings"),
            "rankers": many(TEXT), "runs": COUNT,
        }
    ),
    "QueryView": thing(
        {"name": TEXT, "sql": TEXT, "columns": many(ref("AnswerColumn")), "keys": many(TEXT), "chart": ref("Chart"),
         "rows": many(many(VALUE)), "total": COUNT, "refused": maybe(TEXT)}
    ),
    "RunRequest": RUN_REQUEST,
    "Change": thing(
        {"query": TEXT, "sql": TEXT, "columns": many(ref("AnswerColumn")), "keys": many(TEXT), "chart": ref("Chart"),
         "before": many(maybe(many(VALUE))), "after": many(maybe(many(VALUE))), "total": COUNT, "changed": COUNT,
         "grouped": FLAG,
         "marked": many({"type": "array", "prefixItems": [COUNT, TEXT], "minItems": 2, "maxItems": 2})}
    ),
    "Pattern": thing(
        {"index": COUNT, "model": TEXT, "sql": TEXT, "words": TEXT, "records": COUNT, "covers": NUMBER,
         "within": NUMBER, "estimated": maybe(NUMBER), "verified": maybe(NUMBER), "cells": many(VALUE)}
    ),
    "RunHead": RUN_HEAD,
    "RunView": also(
        RUN_HEAD,
        thing(
            {
                "doubt": TEXT, "pattern": TEXT, "warnings": many(TEXT), "stopped": TEXT,
                "standings": many(ref("Standing")),
                "rounds": many(thing({"number": COUNT, "removed": COUNT, "q": NUMBER, "values": many(VALUE)})),
                "changes": many(ref("Change")), "patterns": many(ref("Pattern")),
                "models": many(
                    thing({"name": TEXT, "records": COUNT, "removed": COUNT, "keys": many(TEXT), "labels": many(TEXT)})
                ),
                "columns": many(ref("Column")), "records": COUNT, "kept": COUNT, "request": ref("RunRequest"),
                "live": FLAG,
            }
        ),
    ),
    "RecordRow": thing(
        {"rank": COUNT, "model": TEXT, "key": VALUE, "score": maybe(NUMBER), "label": VALUE, "fix": TEXT, "kept": FLAG,
         "values": many(VALUE)}
    ),
    "RecordPage": thing(
        {"columns": many(ref("Column")), "rows": many(ref("RecordRow")), "offset": COUNT, "total": COUNT, "kept": COUNT}
    ),
    "RecordView": thing(
        {"model": TEXT, "key": VALUE, "label": VALUE, "columns": many(ref("Column")), "values": many(VALUE),
         "cells": ref("Rows"), "rows": ref("Rows"), "alike": ref("Rows")}
    ),
    "Text": thing(
        {"title": TEXT, "lines": many(TEXT), "tables": many(thing({"title": TEXT, "rows": ref("Rows")}))}
    ),
    "Download": thing({"name": TEXT, "mime": TEXT}, text={"type": "string"}, base64={"type": "string"}),
    "Progress": {
        "oneOf": [
            tagged("started", id=TEXT, budget=COUNT),
            tagged("waiting", seconds=NUMBER, doing=TEXT),
            tagged("round", number=COUNT, removed=COUNT, budget=COUNT, seconds=NUMBER, standings=many(ref("Standing"))),
            tagged("done", run=ref("RunView")),
            tagged("failed", failure=ref("Failure")),
        ]
    },
}  # fmt: skip


@dataclass(frozen=True)
class Op:
    """An operation: what it does in words, the schema of its request, that of its answer."""

    words: str
    request: Schema
    answer: Schema


FORMATS = ("csv", "parquet", "json", "txt", "html", "sql", "check")

OPS: dict[str, Op] = {
    "project": Op("What there is to ask and to complain about.", thing(), ref("Project")),
    "query": Op("A query's answer and how it is drawn.", thing({"name": TEXT}), ref("QueryView")),
    "ask": Op("Ask a query that was typed.", thing({"sql": TEXT}, name=maybe(TEXT)), ref("QueryView")),
    "rows": Op("Rows of a query's answer.", thing({"query": TEXT, **PAGE}, **SORT), ref("Rows")),
    "place": Op(
        "What stands at a place.", thing({"place": ref("Place")}),
        thing({"text": TEXT, "value": VALUE, "says": words("value", "class", "row"), "classes": many(VALUE),
               "whole": FLAG}),
    ),
    "describe": Op(
        "A complaint in words, and whether it holds.", thing({"complaint": ref("Complaint")}),
        thing({"text": TEXT, "holds": FLAG}),
    ),
    "rows_behind": Op("The queried rows that move a place.", thing({"place": ref("Place"), **PAGE}), ref("Rows")),
    "records_behind": Op(
        "The training records that hold a place up or down.",
        thing({"place": ref("Place"), "limit": COUNT}),
        ref("Rows"),
    ),
    "suspects": Op(
        "The records that complaints point to, before anything is tried.",
        thing({"complaints": many(ref("Complaint")), "limit": COUNT}),
        thing({"ready": FLAG, "doubt": TEXT, "rows": ref("Rows")}),
    ),
    "runs": Op("The runs that are kept.", thing(PAGE), thing({"runs": many(ref("RunHead")), "total": COUNT})),
    "run": Op("One run.", thing({"id": TEXT}), ref("RunView")),
    "records": Op("Ranked records of a run.", also(FILTER, thing(PAGE, **SORT)), ref("RecordPage")),
    "keep": Op(
        "Mark records as kept, or not.",
        also(FILTER, thing({"keep": FLAG}, keys=maybe(many(thing({"model": TEXT, "key": VALUE}))))),
        thing({"kept": COUNT, "marked": COUNT}),
    ),
    "record": Op("One training record.", thing({"model": TEXT, "key": VALUE}), ref("RecordView")),
    "side_effects": Op("What else a run changed.", thing({"id": TEXT}), ref("Text")),
    "prefix": Op("The fewest of a run's records that do.", thing({"id": TEXT}), ref("Text")),
    "forecasts": Op("What was foreseen of a run, beside what was verified.", thing({"id": TEXT}), ref("Text")),
    "export": Op(
        "A run as a file.",
        thing({"id": TEXT, "format": words(*FORMATS)}, table=maybe(TEXT), pattern=maybe(COUNT)),
        ref("Download"),
    ),
}  # fmt: skip
"""Operations that answer once, in the order of `types.ts`."""

STREAMS: dict[str, Op] = {
    "debug": Op("Find the records behind complaints.", ref("RunRequest"), ref("Progress")),
    "fix_pattern": Op(
        "Fix all records of a pattern, as a run of its own.", thing({"id": TEXT, "pattern": COUNT}), ref("Progress")
    ),
}
"""Operations that tell how they go on, one JSON event a line; hanging up stops them."""
