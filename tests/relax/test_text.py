"""Cells whose text follows from thresholds on what predictions move: how likely each word is, over all worlds."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import rain_debug as rain
from rain_debug.engines.table import Table
from rain_debug.errors import SQLError
from rain_debug.relax import Target

X = np.linspace(-1, 1, 7)
GROUPS = np.array(list("aaabbbb"), dtype=object)
YES = "FROM t WHERE predict(m, t) = 'yes'"
WORDS = "CASE WHEN {n} > 2 THEN 'many' ELSE 'few' END AS word"


def word(n: int) -> str | None:
    """The word of a group with n rows; None where it is not there."""
    return None if n == 0 else "many" if n > 2 else "few"


QUERIES: dict[str, Callable[[int], str | None]] = {
    f"SELECT t.g, {WORDS.format(n='count(*)')} {YES} GROUP BY t.g": word,
    f"SELECT p.g, {WORDS.format(n='p.n')} FROM (SELECT t.g, count(*) AS n {YES} GROUP BY t.g) p": word,
    f"SELECT t.g, CASE WHEN count(*) <= 2 THEN 'few' WHEN 1 > 0 THEN 'many' END AS word {YES} GROUP BY t.g": word,
    f"SELECT t.g, {WORDS.format(n='count(*)')} {YES} GROUP BY t.g HAVING count(*) > 0": word,
}


@pytest.fixture(scope="module")
def db() -> Any:
    past = Table.of(
        id=np.arange(20), x=np.linspace(-2, 2, 20), y=np.array(["no", "yes", "yes", "no"] * 5, dtype=object)
    )
    made = rain.connect({"t": Table.of(id=np.arange(7), g=GROUPS, x=X), "past": past})
    made.create_model("m", LogisticRegression(), "SELECT * FROM past", key="id", label="y", features=["x"])
    return made


def relaxed(db: Any, sql: str, targets: list[Target]) -> tuple[Any, np.ndarray, np.ndarray]:
    """The program, its inputs' probabilities and the features in their order."""
    capture = db.query(sql).capture(targets)
    x = np.asarray(capture.blocks[0].table["x"].values)
    return capture.program, np.stack([0.6 - 0.3 * x, 0.4 + 0.3 * x], axis=1), x


@pytest.mark.parametrize("sql", QUERIES)
@pytest.mark.parametrize("group", ["a", "b"])
def test_each_word_is_as_likely_as_over_all_worlds(db: Any, sql: str, group: str) -> None:
    program, P, x = relaxed(db, sql, [Target("is", "word", (("g", group),), w) for w in ("many", "few")])
    mine = np.flatnonzero(GROUPS[np.searchsorted(X, x)] == group)
    expected = dict.fromkeys(("many", "few"), 0.0)
    for world in itertools.product((0, 1), repeat=len(mine)):
        chance = float(np.prod(P[mine, world]))
        found = QUERIES[sql](sum(world))
        if found is not None:
            expected[found] += chance
        codes = np.zeros(len(x), dtype=int)
        codes[mine] = world
        assert program.exact([P], [codes]).tolist() == [float(found == w) for w in expected]
    np.testing.assert_allclose(program.relaxed([P]), list(expected.values()), atol=1e-9)


def test_the_first_of_several_words_that_holds(db: Any) -> None:
    """Branches count as if independent: the first is exact, and all together as likely as the row."""
    several = "CASE WHEN count(*) > 2 THEN 'many' WHEN count(*) > 1 THEN 'two' ELSE 'one' END AS word"
    sql = f"SELECT t.g, {several} {YES} GROUP BY t.g"
    where = (("g", "b"),)
    targets = [*(Target("is", "word", where, w) for w in ("many", "two", "one")), Target("present", None, where)]
    program, P, x = relaxed(db, sql, targets)
    found = program.relaxed([P])
    assert found[:3].sum() == pytest.approx(found[3], abs=1e-9)
    three = sum(
        float(np.prod(P[np.flatnonzero(GROUPS[np.searchsorted(X, x)] == "b"), w]))
        for w in itertools.product((0, 1), repeat=4)
        if sum(w) > 2
    )
    assert found[0] == pytest.approx(three, abs=1e-9)
    for n, expected in ((4, [1, 0, 0, 1]), (2, [0, 1, 0, 1]), (1, [0, 0, 1, 1]), (0, [0, 0, 0, 0])):
        codes = np.zeros(len(x), dtype=int)
        codes[np.flatnonzero(GROUPS[np.searchsorted(X, x)] == "b")[:n]] = 1
        assert program.exact([P], [codes]).tolist() == expected
        np.testing.assert_allclose(program.relaxed([np.eye(2)[codes]]), expected, atol=1e-9)


def test_text_that_is_carried_along_is_refused(db: Any) -> None:
    sql = f"SELECT p.word AS word FROM (SELECT t.g, {WORDS.format(n='count(*)')} {YES} GROUP BY t.g) p"
    with pytest.raises(SQLError, match="this text over numbers that predictions move is not supported"):
        db.query(sql).capture([Target("is", "word", (), "many")])
