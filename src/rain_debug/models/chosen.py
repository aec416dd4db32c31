"""Estimators that choose their penalty by cross-validation: fitted, they are the plain one with what they chose."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
from sklearn.linear_model import (
    ElasticNet,
    ElasticNetCV,
    Lasso,
    LassoCV,
    LogisticRegression,
    LogisticRegressionCV,
    Ridge,
    RidgeClassifier,
    RidgeClassifierCV,
    RidgeCV,
)

from rain_debug.errors import ModelError

PLAIN: dict[type, type] = {
    LogisticRegressionCV: LogisticRegression,
    RidgeCV: Ridge,
    RidgeClassifierCV: RidgeClassifier,
    LassoCV: Lasso,
    ElasticNetCV: ElasticNet,
}
"""By the exact class, the estimator that it looks for a setting of."""
CHOSEN = {"C_": "C", "alpha_": "alpha", "l1_ratio_": "l1_ratio"}
FITTED = ("coef_", "intercept_", "_label_binarizer", "classes_", "n_features_in_", "feature_names_in_")


def chosen(estimator: Any, where: str) -> Any:
    """The plain estimator, fitted, with the settings that cross-validation chose; any other estimator as it is.

    `ModelError` on one that has not chosen yet, and on settings that differ by class.

    >>> X, y = np.arange(12.0)[:, None], np.arange(12.0)
    >>> chosen(RidgeCV(alphas=[0.1]).fit(X, y), "model 'm'")
    Ridge(alpha=0.1)
    """
    plain = PLAIN.get(type(estimator))
    if plain is None:
        return estimator
    name = type(estimator).__name__
    if not hasattr(estimator, "coef_"):
        raise ModelError(
            f"{name} has not chosen its penalty yet",
            where=where,
            hint="fit it, and hand it over: refits keep what it chose",
        )
    known = plain().get_params()
    settings = {k: v for k, v in estimator.get_params().items() if k in known}
    for attribute, setting in CHOSEN.items():
        values = {v for v in np.ravel(np.asarray(getattr(estimator, attribute, None), dtype=object)) if v is not None}
        if len(values) > 1:
            raise ModelError(
                f"{name} chose another {setting} for every class: {', '.join(f'{v:g}' for v in sorted(values))}",
                where=where,
                hint=f"hand over {plain.__name__}({setting}=…) with one of them",
            )
        if values and setting in known:
            settings[setting] = float(values.pop())
    fitted = plain(**settings)
    for attribute in FITTED:
        if hasattr(estimator, attribute):
            with contextlib.suppress(AttributeError):  # up to scikit-learn 1.8 `classes_` is the binariser's
                setattr(fitted, attribute, getattr(estimator, attribute))
    return fitted
