"""Records that a run never fixes, because the user has looked at them and says that they are right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rain_debug.debugger.session import Session, Trained
from rain_debug.errors import DebugError

NAMED = 3
"""How many unknown keys an error names."""


def by_model(given: Mapping[str, Sequence[Any]] | Sequence[Any] | None) -> dict[str, tuple[Any, ...]]:
    """The keys to spare by model; those given without one stand under "".

    >>> by_model([3, 4]), by_model({"churn": [3]}), by_model(None)
    ({'': (3, 4)}, {'churn': (3,)}, {})
    """
    if given is None:
        return {}
    if isinstance(given, Mapping):
        return {str(name): tuple(_keys(keys)) for name, keys in given.items()}
    return {"": tuple(_keys(given))} if len(_keys(given)) else {}


def _keys(given: Any) -> list[Any]:
    if isinstance(given, str | bytes) or not hasattr(given, "__iter__"):
        raise DebugError(
            f"spare={given!r} is not a list of keys", hint="give spare=[key, …] or spare={model: [key, …]}"
        )
    return given.tolist() if isinstance(given, np.ndarray) else list(given)


def open_records(
    spare: Mapping[str, Sequence[Any]], trained: Mapping[str, Trained], session: Session, verb: str = "spare"
) -> dict[str, np.ndarray]:
    """(n_records,) bool for every model: False where a record is named.

    Of a model that no complaint depends on nothing is fixed anyway. DebugError for a key that no record has, and for
    keys without a model where there are several; ModelError for a model that there is not. `verb` says in errors what
    the records are named for.
    """
    found = {name: np.ones(t.records.n_records, dtype=bool) for name, t in trained.items()}
    for name, keys in spare.items():
        if not name and len(trained) > 1:
            hint = "give {model: [key, …]}; models: " + ", ".join(trained)
            raise DebugError(f"it is not said whose records to {verb}", hint=hint)
        model = name or next(iter(trained))
        if model not in trained:
            session.trained(model)
            continue
        places = {key: i for i, key in enumerate(trained[model].records.keys.tolist())}
        unknown = [key for key in keys if key not in places]
        if unknown:
            some = ", ".join(repr(k) for k in unknown[:NAMED]) + (", …" if len(unknown) > NAMED else "")
            column = trained[model].key or "its number"
            raise DebugError(
                f"there is no record {some} to {verb}",
                where=f"model '{model}'",
                hint=f"a record is named by {column}, e.g. {next(iter(places), None)!r}",
            )
        found[model][[places[key] for key in keys]] = False
    return found
