"""Random dashboards until told to stop: `python tests/laws/fuzz.py --cases 1000000 --seed 1`, or `make fuzz`.

Each failing case is printed with its numbers (`--law L --seed S --shop N --case I` makes it again) and, shrunk, as a
case of the `.test` files in tests/sql; then the search goes on. With `--log FILE` it can be stopped at any time: the
next run with the same file goes on from there. One core does some 20 queries a second against the exact answer and 11
against all worlds, so a million, half of each, take it 20 hours. Exit status 1 where any failed.
"""

from __future__ import annotations

import argparse
import itertools
import re
import sys
import time
from collections import Counter
from collections.abc import Generator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import closing, suppress
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any

import duckdb

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from laws.dashboards import random_cases
from laws.judge import Verdict, chances_of, exact_verdict, rows_text, worlds_verdict
from laws.shops import CLASSES, FEATURES, FED, REGRESSOR, Case, random_shop
from laws.shrink import shrunk
from laws.tally import Count, Log
from laws.twins import Twins, model

Results = Generator[tuple[int, Count, list[tuple[int, Case, Verdict]]], None, None]
PER_SHOP = 50
WORLDS = 512
WORLDS_IN_DUCKDB = 27


def verdict_of(twins: Twins, case: Case, law: str, seed: int = 0) -> Verdict | None:
    """The case's verdict; None where it has too many worlds, or only one."""
    try:
        return _verdict_of(twins, case, law, seed)
    except (duckdb.InternalException, duckdb.InvalidInputException) as error:  # DuckDB's own defects, without Rain
        return Verdict("refused", f"DuckDB: {str(error).splitlines()[0]}")


def _verdict_of(twins: Twins, case: Case, law: str, seed: int) -> Verdict | None:
    if law == "exact":
        return exact_verdict(twins, case)
    if twins.n_worlds(case) < 2 and not case.reads_numbers:
        return None
    unlimited = replace(case, template=re.sub(r" LIMIT \d+( OFFSET 1)?$", "", case.template))
    chances = chances_of(twins, case, seed)
    worlds = twins.worlds(unlimited, chances[0], WORLDS, WORLDS_IN_DUCKDB)
    return None if worlds is None else worlds_verdict(twins, case, worlds, chances, seed)


def as_test(twins: Twins, case: Case, title: str) -> str:
    """The case with its database as the text of a `.test` file."""
    shop, lines = twins.shop, []
    read = {t for t in shop.tables if f" {t} " in case.template + " " or any(t == v[0] for v in shop.views.values())}
    for name, t in shop.tables.items():
        if name in read:
            kinds = {**t.columns, **{f"f_{m}": "num" for m in t.labels}}
            types = {"int": "INT", "num": "DOUBLE", "text": "VARCHAR", "bool": "BOOLEAN", "date": "DATE"}
            lines += [f"table {name}", ", ".join(f"{c} {types[k]}" for c, k in kinds.items())]
            lines += [*rows_text(list(twins.rows(name, labels=False))), ""]
    for name, (_, text) in shop.views.items():
        if f" {name} " in case.template:
            lines += ["setup", f"CREATE VIEW {name} AS {text}", ""]
    for name in sorted(case.models):
        if name == REGRESSOR:
            lines += [f"model {name} number", f"1, f_{name}", "0, 1", ""]
            continue
        made = model(name)
        classes = ", ".join(repr(c).lower() if isinstance(c, bool) else repr(c) for c in CLASSES[name])
        lines += [f"model {name} ({classes})", ", ".join(["1", *made.feature_names_in_])]
        lines += [", ".join(f"{v:g}" for v in (a, *b)) for a, b in zip(made.intercept_, made.coef_, strict=True)] + [""]
    lines += [f"case {title}", case.sql()]
    if FED.search(case.template):
        lines += ["---- plain", as_columns(case.plain())]
    return "\n".join([*lines, "---- answer", ", ".join(case.columns), *rows_text(twins.expected(case))])


def as_columns(plain: str) -> str:
    """The plain text as the `.test` files have it: probabilities in a map, pairs by the model's function."""
    plain = re.sub(r"\b(\w)_p(\d)\b", lambda m: f"{m[1]}_p[{CLASSES[m[1]][int(m[2])]!r}]", plain)
    return re.sub(r"\bpair_(\w)\(", r"\1_of(", plain)


def run_shop(
    seed: int, shop: int, law: str, only: int | None = None, having: frozenset[str] = frozenset()
) -> tuple[Count, list[tuple[int, Case, Verdict]]]:
    """All queries of one database, one of them, or those with a feature: how they came out, and those that differ."""
    count, failed = Count(), []
    made, cases = random_cases(seed, shop, PER_SHOP, small=law == "worlds")
    twins = Twins(made, as_file=shop % 4 > 0)
    for i, case in cases:
        if (only is not None and i != only) or (having and not having & case.features):
            continue
        verdict = verdict_of(twins, case, law, i)
        if verdict is None:
            continue
        count.add(case, verdict)
        if only is not None:
            print(f"{case.sql()}\n{verdict}")
        if verdict.kind == "different":
            failed.append((i, case, verdict))
    twins.close()
    return count, failed


def report(seed: int, shop: int, i: int, case: Case, law: str) -> None:
    """Print a failing case, shrunk."""
    twins = Twins(random_shop(Random(f"{seed}/{shop}"), small=law == "worlds"), as_file=shop % 4 > 0)
    small, tiny = shrunk(twins, case, lambda t, c: verdict_of(t, c, law, i))
    verdict = verdict_of(small, tiny, law, i)
    title = f"--law {law} --seed {seed} --shop {shop} --case {i}"
    why = verdict.why.replace("\n", "\n# ") if verdict is not None else ""
    print(f"\n# {title}\n# {why}\n{as_test(small, tiny, title)}", flush=True)
    small.close()
    twins.close()


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=1_000_000, help="how many queries (default 1,000,000)")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop then (default: never)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--law", choices=["exact", "worlds", "both"], default="both",
                        help="the exact answer, all worlds of small databases, or half of each")  # fmt: skip
    parser.add_argument("--jobs", type=int, default=1, help="processes (default 1)")
    parser.add_argument("--log", type=Path, default=None,
                        help="keep what was done and which cases differed in this file, and go on from it")  # fmt: skip
    parser.add_argument("--shop", type=int, default=0, help="the first database's number")
    parser.add_argument("--case", type=int, default=None, help="only this query of that database")
    parser.add_argument(
        "--feature", nargs="*", default=[], choices=FEATURES, help="only queries that have one of these"
    )
    parser.add_argument("--most", type=int, default=4, help="failing cases of a kind to shrink and print (default 4)")
    return parser.parse_args()


def law_of(given: argparse.Namespace, shop: int) -> str:
    """The law that the queries of a database are held to."""
    law: str = given.law
    return law if law != "both" else ("exact", "worlds")[shop % 2]


def results(given: argparse.Namespace, done: set[int]) -> Results:
    """What came of each database that is not `done`, as it comes, without end; a few are always being made ahead."""
    rest: list[Any] = [given.case, frozenset(given.feature)]
    shops = (shop for shop in itertools.count(given.shop) if shop not in done)
    if given.jobs == 1:
        yield from ((shop, *run_shop(given.seed, shop, law_of(given, shop), *rest)) for shop in shops)
        return
    with ProcessPoolExecutor(given.jobs, mp_context=get_context("spawn")) as pool:
        waiting: dict[Future[Any], int] = {}
        try:
            while True:
                while len(waiting) < 2 * given.jobs:
                    shop = next(shops)
                    waiting[pool.submit(run_shop, given.seed, shop, law_of(given, shop), *rest)] = shop
                for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                    yield (waiting.pop(future), *future.result())
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def main() -> int:
    """Run; the exit status."""
    given = options()
    try:
        log = Log(given.log, {"seed": given.seed, "law": given.law, "features": sorted(given.feature)})
    except ValueError as error:
        sys.exit(str(error))
    before, printed = log.count.total, Counter[str]()
    start = last = time.monotonic()

    def progress() -> str:
        seconds = time.monotonic() - start
        rate = (log.count.total - before) / max(seconds, 1e-9)
        left = max(0, given.cases - log.count.total) / max(rate, 1e-9)
        return (
            f"{log.count}; {len(log.done):,} databases, {seconds:.0f} s, {rate:.1f} a second, {left / 3600:.1f} h left"
        )

    # Interrupted, it says what it found until then.
    with suppress(KeyboardInterrupt), closing(results(given, set(log.done))) as found:
        while log.count.total < given.cases:
            shop, more, failed = next(found)
            law = law_of(given, shop)
            again = [f"--law {law} --seed {given.seed} --shop {shop} --case {i}" for i, _, _ in failed]
            log.add(shop, more, again)
            for i, case, verdict in failed:
                family = verdict.why.split(": ")[0]
                printed[family] += 1
                if printed[family] <= given.most:
                    report(given.seed, shop, i, case, law)
            now = time.monotonic()
            if given.case is not None or now - start > given.seconds:
                break
            if now - last > 20:
                last = now
                print(progress(), file=sys.stderr)
    print(f"\n{progress()}")
    summary(log.count)
    for why, n in printed.most_common(25):
        print(f"  {n:6d}  different: {why}")
    return int(log.count.cases["different"] > 0)


def summary(count: Count) -> None:
    """Print what was refused and why, and how far off the approximate rules were."""
    print("refused:", ", ".join(f"{f} {100 * s:.0f}%" for f, s in sorted(count.shares().items(), key=lambda x: -x[1])))
    for why, n in count.reasons.most_common(25):
        print(f"  {n:6d}  refused: {why}")
    for rule, (n, total, most) in sorted(count.errors.items(), key=lambda x: -x[1][0])[:25]:
        print(f"  {n:6d}  approximate, {total / n:.3f} of the range off in the mean, {most:.3f} at most: {rule}")


if __name__ == "__main__":
    sys.exit(main())
