"""Workers as the tasks of one barrier stage of Spark: all of them at once, until the debugging process is done.

Spark finds them a place and starts them again where one is lost; sums never pass through it.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

from rain_debug.distributed.driver import own_host
from rain_debug.distributed.worker import work

ATTEMPTS = 4
"""Stages that are submitted before Spark is taken to be unable; each may start again by itself before that."""


class Stage:
    """The barrier stage; `workers` is by default one less than the tasks that may run at once, for queries."""

    def __init__(self, spark: Any, workers: int | None) -> None:
        self._spark = spark
        self.workers = workers or max(1, _slots(spark) - 1)
        self._thread: threading.Thread | None = None
        self._task: Callable[[Iterator[Any]], Iterator[Any]] | None = None
        self._left = ATTEMPTS
        self._why = ""

    @staticmethod
    def host(spark: Any) -> str:
        """The address of this machine that the tasks reach."""
        local = str(spark.conf.get("spark.master", "")).startswith("local")
        return "127.0.0.1" if local else str(spark.conf.get("spark.driver.host", own_host()))

    def start(self, address: tuple[str, int], secret: bytes) -> None:
        if self._task is None:
            self._task = _task(address, secret)
        self._left = ATTEMPTS
        if self._thread is None or not self._thread.is_alive():
            self._submit()

    def failure(self) -> str | None:
        if self._thread is not None and self._thread.is_alive():
            return None
        if self._left <= 0:
            return f"Spark says: {self._why}" if self._why else "Spark ended the stage"
        self._submit()
        return None

    def stop(self) -> None:
        self._left = 0
        if self._thread is not None:
            self._thread.join(timeout=30)

    def _submit(self) -> None:
        self._left -= 1
        self._thread = threading.Thread(target=self._run, daemon=True, name="rain-stage")
        self._thread.start()

    def _run(self) -> None:
        try:
            numbers = self._spark.range(0, self.workers, 1, self.workers)
            numbers.mapInArrow(self._task, "id long", barrier=True).collect()
        except Exception as error:  # whatever Spark raises is said where workers are waited for
            said = str(error).strip().split("\n")
            own = [line for line in said if re.match(r"[\w.]*(Error|Exception): ", line.strip())]
            self._why = (own or said)[-1 if own else 0].strip()


def _task(address: tuple[str, int], secret: bytes) -> Callable[[Iterator[Any]], Iterator[Any]]:
    """What each task runs; it is sent to the executors, where Rain has to be installed."""

    def serve(batches: Iterator[Any]) -> Iterator[Any]:
        from pyspark import BarrierTaskContext

        for _ in batches:
            pass
        work(address, secret, BarrierTaskContext.get().partitionId())
        return iter(())

    return serve


def _slots(spark: Any) -> int:
    """The tasks that Spark takes to run at once."""
    from pyspark.errors import PySparkException

    try:
        return int(spark.sparkContext.defaultParallelism)
    except PySparkException:  # Spark Connect has no context
        return int(spark.conf.get("spark.default.parallelism", "2"))
