"""The options of CREATE MODEL → a scikit-learn estimator."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.linear_model import (
    ElasticNet,
    LinearRegression,
    LogisticRegression,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from rain_debug.errors import ModelError, SQLError, nearest
from rain_debug.sql import CreateModel

_LOGISTIC = ("logistic_reg", "logistic_regression")
_LINEAR = ("linear_reg", "linear_regression")
_CLASSES_ONLY = ("c", "l1_reg", "class_weight", "auto_class_weights")
_LINEAR_MODELS = (LogisticRegression, SGDClassifier, LinearSVC, RidgeClassifier, Ridge, LinearRegression, ElasticNet)
_OPTIONS = (
    "model_type",
    "input_label_cols",
    "key",
    "features",
    "weight",
    "l2_reg",
    *_CLASSES_ONLY,
    "fit_intercept",
    "max_iterations",
    "standardize_features",
)


def estimator_from_options(statement: CreateModel, sql: str) -> tuple[Any, dict[str, Any]]:
    """The estimator of `CREATE MODEL … OPTIONS(…)`, and the arguments of `create_model` beside it.

    BigQuery's names are understood: `model_type='logistic_reg'` or `'linear_reg'`, `input_label_cols=['y']`, `l2_reg`
    (C = 1/l2_reg; alpha of a Ridge, without it a LinearRegression), `l1_reg` (of classes), `auto_class_weights`,
    `max_iterations`, `standardize_features`; and ours: `key`, `features`, `weight`, `c`.
    """
    options = dict(statement.options)

    def wrong(name: str, message: str, hint: str) -> SQLError:
        found = re.search(rf"\b{re.escape(name)}\b(?=\s*[=(]|\s*$)", sql, re.I) or re.search(re.escape(name), sql, re.I)
        start, end = found.span() if found else (0, len(name))
        return SQLError(message, sql=sql, start=start, end=end, hint=hint)

    def number(name: str, default: float, above: float | None = None) -> float:
        """An option that is a number of at least 0, or more than `above`."""
        value = options.get(name, default)
        known = isinstance(value, int | float) and not isinstance(value, bool) and np.isfinite(value)
        if known and (value >= 0 if above is None else value > above):
            return float(value)
        least = "of 0 or more" if above is None else f"above {above:g}"
        raise wrong(name, f"{name} = {value!r} is no number {least}", f"OPTIONS({name} = {default or 1.0:g}, …)")

    for name in options:
        if name not in _OPTIONS:
            raise wrong(name, f"CREATE MODEL has no option '{name}'", nearest(name, _OPTIONS))
    kind = str(options.get("model_type", "logistic_reg")).lower()
    if kind not in _LOGISTIC + _LINEAR:
        known_types = ", ".join(_LOGISTIC + _LINEAR)
        raise wrong("model_type", f"model_type '{kind}' is not supported",
                    f"supported: {known_types}; hand any other estimator to db.create_model(…)")  # fmt: skip
    labels = options.get("input_label_cols", [])
    labels = [labels] if isinstance(labels, str) else labels
    if not isinstance(labels, list) or len(labels) != 1:
        raise wrong("options", "CREATE MODEL needs one label", "OPTIONS(input_label_cols = ['label'], …)")
    intercept = bool(options.get("fit_intercept", True))
    iterations = int(number("max_iterations", 1000, above=0))
    estimator: Any
    if kind in _LINEAR:
        for name in _CLASSES_ONLY:
            if name in options:
                raise wrong(name, f"{kind} has no option '{name}': it predicts a number, not a class",
                            "leave it out; l2_reg is the penalty")  # fmt: skip
        alpha = number("l2_reg", 0.0)
        estimator = Ridge(alpha=alpha, fit_intercept=intercept) if alpha else LinearRegression(fit_intercept=intercept)
    else:
        lasso = number("l1_reg", 0.0)
        if lasso > 0 and "c" in options:
            raise wrong("c", "c and l1_reg both say how much is penalised", "l1_reg and l2_reg; c = 1 / l2_reg")
        ridge = number("l2_reg", 0.0) if lasso > 0 or "l2_reg" in options else 1.0 / number("c", 1.0, above=0)
        strength = ridge + lasso
        balanced = options.get("auto_class_weights") is True or options.get("class_weight") == "balanced"
        estimator = LogisticRegression(
            C=1.0 / strength if strength > 0 else float("inf"),
            class_weight="balanced" if balanced else None,
            fit_intercept=intercept,
            max_iter=iterations,
        )
        if lasso > 0:
            estimator.set_params(solver="saga", l1_ratio=lasso / strength)
            if estimator.penalty == "l2":  # up to scikit-learn 1.7; from 1.8 on `l1_ratio` says it
                estimator.set_params(penalty="elasticnet")
    if options.get("standardize_features"):
        estimator = make_pipeline(StandardScaler(), estimator)
    features = options.get("features")
    return estimator, {
        "label": labels[0],
        "key": options.get("key"),
        "features": [features] if isinstance(features, str) else features,
        "weight": options.get("weight"),
    }


def with_features(estimator: Any, features: Sequence[str], where: str) -> Any:
    """A copy of an estimator fitted on an array, its features named; ModelError where their number is another."""
    known = [str(n) for n in getattr(estimator, "feature_names_in_", [])]
    if known:
        if known != list(features):
            raise ModelError(f"the model was fitted on the features {', '.join(known)}, not {', '.join(features)}",
                             where=where, hint="leave features= out")  # fmt: skip
        return estimator
    n = getattr(estimator, "n_features_in_", None)
    if n is None or not isinstance(estimator, _LINEAR_MODELS):
        return estimator
    if n != len(features):
        raise ModelError(f"the model was fitted on {n} features, {len(features)} are named", where=where,
                         hint="name each once, in the order of its columns")  # fmt: skip
    named = copy.copy(estimator)
    named.feature_names_in_ = np.array(features, dtype=object)
    return named
