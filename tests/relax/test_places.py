"""A place that several rows of a nested query are at: there if one of them is, its value theirs by their chances."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rain_debug.relax import Target
from sql.test_sql_files import database

EACH = """SELECT g.plan, g.s FROM (
    SELECT plan, id, sum(x) AS s FROM users u WHERE predict(churn, u) = 'yes' GROUP BY plan, id) g"""


def test_several_rows_at_one_place() -> None:
    query = database(Path(__file__).parents[1] / "sql" / "nested.test", "duckdb").query(EACH)
    pro, basic = (("plan", "pro"),), (("plan", "basic"),)
    targets = [t for at in (pro, basic) for t in (Target("present", None, at), Target("value", "s", at))]
    capture = query.capture(targets)
    (block,) = capture.blocks
    names = dict(zip([3.0, 1.0, 4.0, 0.0], [0.6, 0.5, 0.4, 0.2], strict=True))  # x → the chance of 'yes'
    yes = np.array([names.get(x, 0.9) for x in block.table["x"].values.tolist()])
    found = capture.program.relaxed([np.column_stack([1 - yes, yes])])
    pair = 0.5 * 1.0 + 0.2 * 0.0
    assert found == pytest.approx([1 - 0.4 * 0.6, (0.6 * 3 + 0.4 * 4) / 1.0, 1 - 0.5 * 0.8, pair / 0.7])
    assert capture.program.approximate == (True, True, True, True)
    rule = "a group is there: 1 − Π(1 − w)"
    assert capture.program.parts[0][0].rules[:2] == (rule, f"{rule}; SUM by linearity; weighted by presence")
