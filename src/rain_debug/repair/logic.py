"""Columns beside those of the predictions: conjunctions, thresholds and products of counts, as linear rows.

A *literal* is a 0/1 column or its complement, 2 · column or 2 · column + 1; `TRUE` and `FALSE` are literals too,
and literal ^ 1 is each one's complement.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from rain_debug.repair.forms import Array, Forms, joined
from rain_debug.repair.variables import Variables

TRUE, FALSE = -2, -1
GAP = 1e-6
"""How far a sum that is no whole number has to lie beyond a strict bound, relative to its size."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows `low` ≤ forms ≤ `high`."""

    forms: Forms
    low: Array
    high: Array


@dataclass(eq=False)
class Product:
    """`column` = a · b of two whole-number columns, each from 0 to its `most` and equal to its form in `sides`."""

    column: int
    a: int
    b: int
    most: tuple[float, float]
    sides: tuple[Forms, Forms]


@dataclass(eq=False)
class Logic:
    """Columns and rows that operations add; those of the predictions come first."""

    variables: Variables
    upper: list[float] = field(default_factory=list)
    whole: list[bool] = field(default_factory=list)
    fixed: list[Rows] = field(default_factory=list)
    products: list[Product] = field(default_factory=list)
    _ands: list[tuple[Array, Array, Array]] = field(default_factory=list)
    _known: dict[bytes, int] = field(default_factory=dict)
    _sets: dict[bytes, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.owner, self.kind = self.variables.owner()

    @property
    def n_columns(self) -> int:
        """Of the predictions and of everything made of them."""
        return self.variables.n_columns + len(self.upper)

    def column(self, n: int, upper: float, *, whole: bool) -> Array:
        """n new columns from 0 to `upper`."""
        return self._columns(np.full(n, upper), whole=whole)

    def _columns(self, upper: Array, *, whole: bool) -> Array:
        start = self.n_columns
        self.upper += upper.tolist()
        self.whole += [whole] * len(upper)
        return np.arange(start, start + len(upper))

    def require(self, forms: Forms, low: Array | float, high: Array | float) -> None:
        """Rows that hold in whatever world."""
        self.fixed.append(Rows(forms, np.broadcast_to(low, (forms.n,)), np.broadcast_to(high, (forms.n,))))

    # -- literals -----------------------------------------------------------------------------------------------

    def in_set(self, variable: Array, mask: Array) -> Array:
        """Literals: each variable's class is one of those in `mask` (n_classes,)."""
        chosen, rest = np.flatnonzero(mask), np.flatnonzero(~mask)
        first = self.variables.first[variable]
        if not len(rest) or not len(chosen):
            return np.full(len(variable), TRUE if not len(rest) else FALSE)
        if len(chosen) == 1:
            return 2 * (first + chosen[0])
        if len(rest) == 1:
            return 2 * (first + rest[0]) + 1
        made = self._sets.setdefault(mask.tobytes(), np.full(self.variables.n, -1))
        new = np.unique(variable[made[variable] < 0])
        if len(new):
            made[new] = self.column(len(new), 1.0, whole=False)
            bits = [Forms.columns(self.variables.first[new] + c) for c in chosen]
            total = bits[0]
            for bit in bits[1:]:
                total = total.plus(bit)
            self.require(total.plus(Forms.columns(made[new]).times(np.full(1, -1.0))), 0.0, 0.0)
        return 2 * made[variable]

    def forms(self, literal: Array) -> Forms:
        """Literals as 0/1 forms."""
        kept = np.flatnonzero(literal >= 0)
        negative = literal[kept] % 2 == 1
        constant = (literal == TRUE).astype(float)
        constant[kept[negative]] = 1.0
        return Forms(kept, literal[kept] // 2, np.where(negative, -1.0, 1.0), constant)

    def literals(self, forms: Forms) -> Array:
        """Forms that are 0 or 1 in every world as literals; a new column where no literal says the same."""
        f = forms.tidy()
        count = np.bincount(f.row, minlength=f.n)
        out = np.where(f.constant >= 0.5, TRUE, FALSE)
        one = count[f.row] == 1
        row, column, value = f.row[one], f.column[one], f.value[one]
        plain = ((value == 1) & (f.constant[row] == 0)) | ((value == -1) & (f.constant[row] == 1))
        out[row[plain]] = 2 * column[plain] + (value[plain] < 0)
        left = np.concatenate([row[~plain], np.flatnonzero(count > 1)])
        if len(left):
            rest = f.gather(left)
            made = self.column(len(left), 1.0, whole=True)
            self.require(rest.plus(Forms.columns(made).times(np.full(1, -1.0))), 0.0, 0.0)
            out[left] = 2 * made
        return out

    def conjunction(self, segment: Array, literal: Array, n: int) -> Array:
        """(n,) literals: all literals of a segment hold; TRUE where it has none."""
        out = np.full(n, TRUE)
        never = np.zeros(n, dtype=bool)
        never[segment[literal == FALSE]] = True
        kept = literal >= 0
        key = np.unique(segment[kept] * (2 * self.n_columns + 2) + literal[kept])
        segment, literal = key // (2 * self.n_columns + 2), key % (2 * self.n_columns + 2)
        if len(key) > 1:
            both = (segment[1:] == segment[:-1]) & (literal[1:] == literal[:-1] + 1) & (literal[1:] % 2 == 1)
            never[segment[1:][both]] = True
        count = np.bincount(segment, minlength=n)
        first = np.cumsum(count) - count
        single = count == 1
        out[single] = literal[first[single]]
        wanted = np.flatnonzero((count > 1) & ~never)
        names = [literal[first[s] : first[s] + count[s]].tobytes() for s in wanted.tolist()]
        fresh = [name for name in dict.fromkeys(names) if name not in self._known]
        columns = self.column(len(fresh), 1.0, whole=False)
        if len(fresh):
            members = [np.frombuffer(name, dtype=np.int64) for name in fresh]
            sizes = np.array([len(m) for m in members])
            self._ands.append((columns, np.repeat(np.arange(len(fresh)), sizes), np.concatenate(members)))
            self._known.update(zip(fresh, columns.tolist(), strict=True))
        out[wanted] = [2 * self._known[name] for name in names]
        out[never] = FALSE
        return out

    def at_least(self, forms: Forms, bound: Array, *, strict: bool = False) -> Array:
        """Literals: form ≥ bound (> where strict)."""
        low, high = self.bounds(forms)
        whole = self.is_whole(forms)
        step = np.where(whole, 1.0, GAP * np.maximum(1.0, np.maximum(np.abs(low), np.abs(high))))
        floor = np.where(whole, np.floor(bound) + 1 if strict else np.ceil(bound), bound + step * strict)
        out = np.where(low >= floor, TRUE, FALSE)
        open_ = np.flatnonzero((low < floor) & (high >= floor))
        if len(open_):
            f, y = forms.gather(open_), self.column(len(open_), 1.0, whole=True)
            lo, hi, at, gap = low[open_], high[open_], floor[open_], step[open_]
            bit = Forms.columns(y)
            self.require(f.plus(bit.times(lo - at)), lo, np.inf)
            self.require(f.plus(bit.times(at - gap - hi)), -np.inf, at - gap)
            out[open_] = 2 * y
        return out

    # -- numbers ------------------------------------------------------------------------------------------------

    def bounds(self, forms: Forms) -> tuple[Array, Array]:
        """The least and the largest value of each form, its variables taken one by one."""
        f = forms.tidy()
        own = f.column < self.variables.n_columns
        low, high = f.constant.copy(), f.constant.copy()
        extra = np.asarray(self.upper, dtype=float)[f.column[~own] - self.variables.n_columns] * f.value[~own]
        np.add.at(low, f.row[~own], np.minimum(extra, 0.0))
        np.add.at(high, f.row[~own], np.maximum(extra, 0.0))
        row, variable, value = f.row[own], self.owner[f.column[own]], f.value[own]
        if len(row):
            new = np.ones(len(row), dtype=bool)
            new[1:] = (row[1:] != row[:-1]) | (variable[1:] != variable[:-1])
            starts = np.flatnonzero(new)
            count = np.diff(np.append(starts, len(row)))
            whole = count == self.variables.size[variable[starts]]
            least, most = np.minimum.reduceat(value, starts), np.maximum.reduceat(value, starts)
            np.add.at(low, row[starts], np.where(whole, least, np.minimum(least, 0.0)))
            np.add.at(high, row[starts], np.where(whole, most, np.maximum(most, 0.0)))
        return low, high

    def is_whole(self, forms: Forms) -> Array:
        """True for forms that are whole numbers in every world."""
        out: Array = forms.constant == np.round(forms.constant)
        odd = forms.value != np.round(forms.value)
        own = forms.column < self.variables.n_columns
        if own.all():
            out[forms.row[odd]] = False
            return out
        kinds = np.array([*self.whole, True], dtype=bool)
        loose = ~own & ~kinds[np.where(own, -1, forms.column - self.variables.n_columns)]
        ands = self._and_columns()
        loose &= ~np.isin(forms.column, ands)
        out[forms.row[odd | loose]] = False
        return out

    def product(self, a: Forms, b: Forms) -> Forms:
        """a · b of whole numbers, one by one."""
        (low_a, high_a), (low_b, high_b) = self.bounds(a), self.bounds(b)
        a0, b0 = a.plus(Forms.of(-low_a)), b.plus(Forms.of(-low_b))
        out = a0.times(low_b).plus(b0.times(low_a)).plus(Forms.of(low_a * low_b))
        moving = np.flatnonzero((high_a > low_a) & (high_b > low_b))
        if not len(moving):
            return out
        most_a, most_b = (high_a - low_a)[moving], (high_b - low_b)[moving]
        left, right = a0.gather(moving), b0.gather(moving)
        sides = self._counts(left, most_a), self._counts(right, most_b)
        both = self._columns(most_a * most_b, whole=False)
        numbers = zip(*(s.tolist() for s in (both, *sides, most_a, most_b)), strict=True)
        for (w, x, y, p, q), f, g in zip(numbers, left.apart(), right.apart(), strict=True):
            self.products.append(Product(w, x, y, (p, q), (f, g)))
        return out.plus(Forms(moving, both, np.ones(len(moving)), np.zeros(out.n)))

    def _counts(self, forms: Forms, most: Array) -> Array:
        """Whole-number columns that equal `forms`."""
        made = self._columns(most, whole=True)
        self.require(forms.plus(Forms.columns(made).times(np.full(1, -1.0))), 0.0, 0.0)
        return made

    # -- rows ---------------------------------------------------------------------------------------------------

    def _and_columns(self) -> Array:
        return np.concatenate([np.zeros(0, dtype=np.int64), *(columns for columns, _, _ in self._ands)])

    def rows(self, low: Array, high: Array) -> list[Rows]:
        """What ties the columns together, where column j is known to lie between `low[j]` and `high[j]`."""
        made = list(self.fixed)
        for columns, segment, literal in self._ands:
            made += self._and_rows(columns, segment, literal, low[columns], high[columns])
        for p in self.products:
            made += self._never_both(p) if high[p.column] < 1 else self._product_rows(p)
        return made

    def _and_rows(self, columns: Array, segment: Array, literal: Array, low: Array, high: Array) -> list[Rows]:
        """z ≤ each literal, and z ≥ their sum − (how many − 1)."""
        size = np.bincount(segment, minlength=len(columns)).astype(float)
        each = self.forms(literal)
        z = Forms.columns(columns)
        maybe = np.flatnonzero(high[segment] >= 1)  # a conjunction that never holds asks nothing of each literal alone
        below = each.gather(maybe).plus(z.gather(segment[maybe]).times(np.full(1, -1.0)))
        some = np.flatnonzero(low < 1)
        total = each.sums(segment, len(columns)).plus(z.times(np.full(1, -1.0)))
        return [
            Rows(below, np.zeros(len(maybe)), np.full(len(maybe), np.inf)),
            Rows(total.gather(some), np.full(len(some), -np.inf), size[some] - 1),
        ]

    def _never_both(self, p: Product) -> list[Rows]:
        """a · b = 0: one side is empty, and a bit says which."""
        side = self.column(1, 1.0, whole=True)
        a, b, s = (Forms.columns(np.atleast_1d(c)) for c in (p.a, p.b, side))
        left = a.plus(s.times(np.full(1, -p.most[0])))
        right = b.plus(s.times(np.full(1, p.most[1])))
        rows = [Rows(joined([left, right]), np.full(2, -np.inf), np.array([0.0, p.most[1]]))]
        if all((f.value >= 0).all() and f.constant[0] >= 0 for f in p.sides):
            # What stays as it is predicted is part of each side: few, so that the bound is tight.
            stay = [self._staying(f) for f in p.sides]
            most = [float(f.value.sum()) for f in stay]
            left, right = stay[0].plus(s.times(np.full(1, -most[0]))), stay[1].plus(s.times(np.full(1, most[1])))
            rows.append(Rows(joined([left, right]), np.full(2, -np.inf), np.array([0.0, most[1]])))
        return rows

    def _staying(self, form: Forms) -> Forms:
        """The part of a form that counts the predictions as they are."""
        v = self.variables
        own = form.column < v.n_columns
        own[own] = self.kind[form.column[own]] == v.code[self.owner[form.column[own]]]
        return Forms(form.row[own], form.column[own], form.value[own], np.zeros(1))

    def _product_rows(self, p: Product) -> list[Rows]:
        """w = Σ 2ᵏ a · bitₖ(b), exact; and McCormick's envelope, which makes the bound tight."""
        (a, b), (most_a, most_b) = (p.a, p.b), p.most
        if most_b > most_a:
            (a, b), (most_a, most_b) = (b, a), (most_b, most_a)
        n = int(most_b).bit_length()
        bit, part = self.column(n, 1.0, whole=True), self.column(n, most_a, whole=False)
        power = 2.0 ** np.arange(n)
        zero = np.zeros(n, dtype=np.int64)
        A, B, w = (Forms.columns(np.full(1, c)) for c in (a, b, p.column))
        bits, parts, minus = Forms.columns(bit), Forms.columns(part), np.full(1, -1.0)
        number = Forms(zero, bit, power, np.zeros(1)).plus(B.times(minus))
        value = Forms(zero, part, power, np.zeros(1)).plus(w.times(minus))
        allowed = parts.plus(bits.times(np.full(1, -most_a)))
        within = parts.plus(A.times(minus))
        forced = parts.plus(bits.times(np.full(1, -most_a))).plus(A.times(minus))
        top = w.plus(A.times(np.full(1, -most_b))).plus(B.times(np.full(1, -most_a)))
        under = joined([w.plus(A.times(np.full(1, -most_b))), w.plus(B.times(np.full(1, -most_a)))])
        inf = np.inf
        return [
            Rows(joined([number, value]), np.zeros(2), np.zeros(2)),
            Rows(joined([allowed, within]), np.full(2 * n, -inf), np.zeros(2 * n)),
            Rows(forced, np.full(n, -most_a), np.full(n, inf)),
            Rows(top, np.full(1, -most_a * most_b), np.full(1, inf)),
            Rows(under, np.full(2, -inf), np.zeros(2)),
        ]
