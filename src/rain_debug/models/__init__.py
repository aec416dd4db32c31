"""Adapters: one per kind of estimator, all of them parameters, probabilities, losses per record and a fit."""

from __future__ import annotations

from rain_debug.models.adapt import adapt
from rain_debug.models.base import Fit, Model
from rain_debug.models.files import is_file_name, load_estimator, load_weights

__all__ = ["Fit", "Model", "adapt", "is_file_name", "load_estimator", "load_weights"]
