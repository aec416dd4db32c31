"""What Rain asks of a database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from rain_debug.engines.table import Table


class Engine(Protocol):
    """A database: it runs SQL in its dialect and keeps Rain's own temporary tables apart from the user's.

    Every method raises EngineError with the database's own message where it refuses.
    """

    dialect: str
    double: str
    """Its name for the type of a 64-bit float."""
    untyped: str | None
    """The type of a column of NULLs that nothing says more of; None where such a column unites with one of any type."""
    is_own: bool
    """True where nobody else uses the connection: a query that fails undoes nothing of the user's."""
    read_only: bool
    """True where the user's tables cannot change while it is open: what was read once stays so."""
    generation: int
    """Grows when the connection is made anew: Rain's temporary tables of earlier ones are gone."""

    is_locked: bool
    """True where no statement can reach files, network or settings any more."""
    seconds: float | None
    """What one statement may take: None is no limit."""
    most_rows: int | None
    """How many rows an answer may have: None is no limit."""

    def close(self) -> None:
        """Let go of the database; a connection that the user handed over stays open."""

    def types(self, sql: str) -> list[tuple[str, str]]:
        """Name and type of each column of a query, without running it."""

    def rowid(self, name: str, alias: str) -> str | None:
        """The text of a 64-bit number that tells the rows of base table `name` apart, where FROM calls it `alias`.

        None where `name` is no base table. Rain's own tables have a column `rowid`, in the order of their rows.
        """

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

    def stream(self, sql: str) -> Any:
        """The answer as an object with the Arrow PyCapsule interface, `__arrow_c_stream__`."""

    def snapshot(self) -> AbstractContextManager[None]:
        """A context in which every query sees the user's tables as the first one saw them."""

    def run(self, sql: str) -> None:
        """Run a statement whose answer nobody reads."""

    def upload(self, name: str, table: Table) -> None:
        """Write `table` as Rain's own temporary table `name`, replacing an earlier one."""

    def keep(self, name: str, sql: str, *, ordered: bool = False) -> int:
        """Write the answer to `sql` as Rain's own temporary table `name`, replacing an earlier one; how many rows.

        `ordered` asks for the same order of rows each time.
        """

    def drop(self, *names: str) -> None:
        """Forget Rain's own temporary tables `names`, those that are there."""

    def literal(self, value: Any, sql_type: str | None = None) -> str:
        """`value` as text of the dialect, cast to `sql_type`."""

    def attempt(self, text: str, sql_type: str) -> str:
        """Text of the expression `text` as a value of `sql_type`, NULL where it is none."""

    def same(self, left: str, right: str) -> str:
        """Text of a condition, quick in a join: two expressions are equal, or both are NULL."""

    def failure(self, message: str) -> str | None:
        """Text of an expression that makes the query fail with `message` where it is evaluated; None: there is none."""

    def estimated_rows(self, sql: str) -> int:
        """How many rows the answer to a query may have, as the database plans it; 0 where it does not say."""

    def cancel(self) -> None:
        """Stop the running query, from another thread or a signal handler."""
