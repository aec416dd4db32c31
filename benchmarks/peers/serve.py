"""Runs one peer's method on a task each time a line comes in; `peers.py` starts it in the peer's own environment.

    python -P serve.py PEER METHOD TASK

TASK is a folder that `tasks.py` wrote. A line on standard input is the path that the scores go to; the answer is a line
of JSON: seconds by the clock, CPU seconds, and the most memory that was held beyond what was held before.
"""

from __future__ import annotations

import importlib.util
import json
import os
import resource
import sys
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
MEMORY = 6 << 30
"""Bytes that a method may hold: a dense Hessian of many batches would take the machine down."""


class Task:
    """X (n, d) float32, y (n,) codes, theta (margins, d + 1) with the intercept last, `gradient` of the same shape.

    The target is the loss of one row, (query_x, query_y); `gradient` is its derivative. `l2` is the penalty's curvature
    on the weights, 1/(C·n), `damping` what is added to all parameters besides.
    """

    def __init__(self, folder: Path) -> None:
        for name in ("X", "y", "theta", "gradient", "query_x"):
            setattr(self, name, np.load(folder / f"{name}.npy"))
        for name, value in json.loads((folder / "task.json").read_text()).items():
            setattr(self, name, value)
        self.folder = folder


def peak() -> int:
    """The most bytes held so far."""
    (line,) = (x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def held() -> int:
    """Bytes held now; `peak` starts anew."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:  # then the peak is that of the whole process
        pass
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    peer, method, folder = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer
    # After site-packages: the script pyinfluence.py imports the library of that name.
    sys.path.append(str(HERE))
    spec = importlib.util.spec_from_file_location(f"peer_{peer}", HERE / f"{peer}.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    task = Task(Path(folder))
    run = script.METHODS[method](task)
    print(json.dumps({"ready": True}), file=answer, flush=True)
    for line in sys.stdin:
        before = held()
        clock, cpu = time.perf_counter(), time.process_time()
        scores = run()
        spent = {"seconds": time.perf_counter() - clock, "cpu": time.process_time() - cpu}
        spent |= {"bytes": max(0, peak() - before), "passes": getattr(run, "passes", None)}
        np.save(line.strip(), np.asarray(scores, dtype=np.float64).ravel())
        print(json.dumps(spent), file=answer, flush=True)


if __name__ == "__main__":
    main()
