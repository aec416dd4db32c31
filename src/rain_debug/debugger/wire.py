"""Rounds, and what one leaves to the next, as text and arrays: nothing that is read back can run code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from rain_debug.complaints import Term
from rain_debug.debugger.drift import Drift
from rain_debug.debugger.evidence import Assessment, Signs
from rain_debug.debugger.rounds import Chosen, Outcome, Reading, Round, Seconds
from rain_debug.debugger.session import Trained
from rain_debug.fixes import DELETE, Fix, Repaired


@dataclass(frozen=True, eq=False)
class Packed:
    """A plain value as JSON `text`; its arrays apart, by a digest of their bytes, dtype and shape."""

    text: str
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)

    @staticmethod
    def of(value: Any) -> Packed:
        """None, booleans, numbers, text, lists, tuples, dictionaries and arrays of numbers; TypeError for all else.

        >>> made = Packed.of({"plan": (np.arange(3), None), 7: [0.1, float("inf")]})
        >>> made.value
        {'plan': (array([0, 1, 2]), None), 7: [0.1, inf]}
        >>> Packed.of(open)
        Traceback (most recent call last):
            ...
        TypeError: builtin_function_or_method is no plain value
        """
        arrays: dict[str, np.ndarray] = {}
        return Packed(json.dumps(_plain(value, arrays), ensure_ascii=False), arrays)

    @property
    def value(self) -> Any:
        """What it was made of; ValueError or KeyError where that cannot be."""
        return _value(json.loads(self.text), self.arrays)


def _plain(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, list):
        return [_plain(v, arrays) for v in value]
    if isinstance(value, tuple):
        return {"tuple": [_plain(v, arrays) for v in value]}
    if isinstance(value, dict):
        return {"pairs": [[_plain(k, arrays), _plain(v, arrays)] for k, v in value.items()]}
    if isinstance(value, np.generic) and value.dtype.kind in "biuf":
        return {"scalar": _plain(np.asarray(value), arrays)}
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        array = np.array(value, order="C")
        said = f"{array.dtype.str}{array.shape}".encode()
        digest = hashlib.blake2b(said + array.tobytes(), digest_size=16).hexdigest()
        arrays[digest] = array
        return {"array": digest}
    raise TypeError(f"{type(value).__name__} is no plain value")


def _value(plain: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    if isinstance(plain, list):
        return [_value(v, arrays) for v in plain]
    if not isinstance(plain, dict):
        return plain
    ((kind, inner),) = plain.items()
    if kind == "tuple":
        return tuple(_value(v, arrays) for v in inner)
    if kind == "pairs":
        return {_value(k, arrays): _value(v, arrays) for k, v in inner}
    if kind == "scalar":
        return _value(inner, arrays)[()]
    if kind == "array":
        return arrays[inner].copy()
    raise ValueError(f"{kind!r} is no kind of value")


# -- rounds -----------------------------------------------------------------------------------------------------------


def round_text(done: Round, trained: Mapping[str, Trained]) -> str:
    """A round as JSON, its times left out; keys and labels are told by their places in the training set."""
    return json.dumps({
        "number": done.number,
        "removed": done.removed,
        "q": done.q,
        "readings": [[r.exact, r.relaxed, r.term.value, r.term.weight, r.term.active, r.resolved]
                     for r in done.readings],
        "chosen": [[c.model, c.position, c.score, c.fix.kind, *_codes(c, trained[c.model].model.classes), c.confidence]
                   for c in done.chosen],
        "outcomes": [asdict(o) for o in done.outcomes],
    }, ensure_ascii=False)  # fmt: skip


def _codes(c: Chosen, classes: tuple[Any, ...]) -> tuple[int | None, int | None]:
    """The places of the label that it gets and of the one that is suggested; None for none."""
    to = classes.index(c.fix.to) if c.fix.kind == "relabel" else None
    return to, None if c.suggested is None else classes.index(c.suggested)


def round_of(text: str, seconds: str, trained: Mapping[str, Trained], repairs: Mapping[str, Repaired]) -> Round:
    """The round that `round_text` was made of, with its `seconds`."""
    said = json.loads(text)
    return Round(
        said["number"],
        said["removed"],
        tuple(Reading(e, r, Term(v, w, active), met) for e, r, v, w, active, met in said["readings"]),
        said["q"],
        tuple(_chosen(trained, repairs, *c) for c in said["chosen"]),
        tuple(Outcome(**o) for o in said["outcomes"]),
        Seconds(*json.loads(seconds)),
    )


def _chosen(
    trained: Mapping[str, Trained],
    repairs: Mapping[str, Repaired],
    model: str,
    position: int,
    score: float,
    kind: str,
    to: int | None,
    suggested: int | None,
    confidence: float | None,
) -> Chosen:
    t = trained[model]
    key = t.records.keys[position]
    key = key.item() if isinstance(key, np.generic) else key
    if kind == "repair":
        fix = repairs[model].fix(t.records.table, position)
    else:
        fix = DELETE if to is None else Fix("relabel", t.model.classes[to])
    return Chosen(model, position, key, score, fix, None if suggested is None else t.model.classes[suggested],
                  confidence)  # fmt: skip


# -- assessments ------------------------------------------------------------------------------------------------------


def assessment_plain(found: Assessment | None) -> Any:
    """An assessment as a dictionary; None for none."""
    return None if found is None else asdict(found)


def assessment_of(said: Any) -> Assessment | None:
    """The assessment that `assessment_plain` was made of."""
    if said is None:
        return None
    signs = None if said["signs"] is None else Signs(**said["signs"])
    return Assessment(**{**said, "signs": signs, "drifts": tuple(Drift(**d) for d in said["drifts"])})
