"""Rain's own temporary tables in a database: predictions that queries read, and when they are forgotten."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression

from rain_debug.database.registry import Registry
from rain_debug.engines import Engine, Table
from rain_debug.errors import DataError, EngineError
from rain_debug.lineage import DOUBT, Plane, Predictor, materialise, one_pass_sql, prepare_sources, rows_key
from rain_debug.sql import Expr, ModelInfo, Plan


class OwnTables:
    """What Rain writes into a database beside the user's tables."""

    def __init__(self, engine: Engine, registry: Registry) -> None:
        self._engine, self._registry = engine, registry
        self._numbers = itertools.count(1)
        self._stale: list[str] = []
        self._kept: dict[Any, str] = {}
        self._asked: set[Any] = set()
        self._generation = engine.generation

    def next_name(self) -> str:
        """How names of new tables begin, none given twice."""
        return f"__rain_{next(self._numbers)}"

    def materialise(
        self, plan: Plan, models: Mapping[str, ModelInfo], name: str, thetas: Mapping[str, np.ndarray]
    ) -> dict[tuple[str, ...], str]:
        """Predictions at `thetas` (or the models' own parameters) as temporary tables; identity → table name."""
        self._notice_renewal()
        while self._stale:
            self._engine.drop(self._stale.pop())
        kept = self._kept if self._engine.read_only and not thetas else None
        return materialise(plan, self._engine, models, self._predictor(plan, thetas), name, kept)

    def _notice_renewal(self) -> None:
        """Forget temporary tables that went with an earlier connection."""
        if self._generation != self._engine.generation:
            self._generation = self._engine.generation
            self._stale, self._kept, self._asked = [], {}, set()

    def one_pass(
        self, plan: Plan, models: Mapping[str, ModelInfo], thetas: Mapping[str, np.ndarray], also: Sequence[Expr]
    ) -> Table | None:
        """The answer where the database can predict as it reads; None where predictions need tables of their own.

        Rows of a read-only file that are asked for a second time get such tables, for later queries to read.
        """
        predictor = self._predictor(plan, thetas)
        self._notice_renewal()
        if not self._engine.is_own:
            return None
        if self._engine.read_only and not thetas:
            key = rows_key(plan, plan.atoms[0], predictor(plan.atoms[0].model))
            if key in self._asked or key in self._kept:
                return None
            self._asked.add(key)
        self.make_sources(plan)
        sql = one_pass_sql(plan, self._engine, models, predictor, also)
        try:
            return self._engine.table(sql) if sql is not None else None
        except EngineError as error:
            if DOUBT in error.message:
                return None
            raise

    def _predictor(self, plan: Plan, thetas: Mapping[str, np.ndarray]) -> Callable[[str], Predictor]:
        def predictor(name: str) -> Predictor:
            handle = self._registry.get(name)
            theta = thetas.get(handle.name, handle.theta)
            names = {plan.source(a).relation for atom in plan.atoms if atom.model == name for a in atom.aliases}
            rows = f"rows of {' and '.join(sorted(names))} that model '{name}' predicts"

            def predict(table: Table, probabilities: bool) -> tuple[np.ndarray, np.ndarray | None]:
                try:
                    X = handle.model.encode(table, rows)
                except DataError as error:  # these rows are one batch of many: their numbers would mislead
                    message = re.sub(
                        r" in (row \d+|[\d,]+ rows \(the first is row [\d,]+\))", " in some rows", error.message
                    )
                    raise DataError(message, where=error.where, hint=error.hint) from None
                codes = handle.model.predict(X, theta)
                return codes, handle.model.probabilities(X, theta) if probabilities else None

            return Predictor(predict, _plane(handle.model.estimator(theta)))

        return predictor

    def make_sources(self, plan: Plan) -> None:
        """Compute the derived tables that a plan's lineage reads."""
        prepare_sources(plan, self._engine)

    def forget(self, names: Sequence[str]) -> None:
        """Drop temporary tables of Rain's own, but for those that later queries read again."""
        for name in names:
            if name not in self._kept.values():
                self._engine.drop(name)

    def forget_later(self, names: Sequence[str]) -> None:
        """Drop them at the next occasion: the garbage collector may call while an answer is being read."""
        self._stale += [n for n in names if n not in self._kept.values()]


def _plane(estimator: Any) -> Plane | None:
    """The weights of a fitted logistic regression of two classes; None for anything that is more than that."""
    if type(estimator) is not LogisticRegression or len(estimator.classes_) != 2:
        return None
    return Plane(tuple(map(float, estimator.coef_[0])), float(np.atleast_1d(estimator.intercept_)[0]))
