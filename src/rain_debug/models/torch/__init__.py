"""PyTorch modules as models; only `classifier` is loaded before one is used, for it needs no PyTorch."""

from __future__ import annotations

from rain_debug.models.torch.classifier import TorchClassifier

__all__ = ["TorchClassifier"]
