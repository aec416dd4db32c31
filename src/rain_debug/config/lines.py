"""In which line of a TOML file each key stands, which `tomllib` does not tell."""

from __future__ import annotations

import tomllib
from collections.abc import Callable

Path = tuple[str | int, ...]


def lines_of(text: str) -> dict[Path, int]:
    """The line, counted from 1, of every table and key in TOML `text`, by path; arrays count their items from 0.

    `text` must be valid TOML: this only skips over values, it judges none.

    >>> lines_of('version = 1\\n[[complaints]]\\nwhere = {week = "x"}\\n')
    {('version',): 1, ('complaints', 0): 2, ('complaints', 0, 'where'): 3, ('complaints', 0, 'where', 'week'): 3}
    """
    return _Scanner(text).scan()


def line_at(lines: dict[Path, int], path: Path) -> int:
    """The line of `path`, or of the innermost table around it that stands in the file; 1 if none does.

    >>> line_at({("debug",): 7}, ("debug", "budget"))
    7
    """
    return next((lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in lines), 1)


class _Scanner:
    """One walk over the characters; `at` is the next one to read."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[Path, int] = {}

    def scan(self) -> dict[Path, int]:
        table: Path = ()
        counts: dict[Path, int] = {}
        while self._skip(" \t\r\n"):
            if self.text.startswith("[[", self.at):
                self.at += 2
                name = self._header(counts)
                counts[name] = counts.get(name, -1) + 1
                table = (*name, counts[name])
                self._note(table)
                self.at += 2
            elif self.text[self.at] == "[":
                self.at += 1
                table = self._header(counts)
                self._note(table)
                self.at += 1
            else:
                self._pair(table)
        return self.lines

    def _note(self, path: Path) -> None:
        self.lines.setdefault(path, self.text.count("\n", 0, self.at) + 1)

    def _skip(self, blanks: str) -> bool:
        """Past `blanks` and comments; whether anything is left."""
        while self.at < len(self.text):
            if self.text[self.at] == "#":
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            elif self.text[self.at] in blanks:
                self.at += 1
            else:
                return True
        return False

    def _header(self, counts: dict[Path, int]) -> Path:
        """A header's dotted key; inside an array of tables it belongs to the last item."""
        *outer, last = self._dotted()
        path: Path = ()
        for part in outer:
            path = (*path, part)
            if path in counts:
                path = (*path, counts[path])
        return (*path, last)

    def _dotted(self) -> list[str]:
        parts = []
        while True:
            self._skip(" \t")
            start = self.at
            if self.text[self.at] in "\"'":
                self._string()
                parts.append(str(tomllib.loads(f"k = {self.text[start : self.at]}")["k"]))
            else:
                while self.text[self.at].isalnum() or self.text[self.at] in "-_":
                    self.at += 1
                parts.append(self.text[start : self.at])
            self._skip(" \t")
            if self.text[self.at] != ".":
                return parts
            self.at += 1

    def _pair(self, table: Path) -> None:
        line_start = self.at
        path: Path = (*table, *self._dotted())
        here, self.at = self.at, line_start
        for n in range(len(table) + 1, len(path) + 1):
            self._note(path[:n])
        self.at = here + 1  # the equals sign
        self._value(path)

    def _value(self, path: Path) -> None:
        self._skip(" \t\r\n")
        opening = self.text[self.at]
        if opening in "\"'":
            self._string()
        elif opening == "{":
            self._inside("}", lambda _: self._pair(path))
        elif opening == "[":
            self._inside("]", lambda n: self._item((*path, n)))
        else:
            while self.at < len(self.text) and self.text[self.at] not in ",]}#\n":
                self.at += 1

    def _item(self, path: Path) -> None:
        self._note(path)
        self._value(path)

    def _inside(self, closing: str, read: Callable[[int], None]) -> None:
        self.at += 1
        n = 0
        while self._skip(" \t\r\n,") and self.text[self.at] != closing:
            read(n)
            n += 1
        self.at += 1

    def _string(self) -> None:
        quote = self.text[self.at]
        mark = quote * 3 if self.text.startswith(quote * 3, self.at) else quote
        self.at += len(mark)
        while not self.text.startswith(mark, self.at):
            self.at += 2 if self.text[self.at] == "\\" and quote == '"' else 1
        self.at += len(mark)
        while len(mark) == 3 and self.text.startswith(quote, self.at):  # a fourth or fifth quote belongs to the text
            self.at += 1
