"""`%%rain db name`: a cell of SQL, run over a database, shown, and kept as a query under a name."""

from __future__ import annotations

from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, cell_magic, magics_class

from rain_debug.errors import RainError, nearest

USAGE = "write %%rain and the database's variable, then, if you like, a name for the query: %%rain db weekly"


@magics_class
class RainMagics(Magics):
    """The cell magic; a user's mistake ends the cell with its message and no traceback."""

    shell: Any

    @cell_magic
    def rain(self, line: str, cell: str) -> Any:
        """Run the cell's SQL: %%rain DB [NAME].

        DB is the variable of a database, as `rain_debug.connect` returns it. A query is shown, and assigned to the
        variable NAME; CREATE MODEL and DROP MODEL are run too.
        """
        words = line.split()
        if not 1 <= len(words) <= 2 or not all(w.isidentifier() for w in words):
            raise UsageError(USAGE)
        try:
            found = self._database(words[0]).execute(cell)
        except RainError as error:
            raise UsageError(str(error)) from None
        if len(words) == 2:
            if hasattr(found, "sql"):  # a model has a name already
                found.name = words[1]
            self.shell.user_ns[words[1]] = found
        return found

    def _database(self, name: str) -> Any:
        """The user's variable; UsageError where it is none, or no database."""
        known = {k: v for k, v in self.shell.user_ns.items() if hasattr(v, "create_model") and not k.startswith("_")}
        if name not in known:
            what = "is no database" if name in self.shell.user_ns else "is not there"
            raise UsageError(f"the variable '{name}' {what}\n  try:   {nearest(name, known)}")
        return known[name]
