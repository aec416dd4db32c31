"""What browser, notebook and report ask of a session: `Desk` answers every operation of `ui/src/types.ts`.

`requests` reads the fields, `answers` shows queries, `places` finds what a page points at, `running` tells how a run
goes on, `worker` is the one thread that touches database and models.
"""

from __future__ import annotations

from rain_debug.desk.desk import Desk

__all__ = ["Desk"]
