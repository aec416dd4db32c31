"""The server in OpenAPI's words, for programs that ask it; made of `schemas.py`."""

from __future__ import annotations

from typing import Any

from rain_debug.version import __version__
from rain_debug.web.schemas import COUNT, FLAG, FORMATS, OPS, SCHEMAS, STREAMS, TEXT, Op, Schema, ref

_REFUSED = {
    "400": "The request makes no sense.",
    "401": "It does not hold the server's secret.",
    "403": "It comes from another site's page.",
    "404": "There is no such thing.",
    "405": "It is asked by another method.",
    "413": "It is too large.",
    "415": "It is not JSON.",
    "421": "It is meant for another server.",
    "422": "What it asks for cannot be done; the answer says why.",
}


def document() -> dict[str, Any]:
    """The OpenAPI 3.1 document.

    >>> sorted(document())
    ['components', 'info', 'openapi', 'paths', 'security']
    """
    paths = {f"/api/{name}": {"post": _post(name, op, name in STREAMS)} for name, op in {**OPS, **STREAMS}.items()}
    paths |= {path: {"get": operation} for path, operation in _twins().items()}
    about = "Every operation is a POST of JSON; pages with .json at their end are the same answers by GET."
    return {
        "openapi": "3.1.0",
        "info": {"title": "Rain", "version": __version__, "description": about},
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _post(name: str, op: Op, is_stream: bool) -> dict[str, Any]:
    body = {"required": True, "content": {"application/json": {"schema": op.request}}}
    media = "application/x-ndjson" if is_stream else "application/json"
    answer = {"type": "string", "description": "One JSON event a line."} if is_stream else op.answer
    return {"operationId": name, "requestBody": body, **_said(op.words, media, answer)}


def _twins() -> dict[str, dict[str, Any]]:
    """What GET answers."""
    page = {"offset": COUNT, "limit": COUNT}
    sorted_page = {**page, "text": TEXT, "pattern": COUNT, "kept": FLAG, "sort": TEXT, "down": FLAG}
    twin = "application/json"
    found: dict[str, dict[str, Any]] = {
        "/project.json": _get("projectTwin", {}, {}, _said(OPS["project"].words, twin, ref("Project"))),
        "/q/{name}.json": _get("queryTwin", {"name": TEXT}, {}, _said(OPS["query"].words, twin, ref("QueryView"))),
        "/runs.json": _get("runsTwin", {}, page, _said(OPS["runs"].words, twin, OPS["runs"].answer)),
        "/runs/{id}.json": _get("runTwin", {"id": TEXT}, {}, _said(OPS["run"].words, twin, ref("RunView"))),
        "/runs/{id}/records.json": _get(
            "recordsTwin", {"id": TEXT}, sorted_page, _said(OPS["records"].words, twin, ref("RecordPage"))
        ),
        "/records/{model}/{key}.json": _get(
            "recordTwin", {"model": TEXT, "key": TEXT}, {}, _said(OPS["record"].words, twin, ref("RecordView"))
        ),
    }
    one_of = {"type": "string", "enum": list(FORMATS)}
    said = _said("A run as a file.", "*/*", {})
    found["/runs/{id}/export.{format}"] = _get(
        "exportTwin", {"id": TEXT, "format": one_of}, {"table": TEXT, "pattern": COUNT}, said
    )
    return found


def _get(name: str, path: dict[str, Schema], query: dict[str, Schema], said: dict[str, Any]) -> dict[str, Any]:
    parts = [{"name": n, "in": "path", "required": True, "schema": _segment(s)} for n, s in path.items()]
    asked = [{"name": n, "in": "query", "required": False, "schema": s} for n, s in query.items()]
    return {"operationId": name, "parameters": [*parts, *asked], **said}


def _segment(schema: Schema) -> Schema:
    """Of a path, which has no empty parts."""
    return {**schema, "minLength": 1} if "enum" not in schema else schema


def _said(words: str, media: str, schema: Schema) -> dict[str, Any]:
    failure = {"application/json": {"schema": ref("Failure")}}
    return {
        "summary": words,
        "responses": {
            "200": {"description": "The answer.", "content": {media: {"schema": schema}}},
            **{code: {"description": what, "content": failure} for code, what in _REFUSED.items()},
        },
    }
