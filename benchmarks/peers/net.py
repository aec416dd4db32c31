"""A task as PyTorch users have it: a module, its loss, batches of records."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


def module(task) -> nn.Sequential:
    """One linear layer with θ* in it, in a container: kronfluence replaces layers inside of one."""
    margins, width = task.theta.shape
    layer = nn.Linear(width - 1, margins)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(task.theta[:, :-1]))
        layer.bias.copy_(torch.from_numpy(task.theta[:, -1]))
    return nn.Sequential(layer).eval()


def loss(task, reduction: str = "mean"):
    """The log-loss of logits and labels, as `labels` gives them."""
    return nn.BCEWithLogitsLoss(reduction=reduction) if task.binary else nn.CrossEntropyLoss(reduction=reduction)


def records(task) -> tuple[torch.Tensor, torch.Tensor]:
    """(n, d) float32 and the labels."""
    return torch.from_numpy(task.X), labels(task, torch.from_numpy(task.y))


def query(task) -> tuple[torch.Tensor, torch.Tensor]:
    """The row whose loss is the target, as a batch of one."""
    return torch.from_numpy(task.query_x)[None], labels(task, torch.tensor([task.query_y]))


def labels(task, y: torch.Tensor) -> torch.Tensor:
    """Binary ones as a column of floats."""
    return y[:, None].float() if task.binary else y


class Rows(Dataset):
    """Records that are handed over a batch at a time, by one slice: a loader that costs nothing."""

    def __init__(self, *columns: torch.Tensor) -> None:
        self.columns = columns

    def __len__(self) -> int:
        return len(self.columns[0])

    def __getitem__(self, i: int) -> tuple[torch.Tensor, ...]:
        return tuple(c[i] for c in self.columns)

    def __getitems__(self, rows: list[int]) -> tuple[torch.Tensor, ...]:
        return tuple(c[rows[0] : rows[-1] + 1] for c in self.columns)


def loader(columns: tuple[torch.Tensor, ...], batch: int | None = None) -> DataLoader:
    """In order, `batch` records at a time; all at once without one."""
    return DataLoader(Rows(*columns), batch_size=batch or len(columns[0]), collate_fn=lambda rows: rows)
