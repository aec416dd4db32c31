"""The complained queries, captured once, and what their cells read at any parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rain_debug.complaints import Complaint, number_text
from rain_debug.debugger.session import Capture, ComplainedQuery, Session, Trained
from rain_debug.engines.table import Table
from rain_debug.errors import ComplaintError, ProgramError
from rain_debug.rankers import Predicted


@dataclass(frozen=True, eq=False)
class Captured:
    """One complained query, its program, its blocks' encoded features, and which complaints are its targets."""

    query: ComplainedQuery
    capture: Capture
    X: list[Any]
    members: np.ndarray


@dataclass(frozen=True, eq=False)
class Seen:
    """What the models say, by query and block, and every complaint's `exact` and `relaxed` value (n_complaints,)."""

    blocks: list[tuple[Predicted, ...]]
    exact: np.ndarray
    relaxed: np.ndarray


class Reader:
    """The complaints' places as functions of the parameters of the models that have a part in them (`trained`)."""

    def __init__(self, session: Session, complaints: Sequence[Complaint]) -> None:
        self.session, self.complaints = session, list(complaints)
        self.captured, names = self._capture()
        # Without what earlier runs left with the records: the same complaints get the same ranking, to the last digit.
        trained = {name: session.trained(name) for name in sorted(names)}
        self.trained: dict[str, Trained] = {n: replace(t, records=t.records.renewed()) for n, t in trained.items()}
        for part in self.captured:
            for block in part.capture.blocks:
                where = f"rows of query '{part.query.name}' that model '{block.model}' predicts"
                part.X.append(self.trained[block.model].model.encode(block.table, where))

    def _capture(self) -> tuple[list[Captured], set[str]]:
        """Every complained query once, with all of its targets."""
        queries = {id(c.query): c.query for c in self.complaints}
        captured = []
        for query in queries.values():
            members = np.array([i for i, c in enumerate(self.complaints) if c.query is query])
            capture = query.capture([self.complaints[i].target for i in members])
            captured.append(Captured(query, capture, [], members))
        names = {b.model for part in captured for b in part.capture.blocks}
        if not names:
            places = "; ".join(c.place for c in self.complaints)
            raise ComplaintError(
                "no prediction has a part in the complained cells, so no training record can change them",
                where=places,
                hint="complain about a cell that a predict(…) leads to",
            )
        return captured, names

    def read(self, thetas: Mapping[str, np.ndarray]) -> Seen:
        """Predictions and cells at these parameters."""
        exact, relaxed = np.empty(len(self.complaints)), np.empty(len(self.complaints))
        every = []
        for part in self.captured:
            blocks = []
            for block, X in zip(part.capture.blocks, part.X, strict=True):
                model, theta = self.trained[block.model].model, thetas[block.model]
                P, hard = model.probabilities(X, theta), model.predict(X, theta)
                blocks.append(Predicted(block.model, X, P, hard, block.identity, block.rids))
            soft = [b.P for b in blocks]
            exact[part.members] = part.capture.program.exact(soft, [b.hard for b in blocks])
            relaxed[part.members] = part.capture.program.relaxed(soft)
            every.append(tuple(blocks))
        return Seen(every, exact, relaxed)

    def gradient(self, seen: Seen, weights: np.ndarray, thetas: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Σ weights · ∂relaxed/∂θ of every model, (n_params,): through the programs to the probabilities, then through
        the model."""
        total = {name: np.zeros(len(thetas[name])) for name in self.trained}
        for part, blocks in zip(self.captured, seen.blocks, strict=True):
            dP = part.capture.program.gradient([b.P for b in blocks], weights[part.members])
            for block, d in zip(blocks, dP, strict=True):
                total[block.model] += self.trained[block.model].model.backprop(block.X, thetas[block.model], d)
        for name, g in total.items():
            if not np.all(np.isfinite(g)):
                raise ProgramError(
                    f"the gradient of the complaints by the parameters of model '{name}' is not finite",
                    hint="this is a defect of Rain: please report it with the query",
                )
        return total

    def answers(self, thetas: Mapping[str, np.ndarray]) -> Sequence[Table]:
        """The complained queries' whole answers, as the database computes them."""
        return self.session.answers([part.query for part in self.captured], dict(thetas))

    def disagreements(self, exact: np.ndarray, answers: Sequence[Table]) -> list[str]:
        """Where the program's exact reading and the database's own answer differ, in words."""
        wrong = []
        for part, answer in zip(self.captured, answers, strict=True):
            for i in part.members:
                own, complaint = part.query.read(answer, self.complaints[i].target), self.complaints[i]
                if not np.isclose(exact[i], own, rtol=1e-6, atol=1e-9, equal_nan=True):
                    found, answered = number_text(float(exact[i])), number_text(own)
                    wrong.append(
                        f"{complaint.place} of query '{part.query.name}': the program reads {found}, the "
                        f"database answers {answered}"
                    )
        return wrong
