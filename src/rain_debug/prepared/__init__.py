"""Prepare once, complain many times (Rain++, SIGMOD 2022): all that a ranking needs but the complaint.

While the models stay as they are, q's gradient is a weighted sum of the gradients of the complained cells, and a
record's score the same sum of its influences on them. `spots` reads the cells and their gradients, `effects` holds
every record's influence on every cell, `prepared` weighs them for complaints, `suspects` is what comes out, `kept`
stores effects on disk.
"""

from __future__ import annotations

from rain_debug.prepared.prepared import Preparation, Prepared
from rain_debug.prepared.suspects import Suspects

__all__ = ["Preparation", "Prepared", "Suspects"]
