"""The worker that reads a file for `apart`: a query in, Arrow's stream out, within limits. Imports nothing of Rain.

Run by its path. The job comes as JSON on stdin; what goes wrong is said on stderr, in one line after `SAYS`.
"""

from __future__ import annotations

import json
import sys
from typing import Any

SAYS = "rain-reader: "


def limit(memory: int, seconds: int) -> None:
    """Of this process, for good: address space, processor time, and no file to be written. Only POSIX has them."""
    try:
        import resource
    except ImportError:
        return
    # Threads' stacks and arenas are reserved, not used: room for them beside what DuckDB may take.
    for what, most in (("RLIMIT_AS", memory + (4 << 30)), ("RLIMIT_CPU", seconds), ("RLIMIT_FSIZE", 0),
                       ("RLIMIT_CORE", 0)):  # fmt: skip
        try:
            # the signal for too much time is one that says so; the second limit, a moment later, cannot be ignored
            resource.setrlimit(getattr(resource, what), (most, most + 5 if what == "RLIMIT_CPU" else most))
        except (AttributeError, ValueError, OSError):
            pass  # a limit that the system does not have, or that is lower already


def main() -> int:
    job = json.load(sys.stdin)
    limit(job["memory"], job["seconds"])
    import duckdb
    from nanoarrow import ipc

    try:
        taken: dict[str, Any] = {"threads": 2, "memory_limit": f"{job['memory']}B", "temp_directory": ""}
        con = duckdb.connect(":memory:", config=taken)
        _lock(con, job["path"])
        if job["attach"]:
            con.execute(f"ATTACH {_text(job['path'])} AS rain_user (READ_ONLY)")
            con.execute("USE rain_user")
        relation = con.sql(job["sql"])
        with ipc.StreamWriter.from_writable(sys.stdout.buffer) as writer:
            writer.write_stream(relation.project(", ".join(_columns(relation))))
        sys.stdout.buffer.flush()
    except (duckdb.Error, MemoryError, ValueError, RuntimeError) as error:
        lines = [line for line in str(error).split("\n") if line.strip()]
        print(SAYS + json.dumps(lines[0][:2000] if lines else type(error).__name__), file=sys.stderr)
        return 1
    return 0


def _lock(con: Any, path: str) -> None:
    """This file, what a database's last writer left beside it, and no other; no network, no extension."""
    con.execute(f"SET allowed_paths = [{_text(path)}, {_text(path + '.wal')}]")
    for name in ("autoinstall_known_extensions", "autoload_known_extensions", "allow_community_extensions",
                 "python_enable_replacements", "enable_external_access"):  # fmt: skip
        con.execute(f"SET {name} = false")
    con.execute("SET arrow_lossless_conversion = true")
    con.execute("SET lock_configuration = true")


def _columns(relation: Any) -> list[str]:
    """Every column as the stream can hold it: words of an ENUM as text."""
    found = []
    for name, kind in zip(relation.columns, map(str, relation.types), strict=True):
        quoted = '"' + name.replace('"', '""') + '"'
        found.append(f"CAST({quoted} AS VARCHAR) AS {quoted}" if kind.startswith(("ENUM", "UNION")) else quoted)
    return found


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


if __name__ == "__main__":
    sys.exit(main())
