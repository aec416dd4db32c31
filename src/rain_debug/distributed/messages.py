"""What the process that debugs and its workers say to each other."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Hello:
    """A worker is there; `about` is what has to be the same on all machines for the same sums to lead to the same."""

    rank: int
    about: str
    host: str
    process: int


@dataclass(frozen=True)
class Meet:
    """Where the workers meet: `address` None asks the first to open a meeting place, which it answers with `Place`."""

    workers: int
    address: tuple[str, int] | None = None


@dataclass(frozen=True)
class Place:
    """The meeting place that the first worker has opened."""

    host: str
    port: int


@dataclass(frozen=True, eq=False)
class Parted:
    """A value of each record, of which every worker gets its own records'."""

    parts: tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Job:
    """A `kind` of work on one share (`jobs.JOBS`); every worker gets the same, but for `load` and what is `Parted`."""

    number: int
    share: int
    kind: str
    given: dict[str, Any] = field(default_factory=dict)
    fresh: bool = False
    """Nothing that earlier jobs left behind is used, so that it can be done again by workers that know nothing."""

    def of(self, rank: int) -> Job:
        """The job as one worker gets it."""
        return replace(self, given={n: v.parts[rank] if isinstance(v, Parted) else v for n, v in self.given.items()})


@dataclass(frozen=True, eq=False)
class Past:
    """What a new worker has to do again before it goes on, and the sums over all shares that were found by then."""

    share: int
    jobs: tuple[Job, ...]
    sums: tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Forget:
    """Shares of training sets that nobody uses any more."""

    shares: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Sum:
    """A sum over all shares, as the first worker reports it."""

    job: int
    value: np.ndarray


@dataclass(frozen=True, eq=False)
class Done:
    """A job's result: this share's own part, or what is `common` to all workers."""

    job: int
    value: Any
    common: bool


@dataclass(frozen=True)
class Failed:
    """A job that raised: a user's error by the name of its class, or one of ours with its traceback."""

    job: int
    kind: str
    message: str
    where: str | None = None
    hint: str | None = None
