"""An ensemble of trees as a `Model`: the real one is fitted and answers, its surrogate is differentiated.

θ holds the surrogate's parameters, and last the number of the training set that the trees were grown on: from one fit
to the next the leaves change, and so does the length of θ. Away from a fit's own θ* the model is continued by what the
surrogate says changes,

    P(x; θ) = P(x) + Pₛ(x; θ) − Pₛ(x; θ*),    ℓ(z; θ) = ℓ(z) + ℓₛ(z; θ) − ℓₛ(z; θ*),

so that values are the real model's and derivatives the surrogate's.
"""

from __future__ import annotations

import copy
import time
import weakref
from abc import abstractmethod
from dataclasses import replace
from typing import Any, NoReturn

import numpy as np
import scipy.sparse as sp
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from rain_debug.curvature.operator import Curvature
from rain_debug.data import Design, Records
from rain_debug.engines.table import Table
from rain_debug.errors import ModelError
from rain_debug.models.active import Active, Expanded
from rain_debug.models.base import Fit
from rain_debug.models.shape import Shape
from rain_debug.models.tabular import TabularModel
from rain_debug.models.trees.columns import numbers_or_nan
from rain_debug.models.trees.libraries import check, class_weights, takes_missing
from rain_debug.models.trees.memory import GROWN, Grown, Memory, number_of
from rain_debug.models.trees.real import Real
from rain_debug.models.trees.surrogate import AGREEMENT, CORRELATION, Fidelity, Leaves, Linear, Surrogate

LEAST = 1e-12
"""Of a probability in a loss: a forest's own may be 0."""
FEW = 50
"""Queried rows below which their fidelity means little."""
DESIGNS = 4
"""Encoded tables whose leaves and predictions are held while the tables live."""


class TreeModel(TabularModel):
    """The adapter of one ensemble of trees; `where` names the model in errors. `Model` says what each method gives."""

    def __init__(self, estimator: Any, *, where: str) -> None:
        super().__init__(estimator, where=where)
        check(estimator, where)
        self._memory = Memory()
        self._designs: list[tuple[Any, float, sp.csr_array]] = []
        self._said: list[tuple[Any, float, np.ndarray, np.ndarray]] = []
        self._length = 1
        self._seen: dict[float, Fidelity] = {}
        self._columns: int | None = None
        if _is_fitted(estimator):
            self._initial = np.zeros(1)
            self.classes = self._classes_of(estimator)
            self._columns = int(estimator.n_features_in_)
            self._estimator = copy.deepcopy(estimator)
            self._memory.keep(Grown(0.0, self._handed_over(), self._initial))

    # ---- the data -------------------------------------------------------------------------------------------------

    def bind(self, *args: Any, **named: Any) -> Records:
        """The training set; see `Model.bind`. A fitted estimator gets its surrogate here."""
        records = super().bind(*args, **named)
        if self._initial is not None:
            everyone = np.ones(records.n_records, dtype=bool)
            grown = self._with_surrogate(self._handed_over(), 0.0, records, everyone)
            self._memory.keep(grown)
            self._initial, self._length = grown.theta, len(grown.theta)
        return records

    def encode(self, table: Table, where: str) -> Design:
        """(n_rows, n_features); NULL is NaN where the trees know what to do with it."""
        if takes_missing(self._estimator):
            return numbers_or_nan(table, self.features, where)
        return super().encode(table, where)

    def _set_shape(self, classes: tuple[Any, ...], columns: int) -> None:
        if self._initial is not None and columns != self._columns:
            raise ModelError(
                f"the fitted estimator takes {self._columns} features, the training data gives {columns}",
                where=self.where,
                hint="name them with features=[…], in the order it was fitted on",
            )
        self._columns, self.classes = columns, classes

    def _check_bound(self, records: Records) -> None:
        """What an estimator cannot be fitted on, its own `fit` says."""

    @abstractmethod
    def _classes_of(self, fitted: Any) -> tuple[Any, ...]:
        """The classes of a fitted estimator; () of a regressor."""

    def _handed_over(self) -> Real:
        return Real(self._estimator, len(self.classes), np.arange(len(self.classes)))

    # ---- predictions ----------------------------------------------------------------------------------------------

    @property
    def n_params(self) -> int:
        """Length of the last fit's θ; every fit has its own."""
        return self._length

    def probabilities(self, X: Design, theta: np.ndarray) -> np.ndarray:
        """(n_rows, n_classes) the real model's; a regressor's ŷ as a column (n_rows, 1)."""
        return self._answers(X, theta)[0]

    def predict(self, X: Design, theta: np.ndarray) -> np.ndarray:
        """(n_rows,) the real model's own `predict`: int64 codes, or ŷ."""
        return self._answers(X, theta)[1]

    def backprop(self, X: Design, theta: np.ndarray, dP: np.ndarray) -> np.ndarray:
        """Σ_i J_iᵀ dP_i, (n_params,), the surrogate's; how faithful that is to these rows is remembered."""
        grown = self._grown(theta)
        phi, inner = self._phi(grown, X), self._parts(grown)[1].inner
        if X.shape[0] >= FEW and np.array_equal(theta, grown.theta):
            ours = inner.probabilities(phi, theta[:-1])
            self._seen[grown.number] = Fidelity.of(self.probabilities(X, theta), ours, len(self.classes))
            while len(self._seen) > GROWN:
                del self._seen[next(iter(self._seen))]
        return np.append(inner.backprop(phi, theta[:-1], dP), 0.0)

    def _answers(self, X: Design, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities and predictions of rows; the last few are kept while the rows live."""
        grown = self._grown(theta)
        self._said = [s for s in self._said if s[0]() is not None]
        known = next((s[2:] for s in self._said if s[0]() is X and s[1] == grown.number), None)
        if known is None:
            known = grown.real.probabilities(X), grown.real.predict(X)
            for values in known:
                values.flags.writeable = False
            self._said = [*self._said, (weakref.ref(X), grown.number, *known)][-DESIGNS:]
        P, hard = known
        if np.array_equal(theta, grown.theta):
            return P, hard
        phi, inner = self._phi(grown, X), self._parts(grown)[1].inner
        P = P + inner.probabilities(phi, theta[:-1]) - inner.probabilities(phi, grown.theta[:-1])
        if not self.classes:
            return P, P[:, 0].copy()
        P = np.maximum(P, 0.0)
        P /= P.sum(axis=1, keepdims=True)
        return P, P.argmax(axis=1).astype(np.int64)

    def _scores(self, X: Design, theta: np.ndarray) -> np.ndarray:
        return self.probabilities(X, theta)

    def remark(self, theta: np.ndarray) -> str:
        """How faithful the surrogate is to the real model, on the training records and on the rows queried last."""
        grown = self._grown(theta)
        if grown.surrogate is None:
            return ""
        n = len(self.classes)
        text = f"ranked by a surrogate on the leaves, which agrees with the model on {grown.surrogate.fidelity.text(n)}"
        queried = self._seen.get(grown.number)
        return text + (f" (the queried rows: {queried.text(n)})" if queried is not None else "")

    def _ranking(self, theta: np.ndarray) -> Linear:
        """The linear model that records are ranked by; ModelError where it is not faithful enough."""
        grown = self._grown(theta)
        surrogate = self._parts(grown)[1]
        if not surrogate.fidelity.enough:
            self._refuse(surrogate.fidelity, "its training records")
        queried = self._seen.get(grown.number)
        # Of rows that are nearly equal, or all at the border, one of the two says nothing.
        if queried is not None and self.classes and max(queried.agreement, queried.correlation) < AGREEMENT:
            self._refuse(queried, "the queried rows")
        return surrogate.inner

    def _refuse(self, fidelity: Fidelity, rows: str) -> NoReturn:
        raise ModelError(
            f"the leaf surrogate agrees with the model on {fidelity.text(len(self.classes))}, for {rows}: too little "
            f"to rank by (expected: {AGREEMENT:.0%}, r = {CORRELATION})",
            where=self.where,
            hint="grow larger leaves (min_samples_leaf=20, min_child_samples=20, min_child_weight=5) or more trees, "
            "or use ranker='loss', which needs no surrogate",
        )

    # ---- training -------------------------------------------------------------------------------------------------

    def fit(self, records: Records, keep: np.ndarray | None = None, start: np.ndarray | None = None) -> Fit:
        """The real model grown anew on the kept records, and its surrogate; the same records give the same trees."""
        clock = time.perf_counter()
        kept = np.ones(records.n_records, dtype=bool) if keep is None else keep
        grown = self._grow(records, kept)
        surrogate = self._parts(grown)[1]
        return replace(surrogate.fit, theta=grown.theta.copy(), seconds=time.perf_counter() - clock)

    def losses(self, records: Records, theta: np.ndarray, keep: np.ndarray | None = None) -> np.ndarray:
        """(n_records,) w ℓ of the real model, class weights included."""
        grown, at = self._grown(theta), np.arange(records.n_records)
        inside, inner = self._inside(records, theta), self._parts(grown)[1].inner
        P = self._answers(records.X, grown.theta)[0]
        if self.classes:
            own = -np.log(np.maximum(P[at, records.y], LEAST))
        else:
            own = 0.5 * (P[:, 0] - records.y) ** 2
        own = inner._weight(inside, keep) * own
        if np.array_equal(theta, grown.theta):
            return own
        return own + inner.losses(inside, theta[:-1], keep) - inner.losses(inside, grown.theta[:-1], keep)

    def jvp(self, records: Records, theta: np.ndarray, v: np.ndarray, keep: np.ndarray | None = None) -> np.ndarray:
        """(n_records,) w ∇ℓ_i·v, the surrogate's."""
        return self._ranking(theta).jvp(self._inside(records, theta), theta[:-1], v[:-1], keep)

    def jvps(self, records: Records, theta: np.ndarray, V: np.ndarray, keep: np.ndarray | None = None) -> np.ndarray:
        """(n_records, m), the surrogate's."""
        return self._ranking(theta).jvps(self._inside(records, theta), theta[:-1], V[:-1], keep)

    def class_jvp(
        self, records: Records, theta: np.ndarray, v: np.ndarray, keep: np.ndarray | None = None
    ) -> np.ndarray:
        """(n_records, n_classes) w ∇ℓ_i·v by label, the surrogate's."""
        return self._ranking(theta).class_jvp(self._inside(records, theta), theta[:-1], v[:-1], keep)

    def gradient(self, records: Records, keep: np.ndarray | None, theta: np.ndarray) -> np.ndarray:
        """∇L(theta), the surrogate's."""
        return np.append(self._inner(theta).gradient(self._inside(records, theta), keep, theta[:-1]), 0.0)

    def hessian(self, records: Records, keep: np.ndarray | None, theta: np.ndarray) -> Curvature:
        """∇²L(theta), the surrogate's; 1 for the number of the training set, which no gradient moves."""
        inside = self._inside(records, theta)
        inner = self._ranking(theta).hessian(inside, keep, theta[:-1])
        n = inner.n_params
        part = Active(inside.X, Shape(1, n, False), np.arange(n), Shape(1, n + 1, False))
        return Expanded(inner, part, np.ones(n + 1))

    def quadratic_forms(
        self, records: Records, keep: np.ndarray | None, theta: np.ndarray, damping: float
    ) -> tuple[np.ndarray, str]:
        """(n_records,) w² ∇ℓ_iᵀ(H + λI)⁻¹∇ℓ_i, the surrogate's."""
        return self._ranking(theta).quadratic_forms(self._inside(records, theta), keep, theta[:-1], damping)

    def residual_spread(self, records: Records, keep: np.ndarray | None, theta: np.ndarray) -> float:
        """The surrogate's, which knows how many parameters it has; see `Model.residual_spread`."""
        return self._inner(theta).residual_spread(self._inside(records, theta), keep, theta[:-1])

    def prior(self, n_records: int) -> float:
        """0: the surrogate's penalty is Rain's own choice, and rankings take no further damping from it."""
        return 0.0

    # ---- what was grown -------------------------------------------------------------------------------------------

    def estimator(self, theta: np.ndarray) -> Any:
        """The fitted estimator behind these parameters, in a copy."""
        return self._grown(theta).real.copy(self.features)

    def _filled(self, theta: np.ndarray) -> Any:
        return self._grown(theta).real.copy()

    def _grow(self, records: Records, keep: np.ndarray) -> Grown:
        number = number_of(records, keep)
        grown = self._memory.find(number)
        if grown is None:
            use = np.flatnonzero(keep & (records.weight > 0))
            real = Real.fit(
                self._estimator, records.X[use], records.y[use], records.weight[use], self.classes, self.where
            )
            grown = self._with_surrogate(real, number, records, keep & (records.weight > 0))
            self._memory.keep(grown, replace(records, cache={}), keep)
        self._length = len(grown.theta)
        return grown

    def _with_surrogate(self, real: Real, number: float, records: Records, keep: np.ndarray) -> Grown:
        numbers = real.leaves(records.X)
        leaves = Leaves.of(numbers[keep])
        inside = replace(records, X=leaves.design(numbers), cache={})
        theirs = real.probabilities(records.X)
        weights = class_weights(self._estimator, self.classes)
        surrogate = Surrogate.of(inside, keep, theirs, self.classes, weights, self.where)
        theta = np.append(surrogate.fit.theta, number)
        return Grown(number, real, theta, leaves, surrogate)

    def _grown(self, theta: np.ndarray) -> Grown:
        number = float(theta[-1])
        grown = self._memory.find(number)
        if grown is not None:
            return grown
        recipe = self._memory.recipe(number)
        if recipe is None:
            raise ModelError("these parameters are of a fit that is forgotten", where=self.where, hint="fit it again")
        return self._grow(*recipe)

    def _parts(self, grown: Grown) -> tuple[Leaves, Surrogate]:
        if grown.leaves is None or grown.surrogate is None:
            raise ModelError(
                "the model has no training records to rank", where=self.where, hint="give training=… and label=…"
            )
        return grown.leaves, grown.surrogate

    def _inner(self, theta: np.ndarray) -> Linear:
        return self._parts(self._grown(theta))[1].inner

    def _inside(self, records: Records, theta: np.ndarray) -> Records:
        """The records as the surrogate sees them; what its solver remembers lives in their cache, for the last fit."""
        grown = self._grown(theta)
        known = records.cache.get("leaves")
        if known is None or known[0] != grown.number or known[1] is not records.X:
            known = records.cache["leaves"] = (grown.number, records.X, self._phi(grown, records.X), {})
        return replace(records, X=known[2], cache=known[3])

    def _phi(self, grown: Grown, X: Design) -> sp.csr_array:
        """φ of rows, (n_rows, n_leaves); the last few are kept while the rows live."""
        self._designs = [d for d in self._designs if d[0]() is not None]
        for ref, number, phi in self._designs:
            if ref() is X and number == grown.number:
                return phi
        leaves = self._parts(grown)[0]
        if X.shape[0]:
            phi = leaves.design(grown.real.leaves(X))
        else:
            phi = sp.csr_array((0, leaves.n_columns))
        self._designs = [*self._designs, (weakref.ref(X), grown.number, phi)][-DESIGNS:]
        return phi


def _is_fitted(estimator: Any) -> bool:
    try:
        check_is_fitted(estimator)
    except NotFittedError:
        return False
    return True
