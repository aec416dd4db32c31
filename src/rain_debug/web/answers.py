"""What leaves the server: JSON, streams of it, files, and errors in the one shape that they have."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import anyio
from starlette.concurrency import iterate_in_threadpool
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from rain_debug.errors import ConfigError, DeskError, RainError

DEFECT = "this is a defect of Rain: please report it, with what `rain serve --debug` prints"

LOOK = 0.05
"""Seconds between a stream's looks at whether its server closes."""


def encoded(value: Any) -> bytes:
    """JSON as every reader takes it: a number that JSON has no word for is a defect."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")


def answered(value: Any, status: int = 200) -> Response:
    """A JSON answer."""
    return Response(encoded(value), status, media_type="application/json")


def refused(message: str, status: int, hint: str | None = None, kind: str = "Refused") -> Response:
    """A failure that no RainError stands behind."""
    failure = {"kind": kind, "message": message, "where": None, "hint": hint, "fragment": None, "line": None,
               "column": None}  # fmt: skip
    return answered(failure, status)


def status_of(error: BaseException) -> int:
    """400 for a request that makes no sense, 422 for what cannot be done, 500 for a defect of ours.

    >>> status_of(DeskError("there is no field 'x'")), status_of(RainError("no")), status_of(KeyError("x"))
    (400, 422, 500)
    """
    if isinstance(error, DeskError | ConfigError):
        return 400
    return 422 if isinstance(error, RainError) else 500


def download(file: Mapping[str, Any]) -> Response:
    """A `Download` as a file that is saved, never shown: it may be HTML, and this server's address is trusted."""
    body = base64.b64decode(file["base64"]) if "base64" in file else str(file["text"]).encode("utf-8")
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", file["name"]).lstrip(".") or "rain"
    return Response(body, media_type=file["mime"], headers={"content-disposition": f'attachment; filename="{name}"'})


class Lines(Response):
    """Events as they come, one JSON object a line. The client's hanging up, or the server's `closing`, sets
    `cancelled`, and what is being done then ends in its own order: the rounds that are done are kept."""

    media_type = "application/x-ndjson"

    def __init__(
        self, first: Any, events: Iterator[Any], cancelled: threading.Event, closing: threading.Event, failed: Any
    ) -> None:
        super().__init__(b"")
        del self.headers["content-length"]
        self._first, self._events, self._failed = first, events, failed
        self._cancelled, self._closing = cancelled, closing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})

        async def tell(event: Any) -> None:
            if not self._cancelled.is_set():
                await send({"type": "http.response.body", "body": encoded(event) + b"\n", "more_body": True})

        async def watch_client() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            self._cancelled.set()

        async def watch_server() -> None:
            while not self._closing.is_set():
                await anyio.sleep(LOOK)
            self._cancelled.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch_client)
            tasks.start_soon(watch_server)
            try:
                await tell(self._first)
                async for event in iterate_in_threadpool(self._events):
                    await tell(event)
            except Exception as error:  # the status is sent already: a defect, too, is told in the stream
                await tell({"type": "failed", "failure": self._failed(error)})
            finally:
                self._cancelled.set()
            tasks.cancel_scope.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})
