"""The rankers that there are; a new one is a file and a line in `RANKERS`, or, from outside, a call of `register`."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from rain_debug.errors import DebugError, RainError
from rain_debug.rankers.auto import AutoOptions, auto
from rain_debug.rankers.base import Problem, Ranker, Ranking
from rain_debug.rankers.confident import confident
from rain_debug.rankers.duti import DutiOptions, duti
from rain_debug.rankers.gradient_similarity import gradient_similarity
from rain_debug.rankers.holistic import holistic
from rain_debug.rankers.loss import loss
from rain_debug.rankers.options import KINDS
from rain_debug.rankers.rain import rain
from rain_debug.rankers.random import random
from rain_debug.rankers.self_influence import self_influence
from rain_debug.rankers.two_step import TwoStepOptions, two_step

RANKERS: dict[str, Ranker] = {
    "rain": rain,
    "holistic": holistic,
    "two_step": two_step,
    "auto": auto,
    "duti": duti,
    "gradient_similarity": gradient_similarity,
    "loss": loss,
    "confident": confident,
    "self_influence": self_influence,
    "random": random,
}

OPTIONS: dict[str, type] = {"two_step": TwoStepOptions, "auto": AutoOptions, "duti": DutiOptions}
"""The settings of the rankers that have some, each a frozen dataclass with defaults."""

BLIND: set[str] = {"loss", "confident", "self_influence", "random"}
"""The rankers that do not look at the complaints: a gradient of nought does not stop them, and as they do not say in
which direction of θ a record is wrong, no other fix than deletion has a score."""

OWN = frozenset(RANKERS)
"""Those that Rain brings along."""


def register(name: str, ranker: Ranker, *, options: type | None = None, blind: bool = False) -> None:
    """Make `ranker` known as `name`, wherever a ranker can be named; the same name again replaces one's own.

    `options` is a dataclass of its settings, all with defaults that are True, False, numbers or texts:
    `debug(options={…})` is checked against it, and `Problem.options` holds what was given. `blind` says that it does
    not look at the complaints. DebugError for a name of Rain's own, for what cannot be called, and for other options.

    >>> register("loss", loss)
    Traceback (most recent call last):
        ...
    rain_debug.errors.DebugError: 'loss' is a ranker of Rain's own
      try:   give yours another name
    """
    if not isinstance(name, str) or not name.isidentifier():
        raise DebugError(f"a ranker cannot be called {name!r}", hint="letters, digits and _, such as 'by_distance'")
    if name in OWN:
        raise DebugError(f"'{name}' is a ranker of Rain's own", hint="give yours another name")
    if not callable(ranker):
        raise DebugError(f"ranker '{name}' is no function", hint="a function from a Problem to a Ranking")
    if options is not None:
        fields = dataclasses.fields(options) if dataclasses.is_dataclass(options) else ()
        if not fields or any(type(f.default) not in KINDS for f in fields):
            raise DebugError(
                f"the options of ranker '{name}' are no dataclass of numbers, texts, True and False with defaults",
                hint="@dataclass(frozen=True) class Options: neighbours: int = 5",
            )
    RANKERS[name] = _guarded(name, ranker)
    BLIND.discard(name)
    OPTIONS.pop(name, None)
    if blind:
        BLIND.add(name)
    if options is not None:
        OPTIONS[name] = options


def _guarded(name: str, ranker: Ranker) -> Ranker:
    """The ranker, whose own failures and slips are said in its name."""

    @functools.wraps(ranker)
    def called(problem: Problem) -> Ranking:
        where = f"ranker '{name}', model '{problem.name}'" if problem.name else f"ranker '{name}'"
        try:
            ranking = ranker(problem)
        except RainError:
            raise
        except Exception as error:  # it is the user's: whatever it raises is reported with its name
            raise DebugError(
                f"it failed: {type(error).__name__}: {error}", where=where, hint=f"extend.check_ranker('{name}')"
            ) from error
        if not isinstance(ranking, Ranking):
            raise DebugError(
                f"it returned a {type(ranking).__name__}",
                where=where,
                hint="return Ranking(scores)",
            )
        n = problem.records.n_records
        for what, values in (("scores", ranking.scores), ("priority", ranking.priority)):
            if values is not None and np.shape(values) != (n,):
                raise DebugError(
                    f"its {what} are of shape {np.shape(values)}, not ({n},)", where=where, hint="one number a record"
                )
        return ranking

    return called
