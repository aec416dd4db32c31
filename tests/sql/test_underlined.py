"""What each part of a plan underlines in the user's own text, and the text that the engine is sent for the answer."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rain_debug.sql import Expr, plan_nested
from sql.test_sql_files import database

UNDERLINED = """
sql: SELECT u.plan, sum(CASE WHEN predict(churn, u) = 'yes' AND u.fee > 5 THEN u.fee * 2 ELSE 0 END) /
nullif(count(*), 0) AS r FROM users u WHERE u.x BETWEEN 0 AND 4 GROUP BY u.plan ORDER BY r DESC LIMIT 3 OFFSET 1;
pure: u.x BETWEEN 0 AND 4
pure: u.plan
/: sum(CASE WHEN predict(churn, u) = 'y … D) / nullif(count(*), 0)
  agg sum: sum(CASE WHEN predict(churn, u) = 'y … EN u.fee * 2 ELSE 0 END)
    case: CASE WHEN predict(churn, u) = 'yes'  … HEN u.fee * 2 ELSE 0 END
      and: predict(churn, u) = 'yes' AND u.fee > 5
        =: predict(churn, u) = 'yes'
          atom: predict(churn, u)
          const: 'yes'
        pure >: u.fee > 5
          pure: u.fee
          const: 5
      pure: u.fee * 2
      const: 0
  nullif: nullif(count(*), 0)
    agg count: count(*)
    const: 0
other: r

sql: SELECT count(*) FILTER (WHERE predict(churn, u) IN ('yes', 'no')) AS n, round(coalesce(avg(u.fee), 1.5), 2) AS
m, CAST(sum(-u.x) AS DOUBLE) AS s FROM users u WHERE NOT (predict(churn, u) = 'no' OR (u.fee IS NULL));
not: predict(churn, u) = 'no' OR (u.fee IS NULL)
  or: NOT (predict(churn, u) = 'no' OR (u.fee IS NULL))
    =: predict(churn, u) = 'no'
      atom: predict(churn, u)
      const: 'no'
    pure: u.fee
agg count: count(*) FILTER (WHERE predict(churn, u) IN ('yes', 'no'))
  or: predict(churn, u) IN ('yes', 'no')
    =: predict(churn, u) IN ('yes', 'no')
      atom: predict(churn, u)
      const: 'yes'
    =: predict(churn, u) IN ('yes', 'no')
      atom: predict(churn, u)
      const: 'no'
round 2: round(coalesce(avg(u.fee), 1.5), 2)
  coalesce: coalesce(avg(u.fee), 1.5)
    agg avg: avg(u.fee)
      pure: u.fee
    const: 1.5
cast DOUBLE: CAST(sum(-u.x) AS DOUBLE)
  agg sum: sum(-u.x)
    pure: u.x

sql: SELECT u.plan, predict_proba(churn, u, 'yes') AS p FROM users u LEFT JOIN orders o ON o.uid = u.id AND o.amount
> 1 WHERE predict(churn, u) <> 'no' AND abs(u.x) > 1 ORDER BY u.plan;
<>: predict(churn, u) <> 'no'
  atom: predict(churn, u)
  const: 'no'
pure >: abs(u.x) > 1
  pure: abs(u.x)
  const: 1
pure: u.plan
atom: predict_proba(churn, u, 'yes')
other: u.plan

sql: SELECT u.plan, count(DISTINCT u.id) AS n, greatest(max(u.fee), 3) AS top FROM users u WHERE predict(churn, u) =
'yes' GROUP BY u.plan HAVING min(u.x) >= 0 AND (count(*) > (SELECT count(*) FROM orders o WHERE predict(grade,
o) > 1));
=: predict(churn, u) = 'yes'
  atom: predict(churn, u)
  const: 'yes'
pure: u.plan
agg count_distinct: count(DISTINCT u.id)
  pure: u.id
other greatest: greatest(max(u.fee), 3)
  agg max: max(u.fee)
    pure: u.fee
  const: 3
>: predict(grade, o) > 1
  atom: predict(grade, o)
  const: 1
agg count: count(*)
>=: min(u.x) >= 0
  agg min: min(u.x)
    pure: u.x
  const: 0
>: count(*) > (SELECT count(*) FROM ord … E predict(grade, o) > 1)
  agg count: count(*)
  atom: (SELECT count(*) FROM orders o WHERE predict(grade, o) > 1)

sql: SELECT u.id, EXISTS (SELECT 1 FROM orders o WHERE o.uid = u.id AND predict(grade, o) = 1) AS e, CASE WHEN
predict(churn, u) = 'yes' THEN CASE WHEN u.x > 1 THEN 1 END ELSE 0 END AS c FROM users u;
pure: u.id
atom: EXISTS (SELECT 1 FROM orders o WHERE … D predict(grade, o) = 1)
case: CASE WHEN predict(churn, u) = 'yes'  …  1 THEN 1 END ELSE 0 END
  =: predict(churn, u) = 'yes'
    atom: predict(churn, u)
    const: 'yes'
  pure: CASE WHEN u.x > 1 THEN 1 END
  const: 0
pure: -
pure =: o.uid
  pure: o.uid
  pure: -
=: predict(grade, o) = 1
  atom: predict(grade, o)
  const: 1

sql: SELECT a.plan, sum(a.n) AS t FROM (SELECT u.plan, count(*) AS n FROM users u WHERE predict(churn, u) = 'yes'
GROUP BY u.plan UNION ALL SELECT v.plan, sum(v.fee) FROM users v WHERE predict(churn, v) = 'no' GROUP BY v.plan)
a GROUP BY a.plan ORDER BY t;
pure: a.plan
agg sum: sum(a.n)
  atom: a.n
=: predict(churn, u) = 'yes'
  atom: predict(churn, u)
  const: 'yes'
pure: u.plan
agg count: count(*)
=: predict(churn, v) = 'no'
  atom: predict(churn, v)
  const: 'no'
pure: v.plan
agg sum: sum(v.fee)
  pure: v.fee

sql: SELECT count(*) AS n FROM users u WHERE u.id NOT IN (SELECT p.uid FROM orders p WHERE predict(grade, p) = 0 AND
p.uid IS NOT NULL);
not: u.id NOT IN (SELECT p.uid FROM order … 0 AND p.uid IS NOT NULL)
  atom: u.id NOT IN (SELECT p.uid FROM order … 0 AND p.uid IS NOT NULL)
agg count: count(*)
=: predict(grade, p) = 0
  atom: predict(grade, p)
  const: 0
pure: p.uid
pure or: u.id NOT IN (SELECT p.uid FROM order … 0 AND p.uid IS NOT NULL)
  pure or: p.uid
    pure =: p.uid
      pure: p.uid
      pure: -
    pure: p.uid
  pure: -
pure: -

sql: SELECT p.plan, rank() OVER (PARTITION BY p.plan ORDER BY p.n DESC) AS r, p.n - lag(p.n, 2) OVER (ORDER BY
p.plan) AS l FROM (SELECT u.plan, u.id, count(*) AS n FROM users u WHERE predict(churn, u) = 'yes' GROUP BY
u.plan, u.id) p QUALIFY lag(p.n) OVER (ORDER BY p.plan) > 2;
pure: p.plan
atom: p.n
=: predict(churn, u) = 'yes'
  atom: predict(churn, u)
  const: 'yes'
pure: u.plan
pure: u.id
agg count: count(*)
atom: rank() OVER (PARTITION BY p.plan ORDER BY p.n DESC)
-: p.n - lag(p.n, 2) OVER (ORDER BY p.plan)
  atom: p.n
  atom: lag(p.n, 2) OVER (ORDER BY p.plan)
>: lag(p.n) OVER (ORDER BY p.plan) > 2
  atom: lag(p.n) OVER (ORDER BY p.plan)
  const: 2

sql: SELECT CASE predict(churn, u) WHEN 'yes' THEN 'stays' ELSE 'goes' END AS w, count(*) AS n, stddev_pop(u.x) AS d
FROM users u GROUP BY w HAVING count(*) BETWEEN 1 AND 9;
case: CASE predict(churn, u) WHEN 'yes' THEN 'stays' ELSE 'goes' END
  =: predict(churn, u) WHEN 'yes'
    atom: predict(churn, u)
    const: 'yes'
  const: 'stays'
  const: 'goes'
agg count: count(*)
agg stddev_pop: stddev_pop(u.x)
  pure: u.x
and: count(*) BETWEEN 1 AND 9
  >=: count(*) BETWEEN 1
    agg count: count(*)
    const: 1
  <=: count(*) BETWEEN 1 AND 9
    agg count: count(*)
    const: 9
"""
"""A query; what its expressions are, and where each of them stands (-: nowhere)."""

ANSWERS = """
sql: SELECT u.plan, count(DISTINCT u.id) AS n, greatest(max(u.fee), 3) AS top FROM users u WHERE predict(churn, u) =
'yes' GROUP BY u.plan HAVING min(u.x) >= 0 AND (count(*) > (SELECT count(*) FROM orders o WHERE predict(grade,
o) > 1));
SELECT "u"."plan" AS o0, COUNT(DISTINCT "u"."id") AS o1, GREATEST(MAX("u"."fee"), 3) AS o2 FROM __rain_reader_0
AS "u" WHERE RAIN_ATOM(0) = 'yes' GROUP BY "u"."plan" HAVING MIN("u"."x") >= 0 AND (COUNT(*) > (SELECT COUNT(*)
AS "_col_0" FROM __rain_reader_1 AS "o" WHERE RAIN_ATOM(1) > 1))

sql: SELECT a.plan, sum(a.n) AS t FROM (SELECT u.plan, count(*) AS n FROM users u WHERE predict(churn, u) = 'yes'
GROUP BY u.plan UNION ALL SELECT v.plan, sum(v.fee) FROM users v WHERE predict(churn, v) = 'no' GROUP BY v.plan)
a GROUP BY a.plan ORDER BY t;
SELECT "a"."plan" AS o0, SUM("a"."n") AS o1 FROM (SELECT "u"."plan" AS "plan", COUNT(*) AS "n" FROM
__rain_reader_0 AS "u" WHERE RAIN_ATOM(0) = 'yes' GROUP BY "u"."plan" UNION ALL SELECT "v"."plan" AS "plan",
SUM("v"."fee") AS "_col_1" FROM __rain_reader_1 AS "v" WHERE RAIN_ATOM(1) = 'no' GROUP BY "v"."plan") AS "a"
GROUP BY "a"."plan" ORDER BY o1

sql: SELECT count(*) AS n FROM users u SEMI JOIN orders o ON o.uid = u.id AND predict(grade, o) = 2 WHERE u.id NOT IN
(SELECT p.uid FROM orders p WHERE predict(grade, p) = 0);
SELECT COUNT(*) AS o0 FROM users AS "u" WHERE NOT "u"."id" IN (SELECT "p"."uid" AS "uid" FROM __rain_reader_1 AS
"p" WHERE RAIN_ATOM(1) = 0) AND EXISTS(SELECT 1 FROM __rain_reader_0 AS "o" WHERE "o"."uid" = "u"."id" AND
RAIN_ATOM(0) = 2)

sql: WITH p AS (SELECT u.id, predict(churn, u) AS c FROM users u) SELECT c, count(*) FROM p GROUP BY 1 ORDER BY 2
DESC LIMIT 1;
SELECT RAIN_ATOM(0) AS o0, COUNT(*) AS o1 FROM __rain_reader_0 AS "u_2" GROUP BY RAIN_ATOM(0) ORDER BY o1 DESC
LIMIT 1

sql: (SELECT u.id AS i FROM users u WHERE predict(churn, u) = 'yes') UNION SELECT o.uid FROM orders o ORDER BY i
LIMIT 2 OFFSET 1;
(SELECT "u"."id" AS o0 FROM __rain_reader_0 AS "u" WHERE RAIN_ATOM(0) = 'yes') UNION SELECT "o"."uid" AS "uid"
FROM orders AS "o" ORDER BY o0 LIMIT 2 OFFSET 1

sql: SELECT u.id, v.id FROM users u LEFT JOIN users v ON v.plan = u.plan AND predict(churn, v) = 'yes' WHERE u.x > 0;
SELECT "u"."id" AS o0, "v"."id" AS o1 FROM users AS "u" LEFT JOIN __rain_reader_0 AS "v" ON "v"."plan" =
"u"."plan" AND RAIN_ATOM(0) = 'yes' WHERE "u"."x" > 0

sql: SELECT u.plan, (SELECT count(*) FROM orders o WHERE o.uid = u.id AND predict(grade, o) > 0) AS n FROM users u;
SELECT "u"."plan" AS o0, (SELECT COUNT(*) AS "_col_0" FROM __rain_reader_0 AS "o" WHERE "o"."uid" = "u"."id" AND
RAIN_ATOM(0) > 0) AS o1 FROM users AS "u"

sql: SELECT sum(n) AS s FROM (SELECT u.plan, count(*) AS n FROM users u WHERE predict(churn, u) = 'yes' GROUP BY ALL)
WHERE n > 1;
SELECT SUM("_0"."n") AS o0 FROM (SELECT "u"."plan" AS "plan", COUNT(*) AS "n" FROM __rain_reader_0 AS "u" WHERE
RAIN_ATOM(0) = 'yes' GROUP BY "u"."plan" HAVING (COUNT(*)) > 1) AS "_0"

sql: SELECT avg(w.v) AS m FROM (SELECT predict(worth, u) AS v, u.plan FROM users u WHERE u.fee > 1) w WHERE w.plan =
'pro';
SELECT AVG(RAIN_ATOM(0)) AS o0 FROM __rain_reader_0 AS "u" WHERE "u"."plan" = 'pro' AND "u"."fee" > 1
"""
"""A query, and the same over tables that hold the predictions, each called RAIN_ATOM."""


def expressions(part: Any) -> Iterator[Expr]:
    """The whole expressions of a plan or of a tree of blocks, in order."""
    if isinstance(part, Expr):
        yield part
    elif dataclasses.is_dataclass(part):
        for field in dataclasses.fields(part):
            yield from expressions(getattr(part, field.name))
    elif isinstance(part, tuple | list | dict):
        for each in part.values() if isinstance(part, dict) else part:
            yield from expressions(each)


def shown(e: Expr, sql: str, depth: int = 0) -> str:
    """An expression and its parts, a line each: the operation, and the text that it underlines, long ones in part."""
    text = sql[e.start : e.end] or "-"
    text = text if len(text) <= 64 else f"{text[:36]} … {text[-24:]}"
    parts = (*e.args, e.filter) if e.filter is not None else e.args
    own = "  " * depth + " ".join(filter(None, (e.op, e.name)))
    return "\n".join([f"{own}: {text}", *(shown(part, sql, depth + 1) for part in parts)])


def cases(text: str) -> list[tuple[str, str]]:
    """The queries, each after `sql:`, and what comes below them."""
    each = re.findall(r"^sql: (.*?);\n(.*?)(?:\n\n|\n\Z)", text, re.M | re.S)
    assert len(each) == text.count("\nsql: ")
    return [(" ".join(query.split()), below) for query, below in each]


def planned(sql: str) -> Any:
    query = database(Path(__file__).with_name("nested.test"), "duckdb").query(sql)
    return query.nested if hasattr(query, "nested") else query.plan


@pytest.mark.parametrize(("sql", "expected"), cases(UNDERLINED))
def test_what_each_part_underlines(sql: str, expected: str) -> None:
    found = dict.fromkeys(shown(e, sql) for e in expressions(planned(sql)))
    assert "\n".join(found) == expected


@pytest.mark.parametrize(("sql", "expected"), cases(ANSWERS))
def test_the_answer_as_one_text(sql: str, expected: str) -> None:
    assert planned(sql).answer == " ".join(expected.split())


LIMITED = {
    "SELECT u.id FROM users u WHERE predict(churn, u) = 'yes' ORDER BY u.id LIMIT 2 OFFSET 1": True,
    "SELECT u.id FROM users u WHERE predict(churn, u) = 'yes' ORDER BY u.id OFFSET 1": True,
    "SELECT u.id FROM users u WHERE predict(churn, u) = 'yes' ORDER BY u.id LIMIT 2": True,
    "SELECT u.id FROM users u WHERE predict(churn, u) = 'yes' ORDER BY u.id": False,
}


@pytest.mark.parametrize("sql", LIMITED)
def test_the_answer_without_its_limit(sql: str) -> None:
    nested = plan_nested(sql, database(Path(__file__).with_name("nested.test"), "duckdb"))
    whole = """SELECT "u"."id" AS o0 FROM __rain_reader_0 AS "u" WHERE RAIN_ATOM(0) = 'yes' ORDER BY "u"."id\""""
    assert nested.unlimited == whole
    assert nested.answer == whole + sql.partition("u.id")[2].partition("ORDER BY u.id")[2]
    assert nested.limited == LIMITED[sql]
