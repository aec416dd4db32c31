"""A ranker's own settings, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from rain_debug.errors import DebugError, nearest

KINDS: dict[type, tuple[type, ...]] = {bool: (bool,), int: (int,), float: (int, float), str: (str,)}
_WORDS = {bool: "True or False", int: "a whole number", float: "a number", str: "a text"}


def checked(ranker: str, options: Mapping[str, Any], known: Mapping[str, type]) -> Any:
    """The options as the ranker's dataclass in `known`, None where it has none; DebugError for those it can't take."""
    kind = known.get(ranker)
    if kind is None:
        if options:
            raise DebugError(
                f"ranker '{ranker}' has no options, and was given {', '.join(map(repr, options))}",
                hint=f"rankers that have some: {', '.join(known)}",
            )
        return None
    defaults = {f.name: f.default for f in fields(kind)}
    for name, value in options.items():
        if name not in defaults:
            raise DebugError(f"ranker '{ranker}' has no option {name!r}", hint=nearest(str(name), defaults))
        wanted = type(defaults[name])
        if not isinstance(value, KINDS[wanted]) or (isinstance(value, bool) and wanted is not bool):
            raise DebugError(f"option {name}={value!r} is not {_WORDS[wanted]}", hint=f"default: {defaults[name]!r}")
    return kind(**options)
