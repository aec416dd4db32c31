"""What Rain asks of a database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from rain_debug.engines.table import Table


class Engine(Protocol):
    """A database: it runs SQL in its dialect and keeps Rain's own temporary tables apart from the user's.

    Every method raises EngineError with the database's own message where it refuses.
    """

    dialect: str
    is_own: bool
    """True where nobody else uses the connection: a query that fails undoes nothing of the user's."""

    def types(self, sql: str) -> list[tuple[str, str]]:
        """Name and type of each column of a query, without running it."""

    def is_table(self, name: str) -> bool:
        """True where `name` is a base table, whose rows `rowid` tells apart."""

    def definition(self, name: str) -> str | None:
        """The CREATE VIEW statement behind a view; None for what is none."""

    def is_aggregate(self, function: str) -> bool:
        """True where `function` is an aggregate."""

    def spelled_out(self, name: str) -> str:
        """The same text for each way to name one table: letter case, quotes, its schema or not."""

    def tables(self) -> Sequence[str]:
        """Names of the user's tables and views."""

    def table(self, sql: str) -> Table:
        """The answer to a query."""

    def constant(self, sql: str) -> Table:
        """The answer to a query that reads no table and is always the same: asked once."""

    def batches(self, sql: str) -> Iterator[Table]:
        """The answer in batches, each valid until the next: a large one never stands in memory as a whole."""

    def run(self, sql: str) -> None:
        """Run a statement whose answer nobody reads."""

    def upload(self, name: str, table: Table) -> None:
        """Write `table` as Rain's own temporary table `name`, replacing an earlier one."""

    def keep(self, name: str, sql: str) -> int:
        """Write the answer to `sql` as Rain's own temporary table `name`, replacing an earlier one; how many rows."""

    def drop(self, *names: str) -> None:
        """Forget Rain's own temporary tables `names`, those that are there."""

    def literal(self, value: Any, sql_type: str | None = None) -> str:
        """`value` as text of the dialect, cast to `sql_type`."""

    def failure(self, message: str) -> str:
        """Text of an expression that makes the query fail with `message` where it is evaluated."""

    def cancel(self) -> None:
        """Stop the running query, from another thread or a signal handler."""
