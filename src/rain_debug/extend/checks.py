"""The laws that an extension is held to; each check raises with the law that does not hold, and says where."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from rain_debug.curvature import Damped, solve
from rain_debug.data import Records
from rain_debug.engines.table import Table
from rain_debug.errors import DebugError, ModelError, RainError, SQLError
from rain_debug.models import Model, adapt
from rain_debug.rankers import OPTIONS, RANKERS, Problem
from rain_debug.relax.functions import operation
from rain_debug.relax.ops import EXACT, FORWARD, GRADIENT

STEP = 1e-5
CLOSE = 1e-4
"""How far a derivative may lie from its finite difference, relative to the larger of the two and 1."""


def check_function(name: str, points: Sequence[Sequence[float]]) -> None:
    """Hold a registered SQL function to its law: the slopes are the derivatives of the value.

    `points` holds the values of each argument, (n_arguments, n). SQLError where the law does not hold, and for a
    function of so many arguments that there is not. That the database computes the same is for a query to show.

    >>> check_function("ln", [[0.5, 3.0]])
    """
    xs = [np.asarray(p, dtype=float) for p in points]
    op = operation(name.lower(), len(xs))
    if op is None:
        raise SQLError(f"no function {name.upper()} of {len(xs)} arguments has a relaxation", hint="register it first")
    values = np.broadcast_to(FORWARD[op](*xs), np.broadcast_shapes(*(x.shape for x in xs)))
    found = GRADIENT[op](np.ones(len(values)), *xs)
    for i, x in enumerate(xs):
        up, down = (FORWARD[op](*[x + s if j == i else other for j, other in enumerate(xs)]) for s in (STEP, -STEP))
        known = np.isfinite(up) & np.isfinite(down)
        _near(
            np.asarray(found[i])[known],
            ((up - down) / (2 * STEP))[known],
            f"∂{name.upper()}/∂(argument {i + 1}) is the derivative of its value",
            SQLError,
        )
    if op in EXACT and np.shape(EXACT[op](*xs)) != values.shape:
        raise SQLError(f"{name.upper()} exactly has another shape than relaxed", hint="one number a place, both times")


def check_ranker(name: str, problem: Problem | None = None) -> None:
    """Hold a registered ranker to its laws: a finite score a record, 0 for those removed, and the same every time.

    `problem` is one of your own; without it a small classifier with ten wrong labels is ranked. DebugError where a law
    does not hold.

    >>> check_ranker("holistic")
    """
    if name not in RANKERS:
        raise DebugError(f"there is no ranker {name!r}", hint="register it first: @extend.ranker(…)")
    problem = problem or _problem()
    first, again = RANKERS[name](problem), RANKERS[name](problem)
    n, place = problem.records.n_records, f"ranker '{name}'"
    for what, values in (("scores", first.scores), ("priority", first.priority)):
        if values is None:
            continue
        if np.shape(values) != (n,) or not np.all(np.isfinite(values)):
            raise DebugError(f"{what} are not {n} finite numbers, one a record", where=place, hint="np.nan_to_num")
    if np.any(first.scores[~problem.keep]):
        raise DebugError("a record that was removed has a score", where=place, hint="np.where(problem.keep, scores, 0)")
    if not np.array_equal(first.scores, again.scores):
        raise DebugError("the same problem gave other scores", where=place, hint="draw from problem.seed alone")
    if name in OPTIONS and OPTIONS[name]() != OPTIONS[name]():
        raise DebugError("its options are not equal to themselves", where=place, hint="@dataclass(frozen=True)")


def check_model(estimator: Any, table: Table, label: str, **arguments: Any) -> None:
    """Hold the adapter of `estimator` to the laws that Rain's own adapters are held to, on the records of `table`.

    Its gradients are those of its losses, Jacobians those of its probabilities, H the derivative of the gradient and
    without negative eigenvalues at the optimum; a fit ends in an optimum; a removed record counts as one that was never
    there; the estimator that comes back predicts what the adapter predicts. `arguments` are `bind`'s: features=, key=,
    weight=. ModelError names the law that does not hold.

    >>> from sklearn.linear_model import LogisticRegression
    >>> check_model(LogisticRegression(), Table.of(x=[0.0, 1.0, 2.0, 3.0], y=["no", "yes", "no", "yes"]), "y")
    """
    model = adapt(estimator, where="the model that is checked")
    records = model.bind(table, label, **arguments)
    fit = model.fit(records)
    if not fit.converged:
        raise ModelError(f"a fit does not end in an optimum: {fit.note}", hint="is ∇ℓ the gradient of ℓ?")
    rng = np.random.default_rng(0)
    theta = fit.theta + 0.05 * rng.normal(size=model.n_params)
    v = rng.normal(size=model.n_params)
    _check_derivatives(model, records, theta, v, rng)
    keep = np.ones(records.n_records, dtype=bool)
    keep[:: max(2, records.n_records // 5)] = False
    if model.classes and len(np.unique(records.y[keep])) < len(model.classes):
        keep[:] = True
    other = adapt(estimator, where="the model that is checked")
    fewer = other.bind(table.take(np.flatnonzero(keep)), label, **arguments)
    ours, theirs = model.fit(records, keep, fit.theta).theta, other.fit(fewer).theta
    _near(
        model.probabilities(records.X, ours)[keep],
        other.probabilities(fewer.X, theirs),
        "a fit without records is a fit to the others",
    )
    back = model.estimator(fit.theta)
    with warnings.catch_warnings():  # of features without their names
        warnings.simplefilter("ignore")
        said = np.asarray(back.predict(_inputs(back, table, model)))
    mine = model.predict(records.X, fit.theta)
    if model.classes:
        mine = np.asarray(model.classes)[mine]
        if np.mean(said == mine) < 1:
            raise ModelError("estimator(theta) predicts other classes than the adapter", hint="set every fitted field")
    else:
        _near(mine, said, "estimator(theta) predicts what the adapter predicts")


def _check_derivatives(
    model: Model, records: Records, theta: np.ndarray, v: np.ndarray, rng: np.random.Generator
) -> None:
    def slope(f: Any) -> Any:
        return (f(theta + STEP * v) - f(theta - STEP * v)) / (2 * STEP)

    P = model.probabilities(records.X, theta)
    if P.shape != (records.n_records, len(model.classes) or 1):
        raise ModelError(f"probabilities are {P.shape}, not one number a record and class", hint="see Model")
    dP = rng.normal(size=P.shape)
    along = slope(lambda t: float((model.probabilities(records.X, t) * dP).sum()))
    _near(np.array([model.backprop(records.X, theta, dP) @ v]), np.array([along]), "backprop is that of probabilities")
    each = slope(lambda t: model.losses(records, t))
    _near(model.jvp(records, theta, v), each, "jvp is the derivative of the losses")
    if model.classes:
        by_class = model.class_jvp(records, theta, v)
        own = by_class[np.arange(records.n_records), records.y]
        _near(own, model.jvp(records, theta, v), "class_jvp of a record's own label is jvp")
    H = model.hessian(records, None, theta)
    bent = slope(lambda t: model.gradient(records, None, t))
    _near(H.matvec(v), bent, "the Hessian is the derivative of the gradient")
    damped = Damped(H, 0.1)
    forms, _ = model.quadratic_forms(records, None, theta, 0.1)
    solved = model.jvp(records, theta, solve(damped, _own_gradient(model, records, theta)).value)[:1]
    _near(forms[:1], solved, "quadratic_forms are ∇ℓᵀ(H + λI)⁻¹∇ℓ")


def _own_gradient(model: Model, records: Records, theta: np.ndarray) -> np.ndarray:
    """(n_params,) w ∇ℓ of the first record."""
    return np.array(model.jvps(records, theta, np.eye(model.n_params))[0])


def _near(found: np.ndarray, wanted: np.ndarray, law: str, kind: type[RainError] = ModelError) -> None:
    scale = np.maximum(1.0, np.maximum(np.abs(found), np.abs(wanted)))
    off = np.abs(found - wanted) / scale
    if not np.all(off <= CLOSE):
        at = int(np.argmax(np.where(np.isfinite(off), off, np.inf)))
        what = f"number {at + 1} is {found.flat[at]:.6g}, and should be {wanted.flat[at]:.6g}"
        raise kind(f"this does not hold: {law}. {what.capitalize()}", hint="compare the formula with its difference")


def _inputs(estimator: Any, table: Table, model: Model) -> Any:
    """The feature columns as the estimator takes them: an array, or for a pipeline a data frame."""
    columns = {name: table[name].values for name in model.features}
    if hasattr(estimator, "steps"):
        import pandas

        return pandas.DataFrame(columns)
    return np.column_stack(list(columns.values()))


def _problem() -> Problem:
    """120 records of two classes, ten of them labelled wrong, three removed; too few rows are of the second class."""
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 2))
    y = (X[:, 0] > 0).astype(int)
    y[np.flatnonzero(y == 1)[:10]] = 0
    model = adapt(LogisticRegression(), where="the model that is checked")
    records = model.bind(Table.of(a=X[:, 0], b=X[:, 1], y=y), "y")
    keep = np.ones(len(y), dtype=bool)
    keep[-3:] = False
    theta = model.fit(records, keep).theta
    gradient = model.backprop(rng.normal(size=(40, 2)), theta, np.tile([1.0, -1.0], (40, 1)))
    return Problem(model, records, keep, theta, gradient, damping=1e-3, seed=3)
