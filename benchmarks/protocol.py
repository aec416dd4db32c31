"""What the scripts share: where results go, the JSON file, the claims."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import scipy
import sklearn

PHASES = ("train", "encode", "rank")
RESULTS = Path(__file__).resolve().parent / "results"


def best(call: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """The least seconds of a few calls, and the last result."""
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        result = call()
        seconds.append(time.perf_counter() - began)
    return min(seconds), result


def gemm_rate(n: int = 1500, clock: Callable[[], float] = time.perf_counter) -> float:
    """Multiplications and additions a second of a large product."""
    a, b = np.random.default_rng(0).random((2, n, n))
    return 2 * n**3 / least(lambda: a @ b, clock)


def copy_rate(n_bytes: int = 1 << 28, clock: Callable[[], float] = time.perf_counter) -> float:
    """Bytes read and written a second of a large copy."""
    source = np.ones(n_bytes // 8)
    target = np.empty_like(source)
    return 2 * n_bytes / least(lambda: np.copyto(target, source), clock)


def least(call: Callable[[], Any], clock: Callable[[], float] = time.perf_counter, repeats: int = 5) -> float:
    """Seconds of the quickest call, after one that does not count."""
    call()
    seconds = []
    for _ in range(repeats):
        began = clock()
        call()
        seconds.append(clock() - began)
    return min(seconds)


def machine() -> dict[str, Any]:
    """What the numbers depend on."""
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "processor": platform.machine(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "scikit-learn": sklearn.__version__,
        "duckdb": duckdb.__version__,
    }


def verdict(claims: Sequence[tuple[str, bool]], *, check: bool) -> int:
    """Print what was claimed; 1 where a claim is broken and was to be checked."""
    print()
    for text, holds in claims:
        print(f"{'holds ' if holds else 'BROKEN'}  {text}")
    return 1 if check and not all(holds for _, holds in claims) else 0


def write(folder: Path, name: str, content: dict[str, Any]) -> Path:
    """The JSON file of a figure, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    partial = path.with_suffix(".tmp")
    text = json.dumps({"figure": name, "machine": machine(), **content}, indent=1, default=_plain)
    partial.write_text(text + "\n", encoding="utf-8")
    os.replace(partial, path)
    print(f"\nwritten: {path}")
    return path


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else str(value)
