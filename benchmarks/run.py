"""All benchmarks, one after the other, each in a process of its own; results into benchmarks/results.

python benchmarks/run.py [--quick] [--check] [--only rounds evaluation …] [--seeds 5] [--rankers holistic,loss]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

SCRIPTS = (
    "weight", "rounds", "scale", "solves", "prepared", "blocks", "cluster", "cnn", "trees", "aside", "tpch", "joins",
    "merged", "patterns", "page", "peers", "speed",
)  # fmt: skip
EVALUATION = "evaluation"
HERE = Path(__file__).resolve().parent


def main() -> int:
    names = (*SCRIPTS, EVALUATION)
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", nargs="+", default=list(names), choices=names, metavar="NAME")
    parser.add_argument("--seeds", type=int, help="of the evaluation")
    parser.add_argument("--rankers", help="of the evaluation")
    parser.add_argument("--quick", action="store_true", help="the least that runs everything: a smoke test")
    parser.add_argument("--check", action="store_true", help="exit 1 where a claim does not hold")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    options = parser.parse_args()
    codes = {}
    for name in options.only:
        print(f"\n=== {name} ===", flush=True)
        began = time.perf_counter()
        codes[name] = subprocess.run(evaluation(options) if name == EVALUATION else script(name, options)).returncode
        print(f"({time.perf_counter() - began:.0f} s)", flush=True)
    failed = [name for name, code in codes.items() if code]
    print(f"\n{len(codes) - len(failed)} of {len(codes)} ran well" + (f"; not: {', '.join(failed)}" * bool(failed)))
    return 1 if failed else 0


def script(name: str, options: argparse.Namespace) -> list[str]:
    command = [sys.executable, str(HERE / f"{name}.py"), "--out", str(options.out)]
    return command + ["--quick"] * options.quick + ["--check"] * options.check


def evaluation(options: argparse.Namespace) -> list[str]:
    """`rain bench`: what is in the folder already is not run again."""
    what = ["dblp", "--seeds", "1"] if options.quick else ["all"]
    what += ["--seeds", str(options.seeds)] if options.seeds else []
    what += ["--rankers", options.rankers] if options.rankers else []
    return [sys.executable, "-m", "rain_debug", "bench", *what, "--out", str(options.out)] + ["--check"] * options.check


if __name__ == "__main__":
    sys.exit(main())
