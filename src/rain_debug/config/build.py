"""A project as living things: the database opened, models trained, queries compiled, complaints made."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from rain_debug import datasets
from rain_debug.config.project import ComplaintSpec, DatabaseSpec, ModelSpec, Project
from rain_debug.config.untrusted import refuse_reach
from rain_debug.database import Database, connect
from rain_debug.engines import lock
from rain_debug.errors import ConfigError, RainError, nearest


@dataclass(frozen=True)
class Session:
    """What a project names, ready to be asked; `queries` by name, `complaints` in the file's order."""

    project: Project
    db: Database
    queries: Mapping[str, Any]
    complaints: tuple[Any, ...]


@contextmanager
def placed(where: str) -> Iterator[None]:
    """Errors from inside say where in the project file their cause stands."""
    try:
        yield
    except RainError as error:
        error.where = where if error.where is None else f"{where}\n         {error.where}"
        raise


def build(project: Project, *, trust_pickle: bool = False, untrusted: bool = False) -> Session:
    """Open, train and compile what `project` names, in that order; every error names its place in the file.

    `trust_pickle`: models in pickled files are opened, which runs what code these bring along. `untrusted`: the file
    comes from elsewhere. It may name data and models beside it and nothing else; a worker reads the data, and the
    database is locked before the project's first query.
    """
    if untrusted:
        refuse_reach(project)
    for name in project.extensions:
        _module(name, project)
    with placed(project.database.where):
        db = connect(_source(project.database), untrusted=untrusted)
        if untrusted:
            lock(db.engine)
    for model in project.models:
        with placed(model.where):
            _create(db, model, project, trust_pickle)
    queries = {}
    for query in project.queries:
        with placed(query.where):
            queries[query.name] = db.query(query.sql, name=query.name)
    complaints = []
    for complaint in project.complaints:
        with placed(complaint.where):
            complaints.append(_complain(db, queries, complaint))
    return Session(project, db, queries, tuple(complaints))


def _source(spec: DatabaseSpec) -> Any:
    if spec.path is not None:
        return str(spec.path)
    if spec.url is not None:
        return spec.url
    if spec.dataset is not None:
        return _dataset(spec.dataset, spec.options)
    return {name: str(path) for name, path in spec.tables.items()}


def _dataset(name: str, options: Mapping[str, Any]) -> Any:
    """A set's tables; the options are its loader's."""
    loader = getattr(datasets, name)
    known = list(inspect.signature(loader).parameters)
    for option in options:
        if option not in known:
            raise ConfigError(f"data set '{name}' has no option '{option}'", hint=nearest(option, known))
    try:
        return loader(**options).frames()
    except (TypeError, ValueError) as error:
        raise ConfigError(f"data set '{name}' does not take these options: {error}",
                          hint=f"it takes: {', '.join(sorted(known)) or 'none'}") from None  # fmt: skip


def _create(db: Database, spec: ModelSpec, project: Project, trust_pickle: bool) -> None:
    if spec.sql is not None:
        db.execute(spec.sql)
        return
    estimator = spec.file or (_made(spec, project) if spec.python else _estimator(spec.options))
    features = (spec.options["text"],) if "text" in spec.options else spec.features
    db.create_model(
        spec.name,
        estimator,
        training=spec.training,
        key=spec.key,
        label=spec.label,
        features=features,
        weight=spec.weight,
        storage=spec.storage,
        dtype=spec.dtype,
        aliases=spec.aliases,
        weights=spec.weights,
        trusted=spec.trusted,
        trust_pickle=trust_pickle,
    )


def _estimator(options: Mapping[str, Any]) -> Any:
    """A logistic regression with scikit-learn's options, behind a scaler or a vectoriser where one is asked for.

    >>> _estimator({"C": 0.5, "scale": True})
    Pipeline(steps=[('standardscaler', StandardScaler()), ('logisticregression', LogisticRegression(C=0.5))])
    """
    own = {k: v for k, v in options.items() if k in ("C", "class_weight", "max_iter", "tol", "fit_intercept")}
    if isinstance(own.get("class_weight"), dict):
        own["class_weight"] = {int(k) if k.lstrip("-").isdigit() else k: v for k, v in own["class_weight"].items()}
    model = LogisticRegression(**own)
    if "text" in options:
        words = {k: v for k, v in options.items() if k in ("min_df", "max_features", "stop_words")}
        return make_pipeline(CountVectorizer(**words), model)
    return make_pipeline(StandardScaler(), model) if options.get("scale") else model


def _made(spec: ModelSpec, project: Project) -> Any:
    """What the project's own function returns."""
    make = _factory(spec, project)
    try:
        return make()
    except RainError:
        raise
    except Exception as error:  # the project's own code: whatever it raises
        raise _failed(f"'{spec.python}' failed", error) from error


def _factory(spec: ModelSpec, project: Project) -> Any:
    """The function that `python = "module:function"` names, looked for beside the project file first."""
    assert spec.python is not None
    module_name, function = spec.python.split(":")
    module = _module(module_name, project)
    found = getattr(module, function, None)
    if not callable(found):
        known = [n for n in vars(module) if callable(getattr(module, n)) and not n.startswith("_")]
        raise ConfigError(f"module '{module_name}' has no function '{function}'", hint=nearest(function, known))
    return found


def _module(name: str, project: Project) -> ModuleType:
    """The Python module called `name`, looked for beside the project file first."""
    folder = str(project.file.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(
            f"module '{name}' cannot be imported: {error}", hint=f"put {name}.py beside the project file"
        ) from None
    except RainError:
        raise
    except Exception as error:  # the project's own code: whatever it raises
        raise _failed(f"module '{name}' cannot be imported", error) from error


def _failed(what: str, error: Exception) -> ConfigError:
    """Code of the project's own went wrong."""
    return ConfigError(f"{what}: {type(error).__name__}: {error}", hint="mend it there; --debug shows where it stands")


def _complain(db: Database, queries: Mapping[str, Any], spec: ComplaintSpec) -> Any:
    if spec.model is not None:
        place = db.prediction(spec.model, spec.key, table=spec.table)
    else:
        query = queries[spec.query or ""]
        place = query.cell(spec.column, where=spec.place) if spec.column else query.row(spec.place)
        if spec.compared is not None:
            place = getattr(place, spec.compared)(query.cell(spec.column, where=spec.against))
    say = getattr(place, spec.claim)
    if spec.tolerance is not None:
        return say(*([] if spec.claim == "is_right" else [spec.value]), tolerance=spec.tolerance)
    if spec.claim in ("too_low", "too_high"):
        return say(by=spec.value)
    return say() if spec.value is None else say(spec.value)
