"""Project files: TOML that names a database, models, queries and complaints, so that a shell or CI can run them."""

from __future__ import annotations

from rain_debug.config.project import ComplaintSpec, DatabaseSpec, ModelSpec, Project, QuerySpec, load, parse

__all__ = ["ComplaintSpec", "DatabaseSpec", "ModelSpec", "Project", "QuerySpec", "load", "parse"]
