"""The house's plan: which room may import which, where each outside library lives, and what may be loaded at import."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parent.parent / "src" / "rain_debug"

ROOMS = (
    "passwords",
    "errors",
    "sql",
    "engines",
    "lineage",
    "relax",
    "complaints",
    "data",
    "curvature",
    "models",
    "influence",
    "repair",
    "rankers",
    "distributed",
    "extend",
    "fixes",
    "progress",
    "debugger",
    "checks",
    "patterns",
    "view",
    "report",
    "prepared",
    "store",
    "desk",
    "web",
    "notebook",
    "datasets",
    "database",
    "config",
    "bench",
    "cli",
)
"""In the order in which a query walks through them; a room imports only rooms above it."""

EVERYWHERE = {"version", "engines.table"}
"""Plain values that every room may use."""

KEEPERS = {
    "sqlglot": {"sql"},
    "duckdb": {"engines", "datasets"},
    "adbc_driver_manager": {"engines"},
    "adbc_driver_postgresql": {"engines"},
    "rich": {"progress", "datasets", "report", "cli"},
    "click": {"cli"},
    "matplotlib": {"bench"},
    "torch": {"models", "distributed", "bench"},
    "pyspark": {"engines", "distributed"},
    "xgboost": {"models"},
    "lightgbm": {"models"},
    "starlette": {"web"},
    "uvicorn": {"web"},
    "anywidget": {"notebook"},
    "traitlets": {"notebook"},
    "IPython": {"notebook"},
}
"""The rooms in which an outside library may be imported."""

LIGHT_LIMIT = 0.5
"""CPU seconds that `import rain_debug` and `rain --help` may take."""


@cache
def sources() -> list[Path]:
    return sorted(p for p in SRC.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(SRC).parts[0].removesuffix(".py")


@cache
def imports(path: Path) -> list[tuple[int, str]]:
    """The line and absolute name of everything that a file imports, also inside functions."""
    package = ("rain_debug", *path.relative_to(SRC).parts[:-1])
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module or "") if part)
            found += [(node.lineno, f"{module}.{alias.name}") for alias in node.names]
    return found


def test_every_module_has_its_room() -> None:
    known = {*ROOMS, "__init__", "__main__", "version"}
    assert {room_of(p) for p in sources()} <= known
    assert [r for r in ROOMS if not (SRC / f"{r}.py").exists() and not (SRC / r).is_dir()] == [], "rooms that are gone"


def test_rooms_import_only_rooms_above_them() -> None:
    wrong = []
    for path in sources():
        room = room_of(path)
        if room not in ROOMS:
            continue
        for line, name in imports(path):
            inside = name.removeprefix("rain_debug.")
            if inside == name or any(inside == free or inside.startswith(free + ".") for free in EVERYWHERE):
                continue
            other = inside.split(".")[0]
            if other in ROOMS and ROOMS.index(other) > ROOMS.index(room):
                wrong.append(f"{path.relative_to(SRC)}:{line} imports {name}, which stands below '{room}'")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("library", KEEPERS)
def test_each_library_has_its_room(library: str) -> None:
    wrong = [
        f"{path.relative_to(SRC)}:{line}"
        for path in sources()
        for line, name in imports(path)
        if name.split(".")[0] == library and room_of(path) not in KEEPERS[library]
    ]
    assert not wrong, f"{library} belongs to {sorted(KEEPERS[library])} alone: {wrong}"


def run(*args: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(SRC.parent)}
    return subprocess.run([sys.executable, *args], capture_output=True, text=True, env=env, timeout=60)


def test_nothing_heavy_is_loaded_at_import() -> None:
    heavy = ("numpy", "scipy", "sklearn", "duckdb", "sqlglot", "pandas", "rich", "click", "pyarrow", "polars", "torch")
    loaded = run("-c", f"import sys, rain_debug; print([m for m in {heavy!r} if m in sys.modules])")
    assert loaded.stdout.strip() == "[]", loaded.stdout + loaded.stderr
    loaded = run(
        "-c", f"import sys, rain_debug.cli; print([m for m in {heavy!r} if m in sys.modules and m != 'click'])"
    )
    assert loaded.stdout.strip() == "[]", loaded.stdout + loaded.stderr


@pytest.mark.parametrize("words", [("-c", "import rain_debug"), ("-m", "rain_debug", "--help")], ids=["import", "help"])
def test_starting_is_light(words: tuple[str, ...]) -> None:
    def seconds() -> float:
        before = os.times()
        assert run(*words).returncode == 0
        after = os.times()
        return (after.children_user - before.children_user) + (after.children_system - before.children_system)

    assert min(seconds() for _ in range(3)) <= LIGHT_LIMIT
