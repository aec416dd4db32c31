"""The door: every request passes here before anything else sees it, and every answer leaves with the same headers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

from rain_debug.web.gate import Gate, Refusal, is_json

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

BODY_LIMIT = 1_000_000
BODY_SECONDS = 10.0

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What a page of ours may load and do: our own module, no script in the text of a page, nothing from elsewhere.

A chart sets its marks' `style` attributes; these can load nothing, because everything else is forbidden."""

HEADERS = {
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
}


class Guard:
    """An ASGI application before another one: `gate` says who passes.

    `/?token=…` swaps the secret for a cookie, so that it leaves the address bar and the browser's history. Bodies are
    JSON of at most `body_limit` bytes, sent within `body_seconds`.
    """

    def __init__(
        self, app: App, gate: Gate, *, body_limit: int = BODY_LIMIT, body_seconds: float = BODY_SECONDS
    ) -> None:
        self.app, self.gate = app, gate
        self.body_limit, self.body_seconds = body_limit, body_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # there are no web sockets here
            await send({"type": "websocket.close", "code": 1008})
            return
        send = _with_headers(send)
        headers: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
        method = scope["method"]
        swap = method == "GET" and scope["path"] == "/" and "token" in (given := _query(scope))
        if swap:
            refusal = self.gate.stranger(method, headers)
            if refusal is None and len(given["token"]) == 1 and self.gate.opens(given["token"][0]):
                await self._let_in(send)
                return
            refusal = refusal or Refusal(401, "that is not this server's secret", "open the address that was printed")
        else:
            refusal = self.gate.refusal(method, headers)
        if refusal is None and method == "POST":
            refusal, receive = await self._body(headers, receive)
        if refusal is not None:
            await refuse(refusal, send)
            return
        await self.app(scope, receive, send)

    async def _let_in(self, send: Send) -> None:
        cookie = f"{self.gate.cookie}={self.gate.token}; Path=/; SameSite=Strict; HttpOnly"
        start = [(b"location", b"/"), (b"set-cookie", cookie.encode()), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 303, "headers": start})
        await send({"type": "http.response.body", "body": b""})

    async def _body(self, headers: dict[str, list[str]], receive: Receive) -> tuple[Refusal | None, Receive]:
        """The whole body, read before anybody acts on it, as a `receive` that gives it in one piece."""
        if not is_json(headers):
            return Refusal(415, "the body must be JSON", "send content-type: application/json"), receive
        chunks: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self.body_seconds):
                while True:
                    message = await receive()
                    if message["type"] != "http.request":
                        return Refusal(400, "the request ended before its body did", "send it again"), receive
                    chunks.append(message.get("body", b""))
                    size += len(chunks[-1])
                    if size > self.body_limit:
                        most = f"the body has more than {self.body_limit:,} bytes"
                        return Refusal(413, most, "send less at a time"), receive
                    if not message.get("more_body", False):
                        break
        except TimeoutError:
            return Refusal(408, f"the body took longer than {self.body_seconds:g} seconds", "send it at once"), receive
        waiting: list[Message] = [{"type": "http.request", "body": b"".join(chunks), "more_body": False}]

        async def again() -> Message:
            return waiting.pop() if waiting else await receive()

        return None, again


async def refuse(refusal: Refusal, send: Send) -> None:
    """Answer with why not, in the one shape that every error has."""
    failure = {
        "kind": "Refused", "message": refusal.message, "where": None, "hint": refusal.hint, "fragment": None,
        "line": None, "column": None,
    }  # fmt: skip
    body = json.dumps(failure).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if refusal.status in (408, 413):  # what is still to come of the body is not read
        headers.append((b"connection", b"close"))
    if refusal.status == 405:
        headers.append((b"allow", b"GET, HEAD, POST"))
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _query(scope: Scope) -> dict[str, list[str]]:
    try:
        return parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True, max_num_fields=20)
    except ValueError:
        return {}


def _with_headers(send: Send) -> Send:
    added = [(name.encode(), value.encode()) for name, value in HEADERS.items()]

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *added]
        await send(message)

    return sending
