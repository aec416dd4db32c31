"""Results on disk: a line of JSON a run, in one file a family, so that nothing that is done is done again."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from rain_debug.errors import ReportError

Key = tuple[str, str, int, float | None]


@dataclass(frozen=True)
class Result:
    """One run: a case debugged with one ranker and seed. `curve` is the recall at `POINTS` shares of K = `wrong`.

    `seconds` are medians of a round by phase, `total` those of the whole run. A ranker that looks at no complaint
    has one result for all cases of a corruption, under the corruption's name.
    """

    case: str
    ranker: str
    seed: int
    damping: float | None
    wrong: int
    auccr: float
    recall: float
    rounds: int
    stopped: str
    total: float
    seconds: dict[str, float] = field(default_factory=dict)
    curve: list[float] = field(default_factory=list)

    @property
    def key(self) -> Key:
        """What makes a run the same run."""
        return self.case, self.ranker, self.seed, self.damping


class Store:
    """The results of one family, `folder/family.jsonl`: each is in the file before the next run starts.

    Two processes may write to it at once. ReportError where the file cannot be written or holds something else.
    """

    def __init__(self, folder: Path, family: str) -> None:
        self.path = folder / f"{family}.jsonl"
        self._found: dict[Key, Result] = {}
        self._read()

    def __contains__(self, key: Key) -> bool:
        return key in self._found

    def __iter__(self) -> Iterator[Result]:
        return iter(self._found.values())

    def __len__(self) -> int:
        return len(self._found)

    def get(self, key: Key) -> Result | None:
        return self._found.get(key)

    def put(self, result: Result) -> None:
        """Keep a result; one of the same key that is there already gives way."""
        line = json.dumps(asdict(result), separators=(",", ":")) + "\n"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if result.key in self._found or self._cut_off():
                self._replace(result.key, line)
            else:
                with self.path.open("a", encoding="utf-8") as file:
                    file.write(line)
        except OSError as error:
            hint = "make room, or name another folder: --out"
            raise ReportError(f"the result cannot be kept: {error.strerror}", where=str(self.path), hint=hint) from None
        self._found[result.key] = result

    def _read(self) -> None:
        names = {f.name for f in fields(Result)}
        for number, line in enumerate(self._lines(), 1):
            try:
                values: dict[str, Any] = json.loads(line)
                result = Result(**{k: v for k, v in values.items() if k in names})
            except (ValueError, TypeError, AttributeError):
                raise ReportError(
                    "this is not a result of `rain bench`", where=f"{self.path}, line {number}",
                    hint="remove the line, or name another folder with --out",
                ) from None  # fmt: skip
            self._found[result.key] = result

    def _lines(self) -> list[str]:
        """The file's whole lines: what follows the last line feed is a write that was cut off."""
        try:
            return self.path.read_text(encoding="utf-8").split("\n")[:-1]
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError) as error:
            hint = "name another folder: --out"
            raise ReportError(f"the results cannot be read: {error}", where=str(self.path), hint=hint) from None

    def _cut_off(self) -> bool:
        """Whether the file ends within a line."""
        try:
            with self.path.open("rb") as file:
                return file.seek(0, os.SEEK_END) > 0 and file.seek(-1, os.SEEK_END) >= 0 and file.read() != b"\n"
        except FileNotFoundError:
            return False

    def _replace(self, key: Key, line: str) -> None:
        self._read()  # another process may have added to it
        kept = [json.dumps(asdict(r), separators=(",", ":")) + "\n" for r in self if r.key != key]
        partial = self.path.with_suffix(".tmp")
        partial.write_text("".join([*kept, line]), encoding="utf-8")
        os.replace(partial, self.path)
