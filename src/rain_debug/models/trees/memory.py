"""What was grown lately, and how the rest can be grown again."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp

from rain_debug.data import Design, Records
from rain_debug.models.trees.real import Real
from rain_debug.models.trees.surrogate import Leaves, Surrogate

GROWN = 8
"""Ensembles that are held: a run reads those of its first and its last round, and of what it rehearses."""
RECIPES = 1024
"""Training sets that are remembered, a bit for each record: the same set grows the same trees again."""


@dataclass(frozen=True, eq=False)
class Grown:
    """One fit: the real model, its leaves as columns, and the surrogate; its θ is the surrogate's, then `number`.

    `leaves` and `surrogate` are None for an estimator that was handed over fitted, without training records.
    """

    number: float
    real: Real
    theta: np.ndarray
    leaves: Leaves | None = None
    surrogate: Surrogate | None = None


@dataclass(eq=False)
class Memory:
    """Fits by their number, the least recently used forgotten first, and the training sets of many more."""

    grown: OrderedDict[float, Grown] = field(default_factory=OrderedDict)
    recipes: OrderedDict[float, tuple[Records, np.ndarray]] = field(default_factory=OrderedDict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def find(self, number: float) -> Grown | None:
        """The fit of that number, if it is still held."""
        with self.lock:
            if number in self.grown:
                self.grown.move_to_end(number)
            return self.grown.get(number)

    def keep(self, grown: Grown, records: Records | None = None, keep: np.ndarray | None = None) -> None:
        """Hold a fit, and what it was made from; without records it is held for good."""
        with self.lock:
            self.grown[grown.number] = grown
            if records is not None and keep is not None:
                self.recipes[grown.number] = records, np.packbits(keep)
            while len(self.recipes) > RECIPES:
                self.grown.pop(self.recipes.popitem(last=False)[0], None)
            old = [n for n in self.grown if n in self.recipes][: max(0, len(self.grown) - GROWN)]
            for number in old:
                del self.grown[number]

    def recipe(self, number: float) -> tuple[Records, np.ndarray] | None:
        """The records, and (n_records,) bool which of them are kept, that the fit of that number came from."""
        with self.lock:
            found = self.recipes.get(number)
        if found is None:
            return None
        return found[0], np.unpackbits(found[1], count=found[0].n_records).astype(bool)


def number_of(records: Records, keep: np.ndarray) -> float:
    """A number in [0, 1) that tells training sets apart: the same records, labels and weights give the same."""
    known = records.cache.get("digest of X")
    if known is None or known[0] is not records.X:
        known = records.cache["digest of X"] = (records.X, _digest(records.X))
    mixed = hashlib.blake2b(known[1], digest_size=8)
    for values in (records.y, records.weight, keep):
        mixed.update(np.ascontiguousarray(values).data)
    return (int.from_bytes(mixed.digest(), "little") >> 11) / float(1 << 53)


def _digest(X: Design) -> bytes:
    parts = (X.data, X.indices, X.indptr) if sp.issparse(X) else (X,)
    mixed = hashlib.blake2b(digest_size=16)
    for part in parts:
        mixed.update(np.ascontiguousarray(part).data)
    return mixed.digest()
