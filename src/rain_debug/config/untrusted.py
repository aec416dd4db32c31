"""A project file that comes from elsewhere: what it may not name before anything of it is opened."""

from __future__ import annotations

from pathlib import Path

from rain_debug.config.project import Project
from rain_debug.errors import ConfigError

HINT = "leave --untrusted out if you trust the file and all that it names"


def refuse_reach(project: Project) -> None:
    """ConfigError where the project runs code, names a server, or a file that is not in its own folder."""
    if project.extensions:
        raise ConfigError("an untrusted project runs no Python code, and this one has extensions",
                          where=str(project.file), hint=HINT)  # fmt: skip
    database = project.database
    if database.url is not None:
        raise ConfigError("an untrusted project names no server", where=database.where, hint=HINT)
    named = [(database.where, p) for p in (database.path, *database.tables.values()) if p is not None]
    for model in project.models:
        if model.python is not None:
            raise ConfigError("an untrusted project runs no Python code", where=model.where, hint=HINT)
        if model.trusted:
            raise ConfigError("an untrusted project does not say what is harmless", where=model.where, hint=HINT)
        named += [(model.where, p) for p in (model.file,) if p is not None]
    home = project.file.resolve().parent
    for where, path in named:
        if not _within(path, home):
            raise ConfigError(f"an untrusted project names files in its own folder alone, not {path}", where=where,
                              hint=HINT)  # fmt: skip


def _within(path: Path, folder: Path) -> bool:
    """Whether a file lies in a folder, wherever links on the way lead."""
    return path.resolve().is_relative_to(folder)
