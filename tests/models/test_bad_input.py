"""Law 8: bad input ends in a message that names the place and the remedy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import Lars, Lasso, LogisticRegression, LogisticRegressionCV, RidgeClassifier, SGDClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC

from rain_debug.engines.table import Table
from rain_debug.errors import DataError, ModelError, RainError
from rain_debug.models import adapt

GOOD: dict[str, list[Any]] = {"id": [1, 2, 3, 4], "x": [0.0, 1.0, 2.0, 3.0], "y": ["a", "b", "a", "b"]}


def bind(changes: dict[str, Any], estimator: Any = None, **options: Any) -> Any:
    table = Table.of(**{**GOOD, **changes})
    model = adapt(estimator or LogisticRegression(), where="model 'm'")
    return model.bind(table, options.pop("label", "y"), **{"key": "id", **options})


DATA: dict[str, tuple[Callable[[], Any], str]] = {
    "no records": (lambda: bind({"id": [], "x": [], "y": []}), "no records"),
    "no label column": (lambda: bind({}, label="label"), "no column 'label'"),
    "NULL label": (lambda: bind({"y": ["a", None, "a", "b"]}), "the label 'y' is NULL in row 2"),
    "NaN label": (lambda: bind({"y": np.array([0.0, 1.0, np.nan, np.nan])}), "NULL in 2 rows (the first is row 3)"),
    "one class": (lambda: bind({"y": ["a"] * 4}), "only one class, 'a'"),
    "a quantity": (lambda: bind({"y": [0.1, 0.2, 0.7, 0.9]}), "looks like a quantity"),
    "lists as labels": (lambda: bind({"y": [[1], [2], [1], [2]]}), "holds list"),
    "no feature column": (lambda: bind({}, features=["z"]), "no feature column 'z'"),
    "no feature at all": (lambda: bind({}, features=[]), "no feature column left"),
    "label as feature": (lambda: bind({}, features=["x", "y"]), "among the features"),
    "a feature twice": (lambda: bind({}, features=["x", "x"]), "named twice"),
    "NaN feature": (lambda: bind({"x": np.array([0.0, np.nan, 1, 2])}), "feature 'x' is NaN in row 2"),
    "NULL feature": (lambda: bind({"x": [0.0, None, 1.0, 2.0]}), "feature 'x' is NULL in row 2"),
    "NULL flag": (lambda: bind({"x": [True, None, False, True]}), "feature 'x' is NULL in row 2"),
    "infinite feature": (lambda: bind({"x": [0.0, 1.0, np.inf, -np.inf]}), "infinite in 2 rows"),
    "enormous feature": (lambda: bind({"x": [0.0, 1.0, 1e200, -1e200]}), "exceeds 1e+100"),
    "text feature": (lambda: bind({"x": ["u", "v", "w", "u"]}), "feature 'x' holds text ('u')"),
    "text features": (
        lambda: bind({"a": list("uvwu"), "b": list("uvwu")}, features=["x", "a", "b"]),
        "features 'a', 'b' hold text ('u' in 'a'); this model takes numbers",
    ),
    "no key column": (lambda: bind({}, key="key"), "no column 'key'"),
    "NULL key": (lambda: bind({"id": [1, None, 3, 4]}), "the key 'id' is NULL in row 2"),
    "duplicate keys": (lambda: bind({"id": [1, 2, 2, 2]}), "2 occurs twice (2 records too many)"),
    "no weight column": (lambda: bind({}, weight="w"), "no column 'w'"),
    "text weight": (lambda: bind({"w": list("abcd")}, weight="w"), "holds text"),
    "negative weight": (lambda: bind({"w": [1, 1, -1, 1]}, weight="w"), "NULL, infinite or negative in row 3"),
    "no weight at all": (lambda: bind({"w": [0, 0, 0, 0]}, weight="w"), "0 in every record"),
    "NULL text": (
        lambda: bind({"x": ["u", None, "w", "u"]}, make_pipeline(CountVectorizer(), LogisticRegression())),
        "feature 'x' is NULL",
    ),
    "NaN through a pipeline": (
        lambda: bind({"x": np.array([0.0, np.nan, 1, 2])}, make_pipeline(StandardScaler(), LogisticRegression())),
        "the pipeline keeps it so",
    ),
    "text into a scaler": (
        lambda: bind({"x": ["u", "v", "w", "u"]}, make_pipeline(StandardScaler(), LogisticRegression())),
        "the pipeline cannot encode",
    ),
}


@pytest.mark.parametrize("case", DATA)
def test_bad_data_is_refused_with_its_place_and_a_remedy(case: str) -> None:
    call, message = DATA[case]
    with pytest.raises(DataError) as caught:
        call()
    assert message in caught.value.message
    assert caught.value.where == "training data of model 'm'" and caught.value.hint


FITTED = LogisticRegression().fit(np.array([[0.0], [1.0]]), ["a", "b"])
MODELS: dict[str, tuple[Callable[[], Any], str]] = {
    "a class": (lambda: bind({}, LogisticRegression), "is a class"),
    "neighbours": (lambda: bind({}, KNeighborsClassifier()), "KNeighborsClassifier cannot be differentiated"),
    "cross-validated": (lambda: bind({}, LogisticRegressionCV()), "LogisticRegressionCV has not chosen"),
    "a pipeline of something else": (lambda: bind({}, make_pipeline(StandardScaler(), Lars())), "ends in Lars"),
    "a string": (lambda: bind({}, "logistic"), "'logistic' cannot"),
    "a lasso without a penalty": (lambda: bind({"y": [1.0, 2.0, 3.0, 5.0]}, Lasso(alpha=0.0)), "alpha=0.0"),
    "another loss": (lambda: bind({}, SGDClassifier(loss="modified_huber")), "loss='modified_huber'"),
    "another penalty": (lambda: bind({}, SGDClassifier(penalty="l3")), "penalty='l3'"),
    "a negative alpha": (lambda: bind({}, SGDClassifier(loss="log_loss", alpha=-1.0)), "alpha=-1.0"),
    "a hinge without a penalty": (lambda: bind({}, SGDClassifier(penalty=None)), "no single optimum"),
    "two margins at once": (lambda: bind({}, LinearSVC(multi_class="crammer_singer")), "'crammer_singer'"),
    "a margin's C of 0": (lambda: bind({}, LinearSVC(C=0)), "C=0"),
    "a hinge with l1": (lambda: bind({}, LinearSVC(penalty="l1", loss="hinge")), "penalty='l1', loss='hinge'"),
    "ridge without a penalty": (lambda: bind({}, RidgeClassifier(alpha=0.0)), "alpha=0.0"),
    "ridge of one sign": (lambda: bind({}, RidgeClassifier(positive=True)), "positive=True"),
    "C of 0": (lambda: bind({}, LogisticRegression(C=0.0)), "C=0.0"),
    "no penalty in liblinear": (lambda: bind({}, LogisticRegression(solver="liblinear", C=np.inf)), "needs a penalty"),
    "one against the rest": (
        lambda: bind({"y": ["a", "b", "c", "a"]}, LogisticRegression(solver="liblinear")),
        "one against the rest",
    ),
    "unknown class weight": (lambda: bind({}, LogisticRegression(class_weight={"c": 1.0})), "class 'c'"),
    "negative class weight": (lambda: bind({}, LogisticRegression(class_weight={"a": -1.0})), "-1.0"),
    "class weights of a word": (lambda: bind({}, LogisticRegression(class_weight="even")), "'even'"),
    "fitted on other classes": (lambda: bind({"y": [0, 1, 0, 1]}, FITTED), "knows the classes 'a', 'b'"),
    "fitted on fewer features": (lambda: bind({"z": [1, 2, 3, 5]}, FITTED), "takes 1 features"),
}


@pytest.mark.parametrize("case", MODELS)
def test_models_we_cannot_differentiate_are_refused(case: str) -> None:
    call, message = MODELS[case]
    with pytest.raises(ModelError) as caught:
        call()
    assert message in caught.value.message and caught.value.hint and "model 'm'" in str(caught.value.where)


def test_unfitted_and_without_data() -> None:
    with pytest.raises(ModelError, match="not fitted and has no training data"):
        _ = adapt(LogisticRegression(), where="model 'm'").n_params


def test_queried_rows_are_checked_too() -> None:
    model = adapt(LogisticRegression(), where="model 'm'")
    model.bind(Table.of(**GOOD), "y", key="id")
    for table in (Table.of(z=[1.0]), Table.of(x=[np.nan]), Table.of(x=["text"])):
        with pytest.raises(DataError) as caught:
            model.encode(table, "table 'users'")
        assert caught.value.where == "table 'users'"
    assert model.encode(Table.of(x=np.zeros(0)), "table 'users'").shape == (0, 1)
    assert model.probabilities(np.zeros((0, 1)), np.zeros(2)).shape == (0, 2)


def test_an_unknown_category_at_query_time_is_no_traceback() -> None:
    head = ColumnTransformer([("c", OneHotEncoder(), ["x"])])
    model = adapt(make_pipeline(head, LogisticRegression()), where="model 'm'")
    model.bind(Table.of(x=["u", "v", "u", "v"], y=[0, 1, 0, 1]), "y")
    with pytest.raises(RainError, match="unknown categories"):
        model.encode(Table.of(x=["w"]), "table 'users'")
