"""Where a run begins: the arguments, checked, and the loop started."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rain_debug.complaints import Complaint, Goal, Judge, Loss, Scale
from rain_debug.debugger.durable import Journal
from rain_debug.debugger.loop import Loop
from rain_debug.debugger.rounds import Reading, Round, Run, Settings, Until
from rain_debug.debugger.session import Session
from rain_debug.debugger.spared import by_model
from rain_debug.errors import ComplaintError
from rain_debug.fixes import Fixing


def debug(
    session: Session,
    complaints: Complaint | Sequence[Complaint],
    *,
    budget: int,
    step: int = 10,
    ranker: str = "holistic",
    until: Until = "resolved",
    judge: Judge = "exact",
    scale: Scale = "relative",
    loss: Loss = "l1",
    damping: float | None = None,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
    fix: Fixing = "delete",
    spare: Mapping[str, Sequence[Any]] | Sequence[Any] | None = None,
    progress: bool | None = None,
    on_round: Callable[[Round], None] | None = None,
    journal: Journal | None = None,
) -> Run:
    """The run that fixes up to `budget` training records, `step` a round, to make the complaints hold.

    until "resolved" stops as soon as every complaint holds (in the answer that `judge` names), or when no record has a
    positive score. until "budget" goes on until the budget is spent, whatever the scores' sign; where every complaint
    holds already it follows the relaxed residual (`Goal.onward`), so that the ranking gets the length asked for. Both
    stop before a model loses its last record of a class (a regressor: its last but one), and where the complained cells
    depend on no model any more.

    `fix` is what may be done to a record: "delete" it, "relabel" it to the class that helps most, those first that the
    records that stay believe (`fixes.surest_first`), "auto" to delete the others, or a function that repairs records
    (`fixes.repaired`). The budget counts records, whatever their fix.
    `spare` names records that are right, by key, or by model and key: none of them is fixed.

    Several models share one budget; their records are merged by score, ties by model name, then key. Ctrl-C keeps what
    is done: the models are refitted once more for the answer after the last removal (a second Ctrl-C drops that
    round). `progress` shows a bar on stderr, by default where that is a terminal; `on_round` sees each round when it
    is done, and may raise KeyboardInterrupt to stop as Ctrl-C does; `options` are the ranker's own
    (`rankers.OPTIONS`). A `journal` has every round written into it, and those of an earlier process that it holds
    are taken up. Raises DebugError for settings that make no sense, ComplaintError for complaints that hold
    already or contradict each other, ProgramError where the program and the database disagree about a complained cell,
    RepairError where the ranker needs a repair and there is none.
    """
    settings = Settings(
        budget, step, ranker, until, judge, scale, loss, damping, seed, dict(options or {}), fix, by_model(spare)
    )
    settings.check()
    return Loop(session, complaints_of(complaints), settings, on_round, journal).run(progress)


def check(session: Session, complaints: Complaint | Sequence[Complaint]) -> tuple[tuple[Goal, Reading], ...]:
    """Where every complaint stands now, in the order given; nothing is removed and nothing registered changes.

    Raises ComplaintError where complaints contradict each other, ProgramError where program and database disagree.
    """
    return Loop(session, complaints_of(complaints), Settings(budget=0), None).look()


def complaints_of(given: Complaint | Sequence[Complaint]) -> list[Complaint]:
    """The complaints, one at least; ComplaintError for what is none."""
    asked = list(given) if isinstance(given, Sequence) else [given]
    for item in asked:
        if not isinstance(item, Complaint):
            raise ComplaintError(
                f"{item} is not a complaint",
                hint="say what is wrong with the place, e.g. query.cell('n').too_low()",
            )
    if not asked:
        raise ComplaintError("there is no complaint", hint="say what is wrong, e.g. query.cell('n').too_low()")
    return asked
