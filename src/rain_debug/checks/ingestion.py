"""A condition that training data should not meet again, as the checks that other tools run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from rain_debug.errors import DataError
from rain_debug.sql import write


@dataclass(frozen=True)
class Check:
    """Rows of `table` that the `condition` (in DuckDB's SQL) holds for should not come in.

    Of the `of` past records it would have stopped `stops`. A row for which the condition is NULL passes.

    >>> check = Check("churn_training", "source = 'import-14' AND plan = 'basic'", stops=250, of=2600)
    >>> print(check.sql())
    -- No record where source = 'import-14' AND plan = 'basic'; it would have stopped 250 of 2,600 (9.6%).
    SELECT * FROM churn_training WHERE source = 'import-14' AND plan = 'basic'
    >>> check.name
    'no_source_import_14_and_plan_basic'
    """

    table: str
    condition: str
    stops: int = 0
    of: int = 0

    def __post_init__(self) -> None:
        write.table(self.table)
        write.where(self.condition)

    @property
    def name(self) -> str:
        """A name made of the condition, of at most 60 letters."""
        return ("no_" + re.sub(r"[^a-z0-9]+", "_", self.condition.lower()).strip("_"))[:60].rstrip("_")

    @property
    def stopped(self) -> float:
        """The share of the past records that it would have stopped."""
        return self.stops / self.of if self.of else 0.0

    def sql(self, dialect: str = "duckdb") -> str:
        """A query that returns the violations: no rows, no violation."""
        return f"-- {self._says}\n{write.written(write.rows(self.table, write.where(self.condition)), dialect)}"

    def dbt(self, dialect: str = "duckdb", ref: str | None = None) -> str:
        """A dbt test, to be saved as `tests/NAME.sql`; `ref` names the model or source, by default the table."""
        target = ref or f"ref('{write.table(self.table).name}')"
        if not re.fullmatch(r"(ref|source)\(('[^']+'|\"[^\"]+\")(,\s*('[^']+'|\"[^\"]+\"))?\)", target):
            raise DataError(
                f"this is no reference of dbt: {target}", hint="write ref('model') or source('schema', 'table')"
            )
        condition = write.written(write.where(self.condition), dialect)
        return f"-- {_raw(self._says)}\nSELECT * FROM {{{{ {target} }}}} WHERE {_raw(condition)}\n"

    def expectation(self, dialect: str = "duckdb") -> dict[str, Any]:
        """The arguments of Great Expectations' `ExpectationConfiguration` (1.x), as JSON holds them."""
        condition = write.written(write.where(self.condition), dialect)
        condition = condition.replace("{", "{{").replace("}", "}}")  # the query is filled in by str.format
        return {
            "type": "unexpected_rows_expectation",
            "kwargs": {
                "unexpected_rows_query": f"SELECT * FROM {{batch}} WHERE {condition}",
                "description": self._says,
            },
            "meta": {"would_have_stopped": self.stops, "of": self.of},
        }

    def constraint(self, dialect: str = "duckdb") -> str:
        """A named CHECK for `CREATE TABLE (…)`, or behind `ALTER TABLE … ADD` where the database has that."""
        return f"CONSTRAINT {self.name} CHECK ({write.written(write.but(write.where(self.condition)), dialect)})"

    @property
    def _says(self) -> str:
        counted = f"; it would have stopped {self.stops:,} of {self.of:,} ({self.stopped:.1%})" if self.of else ""
        return f"No record where {' '.join(self.condition.split())}{counted}."


def _raw(text: str) -> str:
    """The text as it is, in a template of Jinja: dbt renders comments too."""
    return f"{{% raw %}}{text}{{% endraw %}}" if re.search(r"\{[{%#]", text) else text
