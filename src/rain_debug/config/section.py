"""A table of a project file that is read key by key, so that each complaint about it names file, line and key."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from rain_debug.config.lines import Path as KeyPath
from rain_debug.config.lines import line_at
from rain_debug.errors import ConfigError, nearest

_NAMES = {str: "text", int: "a whole number", float: "a number", bool: "true or false", dict: "a table", list: "a list"}


@dataclass(frozen=True)
class Source:
    """A project file's name and the line of each of its keys."""

    file: Path
    lines: Mapping[KeyPath, int]

    def place(self, path: KeyPath) -> str:
        """Where a key stands: file, line and the key as one would write it."""
        return f"{self.file.name}, line {line_at(dict(self.lines), path)}, key {dotted(path)}"


@dataclass
class Section:
    """One table of the file; `values` as parsed, `path` the keys that lead to it, `asked` the keys read so far."""

    source: Source
    values: Mapping[str, Any]
    path: KeyPath
    asked: list[str] = field(default_factory=list)

    def place(self, key: str | None = None) -> str:
        return self.source.place(self.path if key is None else (*self.path, key))

    def fail(self, message: str, key: str | None = None, hint: str | None = None) -> NoReturn:
        """Raise ConfigError at this table, or at one of its keys."""
        raise ConfigError(message, where=self.place(key), hint=hint)

    def has(self, key: str) -> bool:
        self.asked.append(key)
        return key in self.values

    def get(self, key: str, kind: Any, default: Any = None) -> Any:
        """The value of `key`, of the given kind, or `default`; ConfigError for another kind."""
        if not self.has(key):
            return default
        value: Any = self.values[key]
        if kind is object:
            return value
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            self.fail(f"'{key}' must be {_NAMES[kind]}, not {value!r}", key)
        if kind is str and not value.strip():
            self.fail(f"'{key}' is empty", key)
        return value

    def need(self, key: str, kind: Any, example: str) -> Any:
        """The value of a key that must be there."""
        if not self.has(key):
            self._refuse_slip([key])
            self.fail(f"{dotted(self.path) or 'the file'} has no '{key}'", hint=f"add a line such as: {example}")
        return self.get(key, kind)

    def number(self, key: str, default: float | None = None, *, least: float | None = None) -> float | None:
        value: float | None = self.get(key, float, default)
        if value is not None and least is not None and key in self.values and not value >= least:
            self.fail(f"'{key}' must be at least {least:g}, not {value:g}", key)
        return value

    def whole(self, key: str, default: int | None = None, *, least: int = 0) -> int | None:
        value: int | None = self.get(key, int, default)
        if value is not None and key in self.values and value < least:
            self.fail(f"'{key}' must be at least {least}, not {value}", key)
        return value

    def choice(self, key: str, known: Sequence[str], default: str | None = None) -> str | None:
        value: str | None = self.get(key, str, default)
        if value is not None and value not in known:
            self.fail(f"'{key}' is '{value}'", key, hint=nearest(value, known))
        return value

    def names(self, key: str) -> tuple[str, ...] | None:
        """A list of names; one name alone is a list of one."""
        if not self.has(key):
            return None
        value = self.values[key]
        items = [value] if isinstance(value, str) else value
        if not isinstance(items, list) or not items or not all(isinstance(i, str) and i for i in items):
            self.fail(f"'{key}' must be a list of names, not {value!r}", key, hint=f'{key} = ["a", "b"]')
        return tuple(items)

    def section(self, key: str) -> Section:
        """The table under `key`, empty where there is none."""
        return Section(self.source, self.get(key, dict, {}), (*self.path, key))

    def sections(self, key: str) -> Iterator[tuple[str, Section]]:
        """The named tables under `key`: `[models.churn]` is "churn" under "models"."""
        outer = self.section(key)
        for name, values in outer.values.items():
            if not isinstance(values, dict):
                outer.fail(
                    f"'{name}' must be a table", name, hint=f"write [{dotted((*outer.path, name))}] above its keys"
                )
            yield name, Section(self.source, values, (*outer.path, name))

    def items(self, key: str) -> Iterator[Section]:
        """The tables of an array: `[[complaints]]`."""
        values = self.get(key, list, [])
        for n, item in enumerate(values):
            path = (*self.path, key, n)
            if not isinstance(item, dict):
                raise ConfigError(
                    f"'{key}' holds {item!r}, not a table",
                    where=self.source.place(path),
                    hint=f"write [[{key}]] above its keys",
                )
            yield Section(self.source, item, path)

    def only_one(self, keys: Sequence[str], what: str, *, required: bool = True) -> str | None:
        """Which of `keys` is there; ConfigError for two of them, or for none where one is `required`."""
        there = [k for k in keys if self.has(k)]
        if len(there) > 1:
            self.fail(f"'{there[0]}' and '{there[1]}' exclude each other: {what}", there[1], hint="keep one of them")
        if not there and required:
            self._refuse_slip(keys)
            self.fail(f"{dotted(self.path)} says nothing of {what}", hint=f"add one of: {', '.join(keys)}")
        return there[0] if there else None

    def _refuse_slip(self, keys: Sequence[str]) -> None:
        """Where a key that must be there is missing: ConfigError if one stands there that looks like it."""
        for key in self.values:
            if key not in self.asked and difflib.get_close_matches(key, keys):
                self.fail(f"unknown key '{key}'", key, hint=nearest(key, keys))

    def done(self) -> None:
        """ConfigError for a key that nobody asked for, with the known ones, the nearest first."""
        for key in self.values:
            if key not in self.asked:
                self.fail(f"unknown key '{key}'", key, hint=nearest(key, self.asked))


def dotted(path: KeyPath) -> str:
    """A path of keys as one would write it.

    >>> dotted(("complaints", 0, "where"))
    'complaints[1].where'
    """
    text = ""
    for part in path:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else part
    return text
