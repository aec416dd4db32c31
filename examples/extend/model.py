"""An adapter of one's own: scikit-learn's HuberRegressor, squares near the line and absolute values far from it.

    python examples/extend/model.py

θ is the coefficients, the intercept and log σ. The loss is the regressor's own; its gradient is all that Rain needs.
"""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import HuberRegressor

import rain_debug as rain
from rain_debug import extend


@extend.model(HuberRegressor)
class Huber(extend.SmallModel):
    kind = "regressor"

    def size(self, columns):
        return columns + 2

    def means(self, X, theta):
        return X @ theta[:-2] + theta[-2]

    def mean_slopes(self, X, theta):
        return np.column_stack([X, np.ones(len(X)), np.zeros(len(X))])

    def record_losses(self, X, y, theta):
        e, sigma, r = self._estimator.epsilon, np.exp(theta[-1]), y - self.means(X, theta)
        return sigma + np.where(np.abs(r) > e * sigma, 2 * e * np.abs(r) - sigma * e**2, r**2 / sigma)

    def record_gradients(self, X, y, theta):
        e, sigma, r = self._estimator.epsilon, np.exp(theta[-1]), y - self.means(X, theta)
        near = np.clip(r / sigma, -e, e)[:, None]
        return np.hstack([-2 * near * X, -2 * near, sigma * (1 - near**2)])

    def penalty(self):
        return np.r_[np.full(self.n_params - 2, 2 * self._estimator.alpha), 0.0, 0.0]

    def filled(self, theta):
        fitted = HuberRegressor(**self._estimator.get_params())
        fitted.coef_, fitted.intercept_, fitted.scale_ = theta[:-2].copy(), theta[-2], np.exp(theta[-1])
        return fitted


def main() -> rain.Report:
    size = np.linspace(-2.0, 2.0, 301)
    flats = rain.Table.of(size=size, rent=3 * size + np.cos(9 * size) / 5 + 8 * (np.arange(301) % 7 == 0) * (size > 0))
    extend.check_model(HuberRegressor(), flats, "rent")
    db = rain.connect({"offers": {"id": np.arange(200), "size": size[101:], "floor": np.arange(200) % 2}})
    db.create_model("rent", HuberRegressor(), training=flats, label="rent")
    means = db.query("SELECT floor, avg(predict(rent, o)) AS rent FROM offers o WHERE o.size > 0 GROUP BY floor")
    return db.debug(means.cell("rent", floor=0).too_high(by=0.05), budget=60, step=10)


if __name__ == "__main__":
    print(main())
