"""Plans and programs as they print themselves: the same text every time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rain_debug.relax.program import Builder
from sql.test_sql_files import database

PRINTED = {
    """SELECT u.plan, count(*) AS n, avg(p.fee) AS m FROM users u JOIN users p ON p.id = u.id
WHERE u.x > 0 AND predict(churn, u) = 'yes' GROUP BY u.plan ORDER BY n DESC LIMIT 2""": """\
Plan
  class p0 = churn(u)
  from users AS "u" CROSS JOIN users AS "p"
  where [engine] "p"."id" = "u"."id"
  where [engine] "u"."x" > 0
  where [program] RAIN_ATOM(0) = 'yes'
  group by "u"."plan"
  out plan := "u"."plan"
  out n := COUNT(*)
  out m := AVG("p"."fee")
  order by "n" DESC
  LIMIT 2""",
    "SELECT sum(u.fee) AS s FROM users u WHERE predict(churn, u) = 'yes'": """\
Plan
  class p0 = churn(u)
  from users AS "u"
  where [program] RAIN_ATOM(0) = 'yes'
  one group
  out s := SUM("u"."fee")""",
    """SELECT u.id FROM users u WHERE predict(churn, u) = 'yes'
UNION ALL SELECT o.uid FROM orders o WHERE predict(grade, o) = 2""": """\
union all
  block
    class p0 = churn(u)
    from users AS "u"
    where RAIN_ATOM(0) = 'yes'
    out id := "u"."id"
  block
    class p0 = grade(o)
    from orders AS "o"
    where RAIN_ATOM(0) = 2
    out uid := "o"."uid\"""",
    """SELECT u.id, rank() OVER (ORDER BY predict_proba(churn, u, 'yes')) AS r FROM users u
WHERE EXISTS (SELECT 1 FROM orders o WHERE o.uid = u.id AND predict(grade, o) > 0) QUALIFY r < 3""": """\
window functions: rank
  out id := "__w"."w0"
  out r (moved) := RAIN_ATOM(1)
  qualify RAIN_ATOM(2) < 3
  block
    proba p0 = churn(u)
    event p1 = EXISTS (SELECT 1 FROM orders o WHERE o.uid = u.id AND predict(grade, o) > 0)
    from users AS "u"
    where RAIN_ATOM(1)
    out w0 := "u"."id"
    out w1 (moved) := RAIN_ATOM(0)
    __rain_event_1 holds for each "u"."id" where there is a row of
      block
        class p0 = grade(o)
        from orders AS "o" CROSS JOIN __rain_event_1 AS __rain_event_1
        where "o"."uid" = __rain_event_1.x0
        where RAIN_ATOM(0) > 0
        group by __rain_event_1.__rain_row
        out event := __rain_event_1.__rain_row""",
    """WITH p AS (SELECT u.plan, count(*) AS n FROM users u WHERE predict(churn, u) = 'yes' GROUP BY u.plan
HAVING count(*) > 0)
SELECT sum(p.n) AS s FROM p WHERE p.n > (SELECT avg(q.n) FROM p q) - 1""": """\
block
  value p0 = p.n
  value p1 = (SELECT avg(q.n) FROM p q)
  event p2 = p.n > (SELECT avg(q.n) FROM p q) - 1
  from __rain_below_0 AS "p"
  where RAIN_ATOM(2)
  one group
  out s (moved) := SUM(RAIN_ATOM(0))
  __rain_below_0 is
    block
      class p0 = churn(u_2)
      from users AS "u_2"
      where RAIN_ATOM(0) = 'yes'
      group by "u_2"."plan"
      having COUNT(*) > 0
      out plan := "u_2"."plan"
      out n (moved) := COUNT(*)
  __rain_event_1 is
    block
      value p0 = q.n
      from __rain_below_2 AS "q"
      one group
      out _col_0 (moved) := AVG(RAIN_ATOM(0))
      __rain_below_2 is
        block
          class p0 = churn(u_3)
          from users AS "u_3"
          where RAIN_ATOM(0) = 'yes'
          group by "u_3"."plan"
          having COUNT(*) > 0
          out plan := "u_3"."plan"
          out n (moved) := COUNT(*)
  __rain_event_3 is RAIN_ATOM(0) > RAIN_ATOM(1) - 1""",
}


@pytest.mark.parametrize("sql", PRINTED, ids=["flat", "one group", "merge", "window and event", "below and beside"])
def test_a_plan_prints_itself(sql: str) -> None:
    query = database(Path(__file__).with_name("nested.test"), "duckdb").query(sql)
    text = query.plan_text() if hasattr(query, "plan_text") else str(query.plan)
    assert text == PRINTED[sql]


def test_a_program_prints_itself() -> None:
    b = Builder([(2, 2)])
    p = b.op("at", b.leaf("classes", 0), attrs=(np.array([0, 1]), np.array([1, 1])))
    far = b.op("mul", p, b.const(np.arange(8.0)))
    both = b.op("add", b.op("segment_sum", p, attrs=(np.array([0, 0]), 1)), b.const(np.array([0.25])))
    text = str(b.program([(both, 0), (far, 3)]))
    assert (
        text
        == """\
Program of 2 targets over 1 blocks of variables
  %0 = classes(0)
  %1 = at(%0, [0,1], [1,1])
  %2 = const(<8 float64>)
  %3 = mul(%1, %2)
  %4 = segment_sum(%1, [0,0], 1)
  %5 = const([0.25])
  %6 = add(%4, %5)
  target 0 = %6[0]
  target 1 = %3[3]"""
    )
