"""What the influential records share: conjunctions of readable predicates over the training table's own columns.

`predicate` is one condition, `cuts` and `literals` say which ones a table offers, `search` walks the lattice of their
conjunctions, `effect` foresees and tries what removing a group does, `finding` puts them together.
"""

from __future__ import annotations

from rain_debug.patterns.effect import Effect, Effects
from rain_debug.patterns.finding import MOST, By, Question, find, with_effects
from rain_debug.patterns.pattern import Pattern
from rain_debug.patterns.predicate import Predicate

__all__ = ["MOST", "By", "Effect", "Effects", "Pattern", "Predicate", "Question", "find", "with_effects"]
