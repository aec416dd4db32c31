"""Rain: debug the training data behind SQL.

Run SQL with model predictions inside, say what is wrong with its answer, and get the training records responsible and
the answer after fixing them.

>>> sorted(name for name in __all__ if name.isalpha() and name.islower())
['cluster', 'connect', 'datasets']
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from rain_debug.version import __version__

if TYPE_CHECKING:
    from rain_debug import datasets
    from rain_debug.complaints import Cell, Complaint, Row
    from rain_debug.database import Database, ModelHandle, Query, connect
    from rain_debug.distributed import Cluster, cluster
    from rain_debug.engines.table import Table
    from rain_debug.errors import (
        ClusterError,
        ComplaintError,
        ConfigError,
        DataError,
        DatasetError,
        DebugError,
        DeskError,
        EngineError,
        LineageError,
        ModelError,
        ProgramError,
        RainError,
        RepairError,
        ReportError,
        ServeError,
        SQLError,
        StoreError,
    )
    from rain_debug.models.torch import TorchClassifier, TorchRegressor
    from rain_debug.report import Report

_HOMES = {
    "connect": "database",
    "Database": "database",
    "ModelHandle": "database",
    "Query": "database",
    "Cell": "complaints",
    "Complaint": "complaints",
    "Row": "complaints",
    "Report": "report",
    "Table": "engines.table",
    "TorchClassifier": "models.torch",
    "TorchRegressor": "models.torch",
    "Cluster": "distributed",
    "cluster": "distributed",
    "ClusterError": "errors",
    "ComplaintError": "errors",
    "ConfigError": "errors",
    "DataError": "errors",
    "DatasetError": "errors",
    "DebugError": "errors",
    "DeskError": "errors",
    "EngineError": "errors",
    "LineageError": "errors",
    "ModelError": "errors",
    "ProgramError": "errors",
    "RainError": "errors",
    "RepairError": "errors",
    "ReportError": "errors",
    "SQLError": "errors",
    "ServeError": "errors",
    "StoreError": "errors",
}

__all__ = [
    "Cell",
    "Cluster",
    "ClusterError",
    "Complaint",
    "ComplaintError",
    "ConfigError",
    "DataError",
    "Database",
    "DatasetError",
    "DebugError",
    "DeskError",
    "EngineError",
    "LineageError",
    "ModelError",
    "ModelHandle",
    "ProgramError",
    "Query",
    "RainError",
    "RepairError",
    "Report",
    "ReportError",
    "Row",
    "SQLError",
    "ServeError",
    "StoreError",
    "Table",
    "TorchClassifier",
    "TorchRegressor",
    "__version__",
    "cluster",
    "connect",
    "datasets",
]


def __getattr__(name: str) -> Any:
    """Nothing is loaded before it is used: a name's room is imported when the name is first asked for."""
    if name == "datasets":
        return importlib.import_module("rain_debug.datasets")
    if name in _HOMES:
        return getattr(importlib.import_module(f"rain_debug.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'rain_debug' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
