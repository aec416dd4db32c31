"""One worker: it says hello, meets the others, and does what it is asked to until the debugging process lets go."""

from __future__ import annotations

import hashlib
import os
import platform
import socket
import traceback
from multiprocessing.connection import Client, Connection
from typing import Any

import numpy as np
import scipy
import sklearn
from threadpoolctl import threadpool_info

from rain_debug.data.sums import shared
from rain_debug.distributed.jobs import COMMON, JOBS, Share, load
from rain_debug.distributed.meeting import Group, Meeting
from rain_debug.distributed.messages import Done, Failed, Forget, Hello, Job, Meet, Past, Place, Sum
from rain_debug.errors import RainError
from rain_debug.version import __version__


def about() -> str:
    """What has to be the same on all machines: every worker follows the same sums through the same arithmetic."""
    kernels = sorted(f"{i['internal_api']} {i.get('version')} {i.get('architecture', '')}" for i in threadpool_info()
                     if i["user_api"] == "blas")  # fmt: skip
    libraries = {"rain-debug": __version__, "NumPy": np.__version__, "SciPy": scipy.__version__,
                 "scikit-learn": sklearn.__version__}  # fmt: skip
    return ", ".join([platform.machine(), *(f"{n} {v}" for n, v in libraries.items()), *dict.fromkeys(kernels)])


def work(address: tuple[str, int], secret: bytes, rank: int) -> None:
    """Serve as worker `rank` of the debugging process at `address`, until that is gone."""
    with Client(address, authkey=secret) as line:
        prompt(line)
        line.send(Hello(rank, about(), socket.gethostname(), os.getpid()))
        worker = Worker(line, rank)
        try:
            worker.serve()
        finally:
            worker.leave()


class Worker:
    """A worker's state: the group it is in, and its share of every training set."""

    def __init__(self, line: Connection, rank: int) -> None:
        self._line, self._rank = line, rank
        self._group: Group | None = None
        self._shares: dict[int, Share] = {}
        self._meetings: dict[int, Meeting] = {}
        self._job = 0

    def serve(self) -> None:
        """Answer until the line is closed."""
        while True:
            try:
                asked = self._line.recv()
            except (EOFError, OSError):
                return
            if not self._answer(asked):
                return

    def leave(self) -> None:
        """Let go of the group."""
        if self._group is not None:
            self._group.leave()

    def _answer(self, asked: Any) -> bool:
        """Do one thing; False where this worker can no longer be used."""
        if isinstance(asked, Meet):
            return self._meet(asked)
        if isinstance(asked, Forget):
            for share in asked.shares:
                self._shares.pop(share, None)
                self._meetings.pop(share, None)
            return True
        try:
            if isinstance(asked, Past):
                self._meeting(asked.share).remember(asked.sums)
                for job in asked.jobs:
                    self._do(job)
                return True
            value = self._do(asked)
            if asked.kind in COMMON and self._rank:
                value = digest(value)
            self._line.send(Done(asked.number, value, asked.kind in COMMON))
        except RainError as error:
            self._line.send(Failed(self._job, type(error).__name__, error.message, error.where, error.hint))
        except RuntimeError as error:
            if "gloo" not in str(error).lower() and "connection" not in str(error).lower():
                self._line.send(Failed(self._job, "", traceback.format_exc(limit=-6)))
                return True
            return False  # another worker is lost; the debugging process notices as this one ends
        except Exception:  # whatever it is, the debugging process says it
            self._line.send(Failed(self._job, "", traceback.format_exc(limit=-6)))
        return True

    def _do(self, job: Job) -> Any:
        self._job = job.number
        meeting = self._meeting(job.share)
        with shared(meeting):
            if job.kind == "load":
                self._shares[job.share] = load(job.given, meeting)
                return None
            share = self._shares[job.share]
            if job.fresh:
                share.records.cache.clear()
            return JOBS[job.kind](share, job.given)

    def _meeting(self, share: int) -> Meeting:
        if share not in self._meetings:
            report = (lambda value: self._line.send(Sum(self._job, value))) if self._rank == 0 else None
            self._meetings[share] = Meeting(self._group, report)
        return self._meetings[share]

    def _meet(self, asked: Meet) -> bool:
        if asked.address is None:
            here = _own_address(self._line)
            self._group = Group(self._rank, asked.workers, (here, 0), opens=True)
            self._line.send(Place(here, self._group.port))
            return True
        if self._group is None:
            self._group = Group(self._rank, asked.workers, asked.address, opens=False)
        self._group.join()
        return True


def prompt(line: Connection) -> None:
    """Send small messages at once, and notice a machine that is gone."""
    with socket.socket(fileno=os.dup(line.fileno())) as own:
        own.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        own.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def _own_address(line: Connection) -> str:
    """This machine's address as the debugging process reaches it."""
    with socket.socket(fileno=os.dup(line.fileno())) as own:
        return str(own.getsockname()[0])


def digest(value: Any) -> bytes:
    """A common result in few bytes, of its arrays and numbers alone: how long it took differs."""
    if isinstance(value, np.ndarray):
        return hashlib.blake2b(np.ascontiguousarray(value).tobytes(), digest_size=16).digest()
    if isinstance(value, tuple):
        return b"".join(digest(v) for v in value)
    named = getattr(value, "theta", getattr(value, "value", None))
    return digest(named) if isinstance(named, np.ndarray) else b""
