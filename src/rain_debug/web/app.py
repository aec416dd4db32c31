"""What is answered where: the page, its operations, and a JSON twin of every screen."""

from __future__ import annotations

import gzip
import json
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from functools import cache, lru_cache
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from rain_debug.errors import DeskError
from rain_debug.view import page
from rain_debug.web.answers import DEFECT, Lines, answered, download, refused, status_of
from rain_debug.web.gate import Gate
from rain_debug.web.guard import Guard
from rain_debug.web.openapi import document
from rain_debug.web.schemas import OPS, STREAMS

PAGES = ("/", "/new", "/q/{name:path}", "/runs", "/runs/{id}", "/records/{model}/{key:path}")
"""The screens' addresses: the module finds its way among them."""

PAGE_OF = {"offset": int, "limit": int}
FILTER = {"text": str, "pattern": int, "kept": bool, "sort": str, "down": bool}
FIRST = {"offset": 0, "limit": 100}
_END = object()


class Answering(Protocol):
    """What answers the operations: a `Desk`."""

    def call(self, op: str, request: Mapping[str, Any]) -> Any: ...

    def stream(self, op: str, request: Mapping[str, Any], cancelled: threading.Event) -> Iterator[Any]: ...

    def failure(self, error: BaseException) -> dict[str, Any]: ...


def application(
    desk: Answering,
    gate: Gate,
    *,
    title: str = "Rain",
    debug: bool = False,
    closing: threading.Event | None = None,
) -> Guard:
    """The whole server as an ASGI application, its guard before everything.

    `debug` prints the traceback of a defect on stderr; an answer never holds one. Streams end when `closing` is set.
    """
    return Guard(_Server(desk, title, debug, closing or threading.Event()).routes(), gate)


class _Server:
    def __init__(self, desk: Answering, title: str, debug: bool, closing: threading.Event) -> None:
        self.desk, self.title, self.debug, self.closing = desk, title, debug, closing

    def routes(self) -> Starlette:
        twins = [
            Route("/project.json", self._twin("project")),
            Route("/q/{name:path}.json", self._twin("query")),
            Route("/runs.json", self._twin("runs", asked=PAGE_OF, otherwise=FIRST)),
            Route("/runs/{run}/records.json", self._twin("records", asked={**PAGE_OF, **FILTER}, otherwise=FIRST)),
            Route("/runs/{id}/export.{format}", self._twin("export", asked={"table": str, "pattern": int})),
            Route("/runs/{id}.json", self._twin("run")),
            Route("/records/{model}/{key:path}.json", self._twin("record")),
        ]
        files = [
            Route("/static/rain.js", _file("rain.js", "text/javascript; charset=utf-8")),
            Route("/static/LICENSES.txt", _file("LICENSES.txt", "text/plain; charset=utf-8")),
            Route("/openapi.json", lambda request: answered(_document())),
        ]
        pages = [Route(path, self._page) for path in PAGES]
        asked = [Route("/api/{op}", self._operation, methods=["POST"])]
        app = Starlette(
            routes=[*twins, *files, *pages, *asked], exception_handlers={HTTPException: _no_such, Exception: _defect}
        )
        app.router.redirect_slashes = False  # it would send the reader to an address made of the request
        return app

    def _page(self, request: Request) -> Response:
        return Response(page.shell(title=self.title), media_type="text/html")

    async def _operation(self, request: Request) -> Response:
        op = request.path_params["op"]
        if op not in OPS and op not in STREAMS:
            return refused(f"there is no operation '{op[:60]}'", 404, f"known: {', '.join([*OPS, *STREAMS])}")
        try:
            asked = _read(await request.body())
        except DeskError as error:
            return self._failed(error)
        return await (self._stream(op, asked) if op in STREAMS else self._answer(op, asked))

    async def _answer(self, op: str, asked: Mapping[str, Any], not_found: bool = False) -> Response:
        """`not_found`: a name that there is not is part of the address, and its status says so."""
        try:
            found = await run_in_threadpool(self.desk.call, op, asked)
            return download(found) if not_found and op == "export" else answered(found)
        except Exception as error:  # a defect, too, is answered as JSON, and shows nothing of itself
            return self._failed(error, 404 if not_found and isinstance(error, DeskError) else None)

    async def _stream(self, op: str, asked: Mapping[str, Any]) -> Response:
        cancelled = threading.Event()
        try:
            events = iter(self.desk.stream(op, asked, cancelled))
            first: Any = await run_in_threadpool(next, events, _END)
        except Exception as error:  # as in _answer
            return self._failed(error)
        if first is _END:
            return self._failed(AssertionError(f"the stream of {op} is empty"))
        if first["type"] == "failed":
            return answered(first["failure"], 400 if first["failure"]["kind"] == DeskError.__name__ else 422)
        return Lines(first, events, cancelled, self.closing, self._failure)

    def _twin(
        self, op: str, asked: Mapping[str, type] = {}, otherwise: Mapping[str, Any] = {}
    ) -> Callable[[Request], Any]:
        """An operation by GET: its fields are parts of the address, and what may be `asked` after its `?`."""

        async def answer(request: Request) -> Response:
            fields = {**otherwise, **request.path_params}
            try:
                for name, text in request.query_params.multi_items():
                    if name not in asked:
                        raise DeskError(f"there is no parameter '{name[:60]}'", hint=f"known: {', '.join(asked)}")
                    fields[name] = _parameter(name, text, asked[name])
            except DeskError as error:
                return self._failed(error)
            return await self._answer(op, fields, not_found=True)

        return answer

    def _failed(self, error: BaseException, status: int | None = None) -> Response:
        status = status or status_of(error)
        return answered(self._failure(error), status)

    def _failure(self, error: BaseException) -> dict[str, Any]:
        """As the desk says it; of a defect its kind alone, for its text may quote anything."""
        if status_of(error) != 500:
            return self.desk.failure(error)
        if self.debug:
            traceback.print_exception(error, file=sys.stderr)
        return {"kind": "InternalError", "message": f"something went wrong inside Rain ({type(error).__name__})",
                "where": None, "hint": DEFECT, "fragment": None, "line": None, "column": None}  # fmt: skip


def _read(body: bytes) -> dict[str, Any]:
    """The object in a request's body; DeskError for what is none."""

    def no_number(word: str) -> float:
        raise ValueError(f"{word} is not JSON")

    try:
        found = json.loads(body.decode("utf-8"), parse_constant=no_number)
        json.dumps(found, ensure_ascii=False).encode("utf-8")  # half a surrogate pair is no text
    except (ValueError, RecursionError) as error:
        what = str(error) if isinstance(error, json.JSONDecodeError) else "it is not JSON of whole UTF-8 text"
        raise DeskError(f"the body cannot be read: {what}", hint="send one JSON object") from None
    if not isinstance(found, dict):
        raise DeskError("the body is no object", hint='send one JSON object, such as {"name": "weekly"}')
    return found


def _parameter(name: str, text: str, kind: type) -> Any:
    if kind is bool and text in ("true", "false"):
        return text == "true"
    if kind is int and text.isascii() and text.isdigit() and len(text) < 16:
        return int(text)
    if kind is str:
        return text
    expected = "true or false" if kind is bool else "a whole number"
    raise DeskError(f"'{name}' is {text[:60]!r}", hint=f"give {expected}")


def _file(name: str, media: str) -> Callable[[Request], Response]:
    """A packaged file, packed for who takes it so: the module has more than a megabyte."""

    def answer(request: Request) -> Response:
        body = page.bundle() if name == "rain.js" else (page.STATIC / name).read_bytes()
        headers = {"content-type": media, "vary": "accept-encoding"}
        if "gzip" not in request.headers.get("accept-encoding", ""):
            return Response(body, headers=headers)
        return Response(_packed(body), headers={**headers, "content-encoding": "gzip"})

    return answer


@lru_cache(maxsize=2)
def _packed(body: bytes) -> bytes:
    return gzip.compress(body, 6, mtime=0)


@cache
def _document() -> dict[str, Any]:
    return document()


def _no_such(request: Request, error: Exception) -> Response:
    """What Starlette itself turns away: an address that there is not, or the wrong method for it."""
    assert isinstance(error, HTTPException)
    what = f"{request.method} is not how this is asked" if error.status_code == 405 else "there is nothing here"
    answer = refused(what, error.status_code, "see /openapi.json")
    answer.headers.update(error.headers or {})
    return answer


def _defect(request: Request, error: Exception) -> Response:
    return refused(f"something went wrong inside Rain ({type(error).__name__})", 500, DEFECT, "InternalError")
