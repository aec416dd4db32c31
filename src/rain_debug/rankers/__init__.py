"""Rankers: one signature, one file each; a new one is a file and a line in `RANKERS`."""

from __future__ import annotations

from rain_debug.rankers.auto import AutoOptions, auto
from rain_debug.rankers.base import Complained, Evidence, Predicted, Problem, Ranker, Ranking, Relabels
from rain_debug.rankers.confident import confident
from rain_debug.rankers.duti import DutiOptions, duti
from rain_debug.rankers.gradient_similarity import gradient_similarity
from rain_debug.rankers.holistic import holistic
from rain_debug.rankers.loss import loss
from rain_debug.rankers.options import checked
from rain_debug.rankers.order import order
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

__all__ = [
    "OPTIONS",
    "RANKERS",
    "Complained",
    "Evidence",
    "Predicted",
    "Problem",
    "Ranker",
    "Ranking",
    "Relabels",
    "auto",
    "checked",
    "confident",
    "duti",
    "gradient_similarity",
    "holistic",
    "loss",
    "order",
    "rain",
    "random",
    "self_influence",
    "two_step",
]
