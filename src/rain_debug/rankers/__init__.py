"""Rankers: one signature, one file each; `known` lists them, and takes those that come from outside."""

from __future__ import annotations

from rain_debug.rankers.auto import auto
from rain_debug.rankers.base import Complained, Evidence, Predicted, Problem, Ranker, Ranking, Relabels
from rain_debug.rankers.confident import confident
from rain_debug.rankers.duti import duti
from rain_debug.rankers.gradient_similarity import gradient_similarity
from rain_debug.rankers.holistic import holistic
from rain_debug.rankers.known import BLIND, OPTIONS, RANKERS, register
from rain_debug.rankers.loss import loss
from rain_debug.rankers.options import checked
from rain_debug.rankers.order import order
from rain_debug.rankers.rain import rain
from rain_debug.rankers.random import random
from rain_debug.rankers.self_influence import self_influence
from rain_debug.rankers.two_step import two_step

__all__ = [
    "BLIND",
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
    "register",
    "self_influence",
    "two_step",
]
