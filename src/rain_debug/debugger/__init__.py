"""Train → rank → fix, one frozen `Round` at a time.

A round refits every involved model on the records that are left (from its last parameters), reads the complained
cells exactly and relaxed, and unless it is time to stop, ranks the records by how much removing each should lower q
and removes the top `step`. The rounds are the run's whole state: which records are left follows from what the rounds
chose. The last round chooses nothing; it holds the answer after the last removal.

`session` says what the front door has to offer, `rounds` holds the values of a run, `begin` checks the arguments,
`loop` runs it: `reading` tells the complained cells at any parameters, `choosing` the records that go next, `evidence`
whether the labels bear the complaints out, `results` makes the run's value.
"""

from __future__ import annotations

from rain_debug.debugger.background import Background
from rain_debug.debugger.begin import check, debug
from rain_debug.debugger.evidence import Assessment
from rain_debug.debugger.rounds import (
    Chosen,
    ModelRun,
    Outcome,
    QueryRun,
    Reading,
    Round,
    Run,
    Seconds,
    Settings,
    Stopped,
    Until,
)
from rain_debug.debugger.session import Block, Capture, ComplainedQuery, Program, Session, Trained

__all__ = [
    "Assessment",
    "Background",
    "Block",
    "Capture",
    "Chosen",
    "ComplainedQuery",
    "ModelRun",
    "Outcome",
    "Program",
    "QueryRun",
    "Reading",
    "Round",
    "Run",
    "Seconds",
    "Session",
    "Settings",
    "Stopped",
    "Trained",
    "Until",
    "check",
    "debug",
]
