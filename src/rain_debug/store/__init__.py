"""Runs that outlive their session: `RunStore` keeps each as one SQLite file in a folder, one transaction a round.

`run_file` is one file, `index` the list of all, `halfway` what is known of a run that died, `ids` their names.
"""

from __future__ import annotations

from rain_debug.store.store import Filter, RunStore

__all__ = ["Filter", "RunStore"]
