"""MNIST, 70,000 handwritten digits: LeCun, Cortes, Burges. CC BY-SA 3.0 as Keras and TensorFlow state."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import train_test_split

from rain_debug.datasets import catalogue
from rain_debug.datasets.corrupt import Corrupted, draw, numbers, relabelled
from rain_debug.datasets.store import read
from rain_debug.engines.table import Column, Table
from rain_debug.errors import DatasetError

PIXELS = tuple(f"p{i}" for i in range(784))
"""Row by row, 0 = white to 1 = ink."""


@dataclass(frozen=True, eq=False)
class Mnist:
    """All digits, the training part first: `images` (n, 28, 28) uint8, 255 = ink, and `labels` (n,) int64.

    The first `n_train` are the set's own training part. `share` and `seed` say which labels `frames` makes wrong.
    """

    images: np.ndarray
    labels: np.ndarray
    n_train: int
    share: float = 0.0
    seed: int = 0

    def corrupted(
        self, share: float, seed: int = 0, *, digit: int = 1, wrong: int = 7, records: int = 10_000, rows: int = 10_000
    ) -> Corrupted:
        """The experiment of SIGMOD 2020, §6.3: `records` to train on and `rows` to query, drawn from all 70,000.

        `share` of the images of `digit` to train on are labelled `wrong`. Columns p0 … p783 and `digit`; id is the
        image's place in `images`.
        """
        everything = np.arange(len(self.labels))
        halves = train_test_split(
            everything, train_size=records, test_size=rows, stratify=self.labels, random_state=seed
        )
        trained, queried = (np.sort(half) for half in halves)
        hit = draw(trained[self.labels[trained] == digit], share, seed)
        given = Column(relabelled(self.labels, hit, wrong)[trained], "number")
        return Corrupted(
            "mnist",
            Table({**self._pixels(trained), "digit": given}),
            self._pixels(queried),
            PIXELS,
            "digit",
            hit,
            self.labels[queried],
        )

    def _pixels(self, positions: np.ndarray) -> Table:
        x = self.images[positions].reshape(len(positions), -1) / 255.0
        return Table({"id": Column(positions.astype(np.int64), "number")} | numbers(x, PIXELS))

    def frames(self) -> dict[str, Table]:
        """`mnist` and `mnist_training`, with the labels that `share` and `seed` make wrong."""
        return self.corrupted(self.share, self.seed).frames()


def mnist(share: float = 0.0, seed: int = 0, *, download: bool = True) -> Mnist:
    """MNIST from $RAIN_DATA/mnist, the cache, or its mirrors; DatasetError where none has it."""
    parts = {part: _idx(part, read("mnist", file, download=download)) for part, file in catalogue.MNIST.items()}
    return Mnist(
        np.concatenate([parts["train images"], parts["test images"]]),
        np.concatenate([parts["train labels"], parts["test labels"]]).astype(np.int64),
        len(parts["train labels"]),
        share,
        seed,
    )


def _idx(part: str, data: bytes) -> np.ndarray:
    """An idx file's array: two zero bytes, 8 for unsigned bytes, the number of axes, their lengths, the values."""
    if len(data) < 4 or data[:3] != b"\x00\x00\x08":
        raise DatasetError(f"the {part} of MNIST are not an idx file of bytes", hint="remove the file and load again")
    axes = data[3]
    shape = struct.unpack_from(f">{axes}I", data, 4)
    return np.frombuffer(data, dtype=np.uint8, offset=4 + 4 * axes).reshape(shape)
