"""A run in words: the sentence that leads, and why it stopped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rain_debug.debugger import Run, Stopped
from rain_debug.report.tables import Ending, removals

NAMED = 3
"""How many complaints the sentence spells out."""

WHY: dict[Stopped, str] = {
    "resolved": "every complaint is resolved",
    "budget": "the budget is spent",
    "no positive score": "no other record would help",
    "no gradient": "the complained cells no longer depend on the models' parameters",
    "last of a class": "a model would have lost its last record of a class",
    "interrupted": "interrupted",
}

VERBS: dict[str, str] = {"delete": "removing", "relabel": "relabelling", "repair": "repairing"}
DONE: dict[str, str] = {"delete": "removed", "relabel": "relabelled", "auto": "removed or relabelled"}


def summary(run: Run, ends: Sequence[Ending]) -> str:
    """What was removed, what that moved, and whether the complaints are resolved, in one sentence."""
    gone, n = len(removals(run)), sum(m.n_records for m in run.models)
    if not gone:
        lead = f"No record was {DONE.get(str(run.settings.fix), 'repaired')}"
        why = f" because {WHY[run.stopped]}"
        if run.stopped == "interrupted":
            why = ": interrupted"
        return f"{lead}{why}; {_moves(ends, stays=True)}."
    lead = _doing(run) if run.stopped != "interrupted" else f"Interrupted: {_doing(run).lower()}"
    records = f"of {n:,} training record{'s' if n != 1 else ''}"
    return f"{lead} {records} {_moves(ends)}{_verdict(ends, gone)}."


def _doing(run: Run) -> str:
    """Removing 40, or Relabelling 30 and removing 10."""
    kinds = Counter(c.fix.kind for c in removals(run))
    parts = [f"{VERBS[kind]} {n:,}" for kind, n in kinds.most_common()]
    return " and ".join(parts).capitalize()


def _moves(ends: Sequence[Ending], stays: bool = False) -> str:
    """moves A from 56 to 111 (asked: too low) and leaves B at 3 (asked: 4)"""
    parts = []
    verb = ""
    for end in ends[:NAMED]:
        before, after, asked = end.text(end.before), end.text(end.after), f"(asked: {end.goal.complaint.asked})"
        still = before == after
        own = "" if stays else ("leaves " if still else "moves ")
        place = ("" if own == verb else own) + end.goal.complaint.place
        verb = own
        middle = f"stays at {before}" if stays else (f"at {before}" if still else f"from {before} to {after}")
        parts.append(f"{place} {middle} {asked}")
    if len(ends) > NAMED:
        parts.append(f"{len(ends) - NAMED} more")
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def _verdict(ends: Sequence[Ending], gone: int) -> str:
    closed = [e for e in ends if e.resolved is not None]
    if not closed:
        bends = [e.bends_at for e in ends if e.bends_at]
        return f"; most of that came with the first {max(bends):,}" if bends and max(bends) < gone else ""
    met = sum(bool(e.resolved) for e in closed)
    if len(closed) == 1:
        which = "the complaint" if len(ends) == 1 else f"the complaint about {closed[0].goal.complaint.place}"
        return f"; {which} is {'' if met else 'not '}resolved"
    return f"; {met} of {len(closed)} complaints resolved"
