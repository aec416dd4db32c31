"""What a report can still ask: the session that its run came from, and the models as the run found them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rain_debug.debugger.session import ComplainedQuery, Session, Trained
from rain_debug.engines.table import Table
from rain_debug.errors import ReportError


@dataclass(frozen=True, eq=False)
class Background:
    """The front door of a run and its involved models by name, with the records that they were registered with.

    What is registered under these names later makes no difference to `trained`.
    """

    session: Session
    trained: Mapping[str, Trained]

    def as_found(self) -> AsFound:
        """The session with the models as the run found them."""
        return AsFound(self)


@dataclass(frozen=True, eq=False)
class AsFound:
    """A session whose models are those that a run found, whatever is registered under their names now."""

    background: Background

    def trained(self, model: str) -> Trained:
        """The model as it was."""
        return self.background.trained[model]

    def answers(self, queries: Sequence[ComplainedQuery], thetas: Mapping[str, np.ndarray]) -> Sequence[Table]:
        """The database's answers at these parameters; ReportError where a model was replaced since the run."""
        session = self.background.session
        for name in thetas:
            if session.trained(name).model is not self.background.trained[name].model:
                raise ReportError(
                    f"model '{name}' was replaced since the run",
                    hint="debug again, or ask before the model is made anew",
                )
        return session.answers(queries, thetas)

    def rows_of(self, source: Any) -> Table:
        """As the session's."""
        return self.background.session.rows_of(source)
