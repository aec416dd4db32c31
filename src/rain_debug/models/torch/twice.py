"""Layers that PyTorch differentiates once, made of operations that it differentiates as often as it is asked to."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Bag(nn.Module):
    """What a `torch.nn.EmbeddingBag` of bags in rows returns; bags by `offsets` are its own."""

    def __init__(self, layer: nn.EmbeddingBag) -> None:
        super().__init__()
        self.weight, self.mode, self.padding, self._theirs = layer.weight, layer.mode, layer.padding_idx, [layer]

    def forward(self, given: Tensor, offsets: Tensor | None = None, per_sample_weights: Tensor | None = None) -> Tensor:
        if given.ndim != 2:
            theirs = torch.func.functional_call(self._theirs[0], {"weight": self.weight}, (given, offsets))
            return theirs
        rows = F.embedding(given, self.weight)
        if per_sample_weights is not None:
            rows = rows * per_sample_weights[..., None]
        here = torch.ones_like(given, dtype=torch.bool) if self.padding is None else given != self.padding
        if self.mode == "max":
            empty = ~here.any(dim=1, keepdim=True)
            return rows.masked_fill(~here[..., None], -torch.inf).amax(dim=1).masked_fill(empty, 0.0)
        total = (rows * here[..., None]).sum(dim=1)
        return total / here.sum(dim=1, keepdim=True).clamp(min=1) if self.mode == "mean" else total


def twice(module: Any) -> Any:
    """The module, with those of its layers replaced that cannot be differentiated twice; names stay."""
    for name, layer in list(module.named_modules()):
        if type(layer) is nn.EmbeddingBag and layer.max_norm is None and not layer.scale_grad_by_freq:
            if not name:
                return Bag(layer)
            parent, _, last = name.rpartition(".")
            setattr(module.get_submodule(parent), last, Bag(layer))
    return module
