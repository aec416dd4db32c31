"""All figures, one after the other, each in a process of its own; JSON into benchmarks/results.

python benchmarks/run.py [--quick] [--check] [--seeds 5] [--only dblp adult …]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

FIGURES = ("weight", "rounds", "scale", "tpch", "joins", "dblp", "adult", "enron", "mnist")
SEEDED = ("dblp", "adult", "enron", "mnist")
HERE = Path(__file__).resolve().parent


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", nargs="+", default=list(FIGURES), choices=FIGURES, metavar="FIGURE")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="the least that runs everything: a smoke test")
    parser.add_argument("--check", action="store_true", help="exit 1 where a claim does not hold")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    options = parser.parse_args()
    codes = {}
    for name in options.only:
        command = [sys.executable, str(HERE / f"{name}.py"), "--out", str(options.out)]
        command += ["--seeds", str(options.seeds)] if name in SEEDED else []
        command += ["--quick"] * options.quick + ["--check"] * options.check
        print(f"\n=== {name} ===", flush=True)
        began = time.perf_counter()
        codes[name] = subprocess.run(command).returncode
        print(f"({time.perf_counter() - began:.0f} s)", flush=True)
    failed = [name for name, code in codes.items() if code]
    print(
        f"\n{len(codes) - len(failed)} of {len(codes)} figures ran well"
        + (f"; not: {', '.join(failed)}" * bool(failed))
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
