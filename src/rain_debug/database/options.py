"""The options of CREATE MODEL → a scikit-learn estimator."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from rain_debug.errors import ModelError, SQLError, nearest
from rain_debug.sql import CreateModel

_TYPES = ("logistic_reg", "logistic_regression")
_OPTIONS = (
    "model_type",
    "input_label_cols",
    "key",
    "features",
    "weight",
    "l2_reg",
    "c",
    "class_weight",
    "auto_class_weights",
    "fit_intercept",
    "max_iterations",
    "standardize_features",
)


def estimator_from_options(statement: CreateModel, sql: str) -> tuple[Any, dict[str, Any]]:
    """The estimator of `CREATE MODEL … OPTIONS(…)`, and the arguments of `create_model` beside it.

    BigQuery's names are understood: `model_type='logistic_reg'`, `input_label_cols=['y']`, `l2_reg` (C = 1/l2_reg),
    `auto_class_weights`, `max_iterations`, `standardize_features`; and ours: `key`, `features`, `weight`, `c`.
    """
    options = dict(statement.options)

    def wrong(name: str, message: str, hint: str) -> SQLError:
        start = sql.lower().find(name)
        return SQLError(message, sql=sql, start=max(start, 0), end=max(start, 0) + len(name), hint=hint)

    for name in options:
        if name not in _OPTIONS:
            raise wrong(name, f"CREATE MODEL has no option '{name}'", nearest(name, _OPTIONS))
    kind = str(options.get("model_type", "logistic_reg")).lower()
    if kind not in _TYPES:
        raise wrong("model_type", f"model_type '{kind}' is not supported", f"supported: {', '.join(_TYPES)}; hand any "
                    "other estimator to db.create_model(…)")  # fmt: skip
    labels = options.get("input_label_cols", [])
    labels = [labels] if isinstance(labels, str) else labels
    if len(labels) != 1:
        raise wrong("options", "CREATE MODEL needs one label", "OPTIONS(input_label_cols = ['label'], …)")
    if "l2_reg" in options and float(options["l2_reg"]) < 0:
        raise wrong("l2_reg", "l2_reg is negative", "give 0 (no penalty) or more")
    strength = float(options.get("l2_reg", 1.0 / float(options.get("c", 1.0))))
    balanced = options.get("auto_class_weights") is True or options.get("class_weight") == "balanced"
    estimator: Any = LogisticRegression(
        C=1.0 / strength if strength > 0 else float("inf"),
        class_weight="balanced" if balanced else None,
        fit_intercept=bool(options.get("fit_intercept", True)),
        max_iter=int(options.get("max_iterations", 1000)),
    )
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
    if n is None or not isinstance(estimator, LogisticRegression):
        return estimator
    if n != len(features):
        raise ModelError(f"the model was fitted on {n} features, {len(features)} are named", where=where,
                         hint="name each once, in the order of its columns")  # fmt: skip
    named = copy.copy(estimator)
    named.feature_names_in_ = np.array(features, dtype=object)
    return named
