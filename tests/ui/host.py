"""A stand-in for the server: serves the page under the real policy and answers its operations from fixed values.

What is asked of it is kept in `asked`, so that a test sees what the page sent.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from rain_debug.view.page import STATIC, shell
from rain_debug.web.guard import HEADERS

KINDS = {".js": "text/javascript; charset=utf-8", ".txt": "text/plain; charset=utf-8"}


class Refused(Exception):
    """Carries a Failure to the page."""

    def __init__(self, kind: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.failure = {
            "kind": kind,
            "message": message,
            "where": None,
            "hint": None,
            "fragment": None,
            "line": None,
            "column": None,
        } | more


class Host:
    """An HTTP server on a free port of this machine.

    `answers[op](request)` answers once, `streams[op](request)` yields events; `delay[op]` seconds pass before either.
    """

    def __init__(
        self, answers: dict[str, Callable[[Any], Any]], streams: dict[str, Callable[[Any], Iterator[Any]]] | None = None
    ) -> None:
        self.answers, self.streams = answers, streams or {}
        self.delay: dict[str, float] = {}
        self.asked: list[tuple[str, Any]] = []
        self.cut = threading.Event()
        """Set when the page hung up on a stream."""
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def of(self, op: str) -> list[Any]:
        """The requests for one operation, in order."""
        return [request for name, request in self.asked if name == op]

    def last(self, op: str, **said: Any) -> Any:
        """The latest request for one operation, once it says this: a page may show what it is about to ask for."""
        for _ in range(1000):
            if (asked := self.of(op)) and said.items() <= asked[-1].items():
                return asked[-1]
            time.sleep(0.01)
        raise AssertionError(f"{op} never asked with {said}: {self.of(op)}")

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def _handler(host: Host) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def send(self, status: int, kind: str, body: bytes | None) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            for name, value in HEADERS.items():
                self.send_header(name, value)
            if body is not None:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if body is not None:
                self.wfile.write(body)

        def json(self, status: int, value: Any) -> None:
            self.send(status, "application/json", json.dumps(value).encode())

        def do_GET(self) -> None:
            if not self.path.startswith("/static/"):
                return self.send(200, "text/html; charset=utf-8", shell(title="Shop").encode())
            file = STATIC / self.path.removeprefix("/static/")
            if file.parent != STATIC or not file.is_file():
                return self.send(404, "text/plain", b"")
            self.send(200, KINDS[file.suffix], file.read_bytes())

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            op = self.path.removeprefix("/api/")
            host.asked.append((op, request))
            time.sleep(host.delay.get(op, 0))
            try:
                if op in host.streams:
                    return self.stream(host.streams[op](request))
                if op not in host.answers:
                    raise Refused("DeskError", f"no such operation: {op}")
                self.json(200, host.answers[op](request))
            except Refused as refused:
                self.json(400, refused.failure)

        def stream(self, events: Iterator[Any]) -> None:
            self.send(200, "application/x-ndjson", None)
            try:
                for event in events:
                    self.wfile.write(json.dumps(event).encode() + b"\n")
                    self.wfile.flush()
            except OSError:
                host.cut.set()

    return Handler
