"""MNIST, 70,000 handwritten digits: LeCun, Cortes, Burges. CC BY-SA 3.0 as Keras and TensorFlow state."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from rain_debug.datasets import catalogue
from rain_debug.datasets.store import read
from rain_debug.errors import DatasetError


@dataclass(frozen=True, eq=False)
class Mnist:
    """All digits, the training part first: `images` (n, 28, 28) uint8, 255 = ink, and `labels` (n,) int64.

    The first `n_train` are the set's own training part.
    """

    images: np.ndarray
    labels: np.ndarray
    n_train: int


def mnist(*, download: bool = True) -> Mnist:
    """MNIST from $RAIN_DATA/mnist, the cache, or its mirrors; DatasetError where none has it."""
    parts = {part: _idx(part, read("mnist", file, download=download)) for part, file in catalogue.MNIST.items()}
    return Mnist(
        np.concatenate([parts["train images"], parts["test images"]]),
        np.concatenate([parts["train labels"], parts["test labels"]]).astype(np.int64),
        len(parts["train labels"]),
    )


def _idx(part: str, data: bytes) -> np.ndarray:
    """An idx file's array: two zero bytes, 8 for unsigned bytes, the number of axes, their lengths, the values."""
    if len(data) < 4 or data[:3] != b"\x00\x00\x08":
        raise DatasetError(f"the {part} of MNIST are not an idx file of bytes", hint="remove the file and load again")
    axes = data[3]
    shape = struct.unpack_from(f">{axes}I", data, 4)
    return np.frombuffer(data, dtype=np.uint8, offset=4 + 4 * axes).reshape(shape)
