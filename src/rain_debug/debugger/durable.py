"""A run that outlives its process: every round is written down when it is done, and taken up where it stood.

What a round finds follows from the rounds before it and from what these leave behind: parameters, the last solves, what
the ranker remembers (`Carried`), and what fits left in the records' caches. The caches hold factors of H that are not
worth writing down, so they are emptied now and then, in every run, whether it is written down or not (`fresh`): a run
that is taken up begins at such a round, does it and those behind it once more, compares them with what is written, and
goes on. Where one comes out differently, it stops and says so: half of the one run and half of another is neither.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, field
from importlib.metadata import version
from typing import Any, Protocol

import numpy as np

from rain_debug.data import Records
from rain_debug.debugger.evidence import Assessment
from rain_debug.debugger.rounds import Round, Settings
from rain_debug.debugger.session import ComplainedQuery, Trained
from rain_debug.debugger.wire import Packed, assessment_of, assessment_plain, round_of, round_text
from rain_debug.errors import DebugError
from rain_debug.fixes import Repaired, name_of
from rain_debug.passwords import without_passwords
from rain_debug.version import __version__

EVERY = 5
"""Rounds after which factors that cost something are made anew."""
MADE_WITH = ("numpy", "scipy", "scikit-learn", "duckdb")


@dataclass(frozen=True)
class Kept:
    """What an earlier process wrote of a run: its rounds, each with its seconds, and what the round numbered `at` began
    with; None where that is the first one."""

    rounds: tuple[str, ...] = ()
    seconds: tuple[str, ...] = ()
    at: int = 1
    state: Packed | None = None
    made_with: Mapping[str, str] = field(default_factory=dict)


class Journal(Protocol):
    """Where a run is written down; what is added is there for good once `add` has returned."""

    def begin(self, about: Mapping[str, Any], made_with: Mapping[str, str]) -> Kept:
        """What is kept of the run that `about` tells of; StoreError where another run is kept."""

    def add(self, number: int, text: str, seconds: str, state: Packed | None) -> None:
        """One more round, and, where it is given, what this round began with, all of it or nothing."""


@dataclass
class Carried:
    """What a round leaves to the next, beside itself: parameters and last solves by model, what the ranker remembers,
    and what there is to say."""

    theta: dict[str, np.ndarray | None]
    start: dict[str, np.ndarray | None]
    memory: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    exhausted: bool = False
    assessment: Assessment | None = None

    def packed(self) -> Packed | None:
        """As text and arrays; None where a ranker remembers what has no such form: the run then begins anew."""
        try:
            return Packed.of({**vars(self), "assessment": assessment_plain(self.assessment)})
        except TypeError:
            return None

    @staticmethod
    def of(packed: Packed) -> Carried:
        """What `packed` was made of."""
        said = packed.value
        return Carried(**{**said, "assessment": assessment_of(said["assessment"])})


def fresh(done: int, every: Mapping[str, Records]) -> bool:
    """Whether the round after `done` ones begins without what fits left in the caches: after every `EVERY`, and always
    where nothing in them costs anything."""
    return done > 0 and (done % EVERY == 0 or all(records.light for records in every.values()))


@dataclass(eq=False)
class Keeper:
    """One run's side of its journal."""

    journal: Journal
    kept: Kept
    trained: Mapping[str, Trained]
    state: Packed | None = None

    @staticmethod
    def begin(
        journal: Journal, settings: Settings, queries: Sequence[ComplainedQuery], complaints: Sequence[str],
        trained: Mapping[str, Trained],
    ) -> Keeper:  # fmt: skip
        """The keeper of this very run; StoreError where the journal has another one."""
        own = {**asdict(settings), "fix": name_of(settings.fix)}
        about = {
            "settings": json.loads(json.dumps(own, default=str)),
            "complaints": list(complaints),
            "queries": {q.name: without_passwords(q.sql) for q in queries},
            "records": {name: t.records.n_records for name, t in trained.items()},
        }
        return Keeper(journal, journal.begin(about, made_with()), trained)

    def past(self, repairs: Mapping[str, Repaired]) -> tuple[list[Round], Carried | None]:
        """The rounds before the one that is done first, and what they left to it; None to begin at the beginning."""
        if self.kept.state is None:
            return [], None
        try:
            done = zip(self.kept.rounds, self.kept.seconds, strict=True)
            rounds = [round_of(text, seconds, self.trained, repairs) for text, seconds in done]
            return rounds[: self.kept.at - 1], Carried.of(self.kept.state)
        except (ValueError, LookupError, TypeError, AttributeError) as error:  # text that is not as it was written
            raise DebugError(
                f"what was kept of the run is damaged: {type(error).__name__}",
                where="the run that was to go on",
                hint="begin anew: --overwrite, or another file",
            ) from None

    def note(self, carried: Carried) -> None:
        """What the next round begins with, to be written with it."""
        self.state = carried.packed()

    def add(self, done: Round) -> None:
        """Write a round; one that is written already has to be the same. DebugError where it is not."""
        text, known = round_text(done, self.trained), len(self.kept.rounds)
        if done.number > known:
            seconds = json.dumps(astuple(done.seconds))
            self.journal.add(done.number, text, seconds, self.state)
        elif text != self.kept.rounds[done.number - 1]:
            raise self.differs(f"round {done.number} of the run")
        self.state = None

    def differs(self, what: str) -> DebugError:
        """That something came out as another thing than is written."""
        now, then = made_with(), self.kept.made_with
        changed = [f"{name} {then[name]} became {now[name]}" for name in now if then.get(name, now[name]) != now[name]]
        known = f" ({'; '.join(changed)})" if changed else ""
        return DebugError(
            f"{what} comes out differently from what was kept of it{known}",
            where="the run that was to go on",
            hint="its data, a model, a library or the machine changed: begin anew",
        )


def made_with() -> dict[str, str]:
    """Versions that digits behind the twelfth may depend on."""
    return {"rain-debug": __version__, **{name: version(name) for name in MADE_WITH}, "machine": platform.machine()}
