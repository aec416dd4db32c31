"""A module called with parameters of ours, on shares of the rows, each share in a thread of its own.

PyTorch's own threads split single operations, wait for one another some thousand times a second, and stand still where
another program holds a core. Here a thread takes whole blocks of rows, and they meet once a pass.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

SHARES = 4
"""Shares of the rows, whatever the number of threads: sums are then the same on every machine."""
CELLS = 1 << 21
"""Numbers that the layers put out in a block of rows: 64 images of a small convolutional network, where 256 took a
fifth longer; all rows of a small perceptron, where blocks of 256 took four times as long."""

_SWITCHES = threading.RLock()
"""Held while PyTorch's switches, or the one level of forward mode that a process has, are ours."""


@dataclass(frozen=True, eq=False)
class Call:
    """Margins (n_rows, n_margins) as a function of the parameters called `names` and of rows.

    `modules` holds a copy a share, for a call puts parameters into the module; `fixed` are the other parameters.
    """

    modules: Sequence[Any]
    names: tuple[str, ...]
    fixed: Mapping[str, Tensor]

    def __call__(self, share: int, values: Sequence[Tensor], x: Tensor) -> Tensor:
        given = {**self.fixed, **dict(zip(self.names, values, strict=True))}
        out = torch.func.functional_call(self.modules[share], given, (x,))
        if not isinstance(out, Tensor) or out.ndim not in (1, 2) or len(out) != len(x):
            what = f"a tensor of shape {tuple(out.shape)}" if isinstance(out, Tensor) else type(out).__name__
            raise RuntimeError(f"it returned {what} for {len(x)} rows")
        return out[:, None] if out.ndim == 1 else out


def shared(n_rows: int, rows: int, threads: int, work: Callable[[int, slice], None]) -> None:
    """`work` with the number of its share and a block of rows, for every block of at most `rows`."""
    blocks = [slice(i, min(n_rows, i + rows)) for i in range(0, n_rows, rows)]
    shares = min(SHARES, len(blocks))

    def one(i: int) -> None:
        for block in blocks[i::shares]:
            work(i, block)

    if min(threads, shares) <= 1:
        for i in range(shares):
            one(i)
    else:
        with ThreadPoolExecutor(min(threads, shares), thread_name_prefix="rain-torch") as pool:
            list(pool.map(one, range(shares)))


@functools.cache
def keep_freed() -> None:
    """Let the C library keep what a block of rows frees, once a process: the next block needs as much.

    glibc hands memory above a threshold back to the system at once, which then clears each page of the next block: over
    a third of a small convolutional network's time. Freeing a piece as large as the threshold may become raises it.
    """
    torch.empty((32 << 20) - (64 << 10), dtype=torch.uint8)


def cores() -> int:
    """How many cores this process may use, at most a share each."""
    return min(SHARES, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


@contextmanager
def kernels(*, plain: bool) -> Iterator[None]:
    """Where `plain`, only those kernels that can be differentiated twice, and in forward mode."""
    if not plain:
        yield
        return
    with _SWITCHES, ExitStack() as back:
        back.enter_context(sdpa_kernel(SDPBackend.MATH))
        for setting, value in (("mkldnn", torch.backends.mkldnn.enabled), ("fast", _fast())):
            back.callback(_switch, setting, value)
            _switch(setting, False)
        yield


@contextmanager
def level() -> Iterator[None]:
    """The level of forward mode that the tangents of a pass live at: all threads share it, and only one may exist."""
    with _SWITCHES, torch.autograd.forward_ad.dual_level():
        yield


def _fast() -> bool:
    return bool(torch.backends.mha.get_fastpath_enabled())


def _switch(setting: str, value: bool) -> None:
    if setting == "mkldnn":
        torch.backends.mkldnn.enabled = value
    else:
        torch.backends.mha.set_fastpath_enabled(value)


def array(tensor: Tensor) -> np.ndarray:
    """The numbers of a tensor in float64."""
    out: np.ndarray = tensor.detach().to("cpu", torch.float64).numpy()
    return out


def flat(tensors: Sequence[Tensor]) -> np.ndarray:
    """Tensors end to end, in float64."""
    return np.concatenate([array(t).ravel() for t in tensors])
