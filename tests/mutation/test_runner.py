"""The mutants' runner itself: what it changes, whom it asks, and that what it changes is what runs."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mutation.changes import changed, changes
from mutation.covered import ROOT
from mutation.run import Log, Mutant, put

TEXT = '''
from functools import cache

LIMIT = 3


@cache
def small(x: int = 1) -> bool:
    """Less than the limit."""
    assert x > -9
    return x < LIMIT and not any(a == b for a, b in zip("ab", "cd", strict=True) if a)


table = {"twice": lambda x: x * 2}


def refuse(x: int) -> None:
    for n in range(x):
        if n:
            raise ValueError(f"no {n}" + " more")
'''


def described() -> dict[str, int]:
    return {f"{c.function}: {c.before} → {c.after}": c.number for c in changes(TEXT)}


def test_every_part_that_runs_is_changed_and_nothing_else() -> None:
    found = list(described())
    assert [f for f in found if f.startswith("small: ")][1:] == [
        "small: x < LIMIT and (not any((a == b for a, b in zip('ab', 'cd', strict=True) if a))) → "
        "x < LIMIT or not any((a == b for a, b in zip('ab', 'cd', strict=True) if a))",
        "small: x < LIMIT → x <= LIMIT",
        "small: not any((a == b for a, b in zip('ab', 'cd', strict=True) if a)) → "
        "any((a == b for a, b in zip('ab', 'cd', strict=True) if a))",
        "small: a == b → a != b",
        "small: for a, b in zip('ab', 'cd', strict=True) if a → for a, b in zip('ab', 'cd', strict=True)",
        "small: 'ab' → 'not ab'",
        "small: 'cd' → 'not cd'",
    ]
    assert [f for f in found if not f.startswith("small: ")] == [
        "lambda: x * 2 → x / 2",
        "lambda: 2 → 3",
        "refuse: if n: raise ValueError(f'no {n}' + ' more') → if not n: raise ValueError(f'no {n}' + ' more')",
        "refuse: raise ValueError(f'no {n}' + ' more') → pass",
        "refuse: f'no {n}' + ' more' → f'no {n}' - ' more'",
    ]


def test_one_change_is_one_difference() -> None:
    plain = ast.unparse(ast.parse(TEXT)).splitlines()
    for change in changes(TEXT):
        made = ast.unparse(changed(TEXT, change.number)).splitlines()
        assert sum(a != b for a, b in zip(plain, made, strict=False)) >= 1, change
        assert abs(len(plain) - len(made)) <= 1, change


def test_the_functions_that_are_there_get_the_changed_code(tmp_path: Path) -> None:
    path = tmp_path / "odd.py"
    path.write_text(TEXT)
    spec = importlib.util.spec_from_file_location("odd", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    kept, twice = module.small, module.table["twice"]
    assert {twice(x) for x in range(99)} == {2 * x for x in range(99)}  # it has run a while

    def apply(text: str) -> None:
        change = next(c for c in changes(TEXT) if c.number == described()[text])
        put(Mutant("sql", path, TEXT, change, (), 0.0))

    apply("lambda: 2 → 3")
    assert (twice(2), kept(2)) == (6, True)
    apply("small: x < LIMIT → x <= LIMIT")
    assert kept(3)
    with pytest.raises(AssertionError, match="no function has this code"):
        apply("lambda: x * 2 → x / 2")


ATTEMPT = """
import sys
from pathlib import Path

from mutation.changes import changes
from mutation.covered import SRC
from mutation.run import Log, Mutant, attempt

path = SRC / "lineage" / "exports.py"
text = path.read_text()
first = {c.function: c for c in reversed(changes(text)) if c.after == "return None"}
doctest = "src/rain_debug/lineage/exports.py::rain_debug.lineage.exports.kind_of"
about_axes = "tests/lineage/test_exports.py::test_axes_stand_for_conditions_and_groups_too"
tried = [("kind_of", doctest), ("_interval", doctest), ("kind_of", about_axes)]
attempt([Mutant("lineage", path, text, first[f], (test,), 1.0) for f, test in tried], Log(Path(sys.argv[1]), ""), 1.0)
"""


def test_a_module_is_there_once_and_its_asserts_stay_plain_beside_its_own_doctests(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    path = os.pathsep.join((str(ROOT / "src"), str(ROOT / "tests")))
    command = [sys.executable, "-c", ATTEMPT, str(log)]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, check=True, capture_output=True)
    found = [json.loads(line)["found"] for line in log.read_text().splitlines()]
    assert found == ["killed", "survived", "survived"]


def test_what_is_killed_stays_so_and_survivors_are_tried_again(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    one, two = (
        Mutant("sql", Path(__file__).parents[2] / "src/rain_debug/sql/odd.py", TEXT, c, ("t",), 1.0)
        for c in changes(TEXT)[:2]
    )
    Log(log, "before").add(one, "killed")
    Log(log, "before").add(two, "survived")
    assert [Log(log, "before").knows(m) for m in (one, two)] == [True, True]
    assert [Log(log, "after").knows(m) for m in (one, two)] == [True, False]
