"""The server itself: a port of this machine alone, a thread, an address to open."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable, Iterable
from types import TracebackType

import uvicorn

from rain_debug.errors import ServeError
from rain_debug.web.app import Answering, application
from rain_debug.web.gate import LOOPBACK, Gate

PORT = 8765
HEADER_LIMIT = 32_768
"""Bytes of a request's first line and headers."""
START_SECONDS, STOP_SECONDS = 10.0, 10.0


class Server:
    """A running server of one desk; `url` is the address to open. Ends with `close()`, or at the end of a `with`."""

    def __init__(
        self,
        desk: Answering,
        *,
        host: str = "127.0.0.1",
        port: int | None = None,
        allow_hosts: Iterable[str] = (),
        title: str = "Rain",
        debug: bool = False,
    ) -> None:
        """Bind and start. `port` None is 8765, or a free one where that is taken; 0 is always a free one.

        A `host` that other machines reach needs `allow_hosts`, the names by which they may ask for it. ServeError where
        the port or the name cannot be had.
        """
        allowed = list(allow_hosts)
        if host not in LOOPBACK and not allowed:
            raise ServeError(
                f"other machines would reach this server at {host}, and by which names is not said",
                hint="--allow-host NAME for each name that may ask for it; or leave --host out",
            )
        self._socket = listen(host, port)
        self.port = int(self._socket.getsockname()[1])
        self.gate = Gate.of(host, self.port, allowed)
        self.reaches_out = host not in LOOPBACK
        self._desk = desk
        self._closing = threading.Event()
        self._guard = application(desk, self.gate, title=title, debug=debug, closing=self._closing)
        config = uvicorn.Config(
            self._guard, http="h11", ws="none", lifespan="off",
            log_level="critical", access_log=False, server_header=False, proxy_headers=False,
            h11_max_incomplete_event_size=HEADER_LIMIT, timeout_keep_alive=5, timeout_graceful_shutdown=2,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="rain-serve", daemon=True)
        self._thread.start()
        self._wait_for_start()

    @property
    def url(self) -> str:
        """The address with its secret, for the one who started the server."""
        return self.gate.address

    def __repr__(self) -> str:
        return f"<Server: port {self.port}{'' if self._thread.is_alive() else ', stopped'}>"

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def show(self, *, browser: bool = True, wait: bool = True, say: Callable[[str], None] = print) -> None:
        """Tell the address, open it in the user's `browser` if there is one, and `wait` until Ctrl-C."""
        say(self.url)
        if browser:
            with contextlib.suppress(webbrowser.Error):
                webbrowser.open(self.gate.ticket())
        if wait:
            self.wait()

    def wait(self) -> None:
        """Until somebody closes it; Ctrl-C does."""
        try:
            while self._thread.is_alive():
                self._thread.join(0.2)
        except KeyboardInterrupt:
            pass
        finally:
            self.close()

    def close(self) -> None:
        """Stop answering; runs that go on are stopped, and keep what they have done."""
        self._closing.set()  # before the server stops: a run that ends in its own order ends its stream, too
        self._server.should_exit = True
        self._thread.join(STOP_SECONDS)
        self._socket.close()
        close = getattr(self._desk, "close", None)
        if close is not None:
            close()

    def _run(self) -> None:
        try:
            self._server.run(sockets=[self._socket])
        except Exception:  # uvicorn lets through whatever breaks while sockets close
            if not self._server.should_exit:  # of one that is being stopped, what went wrong concerns nobody
                raise

    def _wait_for_start(self) -> None:
        ready = threading.Event()
        for _ in range(int(START_SECONDS / 0.01)):
            if self._server.started or not self._thread.is_alive():
                break
            ready.wait(0.01)
        if not self._server.started:
            raise ServeError(f"the server does not start on port {self.port}", hint="try another --port")


def listen(host: str, port: int | None) -> socket.socket:
    """A listening socket; ServeError where there is none to be had."""
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, port or 0, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError):
        raise ServeError(f"'{host}' is no address of this machine", hint="leave --host out") from None
    wanted = [PORT, 0] if port is None else [port]
    for number in wanted:
        made = socket.socket(family, kind, protocol)
        if sys.platform != "win32":  # there it would let two programs share the port
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            made.bind((place[0], number, *place[2:]))
            return made
        except OSError as error:
            made.close()
            why = error.strerror or str(error)
        except OverflowError:
            made.close()
            why = "ports end at 65535"
    raise ServeError(f"port {port} of {host} cannot be had: {why}", hint="give another --port, or none") from None
