"""Conditions on one number, put together: which of its values make them true, and what that is as comparisons.

BETWEEN, IN, a CASE of several thresholds: P(2 <= x <= 5) is P(x >= 2) − P(x > 5), whatever the number is. Taken one by
one, as if independent of each other, the comparisons would say something else.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Values:
    """A set of numbers: `cuts`, ascending, and for each stretch that they make whether it belongs.

    Stretches are what lies below the first cut, the first cut itself, what lies between it and the next, and so on.

    >>> Values.of(">=", 2.0) & Values.of("<", 5.0)
    Values(cuts=(2.0, 5.0), holds=(False, True, True, False, False))
    """

    cuts: tuple[float, ...] = ()
    holds: tuple[bool, ...] = (False,)

    @classmethod
    def of(cls, op: str, number: float) -> Values:
        """The x with x op `number`."""
        return cls((number,), (op in ("<", "<=", "<>"), op in ("<=", ">=", "="), op in (">", ">=", "<>")))

    def __and__(self, other: Values) -> Values:
        return self._with(other, lambda a, b: a and b)

    def __or__(self, other: Values) -> Values:
        return self._with(other, lambda a, b: a or b)

    def __invert__(self) -> Values:
        return Values(self.cuts, tuple(not h for h in self.holds))

    def _with(self, other: Values, both: Callable[[bool, bool], bool]) -> Values:
        cuts = tuple(sorted({*self.cuts, *other.cuts}))
        stretches = zip(self._by(cuts), other._by(cuts), strict=True)
        return Values(cuts, tuple(both(a, b) for a, b in stretches))

    def _by(self, cuts: tuple[float, ...]) -> list[bool]:
        """Whether the stretches of more cuts than these belong."""
        out = []
        for cut in cuts:
            at = bisect_left(self.cuts, cut)
            own = at < len(self.cuts) and self.cuts[at] == cut
            out += [self.holds[2 * at], self.holds[2 * at + own]]
        return [*out, self.holds[-1]]

    def comparisons(self) -> list[tuple[int, str, float]] | None:
        """Signs, operators and numbers with P(x is one of these) = Σ ± P(x op number); None for every number.

        >>> (Values.of(">=", 2.0) & Values.of("<", 5.0)).comparisons()
        [(1, '>=', 2.0), (-1, '>=', 5.0)]
        >>> (Values.of("=", 1.0) | Values.of(">", 5.0)).comparisons()
        [(1, '=', 1.0), (1, '>', 5.0)]
        """
        n = len(self.holds)
        if all(self.holds):
            return None
        if self.holds.count(False) == 1 and not all(self.holds[1::2]):
            return [(1, "<>", self.cuts[self.holds.index(False) // 2])]
        found: list[tuple[int, str, float]] = []
        starts = [i for i in range(n) if self.holds[i] and (i == 0 or not self.holds[i - 1])]
        ends = [i for i in range(n) if self.holds[i] and (i == n - 1 or not self.holds[i + 1])]
        for start, end in zip(starts, ends, strict=True):
            if start == end and start % 2:
                found.append((1, "=", self.cuts[start // 2]))
            elif start == 0:
                found.append((1, "<=" if end % 2 else "<", self.cuts[end // 2]))
            else:
                found.append((1, ">=", self.cuts[start // 2]) if start % 2 else (1, ">", self.cuts[start // 2 - 1]))
                if end < n - 1:
                    found.append((-1, ">" if end % 2 else ">=", self.cuts[end // 2]))
        return found
