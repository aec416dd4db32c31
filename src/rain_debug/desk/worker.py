"""One thread that alone touches the database and the models: neither is for two at a time."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from rain_debug.errors import DeskError


class Worker:
    """Does what it is given, one at a time, in order."""

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="rain-desk", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[], Any]) -> Future[Any]:
        """What `work` returns or raises, some time; DeskError once the worker is closed."""
        if self._closed:
            raise DeskError("this desk is closed", hint="open the page anew")
        future: Future[Any] = Future()

        def do() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(work())
            except BaseException as error:  # also Ctrl-C's: it belongs to who waits for the answer
                future.set_exception(error)

        self._waiting.put(do)
        return future

    def do(self, work: Callable[[], Any]) -> Any:
        """What `work` returns, waited for."""
        return work() if threading.current_thread() is self._thread else self.submit(work).result()

    def close(self, seconds: float = 5.0) -> None:
        """Wait for what was asked for, but no longer than `seconds`; nothing else is taken."""
        self._closed = True
        self._waiting.put(None)
        self._thread.join(seconds)

    def _run(self) -> None:
        while True:
            work = self._waiting.get()
            if work is None:
                return
            work()
