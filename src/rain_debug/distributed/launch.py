"""What starts workers: processes of this machine, or torchrun, or Spark."""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import threading
import time
from multiprocessing import AuthenticationError
from typing import Any

from rain_debug.distributed.driver import STARTING, Cluster, own_host
from rain_debug.distributed.meeting import torch_
from rain_debug.distributed.worker import work
from rain_debug.errors import ClusterError

LEAVING = 10.0
"""Seconds in which a worker beside the program lets go of the others."""


class Processes:
    """Workers on this machine, each a Python of its own."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._running: list[subprocess.Popen[str]] = []

    def start(self, address: tuple[str, int], secret: bytes) -> None:
        self.stop()
        threads = str(max(1, len(os.sched_getaffinity(0)) // self.workers)) if hasattr(os, "sched_getaffinity") else "1"
        own = {n: os.environ.get(n, threads) for n in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
        environment = {**os.environ, **own, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        if sys.platform == "linux":
            environment.setdefault("GLOO_SOCKET_IFNAME", "lo")
        for rank in range(self.workers):
            words = [sys.executable, "-m", "rain_debug.distributed", address[0], str(address[1]), str(rank)]
            # Ctrl-C is for the debugging process: it ends its workers, or keeps them.
            worker = subprocess.Popen(words, stdin=subprocess.PIPE, text=True, env=environment, start_new_session=True)
            assert worker.stdin is not None
            with worker.stdin as pipe:
                pipe.write(secret.hex() + "\n")
            self._running.append(worker)

    def failure(self) -> str | None:
        ended = [w.returncode for w in self._running if w.poll() is not None]
        return f"a worker process ended with exit code {ended[0]}" if ended else None

    def stop(self) -> None:
        for worker in self._running:
            worker.kill()
        for worker in self._running:
            worker.wait()
        self._running = []


class Ranks:
    """The processes that torchrun has started: the first one debugs, and holds a share in a thread beside that."""

    def __init__(self, rank: int, workers: int, store: Any) -> None:
        self.workers, self._rank, self._store = workers, rank, store
        # The store outlives the processes that torchrun starts again: an earlier one's address is still in it.
        self._place = f"rain {os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"
        self._started = False
        self._thread: threading.Thread | None = None

    def start(self, address: tuple[str, int], secret: bytes) -> None:
        if self._started:
            raise ClusterError(
                "a worker was lost, and torchrun starts all processes again",
                hint="keep the run in a file, and torchrun with --max-restarts: it goes on from the last round",
            )
        self._started = True
        self._store.set(self._place, f"{address[0]} {address[1]} {secret.hex()}")
        self._thread = threading.Thread(target=work, args=(address, secret, 0), daemon=True)
        self._thread.start()

    def serve(self) -> None:
        """Any process but the first: work until that one is done."""
        deadline = time.monotonic() + STARTING
        while True:
            host, port, secret = self._store.get(self._place).decode().split()
            try:
                return work((host, int(port)), bytes.fromhex(secret), self._rank)
            except (ConnectionRefusedError, AuthenticationError):  # one that is gone: nodes came or went, uncounted
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def failure(self) -> str | None:
        return None

    def stop(self) -> None:
        """Workers end when their line is closed; a process that ended before its own one had let go would break off."""
        if self._thread is not None:
            self._thread.join(LEAVING)


def cluster(workers: int | None = None, *, spark: Any = None, host: str | None = None) -> Cluster:
    """Workers to share a training set out among: `db.create_model(…, storage=rain.cluster(workers=4))`.

    By default they are processes of this machine. With `spark`, a SparkSession, one barrier stage of `workers` tasks;
    under torchrun the processes that it has started: the first goes on with the program, in the others this call
    returns only when that one is done, by ending the process. `host` is the address at which the workers reach this
    machine. ClusterError where there can be no workers.
    """
    if workers is not None and not (isinstance(workers, int) and not isinstance(workers, bool) and workers >= 1):
        raise ClusterError(f"workers={workers!r} is no number of workers", hint="rain.cluster(workers=4)")
    if spark is not None:
        if not hasattr(spark, "range"):
            raise ClusterError(f"spark={spark!r} is no session of Spark",
                               hint="spark=SparkSession.builder.getOrCreate(), of pyspark.sql")  # fmt: skip
        from rain_debug.distributed.spark import Stage

        return Cluster(Stage(spark, workers), host or Stage.host(spark))
    torch_()
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return _ranks(host)
    if workers is None:
        raise ClusterError("how many workers?", hint="rain.cluster(workers=4), or rain.cluster(spark=session)")
    return Cluster(Processes(workers), host or "127.0.0.1")


def _ranks(host: str | None) -> Cluster:
    store, rank, workers = next(iter(torch_().distributed.rendezvous("env://")))
    ranks = Ranks(rank, workers, store)
    if rank:
        ranks.serve()
        sys.exit(0)
    alone = int(os.environ.get("LOCAL_WORLD_SIZE", workers)) == workers
    made = Cluster(ranks, host or ("127.0.0.1" if alone else own_host()))
    atexit.register(made.close)  # of a program that does not close it itself
    return made
