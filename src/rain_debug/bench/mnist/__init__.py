"""MNIST: ones to train on that say seven, and every complaint that the papers make about it."""

from __future__ import annotations

from rain_debug.bench.case import Experiment
from rain_debug.bench.mnist.counts import ONES, WRONG
from rain_debug.bench.mnist.joins import AMBIGUITY, JOIN, OVERLAP, ROWS
from rain_debug.bench.mnist.labels import LABELS, LABELS_30

EXPERIMENTS: tuple[Experiment, ...] = (ROWS, JOIN, OVERLAP, AMBIGUITY, LABELS, LABELS_30, WRONG, ONES)
