"""What others bring along: a ranker, the relaxation of a SQL function, the adapter of an estimator.

Each is registered once, in a notebook or in a module that a project file names under `extensions`, and is then known
wherever its name can stand. `check_ranker`, `check_function` and `check_model` hold it to the laws that Rain's own are
held to.

>>> import numpy as np
>>> from rain_debug import extend
>>> extend.function("tanh", np.tanh, lambda x: 1 - np.tanh(x) ** 2)
>>> extend.check_function("tanh", [[-1.0, 0.5, 2.0]])
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from rain_debug.extend.checks import check_function, check_model, check_ranker
from rain_debug.influence import ihvp, products, query_gradient, scores
from rain_debug.models.adapt import register as _register_model
from rain_debug.models.small import SmallModel
from rain_debug.models.tabular import TabularModel
from rain_debug.rankers import Problem, Ranker, Ranking
from rain_debug.rankers import register as _register_ranker
from rain_debug.rankers.holistic import along_gradient
from rain_debug.relax.functions import register as function

__all__ = [
    "Problem",
    "Ranking",
    "SmallModel",
    "TabularModel",
    "along_gradient",
    "check_function",
    "check_model",
    "check_ranker",
    "function",
    "ihvp",
    "model",
    "products",
    "query_gradient",
    "ranker",
    "scores",
]

Adapter = TypeVar("Adapter", bound=type[TabularModel])


def ranker(name: str, *, options: type | None = None, blind: bool = False) -> Callable[[Ranker], Ranker]:
    """A decorator: the function below it, from a `Problem` to a `Ranking`, is the ranker called `name`.

    `options` is a dataclass of its settings, `blind` says that it does not look at the complaints; see
    `rankers.register`, which also says what is refused.

    >>> import numpy as np
    >>> @ranker("last_first", blind=True)
    ... def last_first(problem):
    ...     return Ranking(np.where(problem.keep, np.arange(1.0, problem.records.n_records + 1), 0.0))
    """

    def registered(function: Ranker) -> Ranker:
        _register_ranker(name, function, options=options, blind=blind)
        return function

    return registered


def model(estimator: type) -> Callable[[Adapter], Adapter]:
    """A decorator: the class below it is the adapter of every estimator of exactly the class `estimator`, alone or at
    the end of a `Pipeline`. See `models.adapt.register` for what is refused, `SmallModel` for what it has to say."""

    def registered(adapter: Adapter) -> Adapter:
        _register_model(estimator, adapter)
        return adapter

    return registered
