"""What the user says about a module beyond the module itself."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from rain_debug.errors import ModelError

DTYPES = ("float32", "float64")
CURVATURES = ("gauss-newton", "hessian")

Own = TypeVar("Own", bound="TorchEstimator")


@dataclass(frozen=True, eq=False)
class TorchEstimator:
    """What a `TorchClassifier` and a `TorchRegressor` have in common; each says what its module returns.

    The module gets (n_rows, n_features), or (n_rows, *`input_shape`). It is never changed, and always runs as in
    evaluation: without dropout, batch statistics frozen. Parameters that do not require a gradient stay as they are,
    the others are trained from the values that they have, by L-BFGS over all records on

        L(θ) = (1/n) [Σ w ℓ + ½ `penalty` ‖W‖²],    W: the parameters with two axes or more.

    `loss` replaces ℓ: a function of one record's output (n_outputs,) and label that returns a tensor without axes, in
    operations of PyTorch. `parameters` says which parameters rankings look at: "all", "last" (those of the last layer)
    or names of parameters and layers. `curvature` is the matrix that they solve with: "gauss-newton", which is never
    negative, or "hessian". `damping` is added to its diagonal beside that of `debug`: a number, or "spectrum", which
    looks at the largest eigenvalues (see docs/models.md); the Hessian's is at least what makes it positive.

    A fit ends where every |∂L/∂θ| ≤ `tolerance` or nothing is left to gain beside a single record's part, or after
    `iterations`, `refits` of them where it starts from the last fit's parameters; a ranking's solve ends after
    `products` products with the matrix, which is summed over `sample` records, or all. `seed` draws them. Passes share
    the rows among `threads`, by default as many as there are cores, at most four; sums do not depend on their number.
    """

    module: Any
    input_shape: Sequence[int] | None = None
    penalty: float = 1.0
    loss: Callable[[Any, Any], Any] | None = None
    parameters: str | Sequence[str] = "all"
    curvature: Literal["gauss-newton", "hessian"] = "gauss-newton"
    damping: float | Literal["spectrum"] = 0.0
    iterations: int = 500
    refits: int | None = None
    tolerance: float = 1e-4
    products: int = 2000
    sample: int | None = None
    dtype: Literal["float32", "float64"] = "float64"
    device: str = "cpu"
    threads: int | None = None
    seed: int = 0
    origin: Any = field(default=None, repr=False)
    """What a fitted copy was trained from; None for what the user made."""

    def check(self, where: str) -> None:
        """`ModelError` for a value that makes no sense."""
        name = type(self).__name__
        if not is_module(self.module):
            raise ModelError(f"{self.module!r:.60} is not a torch.nn.Module", where=where, hint=f"{name}(module, …)")
        shape = self.input_shape
        if shape is not None and not (shape and all(isinstance(n, int) and n > 0 for n in shape)):
            raise ModelError(f"input_shape={shape!r} is no shape", where=where, hint="input_shape=(1, 28, 28)")
        if not (_is_number(self.penalty) and 0 <= self.penalty < float("inf")):
            raise ModelError(f"penalty={self.penalty!r} is no number ≥ 0", where=where, hint="penalty=1.0")
        if self.loss is not None and not callable(self.loss):
            raise ModelError(
                f"loss={self.loss!r:.60} is no function", where=where, hint="loss=lambda output, label: … in PyTorch"
            )
        if self.curvature not in CURVATURES:
            raise ModelError(f"there is no curvature={self.curvature!r:.60}", where=where, hint=" or ".join(CURVATURES))
        if self.damping != "spectrum" and not (_is_number(self.damping) and 0 <= self.damping < float("inf")):
            raise ModelError(
                f"damping={self.damping!r:.60} is no number ≥ 0", where=where, hint="damping=0.01, or 'spectrum'"
            )
        if not (_is_number(self.tolerance) and self.tolerance > 0):
            raise ModelError(f"tolerance={self.tolerance!r} is no number > 0", where=where, hint="tolerance=1e-4")
        for name in ("iterations", "products", "sample", "threads", "refits"):
            value = getattr(self, name)
            optional = name in ("sample", "threads", "refits")
            if not (isinstance(value, int) and value >= 1) and not (optional and value is None):
                raise ModelError(f"{name}={value!r} is no whole number ≥ 1", where=where, hint=f"{name}=100")
        if not (isinstance(self.seed, int) and self.seed >= 0):
            raise ModelError(f"seed={self.seed!r} is no whole number ≥ 0", where=where, hint="seed=0")
        if self.dtype not in DTYPES:
            raise ModelError(f"dtype={self.dtype!r} is not supported", where=where, hint=" or ".join(DTYPES))

    def __sklearn_clone__(self: Own) -> Own:
        """As it was before it was fitted."""
        return self.origin or self


@dataclass(frozen=True, eq=False)
class TorchClassifier(TorchEstimator):
    """A `torch.nn.Module` that turns rows into logits, and how it is trained and ranked; `create_model` takes it.

    It returns (n_rows, n_classes), or one logit a row for two classes; ℓ is the cross-entropy. `classes` says what the
    logits stand for, by default the label's values, sorted. A `loss` gets the logits and the number of the class. All
    else as in `TorchEstimator`.

    >>> TorchClassifier("a module", penalty=0.1, parameters="last").penalty
    0.1
    """

    classes: Sequence[Any] | None = None

    def check(self, where: str) -> None:
        """`ModelError` for a value that makes no sense."""
        super().check(where)
        if self.classes is not None and len(set(self.classes)) < max(2, len(self.classes)):
            raise ModelError(
                f"classes={self.classes!r:.60} are not two or more distinct classes",
                where=where,
                hint="one a logit, in the module's order",
            )


@dataclass(frozen=True, eq=False)
class TorchRegressor(TorchEstimator):
    """A `torch.nn.Module` that turns rows into a number each, and how it is trained; `create_model` takes it.

    It returns (n_rows,) or (n_rows, 1); ℓ = ½ (label − output)². All else as in `TorchEstimator`.

    >>> TorchRegressor("a module", loss=lambda output, label: (output[0] - label).abs()).dtype
    'float64'
    """


def is_module(value: Any) -> bool:
    """Whether it is a `torch.nn.Module`; PyTorch is not loaded to find out, for without it there is none."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.nn.Module)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
