"""The models of a database, by name: made, found, forgotten."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rain_debug.data import Records
from rain_debug.database.options import with_features
from rain_debug.database.training import Storage, training_table
from rain_debug.distributed import Cluster, spread
from rain_debug.engines import Engine
from rain_debug.engines.lazy import LazyTable
from rain_debug.engines.scratch import Scratch, StoredType
from rain_debug.errors import ModelError, nearest
from rain_debug.models import Model, adapt, is_file_name, load_estimator, load_weights
from rain_debug.report.grid import Grid
from rain_debug.sql import ModelInfo


@dataclass
class ModelHandle:
    """A registered model: its adapter, its training records, its parameters and what else queries call it.

    `theta` (n_params,) are the parameters that predictions are made with.
    """

    name: str
    model: Model = field(repr=False)
    records: Records | None = field(repr=False)
    theta: np.ndarray = field(repr=False)
    key: str | None = None
    aliases: tuple[str, ...] = ()
    label: str | None = None

    @property
    def info(self) -> ModelInfo:
        """What queries need to know of it."""
        return ModelInfo(self.name, tuple(self.model.features), tuple(self.model.classes), self.label)

    def about(self) -> dict[str, str]:
        """What it is, in words: kind, features, classes, records."""
        features, classes = self.model.features, self.model.classes
        shown = ", ".join(features[:8]) + (f", … ({len(features):,} in all)" if len(features) > 8 else "")
        own = self.records
        about = {
            "name": self.name,
            "estimator": type(self.estimator).__name__,
            "features": shown,
            "predicts": ", ".join(map(str, classes[:12])) if classes else "a number",
            "trained on": f"{own.n_records:,} records" if own is not None else "handed over fitted, without records",
        }
        named = {"label": self.label, "key": self.key, "also called": ", ".join(self.aliases)}
        return {**about, **{what: text for what, text in named.items() if text}}

    def _repr_html_(self) -> str:
        return Grid(("", "model"), tuple(self.about().items()), cell=200).to_html(20)

    @property
    def estimator(self) -> Any:
        """A fitted copy of the estimator."""
        return self.model.estimator(self.theta)


class Registry:
    """Models by name and alias; what they store on disk goes with `close`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._handles: dict[str, ModelHandle] = {}
        self._scratches: weakref.WeakSet[Scratch] = weakref.WeakSet()

    @property
    def handles(self) -> dict[str, ModelHandle]:
        """The models by name, in a copy."""
        return dict(self._handles)

    def find(self, name: str) -> ModelHandle | None:
        """The model of that name or alias, in any letter case."""
        wanted = name.lower()
        for handle in self._handles.values():
            if wanted == handle.name.lower() or wanted in (a.lower() for a in handle.aliases):
                return handle
        return None

    def get(self, name: str) -> ModelHandle:
        """The model of that name or alias; ModelError where there is none."""
        handle = self.find(name)
        if handle is None:
            raise ModelError(f"there is no model '{name}'", hint=nearest(name, self._handles))
        return handle

    def drop(self, name: str) -> ModelHandle:
        """Forget the model of that name or alias, and return it; ModelError where there is none."""
        return self._handles.pop(self.get(name).name)

    def close(self) -> None:
        """Delete what training sets take on disk."""
        for scratch in list(self._scratches):
            scratch.close()

    def add(
        self,
        name: str,
        estimator: Any,
        training: Any,
        *,
        key: str | None,
        label: str | None,
        features: Sequence[str] | None,
        weight: str | None,
        aliases: Sequence[str],
        weights: str | Path | None,
        trusted: Sequence[str],
        trust_pickle: bool,
        storage: Storage | Cluster | None,
        dtype: StoredType,
        replace: bool,
    ) -> ModelHandle:
        """Make a model and keep it in the place of an earlier one of that name; see `Database.create_model`."""
        self._check_names(name, aliases, replace)
        where = f"model '{name}'"
        if is_file_name(estimator):
            estimator = load_estimator(estimator, where=where, trusted=trusted, trust_pickle=trust_pickle)
        if weights is not None:
            estimator = load_weights(estimator, weights, where=where)
        if training is None and features is not None:
            estimator = with_features(estimator, features, where)
        model = adapt(estimator, where=where)
        records: Records | None = None
        if training is not None:
            if label is None:
                raise ModelError("which column is the label?", where=where, hint="give label='…'")
            if isinstance(storage, Cluster):
                model, records = spread(storage, model, training, label, features, key, weight, dtype)
            else:
                table = training_table(self._engine, training, where, storage, dtype, getattr(model, "stores", False))
                if isinstance(table, LazyTable):
                    self._scratches.add(table.scratch)
                records = model.bind(table, label, features, key, weight)
        theta = _fitted(model, records, where)
        earlier = self.find(name)
        if earlier is not None:
            del self._handles[earlier.name]
        made = ModelHandle(name, model, records, theta, key, tuple(aliases), label)
        self._handles[name] = made
        return made

    def _check_names(self, name: str, aliases: Sequence[str], replace: bool) -> None:
        if not isinstance(name, str) or not name:
            raise ModelError(f"a model's name is text, not {name!r}", hint="create_model('churn', …)")
        for known in (name, *aliases):
            holder = self.find(known)
            if holder is not None and (holder.name.lower() != name.lower() or not replace):
                raise ModelError(
                    f"there is a model '{known}' already", hint="DROP MODEL it first, or choose another name"
                )


def _fitted(model: Model, records: Records | None, where: str) -> np.ndarray:
    """Its parameters (n_params,): those that it came with, or those of a fit to `records`."""
    theta = model.initial()
    if records is not None:
        return theta if theta is not None else model.fit(records, np.ones(records.n_records, dtype=bool), None).theta
    if theta is None:
        raise ModelError(
            "the model is not fitted, and there is no training data",
            where=where,
            hint="give training=SELECT or frame and label=…; or a fitted estimator to query with only",
        )
    if not model.features:
        raise ModelError("the fitted model does not know its features' names", where=where,
                         hint="fit it on a data frame, or give training data and features=…")  # fmt: skip
    return theta
