"""A module's parameters from a safetensors file, which holds numbers and nothing that could run."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

from sklearn.pipeline import Pipeline

from rain_debug.errors import ModelError
from rain_debug.models.torch.estimators import TorchEstimator, is_module

INSTALL = "pip install 'rain-debug[models,torch]'"


def with_weights(estimator: Any, file: Path, place: str) -> Any:
    """The same estimator around a copy of its module with the tensors of `file`; ModelError where they do not fit."""
    if isinstance(estimator, Pipeline):
        name, last = estimator.steps[-1]
        return Pipeline([*estimator.steps[:-1], (name, with_weights(last, file, place))])
    if isinstance(estimator, TorchEstimator):
        return replace(estimator, module=with_weights(estimator.module, file, place))
    if not is_module(estimator):
        raise ModelError(
            f"weights go into a torch.nn.Module, not {type(estimator).__name__}",
            where=place,
            hint="hand over the module, alone, in a TorchClassifier, or at the end of a Pipeline",
        )
    try:
        from safetensors.torch import load_file
    except ImportError:
        raise ModelError("safetensors is not installed", where=place, hint=INSTALL) from None
    try:
        tensors = load_file(file)
    except Exception as error:  # the reader's own, of no common class
        raise ModelError(
            f"the file of weights is broken or no safetensors file: {str(error)[:200]}",
            where=place,
            hint="safetensors.torch.save_file(module.state_dict(), 'net.safetensors')",
        ) from None
    module = copy.deepcopy(estimator)
    wanted = {n: tuple(t.shape) for n, t in module.state_dict().items()}
    given = {n: tuple(t.shape) for n, t in tensors.items()}
    wrong = [n for n in sorted({*wanted, *given}) if wanted.get(n) != given.get(n)]
    if wrong:
        name = wrong[0]
        told = "is not in the file" if name not in given else "is not in the module" if name not in wanted else (
            f"has the shape {given[name]} in the file and {wanted[name]} in the module")  # fmt: skip
        raise ModelError(f"the weights do not fit the module: '{name}' {told}", where=place,
                         hint="make the module as it was when its weights were saved")  # fmt: skip
    if not all(bool(t.isfinite().all()) for t in tensors.values() if t.is_floating_point()):
        raise ModelError("the file of weights holds numbers that are not finite", where=place,
                         hint="save the weights of a run that converged")  # fmt: skip
    module.load_state_dict(tensors)
    return module
