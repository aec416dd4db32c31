"""pyinfluence: an explicit Hessian, inverted. Binary models alone.

Its penalty is the model's own, 1/(C·n) on the weights; `damping` is added to all parameters.
"""

from __future__ import annotations

import numpy as np
from pyinfluence import InfluenceFunctions
from sklearn.linear_model import LogisticRegression


def explicit(task):
    if not task.binary:
        raise NotImplementedError("multiclass classifiers are refused")
    model = LogisticRegression(C=task.C)
    model.classes_, model.n_features_in_ = np.array([0, 1]), task.X.shape[1]
    model.coef_, model.intercept_, model.n_iter_ = task.theta[:, :-1], task.theta[:, -1], np.array([1])
    X = task.X.astype(np.float64)

    def run():
        attributor = InfluenceFunctions(mode="loss", damping=task.damping).fit(model, X, task.y)
        return attributor.explain(X_query, [task.query_y])[0]

    X_query = task.query_x[None].astype(np.float64)
    return run


METHODS = {"explicit": explicit}
