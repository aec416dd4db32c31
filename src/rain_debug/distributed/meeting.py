"""Where the workers' sums are added up: one all-reduce of a vector, by `torch.distributed` over TCP (gloo)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

import numpy as np

from rain_debug.errors import ClusterError

PATIENCE = timedelta(minutes=10)
"""For the slowest worker of a pass; one that is lost is noticed at once, by its connection."""


class Meeting:
    """`data.sums.Meeting` of one worker. `past` sums are given out again, in their order, before any is found anew."""

    def __init__(self, group: Any, report: Callable[[np.ndarray], None] | None) -> None:
        self._group, self._report = group, report
        self._past: deque[np.ndarray] = deque()

    def remember(self, sums: Iterable[np.ndarray]) -> None:
        """Sums that an earlier attempt found."""
        self._past.extend(sums)

    def forget(self) -> None:
        """What is left of them."""
        self._past.clear()

    def known(self) -> np.ndarray | None:
        """The next of the past sums."""
        return self._past.popleft().copy() if self._past else None

    def meet(self, own: np.ndarray) -> np.ndarray:
        """The sum over all workers' own."""
        whole = np.ascontiguousarray(own, dtype=np.float64)
        if self._group is not None:
            whole = self._group.add_up(whole)
        if self._report is not None:
            self._report(whole)
        return whole


class Group:
    """The workers as torch.distributed knows them; the first opens the place where the others find it."""

    def __init__(self, rank: int, workers: int, address: tuple[str, int], *, opens: bool) -> None:
        torch = torch_()
        self._torch, self._rank, self._workers = torch, rank, workers
        host, port = address
        self._store = torch.distributed.TCPStore(
            host, port, workers, is_master=opens, timeout=PATIENCE, wait_for_workers=False
        )
        self.port = int(self._store.port)

    def join(self) -> None:
        """Wait for the others."""
        dist = self._torch.distributed
        dist.init_process_group("gloo", store=self._store, rank=self._rank, world_size=self._workers, timeout=PATIENCE)

    def add_up(self, whole: np.ndarray) -> np.ndarray:
        """The sum over all workers, in place."""
        self._torch.distributed.all_reduce(self._torch.from_numpy(whole))
        return whole

    def leave(self) -> None:
        """Let go of the others."""
        if self._torch.distributed.is_initialized():
            self._torch.distributed.destroy_process_group()


def torch_() -> Any:
    """PyTorch, whose all-reduce the workers use; ClusterError where it is not installed."""
    try:
        import torch
        import torch.distributed
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ClusterError(
            "the workers add up their sums with PyTorch, which is not installed",
            hint="pip install 'rain-debug[torch]', on every machine",
        ) from None
    return torch
