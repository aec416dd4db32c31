"""What the user says about a module beyond the module itself."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from rain_debug.errors import ModelError

DTYPES = ("float32", "float64")


@dataclass(frozen=True, eq=False)
class TorchClassifier:
    """A `torch.nn.Module` that turns rows into logits, and how it is trained and ranked; `create_model` takes it.

    The module gets (n_rows, n_features), or (n_rows, *`input_shape`), and returns (n_rows, n_classes), or one logit a
    row for two classes. It is never changed, and always runs as in evaluation: without dropout, batch statistics
    frozen. Parameters that do not require a gradient stay as they are, the others are trained from the values that
    they have, by L-BFGS over all records on

        L(θ) = (1/n) [Σ w · cross-entropy + ½ `penalty` ‖W‖²],    W: the parameters with two axes or more.

    `classes` says what the logits stand for (by default the label's values, sorted), `parameters` which parameters
    rankings look at: "all", "last" (those of the last layer) or names of parameters and layers. A fit ends where
    every |∂L/∂θ| ≤ `tolerance`, or after `iterations`; a ranking's solve after `products` products with the
    Gauss-Newton matrix, which is summed over `sample` records, or all. `seed` draws them. More `threads` pay for large
    modules on an idle machine; on a busy one they wait for each other.

    >>> TorchClassifier("a module", penalty=0.1, parameters="last").penalty
    0.1
    """

    module: Any
    input_shape: Sequence[int] | None = None
    classes: Sequence[Any] | None = None
    penalty: float = 1.0
    parameters: str | Sequence[str] = "all"
    iterations: int = 500
    tolerance: float = 1e-4
    products: int = 2000
    sample: int | None = None
    dtype: Literal["float32", "float64"] = "float64"
    device: str = "cpu"
    threads: int = 1
    seed: int = 0
    origin: TorchClassifier | None = field(default=None, repr=False)
    """What a fitted copy was trained from; None for what the user made."""

    def check(self, where: str) -> None:
        """`ModelError` for a value that makes no sense."""
        if not is_module(self.module):
            raise ModelError(
                f"{self.module!r:.60} is not a torch.nn.Module", where=where, hint="TorchClassifier(module, …)"
            )
        shape = self.input_shape
        if shape is not None and not (shape and all(isinstance(n, int) and n > 0 for n in shape)):
            raise ModelError(f"input_shape={shape!r} is no shape", where=where, hint="input_shape=(1, 28, 28)")
        if not (_is_number(self.penalty) and 0 <= self.penalty < float("inf")):
            raise ModelError(f"penalty={self.penalty!r} is no number ≥ 0", where=where, hint="penalty=1.0")
        if not (_is_number(self.tolerance) and self.tolerance > 0):
            raise ModelError(f"tolerance={self.tolerance!r} is no number > 0", where=where, hint="tolerance=1e-4")
        for name in ("iterations", "products", "sample", "threads"):
            value = getattr(self, name)
            if not (isinstance(value, int) and value >= 1) and not (name == "sample" and value is None):
                raise ModelError(f"{name}={value!r} is no whole number ≥ 1", where=where, hint=f"{name}=100")
        if not (isinstance(self.seed, int) and self.seed >= 0):
            raise ModelError(f"seed={self.seed!r} is no whole number ≥ 0", where=where, hint="seed=0")
        if self.dtype not in DTYPES:
            raise ModelError(f"dtype={self.dtype!r} is not supported", where=where, hint=" or ".join(DTYPES))
        if self.classes is not None and len(set(self.classes)) < max(2, len(self.classes)):
            raise ModelError(
                f"classes={self.classes!r:.60} are not two or more distinct classes",
                where=where,
                hint="one a logit, in the module's order",
            )

    def __sklearn_clone__(self) -> TorchClassifier:
        """As it was before it was fitted."""
        return self.origin or self


def is_module(value: Any) -> bool:
    """Whether it is a `torch.nn.Module`; PyTorch is not loaded to find out, for without it there is none."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.nn.Module)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
