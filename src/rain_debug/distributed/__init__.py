"""More than one process: the training set shared out, one program on every share, and the sums added up over all."""

from __future__ import annotations

from rain_debug.distributed.driver import Cluster
from rain_debug.distributed.launch import cluster
from rain_debug.distributed.spread import spread

__all__ = ["Cluster", "cluster", "spread"]
