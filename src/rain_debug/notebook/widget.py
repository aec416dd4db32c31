"""The page as a widget: the same module as in a browser, its questions answered by the kernel.

`ui/src/host/notebook.ts` says what goes to and fro. Every question is answered in a thread of its own: the desk puts
them in order, and a run can be cancelled while it goes on. What is said on a question is kept for a while: a page that
did not hear of it, as when its connection broke, asks again from where it had got.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import anywidget
import traitlets

from rain_debug.desk import Desk
from rain_debug.errors import RainError
from rain_debug.notebook.turns import TURNS, join_cells
from rain_debug.view.page import bundle

BEAT = 0.4
"""Seconds after which a run that waits for its turn says that it does."""
KEPT = 32
"""Questions of which is kept what was said."""


class Widget(anywidget.AnyWidget):
    """What `query.widget()`, `report.widget()` and `db.widget()` return.

    `report` is the run that is looked at, or was finished last: None before there is one. `value` is the same as a
    trait, for `widget.observe(…, "value")`.
    """

    _esm = traitlets.Unicode().tag(sync=True)
    start = traitlets.Unicode("/").tag(sync=True)
    seen = traitlets.Unicode("").tag(sync=True)
    value = traitlets.Any(None)

    def __init__(self, desk: Desk, start: str, plain: Callable[[], str]) -> None:
        """`start` is the address of the first screen; `plain` makes what is shown where there are no widgets."""
        self._desk, self._plain = desk, plain
        self._cancels: dict[str, threading.Event] = {}
        self._said: dict[str, list[dict[str, Any]]] = {}
        self._saying = threading.Lock()
        super().__init__(_esm=bundle().decode("utf-8"), start=start)
        self.on_msg(self._asked)
        join_cells()

    @property
    def report(self) -> Any:
        """The run that is looked at, or was finished last."""
        return self.value

    @traitlets.observe("seen")
    def _seen(self, change: Any) -> None:
        self._show(change["new"])

    def _show(self, run: str) -> None:
        try:
            self.value = self._desk.report(run)
        except RainError:
            pass  # a run of an earlier session: there is nothing more to ask of it

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """The widget, and a table for readers that have none."""
        found = super()._repr_mimebundle_(**kwargs)
        if isinstance(found, tuple):
            found[0]["text/html"] = self._plain()
        return found

    def close(self) -> None:
        """Stop what is going on, and take the widget away."""
        for cancel in list(self._cancels.values()):
            cancel.set()
        self._desk.close()
        super().close()

    # -- messages -----------------------------------------------------------------------------------------------

    def _asked(self, _: Any, content: Any, buffers: Any) -> None:
        """A question came: answer it beside all else, or cancel what was asked before; say again what was not heard."""
        number, op = str(content.get("id")), content.get("op")
        if op == "cancel" and number in self._cancels:
            self._cancels[number].set()
        with self._saying:
            known = self._said.get(number)
            if known is not None:
                for message in known[content.get("heard", len(known)) :]:
                    self.send(message)
                return
            self._said[number] = []
            for old in list(self._said)[:-KEPT]:
                del self._said[old]
        if op == "cancel":  # before what it cancels, which was lost
            self._say(number, answer=None)
            return
        answer = self._follow if op in self._desk.streams else self._answer
        threading.Thread(target=answer, args=(number, op, content.get("request")), daemon=True).start()

    def _say(self, number: str, **message: Any) -> None:
        """Send a message on a question, numbered, and keep it."""
        with self._saying:
            said = self._said.setdefault(number, [])
            said.append({"id": number, "at": len(said), **message})
            self.send(said[-1])

    def _answer(self, number: str, op: Any, request: Any) -> None:
        try:
            with TURNS.taken(self._desk):
                answer = self._desk.call(op, request)
        except Exception as error:  # an error in a thread would be seen by nobody, and the page would wait
            self._say(number, failure=Desk.failure(error))
        else:
            self._say(number, answer=answer)

    def _follow(self, number: str, op: str, request: Any) -> None:
        """Tell a run's events one by one."""
        cancelled = self._cancels[number] = threading.Event()
        try:
            waited = 0.0
            while not TURNS.take(self._desk, BEAT):
                waited += BEAT
                doing = "waiting for what runs in the notebook"
                self._say(number, event={"type": "waiting", "seconds": waited, "doing": doing})
                if cancelled.is_set():
                    self._say(number, answer=None)
                    return
            try:
                with TURNS.stoppable(cancelled.set):
                    for event in self._desk.stream(op, request, cancelled):
                        if event["type"] == "done":
                            self._show(event["run"]["id"])
                        self._say(number, event=event)
            finally:
                TURNS.give()
        except Exception as error:  # an error in a thread would be seen by nobody, and the page would wait
            self._say(number, failure=Desk.failure(error))
        else:
            self._say(number, answer=None)
        finally:
            del self._cancels[number]
