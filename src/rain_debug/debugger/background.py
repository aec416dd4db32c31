"""What a report can still ask: the session that its run came from, and the models as the run found them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rain_debug.debugger.session import Session, Trained


@dataclass(frozen=True, eq=False)
class Background:
    """The front door of a run and its involved models by name, with the records that they were registered with.

    What is registered under these names later makes no difference to `trained`.
    """

    session: Session
    trained: Mapping[str, Trained]
