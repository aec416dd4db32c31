"""What came of many cases: how many were right, refused or different, and why; kept in a file, so that it can go on."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from laws.judge import Verdict
from laws.shops import FEATURES, Case

COUNTERS = ("cases", "features", "refused", "reasons")


class Count:
    """How many cases came out how, in all and by feature.

    `errors` are, for each approximate rule, how many of its cells were compared with their expectations, and how far
    off they were in all and at most, as shares of their ranges.
    """

    def __init__(self) -> None:
        self.cases: Counter[str] = Counter()
        self.features: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.errors: dict[str, tuple[int, float, float]] = {}

    @property
    def total(self) -> int:
        """How many cases were held to a law."""
        return sum(self.cases[k] for k in ("same", "refused", "different"))

    def add(self, case: Case, verdict: Verdict) -> None:
        """One more case."""
        self.cases[verdict.kind] += 1
        self.cases["targets"] += verdict.n_targets
        self.cases["exact targets"] += verdict.n_exact
        self.cases["also in SQLite"] += verdict.in_sqlite
        self.features.update(case.features)
        for rule, error in verdict.errors:
            self._add_error(rule, (1, error, error))
        if verdict.kind == "refused":
            self.refused.update(case.features)
            self.reasons[verdict.why] += 1

    def join(self, more: Count) -> None:
        """Add what another counted."""
        for name in COUNTERS:
            getattr(self, name).update(getattr(more, name))
        for rule, found in more.errors.items():
            self._add_error(rule, found)

    def _add_error(self, rule: str, found: tuple[int, float, float]) -> None:
        n, total, most = self.errors.get(rule, (0, 0.0, 0.0))
        self.errors[rule] = (n + found[0], total + found[1], max(most, found[2]))

    def shares(self) -> dict[str, float]:
        """Feature → share of its cases that were refused."""
        return {f: self.refused[f] / self.features[f] for f in FEATURES if self.features[f]}

    def __str__(self) -> str:
        return ", ".join(f"{n:,} {kind}" for kind, n in sorted(self.cases.items()))

    def to_json(self) -> dict[str, Any]:
        """Plain dictionaries and lists."""
        return {name: dict(getattr(self, name)) for name in COUNTERS} | {"errors": self.errors}

    @classmethod
    def of_json(cls, found: dict[str, Any]) -> Count:
        """What `to_json` wrote."""
        count = cls()
        for name in COUNTERS:
            getattr(count, name).update(found[name])
        count.errors = {rule: tuple(x) for rule, x in found["errors"].items()}  # type: ignore[misc]
        return count


class Log:
    """A file with a line for each database that was done: what was counted, and which cases differed.

    A run whose file stands there goes on where that one stopped; `done` are the databases in it.
    """

    def __init__(self, path: Path | None, run: dict[str, Any]) -> None:
        """`run` are the options that make the same cases; ValueError where the file is of a run with others."""
        self.path = path
        self.count = Count()
        self.done: set[int] = set()
        if path is None:
            return
        lines = path.read_text().splitlines() if path.exists() else []
        if lines and json.loads(lines[0]) != run:
            raise ValueError(f"{path} is of another run, {lines[0]}: name another --log, or delete it")
        for line in lines[1:]:
            if not line.endswith("}"):
                continue  # cut short when the run was
            found = json.loads(line)
            self.done.add(found["shop"])
            self.count.join(Count.of_json(found))
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = "".join(f"{line}\n" for line in lines if line.endswith("}")) or json.dumps(run) + "\n"
        path.write_text(whole)

    def add(self, shop: int, more: Count, failed: list[str]) -> None:
        """One more database, and the cases of it that differed."""
        self.done.add(shop)
        self.count.join(more)
        if self.path is not None:
            with self.path.open("a") as file:
                file.write(json.dumps({"shop": shop, "different": failed, **more.to_json()}) + "\n")
