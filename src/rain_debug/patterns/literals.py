"""The predicates that a table offers to tell some of its records, the *top*, from the others."""

from __future__ import annotations

import datetime
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rain_debug.engines.table import Column, Table
from rain_debug.patterns.cuts import cuts
from rain_debug.patterns.predicate import Predicate, holding, present

FEW = 12
"""Different numbers up to which each is worth an `=`."""
VALUES = 40
"""The most values of one column that get an `=`: those that tell the top best."""
WORDS = 20
"""The most words of one column."""
SAMPLE = 500
"""Texts of the top, and as many of the others, that words are looked for in."""

_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?")
_WORD = re.compile(r"\w+", re.ASCII)


@dataclass(frozen=True, eq=False)
class Literals:
    """Predicates and where they hold: `bits` (n_predicates, n_words) uint64, 64 records a word, and `counts`."""

    predicates: tuple[Predicate, ...]
    bits: np.ndarray
    counts: np.ndarray
    n_records: int

    def mask(self, i: int) -> np.ndarray:
        """(n_records,) bool: where the i-th holds."""
        return unpack(self.bits[i], self.n_records)


def literals(table: Table, top: np.ndarray, gains: np.ndarray, columns: Sequence[str], least: int) -> Literals:
    """Every predicate on `columns` that at least `least` records meet and not all do.

    `top` (n_records,) bool are the records to tell from the others, `gains` (n_records,) what each would be worth. Of
    predicates that the same records meet the first stays, in the order of the columns; what each column offers is
    said by `offered`.
    """
    found: list[Predicate] = []
    rows: list[np.ndarray] = []
    seen: set[bytes] = set()
    for name in columns:
        for predicate, mask in offered(name, table[name], top, gains):
            n = int(np.count_nonzero(mask))
            if not least <= n < table.n_rows:
                continue
            bits = pack(mask)
            known = bits.tobytes()
            if known not in seen:
                seen.add(known)
                found.append(predicate)
                rows.append(bits)
    bits = np.array(rows) if rows else np.zeros((0, len(pack(top))), dtype=np.uint64)
    return Literals(tuple(found), bits, popcount(bits), table.n_rows)


def offered(name: str, column: Column, top: np.ndarray, gains: np.ndarray) -> Iterator[tuple[Predicate, np.ndarray]]:
    """One column's predicates with their masks: NULL or not, values, ranges of numbers and dates, words of texts."""
    there = present(column)
    if not there.all():
        yield Predicate(name, "null"), ~there
        yield Predicate(name, "not null"), there
    values, codes = _factorised(column, there)
    if not values:
        return
    ordered = _ordered(column, values)
    if column.kind in ("text", "bool") or (ordered and len(values) <= FEW):
        for code in _telling(codes, top, len(values)):
            if column.kind == "number" and set(values) == {0, 1} and 2 * np.count_nonzero(codes == code) > there.sum():
                continue  # one of many indicators: that it is not set says next to nothing
            yield Predicate(name, "=", values[code]), codes == code
    if ordered and len(values) > 2:
        rank = np.argsort(np.array(values, dtype=object), kind="stable")
        place = np.empty(len(values) + 1, dtype=np.int64)
        place[rank] = np.arange(len(values))
        place[-1] = -1  # of a NULL, whose code is -1
        ranks = place[codes]
        known = [values[i] for i in rank.tolist()]
        for at, value in cuts(ranks, known, top, gains):
            yield Predicate(name, ">=", value), ranks >= at
            yield Predicate(name, "<", value), (ranks < at) & there
    elif column.kind == "text" and len(values) > VALUES:
        texts = [v.lower() for v in values]
        for word in _words(texts, codes, top):
            yield Predicate(name, "word", word), np.append(holding(texts, word), False)[codes]


def pack(mask: np.ndarray) -> np.ndarray:
    """A mask as uint64 words, the end filled with zeros."""
    octets = np.packbits(mask, bitorder="little")
    words = np.zeros(-(-len(mask) // 64) * 8, dtype=np.uint8)
    words[: len(octets)] = octets
    return words.view(np.uint64)


def unpack(words: np.ndarray, n: int) -> np.ndarray:
    """The mask (n,) that was packed."""
    return np.unpackbits(np.ascontiguousarray(words).view(np.uint8), count=n, bitorder="little").astype(bool)


def popcount(bits: np.ndarray) -> np.ndarray:
    """How many bits are set along the last axis."""
    out: np.ndarray = np.bitwise_count(bits).sum(axis=-1, dtype=np.int64)
    return out


def _factorised(column: Column, there: np.ndarray) -> tuple[list[Any], np.ndarray]:
    """The different values, in a fixed order, and each record's, −1 where there is none."""
    codes = np.full(len(column), -1, dtype=np.int64)
    if column.kind in ("number", "bool"):
        unique, inverse = np.unique(column.values[there], return_inverse=True)
        codes[there] = inverse
        return unique.tolist(), codes
    known: dict[Any, int] = {}
    try:
        codes[there] = [known.setdefault(v, len(known)) for v in column.values[there].tolist()]
    except TypeError:  # lists and the like have no equality to speak of
        return [], codes
    return list(known), codes


def _ordered(column: Column, values: Sequence[Any]) -> bool:
    """Whether ranges mean something: of numbers, of dates, and of texts that are dates as ISO 8601 writes them."""
    if column.kind == "number":
        return True
    if column.kind == "text":
        return all(_DATE.fullmatch(v) for v in values)
    kinds = {type(v) for v in values}
    if kinds == {datetime.datetime}:
        return len({v.tzinfo is None for v in values}) == 1
    return kinds in ({datetime.date}, {datetime.time})


def _telling(codes: np.ndarray, top: np.ndarray, n: int) -> list[int]:
    """The codes of up to VALUES values, those first that the top holds oftenest beyond chance."""
    every = np.bincount(codes[codes >= 0], minlength=n)
    mine = np.bincount(codes[top & (codes >= 0)], minlength=n)
    excess = mine - top.mean() * every
    return np.lexsort((np.arange(n), -every, -excess))[:VALUES].tolist()


def _words(texts: Sequence[str], codes: np.ndarray, top: np.ndarray) -> list[str]:
    """Up to WORDS words that texts of the top hold more often than others do, by how many more do, then by text."""
    counts = []
    for part in ((codes >= 0) & top, (codes >= 0) & ~top):
        rows = np.flatnonzero(part)
        rows = rows[np.unique(np.linspace(0, len(rows) - 1, min(SAMPLE, len(rows))).astype(np.int64))]
        held: Counter[str] = Counter()
        for code in codes[rows].tolist():
            held.update(set(_WORD.findall(texts[code])))
        counts.append((held, max(1, len(rows))))
    (mine, n), (others, m) = counts
    excess = {w: k / n - others[w] / m for w, k in mine.items() if k > 1}
    return sorted((w for w in excess if excess[w] > 0), key=lambda w: (-excess[w], w))[:WORDS]
