"""The fields of a request: read once, by name and kind, so that what makes no sense is said before anything is done."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rain_debug.errors import DeskError, nearest
from rain_debug.view.values import MOST_ROWS

MOST_OFFSET = 1 << 40
MOST_LETTERS = 100_000
"""Letters of a text, a query's above all."""
_NONE = object()


@dataclass(frozen=True)
class Asked:
    """An object of a request and where it stands in it; every method raises DeskError for what is not as expected."""

    where: str
    fields: Mapping[str, Any]

    @staticmethod
    def of(where: str, given: Any, known: Sequence[str]) -> Asked:
        """`given` as an object with no other fields than the `known` ones.

        >>> Asked.of("rows", {"query": "weekly", "ofset": 3}, ("query", "offset"))
        Traceback (most recent call last):
            ...
        rain_debug.errors.DeskError: there is no field 'ofset'
          where: rows
          try:   did you mean 'offset'? known: offset, query
        """
        if not isinstance(given, Mapping):
            raise DeskError(f"an object was expected, not {_kind(given)}", where=where, hint=f"fields: {_names(known)}")
        for name in given:
            if name not in known:
                raise DeskError(f"there is no field {str(name)!r}", where=where, hint=nearest(str(name), known))
        return Asked(where, given)

    def text(self, name: str, otherwise: Any = _NONE) -> Any:
        """A text; `otherwise` where it is left out or null."""
        found = self._get(name, otherwise)
        if found is otherwise:
            return found
        if not isinstance(found, str) or len(found) > MOST_LETTERS or not _is_text(found):
            raise self.refused(name, found, f"a text of at most {MOST_LETTERS:,} letters")
        return found

    def whole(self, name: str, least: int = 0, most: int = MOST_OFFSET, otherwise: Any = _NONE) -> Any:
        """A whole number in these bounds."""
        found = self._get(name, otherwise)
        if found is otherwise:
            return found
        number = isinstance(found, int | float) and not isinstance(found, bool)
        if not number or not math.isfinite(found) or found != int(found) or not least <= found <= most:
            raise self.refused(name, found, f"a whole number from {least:,} to {most:,}")
        return int(found)

    def limit(self) -> int:
        """Rows of a page: no more than one holds."""
        return min(int(self.whole("limit")), MOST_ROWS)

    def flag(self, name: str, otherwise: bool = False) -> bool:
        """True or false."""
        found = self._get(name, otherwise)
        if not isinstance(found, bool):
            raise self.refused(name, found, "true or false")
        return found

    def number(self, name: str) -> float | None:
        """A number, None where it is left out."""
        found = self._get(name, None)
        if found is not None and (isinstance(found, bool) or not isinstance(found, int | float)):
            raise self.refused(name, found, "a number")
        return found

    def value(self, name: str) -> Any:
        """A cell's value: text, number, truth or null."""
        found = self._get(name, None)
        if found is not None and (not isinstance(found, str | int | float | bool) or not _is_text(found)):
            raise self.refused(name, found, "a text, a number, true, false or null")
        return found

    def one_of(self, name: str, known: Sequence[str]) -> str:
        """One of the `known` words."""
        found = self._get(name, _NONE)
        if not isinstance(found, str) or found not in known:
            raise DeskError(f"there is no {name} {found!r}", where=self.where, hint=nearest(str(found), known))
        return found

    def inner(self, name: str, known: Sequence[str]) -> Asked:
        """An object in this one."""
        return Asked.of(f"{self.where}.{name}", self._get(name, _NONE), known)

    def has(self, name: str) -> bool:
        """Whether the field is there and not null."""
        return self.fields.get(name) is not None

    def items(self, name: str, known: Sequence[str], most: int = 1000) -> list[Asked]:
        """A list of objects."""
        found = self._get(name, _NONE)
        if not isinstance(found, list | tuple) or len(found) > most:
            raise self.refused(name, found, f"a list of at most {most:,} objects")
        return [Asked.of(f"{self.where}.{name}[{i}]", item, known) for i, item in enumerate(found)]

    def values(self, name: str) -> dict[str, Any]:
        """An object of cell values."""
        found = self._get(name, _NONE)
        if not isinstance(found, Mapping) or not all(map(_is_text, found)):
            raise self.refused(name, found, "an object of values")
        inner = Asked(f"{self.where}.{name}", found)
        return {str(key): inner.value(key) for key in found}

    def refused(self, name: str, found: Any, expected: str) -> DeskError:
        """That a field is not what was expected."""
        return DeskError(f"'{name}' is {_kind(found)}", where=self.where, hint=f"give {expected}")

    def _get(self, name: str, otherwise: Any) -> Any:
        found = self.fields.get(name)
        if found is None and otherwise is _NONE:
            raise DeskError(f"'{name}' is missing", where=self.where, hint=f"give '{name}'")
        return otherwise if found is None else found


def _is_text(found: Any) -> bool:
    """False for text with half a letter in it, which JSON can hold and nothing else."""
    try:
        str(found).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _kind(found: Any) -> str:
    """A value for a message, short."""
    if found is None:
        return "null"
    text = repr(found)
    return text if len(text) <= 60 else f"{text[:59]}…"


def _names(known: Sequence[str]) -> str:
    return ", ".join(known) or "none"
