"""The fix of a run as statements for the user's own database. Rain writes them and never runs them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rain_debug.errors import DataError
from rain_debug.sql import write

AT_ONCE = 1000
"""Keys in one statement: some databases take no longer lists."""


@dataclass(frozen=True)
class Script:
    """Records of `table` by their keys in column `key`: those to `delete`, and those to `relabel`, (key, new label).

    >>> script = Script("churn_training", "id", (2014, 38), (), "churned")
    >>> print(script.sql())
    -- 2 records of churn_training are deleted. Look at them first:
    -- SELECT * FROM churn_training WHERE id IN (38, 2014);
    BEGIN TRANSACTION;
    DELETE FROM churn_training WHERE id IN (38, 2014);
    COMMIT;
    """

    table: str
    key: str
    delete: tuple[Any, ...] = ()
    relabel: tuple[tuple[Any, Any], ...] = ()
    label: str | None = None

    def __post_init__(self) -> None:
        write.table(self.table)
        if not self.delete and not self.relabel:
            raise DataError("no record is to be changed", hint="a run that removed or relabelled records has a script")
        if self.relabel and self.label is None:
            raise DataError("which column is the label?", hint="give label='…'")

    def sql(self, dialect: str = "duckdb") -> str:
        """One transaction: DELETE and UPDATE statements by key, what they touch in a comment above."""
        statements = [write.delete(self.table, c) for c in self._among(self.delete)]
        for new in sorted({value for _, value in self.relabel}, key=str):
            keys = [k for k, value in self.relabel if value == new]
            assert self.label is not None
            statements += [write.update(self.table, self.label, new, c) for c in self._among(keys)]
        touched = [*self.delete, *(k for k, _ in self.relabel)]
        looks = [write.written(write.rows(self.table, c), dialect) for c in self._among(touched)]
        begin = "BEGIN" if dialect == "postgres" else "BEGIN TRANSACTION"
        lines = [f"-- {self._says} Look at them first:", *(f"-- {look};" for look in looks), f"{begin};"]
        return "\n".join([*lines, *(f"{write.written(s, dialect)};" for s in statements), "COMMIT;"])

    def view(self, name: str, dialect: str = "duckdb") -> str:
        """A view of the table without the records to delete, for a training query to read in its place."""
        if self.relabel:
            raise DataError(
                "a view leaves records out, and some are to be relabelled", hint="use sql(), or fix='delete'"
            )
        from_keys = write.among(self.key, _sorted(self.delete))
        return f"{write.written(write.view(name, write.rows(self.table, write.but(from_keys))), dialect)};"

    def _among(self, keys: Sequence[Any]) -> list[Any]:
        own = _sorted(keys)
        return [write.among(self.key, own[i : i + AT_ONCE]) for i in range(0, len(own), AT_ONCE)]

    @property
    def _says(self) -> str:
        parts = [(len(self.delete), "deleted"), (len(self.relabel), "relabelled")]
        counts = [
            f"{n:,} record{'s' * (n != 1)} of {self.table} {'are' if n != 1 else 'is'} {verb}" for n, verb in parts if n
        ]
        return f"{', and '.join(counts)}."


def _sorted(keys: Sequence[Any]) -> list[Any]:
    """Unique keys in order: numbers by size, then text."""
    return sorted(dict.fromkeys(keys), key=lambda k: (isinstance(k, str), k if not isinstance(k, str) else 0, str(k)))
