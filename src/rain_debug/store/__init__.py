"""Runs that outlive their session, or their process: SQLite files, one transaction a round.

`Journal` is the file that a killed run goes on from. `RunStore` keeps what a page shows, a file a run in a folder:
`run_file` is one file, `index` the list of all, `halfway` what is known of a run that died, `ids` their names.
"""

from __future__ import annotations

from rain_debug.store.journal import Journal
from rain_debug.store.store import Filter, RunStore

__all__ = ["Filter", "Journal", "RunStore"]
