"""The debugging process's side of a cluster: jobs go out, results come back, lost workers are replaced."""

from __future__ import annotations

import itertools
import queue
import secrets
import socket
import threading
import time
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, Listener, wait
from typing import Any, Protocol

import numpy as np

from rain_debug import errors
from rain_debug.distributed.jobs import FRESH
from rain_debug.distributed.messages import Done, Failed, Forget, Hello, Job, Meet, Past, Place, Sum
from rain_debug.distributed.worker import digest, prompt
from rain_debug.errors import ClusterError

LOSSES = 5
"""How often workers may be lost during one job before it is given up."""
GRACE = 20.0
"""Seconds that the others have to finish a job in which one worker failed."""
STARTING = 180.0
"""Seconds that workers have to say hello; starting Python, and Spark's slots, take some."""


class Launcher(Protocol):
    """What starts workers; each calls `worker.work` with the address, the secret and its rank."""

    workers: int

    def start(self, address: tuple[str, int], secret: bytes) -> None:
        """Start all workers anew; what is left of earlier ones ends."""

    def failure(self) -> str | None:
        """Why no workers can come any more, in the launcher's words; None while they may."""

    def stop(self) -> None:
        """End all workers and what started them."""


@dataclass(eq=False)
class Epoch:
    """What new workers need to take one share up: how it is loaded, the jobs since the last fit, and their sums."""

    load: Sequence[Job]
    jobs: list[Job] = field(default_factory=list)
    sums: list[np.ndarray] = field(default_factory=list)
    broken: bool = False


class Cluster:
    """Workers that hold training sets between them; made by `rain_debug.cluster`, and handed to `create_model`.

    Where a worker is lost, all start again: they read their shares once more, are told the sums that were found since
    the last fit, and go on from there to the same result, to the last bit.
    """

    def __init__(self, launcher: Launcher, host: str) -> None:
        self._launcher, self._host = launcher, host
        self._secret = secrets.token_bytes(32)
        self._listener: Listener | None = None
        self._calls: queue.Queue[Connection] = queue.Queue()
        self._lines: list[Connection] = []
        self._numbers, self._shares = itertools.count(1), itertools.count(1)
        self._epochs: dict[int, Epoch] = {}
        self._unused: list[int] = []
        self._lock = threading.RLock()
        self.restarts = 0
        """How often workers were lost and replaced."""
        self.places: tuple[tuple[str, int], ...] = ()
        """The machine and the process of each worker, where they have been started."""

    @property
    def workers(self) -> int:
        """How many processes hold a share."""
        return self._launcher.workers

    def __repr__(self) -> str:
        return f"<Cluster of {self.workers} workers>"

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the workers; models whose records they hold cannot be debugged any more."""
        self._hang_up()
        self._launcher.stop()
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        self._epochs.clear()

    # -- shares -------------------------------------------------------------------------------------------------

    def share_out(self, loads: Sequence[dict[str, Any]], holder: object) -> int:
        """Have every worker load its part of a training set; the number of it. It goes when `holder` does."""
        with self._lock:
            share = next(self._shares)
            self._epochs[share] = Epoch([Job(0, share, "load", given) for given in loads])
            weakref.finalize(holder, self._unused.append, share)
            try:
                self._run(share, None)
            except errors.RainError:
                self._epochs.pop(share, None)
                raise
            return share

    def ask(self, share: int, kind: str, **given: Any) -> list[Any]:
        """What each worker answers, in the order of the records; of a job in `COMMON` one answer, which is all's."""
        with self._lock:
            if share not in self._epochs:
                raise ClusterError("the cluster was closed", hint="create the model again, with a new rain.cluster(…)")
            epoch = self._epochs[share]
            fresh = kind in FRESH or epoch.broken
            if fresh:
                epoch.jobs, epoch.sums = [], []
            job = Job(next(self._numbers), share, kind, given, fresh)
            epoch.broken = True  # until the job is done: an error or Ctrl-C leaves nothing to be built upon
            found = self._run(share, job)
            epoch.broken = False
            epoch.jobs.append(job)
            return found

    def _run(self, share: int, job: Job | None) -> list[Any]:
        """Do a job, or load the share where there is none, whatever becomes of the workers meanwhile."""
        losses = 0
        while True:
            try:
                if losses or not self._lines:
                    self._recover(share if job is None else 0)
                return self._attempt(share, job)
            except (EOFError, OSError) as error:
                losses += 1
                self.restarts += 1
                self._hang_up()
                if losses >= LOSSES:
                    raise ClusterError(
                        f"workers were lost {losses} times during one job",
                        where=self._launcher.failure() or f"{type(error).__name__} of a worker's connection",
                        hint="look at their logs; a share may need more memory than a worker has: use more workers, or "
                        "dtype='float32'",
                    ) from None

    def _attempt(self, share: int, job: Job | None) -> list[Any]:
        epoch = self._epochs[share]
        for rank, line in enumerate(self._lines):
            if self._unused:
                line.send(Forget(tuple(self._unused)))
            line.send(epoch.load[rank] if job is None else job.of(rank))
        for gone in self._unused:
            self._epochs.pop(gone, None)
        self._unused.clear()
        return self._collect(0 if job is None else job.number, epoch)

    def _collect(self, number: int, epoch: Epoch) -> list[Any]:
        """All workers' answers to a job; sums are kept as they come. Answers to jobs that were interrupted pass by."""
        answers: dict[int, Done | Failed] = {}
        ranks: dict[Any, int] = {line: rank for rank, line in enumerate(self._lines)}
        while len(answers) < len(ranks):
            failing = any(isinstance(a, Failed) for a in answers.values())
            heard = wait(list(ranks), timeout=GRACE if failing else None)
            if not heard:  # the others wait for a sum of the one that failed
                self._hang_up()
                break
            for line in heard:
                assert isinstance(line, Connection)
                said: Sum | Done | Failed = line.recv()
                if said.job != number:
                    continue
                if isinstance(said, Sum):
                    self._keep(epoch, said.value)
                else:
                    answers[ranks[line]] = said
        failed = next((a for _, a in sorted(answers.items()) if isinstance(a, Failed)), None)
        if failed is not None:
            raise _raised(failed)
        done = [a for _, a in sorted(answers.items()) if isinstance(a, Done)]
        if not done[0].common:
            return [d.value for d in done]
        if any(d.value != digest(done[0].value) for d in done[1:]):
            raise ClusterError("the workers computed different results from the same sums",
                               hint="use machines of one kind, with the same versions of NumPy and SciPy")  # fmt: skip
        return [done[0].value]

    def _keep(self, epoch: Epoch, value: np.ndarray) -> None:
        """A checkpoint: a lost worker costs the pass that it was in, and no more."""
        epoch.sums.append(value)

    # -- workers ------------------------------------------------------------------------------------------------

    def _recover(self, loading: int) -> None:
        """New workers that know what the lost ones knew; the share that is being loaded is left to its job."""
        self._gather()
        for share, epoch in self._epochs.items():
            if share == loading or share in self._unused:
                continue
            for rank, line in enumerate(self._lines):
                jobs = (epoch.load[rank], *(job.of(rank) for job in epoch.jobs))
                line.send(Past(share, jobs, tuple(epoch.sums)))

    def _gather(self) -> None:
        """Start workers, wait until each has said hello, and have them meet."""
        if self._listener is None:
            self._listener = Listener((self._host, 0), backlog=max(64, self.workers), authkey=self._secret)
            threading.Thread(target=_answer_calls, args=(self._listener, self._calls), daemon=True).start()
        host, port = self._listener.address
        self._launcher.start((str(host), int(port)), self._secret)
        lines: dict[int, Connection] = {}
        hellos: dict[int, Hello] = {}
        deadline = time.monotonic() + STARTING
        while len(lines) < self.workers:
            try:
                line = self._calls.get(timeout=0.2)
            except queue.Empty:
                self._check(deadline, len(lines))
                continue
            try:
                hello = line.recv()
            except (EOFError, OSError):
                continue
            assert isinstance(hello, Hello)
            lines[hello.rank], hellos[hello.rank] = line, hello
        self._lines = [lines[rank] for rank in range(self.workers)]
        self.places = tuple((hellos[rank].host, hellos[rank].process) for rank in range(self.workers))
        abouts = {h.about for h in hellos.values()}
        if len(abouts) > 1:
            self.close()
            listed = "\n    ".join(sorted(abouts))
            raise ClusterError("the workers are not alike, and would round differently", where=f"\n    {listed}",
                               hint="use machines of one kind, with the same versions of everything")  # fmt: skip
        self._meet()

    def _meet(self) -> None:
        if self.workers == 1:
            return
        self._lines[0].send(Meet(self.workers))
        said = self._lines[0].recv()
        if isinstance(said, Failed):
            raise _raised(said)
        assert isinstance(said, Place)
        for line in self._lines:
            line.send(Meet(self.workers, (said.host, said.port)))

    def _check(self, deadline: float, there: int) -> None:
        failure = self._launcher.failure()
        if failure is None and time.monotonic() < deadline:
            return
        self.close()
        raise ClusterError(
            f"of {self.workers} workers {there} came",
            where=failure or f"waiting for {STARTING:.0f} seconds",
            hint="every worker needs rain-debug[torch], and a way to this machine: rain.cluster(…, host='…')",
        )

    def _hang_up(self) -> None:
        for line in self._lines:
            line.close()
        self._lines = []
        while not self._calls.empty():
            self._calls.get_nowait().close()


def _answer_calls(listener: Listener, calls: queue.Queue[Connection]) -> None:
    """Whoever knows the secret is let in; until the listener is closed."""
    while True:
        try:
            line = listener.accept()
            prompt(line)
            calls.put(line)
        except (AuthenticationError, EOFError, ConnectionError):
            continue
        except OSError:
            return


def _raised(failed: Failed) -> errors.RainError:
    kind = getattr(errors, failed.kind, None)
    if kind is None:
        return ClusterError("a worker failed; this is a defect of Rain", where=failed.message, hint="please report it")
    error: errors.RainError = kind(failed.message, where=failed.where, hint=failed.hint)
    return error


def own_host() -> str:
    """The address at which other machines are likely to reach this one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # nothing is sent: only a route is looked up
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"
