"""PyTorch modules as models; only `estimators` is loaded before one is used, for it needs no PyTorch."""

from __future__ import annotations

from rain_debug.models.torch.estimators import TorchClassifier, TorchRegressor

__all__ = ["TorchClassifier", "TorchRegressor"]
