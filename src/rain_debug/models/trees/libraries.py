"""Which classes are trees, what their settings must be, and which leaf of each tree a row falls into, by library.

XGBoost and LightGBM are found by the module that a class comes from, and so are never imported for others' sake.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from sklearn.base import clone

from rain_debug.errors import ModelError

SKLEARN = ("DecisionTree", "ExtraTree", "RandomForest", "ExtraTrees", "GradientBoosting", "HistGradientBoosting")
ROOTS = {
    "sklearn": frozenset(f"{name}{end}" for name in SKLEARN for end in ("Classifier", "Regressor")),
    "xgboost": frozenset(f"XGB{name}{end}" for name in ("", "RF") for end in ("Classifier", "Regressor")),
    "lightgbm": frozenset(f"LGBM{end}" for end in ("Classifier", "Regressor")),
}
"""By the package that a class comes from: the names it is known by."""
SEED = 0
"""Of an estimator without a `random_state`: a refit on the same records must give the same trees."""


def is_trees(kind: type) -> bool:
    """Whether a class is one of `ROOTS`, whatever module of its package it lives in.

    >>> from sklearn.ensemble import BaggingClassifier, RandomForestClassifier
    >>> is_trees(RandomForestClassifier), is_trees(BaggingClassifier)
    (True, False)
    """
    return kind.__name__ in ROOTS.get(kind.__module__.partition(".")[0], ())


def library(estimator: Any) -> str:
    """The package that the estimator's class comes from."""
    return type(estimator).__module__.partition(".")[0]


def takes_missing(estimator: Any) -> bool:
    """Whether the trees send rows with NaN somewhere."""
    try:
        tags = estimator.__sklearn_tags__()
    except AttributeError:  # scikit-learn before 1.6
        return library(estimator) != "sklearn" or type(estimator).__name__.startswith("Hist")
    return library(estimator) != "sklearn" or bool(tags.input_tags.allow_nan)


def repeatable(estimator: Any) -> Any:
    """An unfitted copy that grows the same trees from the same records every time."""
    copy = clone(estimator)
    settings = copy.get_params()
    fixed: dict[str, Any] = {}
    if settings.get("random_state", SEED) is None:
        fixed["random_state"] = SEED
    if settings.get("warm_start"):
        fixed["warm_start"] = False
    if library(estimator) == "lightgbm":  # sums in one order, however many threads there are
        by = {} if settings.get("force_col_wise") else {"force_row_wise": True}
        fixed |= {"deterministic": True, "verbose": settings.get("verbose", -1), **by}
    return copy.set_params(**fixed)


def check(estimator: Any, where: str) -> None:
    """ModelError on settings whose trees cannot be refitted from the records alone, or that grow none."""
    settings = estimator.get_params()
    if settings.get("booster") == "gblinear":
        raise ModelError(
            "booster='gblinear' grows no trees", where=where, hint="booster='gbtree', or a linear model of scikit-learn"
        )
    if settings.get("early_stopping_rounds") is not None:
        raise ModelError(
            "early_stopping_rounds needs rows to stop by, and a refit has none",
            where=where,
            hint="set n_estimators to the number of rounds that you found, and leave early_stopping_rounds out",
        )
    if not isinstance(settings.get("random_state"), int | np.integer | None):
        raise ModelError(
            "random_state is a generator: every refit would grow other trees", where=where, hint="random_state=0"
        )
    if settings.get("linear_tree"):
        raise ModelError("linear_tree=True has lines in its leaves, not numbers", where=where, hint="linear_tree=False")


def class_weights(estimator: Any, classes: tuple[Any, ...]) -> Any:
    """What the estimator weighs classes by, as scikit-learn's `class_weight`; None where all weigh the same."""
    settings = estimator.get_params()
    wanted = settings.get("class_weight")
    if wanted is not None:
        return "balanced" if wanted == "balanced_subsample" else wanted
    if settings.get("is_unbalance"):
        return "balanced"
    heavier = settings.get("scale_pos_weight")
    return None if heavier in (None, 1) or len(classes) != 2 else {classes[1]: float(heavier)}


def leaves(fitted: Any, X: Any) -> np.ndarray:
    """(n_rows, n_trees) int64: a number for the leaf of each tree that each row falls into; every class's trees count.

    X (n_rows, n_columns) is what `inputs` makes, of one row at least.

    >>> from sklearn.tree import DecisionTreeClassifier
    >>> X = np.array([[0.0], [1.0], [2.0]])
    >>> leaves(DecisionTreeClassifier(random_state=0).fit(X, [0, 0, 1]), X).tolist()
    [[1], [1], [2]]
    """
    name = "hist" if type(fitted).__name__.startswith("Hist") else library(fitted)
    return np.asarray(READERS[name](fitted, X)).reshape(X.shape[0], -1).astype(np.int64)


def _hist(fitted: Any, X: np.ndarray) -> np.ndarray:
    """scikit-learn offers no `apply` here: each tree predicts with a leaf's number in the place of its value."""
    from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor

    X = fitted._preprocess_X(X, reset=False)
    known, places = fitted._bin_mapper.make_known_categories_bitsets()
    out = []
    for trees in fitted._predictors:
        for tree in trees:
            nodes = tree.nodes.copy()
            nodes["value"] = np.arange(len(nodes))
            numbered = TreePredictor(nodes, tree.binned_left_cat_bitsets, tree.raw_left_cat_bitsets)
            out.append(numbered.predict(X, known, places, 1))
    return np.column_stack(out)


READERS: Mapping[str, Callable[[Any, np.ndarray], Any]] = {
    "sklearn": lambda fitted, X: fitted.apply(X),
    "hist": _hist,
    "xgboost": lambda fitted, X: fitted.apply(X),
    "lightgbm": lambda fitted, X: fitted.predict(X, pred_leaf=True, validate_features=False),
}
"""By library: the leaves that a fitted estimator sends rows to."""
