"""A project of one's own as an experiment: labels made wrong on purpose, complaints that ask for the clean answers."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import clone

from rain_debug.bench.case import Case, Corruption, Experiment, Scene
from rain_debug.bench.protocol import SETTINGS
from rain_debug.complaints import Complaint
from rain_debug.config import Project, load
from rain_debug.config.build import build
from rain_debug.database import Database, ModelHandle, connect
from rain_debug.datasets.corrupt import draw, relabelled, with_column
from rain_debug.engines.table import Table
from rain_debug.errors import ConfigError, EngineError, nearest

EXAMPLE = "churned=yes->no:30% WHERE plan = 'basic'"
_FORM = re.compile(
    r"(?:(?P<model>\w+)\.)?(?P<column>\w+)\s*=\s*(?P<was>[^:]+?)\s*->\s*(?P<says>[^:]+?)\s*:\s*(?P<share>\d+(?:\.\d+)?)\s*%"
    r"(?:\s+where\s+(?P<where>.+))?",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True)
class Wrong:
    """Which labels become wrong: `share` of the records whose label `was` (any other, where None) and `where` holds.

    `column` is the label's, `model` the model's name where several have that label.
    """

    text: str
    column: str
    was: str | None
    says: str
    share: float
    where: str | None = None
    model: str | None = None


def read(text: str) -> Wrong:
    """What "[MODEL.]LABEL=OLD->NEW:SHARE% [WHERE condition]" says; OLD may be *, any other label.

    >>> read("churned = yes -> no: 30% WHERE plan = 'basic'")
    Wrong(text="churned=yes->no:30% WHERE plan = 'basic'", column='churned', was='yes', says='no', share=0.3,
          where="plan = 'basic'", model=None)
    """
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise ConfigError(f"'{text}' does not say which labels to make wrong", hint=f'write "{EXAMPLE}"')
    was, says = (found[name].strip().strip("'") for name in ("was", "says"))
    share, where = float(found["share"]) / 100, found["where"]
    if not 0 < share <= 1:
        raise ConfigError(f"{found['share']}% of the labels cannot be wrong", hint="give more than 0% and at most 100%")
    named = f"{found['model']}." if found["model"] else ""
    condition = f" WHERE {where}" if where else ""
    whole = f"{named}{found['column']}={was}->{says}:{100 * share:g}%{condition}"
    return Wrong(whole, found["column"], None if was == "*" else was, says, share, where, found["model"])


def experiment(file: Path, corruptions: Sequence[str] = ()) -> Experiment:
    """The project's complaints as cases, one a corruption: those given, else those under [bench] in the file.

    A complaint names a place; what it asks for is the answer that the clean labels lead to. That is the database's own,
    so complaints are judged by it, not by the relaxed one, unless [debug] says otherwise. ConfigError for a project
    without complaints or corruptions.
    """
    project = load(file)
    asked = [read(text) for text in corruptions or project.bench]
    if not asked:
        raise ConfigError(
            "nothing says which labels to make wrong",
            where=str(file),
            hint=f'pass --corrupt "{EXAMPLE}", or write it as corrupt = "…" under [bench]',
        )
    if not project.complaints:
        raise ConfigError("the project names no complaint", where=str(file), hint="add [[complaints]]: they say where")
    settings = {"judge": "exact", **{k: v for k, v in project.debug.items() if k in ("step", *SETTINGS, "damping")}}
    settings["until"] = "budget"
    return Experiment(
        file.stem,
        file.stem,
        f"{file.name}: labels made wrong",
        "no published figure",
        "The complaints ask for what the queries answer with the labels as they are.",
        tuple(
            Case(w.text, Corruption(w.text, functools.partial(prepare, project, w)), _complaints, settings=settings)
            for w in asked
        ),
    )


def prepare(project: Project, wrong: Wrong, seed: int) -> Scene:
    """The project with some labels wrong; `rows` holds the complaints, made before they were."""
    session = build(project)
    complaints = [c for c in map(functools.partial(_as_clean, session.db), session.complaints) if c is not None]
    if not complaints:
        raise ConfigError("the complained places are all NULL with clean labels", where=str(project.file),
                          hint="complain about places that have a value")  # fmt: skip
    handle = _model(session.db, wrong)
    assert handle.records is not None and handle.label is not None
    table = handle.records.table
    hit = draw(_candidates(table, handle, wrong), wrong.share, seed)
    if not len(hit):
        raise ConfigError(f"'{wrong.text}' makes no label wrong", hint="choose a larger share, or a wider condition")
    new = _class(handle, wrong.says)
    keys = handle.records.keys[hit]
    table = with_column(table, handle.label, relabelled(table[handle.label].values, hit, new))
    session.db.create_model(
        handle.name,
        clone(handle.estimator),
        training=with_column(table, "__weight", handle.records.weight),
        key=handle.key,
        label=handle.label,
        features=handle.model.features,
        weight="__weight",
        aliases=handle.aliases,
    )
    return Scene(session.db, np.sort(keys), np.empty(0), complaints)


def _complaints(scene: Scene, seed: int) -> list[Complaint]:
    return list(scene.rows)


def _as_clean(db: Database, complaint: Complaint) -> Complaint | None:
    """The complaint that asks for what its place holds now; None where that is NULL."""
    query, target = complaint.query, complaint.target
    value = float(query.read(query.keyed_answer, target))
    if target.kind == "present":
        return replace(complaint, says="exist" if value else "not_exist")
    if target.kind == "value":
        return None if np.isnan(value) else replace(complaint, says="be", value=value, tolerance=None)
    classes = dict.fromkeys(c for handle in db.models.values() for c in handle.model.classes)
    held = (c for c in classes if query.read(query.keyed_answer, replace(target, value=c)))
    return next((replace(complaint, target=replace(target, value=c)) for c in held), None)


def _model(db: Database, wrong: Wrong) -> ModelHandle:
    """The model whose labels the corruption is about."""
    found = [
        h for h in db.models.values()
        if h.records is not None and (h.label or "").lower() == wrong.column.lower() and wrong.model in (None, h.name)
    ]  # fmt: skip
    if len(found) == 1:
        return found[0]
    known = [f"{h.name}.{h.label}" for h in db.models.values()]
    if found:
        raise ConfigError(f"{len(found)} models have the label '{wrong.column}'", hint=f"name one: {', '.join(known)}")
    asked = f"{wrong.model}.{wrong.column}" if wrong.model else wrong.column
    raise ConfigError(f"no model has the label '{asked}'", hint=nearest(asked, known))


def _class(handle: ModelHandle, text: str) -> Any:
    """The class that is written so."""
    if not handle.model.classes:
        raise ConfigError(f"model '{handle.name}' is a regressor: its labels are numbers, not classes",
                          hint="labels of classifiers can be made wrong")  # fmt: skip
    for c in handle.model.classes:
        if text in (str(c), str(c).lower()):
            return c
    raise ConfigError(
        f"model '{handle.name}' has no class '{text}'", hint=nearest(text, map(str, handle.model.classes))
    )


def _candidates(table: Table, handle: ModelHandle, wrong: Wrong) -> np.ndarray:
    """Positions of the records whose labels may become wrong, ascending."""
    assert handle.label is not None
    labels, new = table[handle.label].values, _class(handle, wrong.says)
    mask = labels != new if wrong.was is None else labels == _class(handle, wrong.was)
    if wrong.where is None:
        return np.flatnonzero(mask)
    numbered = connect({"training": with_column(table, "__record", np.arange(table.n_rows))})
    try:
        there = numbered.engine.table(f"SELECT __record FROM training WHERE {wrong.where}")["__record"].values
    except EngineError as error:
        raise ConfigError(f"the condition of '{wrong.text}' cannot be read: {error.message}",
                          hint=f"columns: {', '.join(table)}") from None  # fmt: skip
    return np.intersect1d(np.flatnonzero(mask), np.asarray(there, dtype=np.int64))
