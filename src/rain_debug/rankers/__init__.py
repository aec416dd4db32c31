"""Rankers: one signature, one file each; a new one is a file and a line in `RANKERS`."""

from __future__ import annotations

from rain_debug.rankers.base import Complained, Evidence, Predicted, Problem, Ranker, Ranking
from rain_debug.rankers.holistic import holistic
from rain_debug.rankers.loss import loss
from rain_debug.rankers.order import order
from rain_debug.rankers.random import random
from rain_debug.rankers.self_influence import self_influence

RANKERS: dict[str, Ranker] = {
    "holistic": holistic,
    "loss": loss,
    "self_influence": self_influence,
    "random": random,
}

__all__ = [
    "RANKERS",
    "Complained",
    "Evidence",
    "Predicted",
    "Problem",
    "Ranker",
    "Ranking",
    "holistic",
    "loss",
    "order",
    "random",
    "self_influence",
]
