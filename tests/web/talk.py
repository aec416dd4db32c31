"""A small desk for the server to stand before, and plain sockets to speak to it."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from rain_debug.errors import DeskError, RainError
from rain_debug.web.server import Server


@dataclass
class SmallDesk:
    """Answers one query's name, and a stream that goes on until it is cancelled."""

    asked: list[tuple[str, Any]] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    def call(self, op: str, request: Any) -> dict[str, Any]:
        self.asked.append((op, request))
        if request.get("name") == "broken":
            raise KeyError("/home/someone/secret.py")
        if request.get("name") != "weekly":
            raise DeskError("there is no such query", hint="weekly")
        return {"name": "weekly"}

    def stream(self, op: str, request: Any, cancelled: threading.Event) -> Iterator[dict[str, Any]]:
        if request.get("refuse"):
            yield {"type": "failed", "failure": self.failure(DeskError("no"))}
            return
        yield {"type": "started", "id": "1", "budget": 1}
        if request.get("break"):
            raise KeyError("/home/someone/secret.py")
        while not cancelled.wait(0.05):
            yield {"type": "waiting", "seconds": 0.0, "doing": "nothing"}
            if request.get("short"):
                return
        self.stopped.set()

    @staticmethod
    def failure(error: BaseException) -> dict[str, Any]:
        assert isinstance(error, RainError)
        return {"kind": type(error).__name__, "message": error.message, "where": error.where, "hint": error.hint,
                "fragment": None, "line": None, "column": None}  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """What came back over a socket: 0 as status where nothing did."""

    status: int
    headers: dict[str, str]
    body: bytes
    lines: tuple[str, ...]

    def json(self) -> Any:
        return json.loads(self.body)


def raw(server: Server, data: bytes, *, seconds: float = 5.0) -> Answer:
    """Send bytes as they are, read until the other side hangs up, or says nothing for so many seconds."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=seconds) as sock:
        found = b""
        try:
            sock.sendall(data)
            while chunk := sock.recv(65536):
                found += chunk
        except (TimeoutError, ConnectionError):
            pass
    head, _, body = found.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    status = int(lines[0].split(" ")[1]) if lines[0].startswith("HTTP/") else 0
    pairs = [line.split(": ", 1) for line in lines[1:] if ": " in line]
    return Answer(status, {name.lower(): value for name, value in pairs}, body, tuple(lines[1:]))


def ask(
    server: Server, method: str, path: str, *headers: str, body: bytes | None = None, host: str | None = "", **more: Any
) -> Answer:
    """One request: `host` "" is the server's own name, None sends none; `headers` are whole lines."""
    lines = [f"{method} {path} HTTP/1.1", "Connection: close"]
    if host is not None:
        lines.append(f"Host: {host or server.gate.hosts[0]}")
    lines += headers
    if body is not None and not any(h.lower().startswith(("content-length", "transfer-encoding")) for h in headers):
        lines.append(f"Content-Length: {len(body)}")
    return raw(server, "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b""), **more)


def cookie(server: Server) -> str:
    """The header that a browser which was let in sends."""
    return f"Cookie: {server.gate.cookie}={server.gate.token}"


def bearer(server: Server) -> str:
    """The header that a script sends."""
    return f"Authorization: Bearer {server.gate.token}"


def origin(server: Server) -> tuple[str, str]:
    """What a browser says of our own page's requests."""
    return f"Origin: http://{server.gate.hosts[0]}", "Sec-Fetch-Site: same-origin"


JSON = "Content-Type: application/json"
