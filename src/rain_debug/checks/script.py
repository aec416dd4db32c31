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
    """Records of `table` by their keys in column `key`: those to `delete`, to `relabel`, (key, new label), to `repair`.

    `label` is the label's column; a repair is (key, ((column, value), …)).

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
    repair: tuple[tuple[Any, tuple[tuple[str, Any], ...]], ...] = ()

    def __post_init__(self) -> None:
        write.table(self.table)
        if not self.delete and not self.relabel and not self.repair:
            raise DataError("no record is to be changed", hint="a run that fixed records has a script")
        if self.relabel and self.label is None:
            raise DataError("which column is the label?", hint="give label='…'")

    def sql(self, dialect: str = "duckdb") -> str:
        """One transaction: DELETE and UPDATE statements by key, what they touch in a comment above."""
        statements = [write.delete(self.table, c) for c in self._among(self.delete)]
        for new in sorted({value for _, value in self.relabel}, key=str):
            keys = [k for k, value in self.relabel if value == new]
            assert self.label is not None
            statements += [write.update(self.table, {self.label: new}, c) for c in self._among(keys)]
        for key, values in sorted(self.repair, key=lambda r: _place(r[0])):
            statements.append(write.update(self.table, dict(values), write.among(self.key, [key])))
        touched = [*self.delete, *(k for k, _ in self.relabel), *(k for k, _ in self.repair)]
        looks = [write.written(write.rows(self.table, c), dialect) for c in self._among(touched)]
        begin = "BEGIN" if dialect == "postgres" else "BEGIN TRANSACTION"
        lines = [f"-- {self._says} Look at them first:", *(f"-- {look};" for look in looks), f"{begin};"]
        return "\n".join([*lines, *(f"{write.written(s, dialect)};" for s in statements), "COMMIT;"])

    def view(self, name: str, dialect: str = "duckdb") -> str:
        """A view of the table without the records to delete, for a training query to read in its place."""
        if self.relabel or self.repair:
            raise DataError("a view leaves records out, and some are to be changed", hint="use sql(), or fix='delete'")
        from_keys = write.among(self.key, _sorted(self.delete))
        return f"{write.written(write.view(name, write.rows(self.table, write.but(from_keys))), dialect)};"

    def _among(self, keys: Sequence[Any]) -> list[Any]:
        own = _sorted(keys)
        return [write.among(self.key, own[i : i + AT_ONCE]) for i in range(0, len(own), AT_ONCE)]

    @property
    def _says(self) -> str:
        parts = [(len(self.delete), "deleted"), (len(self.relabel), "relabelled"), (len(self.repair), "repaired")]
        counts = [
            f"{n:,} record{'s' * (n != 1)} of {self.table} {'are' if n != 1 else 'is'} {verb}" for n, verb in parts if n
        ]
        return f"{', '.join(counts)}."


def _sorted(keys: Sequence[Any]) -> list[Any]:
    """Unique keys in order."""
    return sorted(dict.fromkeys(keys), key=_place)


def _place(key: Any) -> tuple[bool, Any, str]:
    """Numbers by size, then text."""
    return isinstance(key, str), 0 if isinstance(key, str) else key, str(key)
