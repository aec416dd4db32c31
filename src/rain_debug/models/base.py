"""What every adapter offers, whatever library its estimator comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

import numpy as np

from rain_debug.curvature.operator import Curvature
from rain_debug.data.design import Design
from rain_debug.data.records import Records
from rain_debug.engines.table import Table

Kind = Literal["classifier", "regressor"]


@dataclass(frozen=True, eq=False)
class Fit:
    """Parameters `theta` (n_params,) at the optimum if `converged`; `note` says why not, in words for the user.

    `gradient_norm` is ‖∇L(theta)‖ of the mean loss, `products` the number of Hessian-vector products spent.
    """

    theta: np.ndarray
    converged: bool
    iterations: int
    gradient_norm: float
    seconds: float
    products: int = 0
    note: str = ""


class Model(Protocol):
    """A classifier or a regressor that can be refitted and differentiated.

    With n records kept, w their weights and ℓ the log-loss (a regressor's: ½ (y − ŷ)²), the training loss is
    L(θ) = (1/n)[Σ w ℓ + penalty(θ)]. `classes` (plain Python scalars, in scikit-learn's order; () for a regressor),
    `features` and `n_params` are known after `bind`. Where a classifier has probabilities (n, n_classes), a regressor
    has its ŷ as a column (n, 1).
    """

    kind: ClassVar[Kind]
    classes: tuple[Any, ...]
    features: tuple[str, ...]

    @property
    def n_params(self) -> int:
        """Length of θ; of the last fit's, where every fit has its own."""
        ...

    def bind(
        self,
        table: Table,
        label: str,
        features: Sequence[str] | None = None,
        key: str | None = None,
        weight: str | None = None,
    ) -> Records:
        """The training set; fits a pipeline's head if it is not fitted. `DataError` on what cannot be trained on."""
        ...

    def encode(self, table: Table, where: str) -> Design:
        """The design matrix (n_rows, n_columns) of the feature columns; `where` names the table in a `DataError`."""
        ...

    def probabilities(self, X: Design, theta: np.ndarray) -> np.ndarray:
        """(n_rows, n_classes), rows sum to 1; a regressor's ŷ, (n_rows, 1)."""
        ...

    def predict(self, X: Design, theta: np.ndarray) -> np.ndarray:
        """(n_rows,) as the estimator's own `predict`: int64 codes into `classes`, or a regressor's ŷ in float64."""
        ...

    def backprop(self, X: Design, theta: np.ndarray, dP: np.ndarray) -> np.ndarray:
        """Σ_i J_iᵀ dP_i, (n_params,), where J_i = ∂probabilities_i/∂θ and dP is (n_rows, n_classes)."""
        ...

    def fit(self, records: Records, keep: np.ndarray | None = None, start: np.ndarray | None = None) -> Fit:
        """The optimum over the records that `keep` (n_records,) bool marks, searched from `start`."""
        ...

    def losses(self, records: Records, theta: np.ndarray, keep: np.ndarray | None = None) -> np.ndarray:
        """(n_records,) w ℓ, as each record enters the training loss, the penalty left out."""
        ...

    def jvp(self, records: Records, theta: np.ndarray, v: np.ndarray, keep: np.ndarray | None = None) -> np.ndarray:
        """(n_records,) w ∇ℓ_i·v, in one pass and without per-record gradients."""
        ...

    def jvps(self, records: Records, theta: np.ndarray, V: np.ndarray, keep: np.ndarray | None = None) -> np.ndarray:
        """(n_records, m): `jvp` along each column of V (n_params, m), in one pass where the model can."""
        ...

    def class_jvp(
        self, records: Records, theta: np.ndarray, v: np.ndarray, keep: np.ndarray | None = None
    ) -> np.ndarray:
        """(n_records, n_classes) w ∇ℓ_i·v as it would be if record i were labelled with each class, in one pass.

        In the column of its own label stands what `jvp` says. ModelError for a regressor.
        """
        ...

    def gradient(self, records: Records, keep: np.ndarray | None, theta: np.ndarray) -> np.ndarray:
        """∇L(theta), (n_params,); 0 at the optimum."""
        ...

    def hessian(self, records: Records, keep: np.ndarray | None, theta: np.ndarray) -> Curvature:
        """∇²L(theta) as an operator."""
        ...

    def quadratic_forms(
        self, records: Records, keep: np.ndarray | None, theta: np.ndarray, damping: float
    ) -> tuple[np.ndarray, str]:
        """(n_records,) w² ∇ℓ_iᵀ(H + λI)⁻¹∇ℓ_i with one factorisation, and a note on how, empty where exact."""
        ...

    def residual_spread(self, records: Records, keep: np.ndarray | None, theta: np.ndarray) -> float:
        """The standard deviation of a regressor's residuals: √(Σ w r² / (Σ w − p)) over the kept records.

        p is the effective number of parameters, the trace of the hat matrix. 0 where every label is met; NaN for a
        classifier.
        """
        ...

    def prior(self, n_records: int) -> float:
        """The curvature of the penalty in the mean loss over `n_records`: 1/(C·n), α/n; 0 where there is no penalty."""
        ...

    def initial(self) -> np.ndarray | None:
        """Parameters of an estimator that was handed over fitted, else None."""
        ...

    def remark(self, theta: np.ndarray) -> str:
        """What a reader should know of rankings at theta where they are a stand-in's, else ""."""
        ...

    def estimator(self, theta: np.ndarray) -> Any:
        """A fitted copy of the user's estimator with these parameters."""
        ...

    def fingerprint(self, theta: np.ndarray) -> str:
        """16 hexadecimal digits that tell parameters apart."""
        ...
