"""DuckDB for SQL that somebody types into a page: no files, no network, no settings, and limits on what it may take."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

from rain_debug.engines.base import Engine
from rain_debug.engines.duckdb import DuckDB
from rain_debug.engines.folders import Folder
from rain_debug.errors import EngineError


@dataclass(frozen=True)
class Limits:
    """What one statement may take: seconds, rows of its answer; and all of them together: memory, disk, threads.

    `memory` and `disk` are as DuckDB writes them; `threads` None are DuckDB's own.
    """

    seconds: float = 60.0
    rows: int = 20_000_000
    memory: str = "60%"
    disk: str = "10GB"
    threads: int | None = None


def lock(engine: Engine, limits: Limits | None = None) -> bool:
    """From now on the engine reads what is open already and nothing else; False where that cannot be had.

    That is a connection of the user's, which keeps its settings, and a server, which decides by the user's rights what
    a statement reaches; SELECT is all that runs there too, and time and rows are limited. There is no way back: DuckDB
    allows none. Rain's own temporary tables go on working. EngineError where DuckDB does not take a limit.
    """
    limits = limits or Limits()
    engine.seconds, engine.most_rows = limits.seconds, limits.rows
    if engine.is_locked:
        return True
    if not isinstance(engine, DuckDB) or not engine.is_own:
        return False  # a server decides by the user's rights what its statements reach
    # Only answers too large for memory go there, and DuckDB deletes them; the folder goes with the engine.
    engine.scratch = Folder()
    settings: dict[str, object] = {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "allow_community_extensions": False,
        "python_enable_replacements": False,
        "memory_limit": limits.memory,
        "temp_directory": engine.scratch.name,
        "max_temp_directory_size": limits.disk,
        "threads": limits.threads,
        "enable_external_access": False,
        "lock_configuration": True,  # last: nothing can be set after it
    }
    for name, value in settings.items():
        if value is None:
            continue
        try:
            engine.connection.execute(f"SET {name} = {engine.literal(value)}")
        except duckdb.Error as error:
            said = str(error).split("\n")[0]
            raise EngineError(f"DuckDB does not take {name} = {value}: {said}", where="locking the database",
                              hint="give another limit") from None  # fmt: skip
    engine.is_locked = True
    return True
