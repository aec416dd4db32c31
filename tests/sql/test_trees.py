"""The tree of blocks that a query becomes: outer joins as unions, subqueries as events, windows above their rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from sql.test_sql_files import database
from sql.test_underlined import cases

PLANS = """
sql: SELECT u.id, o.oid FROM users u LEFT JOIN orders o ON o.uid = u.id AND predict(grade, o) = 2 WHERE u.x > 0;
block
  from __rain_below_0 AS "__o"
  out id := "__o"."c0"
  out oid := "__o"."c1"
  __rain_below_0 is
    union all
      block
        class p0 = grade(o)
        from users AS "u" CROSS JOIN orders AS "o"
        where "o"."uid" = "u"."id"
        where RAIN_ATOM(0) = 2
        where "u"."x" > 0
        out c0 := "u"."id"
        out c1 := "o"."oid"
      block
        event p0 = SELECT u.id, o.oid FROM users u LEFT JOIN orders o ON o.uid = u.id AND predict(grade, o) = 2
        from users AS "u"
        where "u"."x" > 0
        where NOT RAIN_ATOM(0)
        out c0 := "u"."id"
        out c1 := NULL
        __rain_event_1 holds for each "u"."id" where there is a row of
          block
            class p0 = grade(o)
            from orders AS "o" CROSS JOIN __rain_event_1 AS __rain_event_1
            where "o"."uid" = __rain_event_1.x0
            where RAIN_ATOM(0) = 2
            group by __rain_event_1.__rain_row
            out event := __rain_event_1.__rain_row

sql: SELECT count(*) AS n FROM users u FULL JOIN orders o ON o.uid = u.id AND predict(grade, o) > 0 WHERE
coalesce(u.fee, 1) > 0;
block
  from __rain_below_0 AS "__o"
  one group
  out n (moved) := COUNT(*)
  __rain_below_0 is
    union all
      union all
        block
          class p0 = grade(o)
          from users AS "u" CROSS JOIN orders AS "o"
          where "o"."uid" = "u"."id"
          where RAIN_ATOM(0) > 0
          where COALESCE("u"."fee", 1) > 0
        block
          event p0 = SELECT count(*) AS n FROM users u FULL JOIN orders o ON o.uid = u.id AND predict(grade, o)
              > 0
          from users AS "u"
          where COALESCE("u"."fee", 1) > 0
          where NOT RAIN_ATOM(0)
          __rain_event_1 holds for each "u"."id" where there is a row of
            block
              class p0 = grade(o)
              from orders AS "o" CROSS JOIN __rain_event_1 AS __rain_event_1
              where "o"."uid" = __rain_event_1.x0
              where RAIN_ATOM(0) > 0
              group by __rain_event_1.__rain_row
              out event := __rain_event_1.__rain_row
      block
        event p0 = SELECT count(*) AS n FROM users u FULL JOIN orders o ON o.uid = u.id AND predict(grade, o) >
            0
        class p1 = grade(o)
        from orders AS "o"
        where COALESCE(NULL, 1) > 0
        where NOT RAIN_ATOM(0)
        __rain_event_2 holds for each "o"."uid", RAIN_ATOM(1) where there is a row of
          block
            from users AS "u" CROSS JOIN __rain_event_2 AS __rain_event_2
            where __rain_event_2.x0 = "u"."id"
            where __rain_event_2.x1 > 0
            group by __rain_event_2.__rain_row
            out event := __rain_event_2.__rain_row

sql: SELECT o.oid, count(u.id) AS n FROM users u RIGHT JOIN orders o ON o.uid = u.id AND predict(churn, u) = 'yes'
GROUP BY o.oid HAVING count(*) > 0;
block
  from __rain_below_0 AS "__o"
  group by "__o"."c0"
  having COUNT(*) > 0
  out oid := "__o"."c0"
  out n (moved) := COUNT("__o"."c1")
  __rain_below_0 is
    union all
      block
        class p0 = churn(u)
        from users AS "u" CROSS JOIN orders AS "o"
        where "o"."uid" = "u"."id"
        where RAIN_ATOM(0) = 'yes'
        out c0 := "o"."oid"
        out c1 := "u"."id"
      block
        event p0 = SELECT o.oid, count(u.id) AS n FROM users u RIGHT JOIN orders o ON o.uid = u.id AND
            predict(churn, u) = 'yes'
        from orders AS "o"
        where NOT RAIN_ATOM(0)
        out c0 := "o"."oid"
        out c1 := NULL
        __rain_event_1 holds for each "o"."uid" where there is a row of
          block
            class p0 = churn(u)
            from users AS "u" CROSS JOIN __rain_event_1 AS __rain_event_1
            where __rain_event_1.x0 = "u"."id"
            where RAIN_ATOM(0) = 'yes'
            group by __rain_event_1.__rain_row
            out event := __rain_event_1.__rain_row

sql: SELECT u.id FROM users u WHERE (u.id, u.x) NOT IN (SELECT o.uid, o.z FROM orders o WHERE predict(grade, o) = 1);
block
  event p0 = WHERE (u.id, u.x) NOT IN (SELECT o.uid, o.z FROM orders o WHERE predict(grade, o) = 1)
  from users AS "u"
  where NOT RAIN_ATOM(0)
  out id := "u"."id"
  __rain_event_0 holds for each "u"."id", "u"."x" where there is a row of
    block
      class p0 = grade(o)
      from orders AS "o" CROSS JOIN __rain_event_0 AS __rain_event_0
      where RAIN_ATOM(0) = 1
      where ("o"."uid") = __rain_event_0.x0 OR ("o"."uid") IS NULL OR __rain_event_0.x0 IS NULL
      where ("o"."z") = __rain_event_0.x1 OR ("o"."z") IS NULL OR __rain_event_0.x1 IS NULL
      group by __rain_event_0.__rain_row
      out event := __rain_event_0.__rain_row

sql: SELECT u.plan, (SELECT max(o.z) FROM orders o WHERE o.uid = u.id AND predict(grade, o) > 0) + 1 AS m FROM users
u WHERE u.fee > 1;
block
  lookup p0 = (SELECT max(o.z) FROM orders o WHERE o.uid = u.id AND predict(grade, o) > 0)
  from users AS "u"
  where "u"."fee" > 1
  out plan := "u"."plan"
  out m (moved) := RAIN_ATOM(0) + 1
  __rain_event_0 holds for each "u"."id" where there is a row of
    block
      class p0 = grade(o)
      from orders AS "o" CROSS JOIN __rain_event_0 AS __rain_event_0
      where "o"."uid" = __rain_event_0.x0
      where RAIN_ATOM(0) > 0
      group by __rain_event_0.__rain_row
      out value (moved) := MAX("o"."z")
      out event := __rain_event_0.__rain_row

sql: SELECT u.id FROM users u ANTI JOIN orders o ON o.uid = u.id AND predict(grade, o) = 0;
block
  event p0 = SELECT u.id FROM users u ANTI JOIN orders o ON o.uid = u.id AND predict(grade, o) = 0
  from users AS "u"
  where NOT RAIN_ATOM(0)
  out id := "u"."id"
  __rain_event_0 holds for each "u"."id" where there is a row of
    block
      class p0 = grade(o)
      from orders AS "o" CROSS JOIN __rain_event_0 AS __rain_event_0
      where "o"."uid" = __rain_event_0.x0
      where RAIN_ATOM(0) = 0
      group by __rain_event_0.__rain_row
      out event := __rain_event_0.__rain_row

sql: SELECT p.plan, sum(p.x) OVER (ORDER BY p.id) AS s, row_number() OVER (PARTITION BY p.plan ORDER BY p.x DESC,
p.id) AS r FROM users p WHERE predict(churn, p) = 'yes' ORDER BY 2 LIMIT 2;
window functions: sum, row_number
  out plan := "__w"."w0"
  out s (moved) := RAIN_ATOM(0)
  out r (moved) := RAIN_ATOM(1)
  block
    class p0 = churn(p)
    from users AS "p"
    where RAIN_ATOM(0) = 'yes'
    out w0 := "p"."plan"
    out w1 := "p"."x"
    out w2 := "p"."id"

sql: WITH a AS (SELECT plan, count(*) AS n FROM users u WHERE predict(churn, u) = 'yes' GROUP BY 1), b AS (SELECT
plan, sum(n) AS t FROM a GROUP BY 1) SELECT x.plan, x.n / y.t AS share FROM a x JOIN b y ON y.plan = x.plan
WHERE y.t > 1;
block
  value p0 = x.n
  value p1 = y.t
  from __rain_below_0 AS "x" CROSS JOIN __rain_below_1 AS "y"
  where "y"."plan" = "x"."plan"
  out plan := "x"."plan"
  out share (moved) := RAIN_ATOM(0) / RAIN_ATOM(1)
  __rain_below_0 is
    block
      class p0 = churn(u_2)
      from users AS "u_2"
      where RAIN_ATOM(0) = 'yes'
      group by "u_2"."plan"
      out plan := "u_2"."plan"
      out n (moved) := COUNT(*)
  __rain_below_1 is
    block
      value p0 = n
      from __rain_below_2 AS "a_2"
      group by "a_2"."plan"
      having (SUM(RAIN_ATOM(0))) > 1
      out plan := "a_2"."plan"
      out t (moved) := SUM(RAIN_ATOM(0))
      __rain_below_2 is
        block
          class p0 = churn(u_3_2)
          from users AS "u_3_2"
          where RAIN_ATOM(0) = 'yes'
          group by "u_3_2"."plan"
          out plan := "u_3_2"."plan"
          out n (moved) := COUNT(*)

sql: SELECT p.g, min(p.n) AS least FROM (SELECT predict(churn, u) AS g, u.plan, count(*) AS n FROM users u GROUP BY
ALL) p GROUP BY p.g;
block
  value p0 = p.n
  from __rain_below_0 AS "p"
  group by "p"."g"
  out g := "p"."g"
  out least (moved) := MIN(RAIN_ATOM(0))
  __rain_below_0 is
    block
      class p0 = churn(u)
      from users AS "u"
      group by RAIN_ATOM(0), "u"."plan"
      out g := RAIN_ATOM(0)
      out plan := "u"."plan"
      out n (moved) := COUNT(*)

sql: SELECT u.id FROM users u WHERE predict(churn, u) = 'yes' INTERSECT (SELECT o.uid FROM orders o WHERE
predict(grade, o) = 2 UNION SELECT 4);
intersect
  block
    class p0 = churn(u)
    from users AS "u"
    where RAIN_ATOM(0) = 'yes'
    out id := "u"."id"
  union
    block
      class p0 = grade(o)
      from orders AS "o"
      where RAIN_ATOM(0) = 2
      out uid := "o"."uid"
    block
      from (SELECT 1) AS __one
      out 4 := 4

sql: SELECT sum(CASE WHEN EXISTS (SELECT 1 FROM orders o WHERE o.uid = u.id AND predict(grade, o) = 2) THEN u.fee
END) AS s FROM users u WHERE NOT predict(churn, u) = 'no';
block
  class p0 = churn(u)
  event p1 = EXISTS (SELECT 1 FROM orders o WHERE o.uid = u.id AND predict(grade, o) = 2)
  from users AS "u"
  where NOT RAIN_ATOM(0) = 'no'
  one group
  out s (moved) := SUM(CASE WHEN RAIN_ATOM(1) THEN "u"."fee" END)
  __rain_event_0 holds for each "u"."id" where there is a row of
    block
      class p0 = grade(o)
      from orders AS "o" CROSS JOIN __rain_event_0 AS __rain_event_0
      where "o"."uid" = __rain_event_0.x0
      where RAIN_ATOM(0) = 2
      group by __rain_event_0.__rain_row
      out event := __rain_event_0.__rain_row

sql: SELECT s.plan, s.top FROM (SELECT u.plan, max(u.fee) AS top, count(*) AS n FROM users u WHERE predict(churn, u)
= 'yes' GROUP BY u.plan HAVING count(*) > 1) s WHERE s.top > (SELECT avg(v.fee) FROM users v WHERE
predict(churn, v) = 'no');
block
  value p0 = s.top
  value p1 = (SELECT avg(v.fee) FROM users v WHERE predict(churn, v) = 'no')
  event p2 = s.top > (SELECT avg(v.fee) FROM users v WHERE predict(churn, v) = 'no')
  from __rain_below_0 AS "s"
  where RAIN_ATOM(2)
  out plan := "s"."plan"
  out top (moved) := RAIN_ATOM(0)
  __rain_below_0 is
    block
      class p0 = churn(u)
      from users AS "u"
      where RAIN_ATOM(0) = 'yes'
      group by "u"."plan"
      having COUNT(*) > 1
      out plan := "u"."plan"
      out top (moved) := MAX("u"."fee")
      out n (moved) := COUNT(*)
  __rain_event_1 is
    block
      class p0 = churn(v)
      from users AS "v"
      where RAIN_ATOM(0) = 'no'
      one group
      out _col_0 (moved) := AVG("v"."fee")
  __rain_event_2 is RAIN_ATOM(0) > RAIN_ATOM(1)

sql: SELECT count(*) AS n FROM users u WHERE u.id IN (SELECT o.uid FROM orders o WHERE predict(grade, o) = 2 GROUP BY
o.uid HAVING count(*) > 1) AND predict(churn, u) IS NOT NULL;
block
  event p0 = u.id IN (SELECT o.uid FROM orders o WHERE predict(grade, o) = 2 GROUP BY o.uid HAVING count(*) > 1)
  class p1 = churn(u)
  from users AS "u"
  where RAIN_ATOM(0)
  where NOT RAIN_ATOM(1) IS NULL
  one group
  out n (moved) := COUNT(*)
  __rain_event_0 holds for each "u"."id" where there is a row of
    block
      from __rain_below_1 AS "__s" CROSS JOIN __rain_event_0 AS __rain_event_0
      where ("__s"."uid") = __rain_event_0.x0
      group by __rain_event_0.__rain_row
      out event := __rain_event_0.__rain_row
      __rain_below_1 is
        block
          class p0 = grade(o)
          from orders AS "o"
          where RAIN_ATOM(0) = 2
          group by "o"."uid"
          having COUNT(*) > 1
          out uid := "o"."uid"
"""
"""A query and its tree, long lines broken."""


@pytest.mark.parametrize(("sql", "expected"), cases(PLANS))
def test_the_tree_of_a_query(sql: str, expected: str) -> None:
    query = database(Path(__file__).with_name("nested.test"), "duckdb").query(sql)
    text = query.plan_text() if hasattr(query, "plan_text") else str(query.plan)
    assert text.split() == expected.split()
