"""What each prediction of a query is of, and the rows and columns that it is made from."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rain_debug.sql.plan import Atom, Source
from sql.test_sql_files import database
from sql.test_underlined import cases

READ = """
sql: SELECT count(*) AS n FROM users u WHERE predict(churn, u) = 'yes' AND predict(churn, u.x, u.y) = 'yes' AND
predict_proba(churn, u, 'no') < 0.5;
proba 0 churn("u"."x", "u"."y") of "u".rowid: churn, users, "$0"."x", "$0"."y" class churn("u"."x", "u"."y") of
"u".rowid: churn, users, "$0"."x", "$0"."y" u: users AS "u", all of users by "u".rowid: id, name, plan, fee,
joined, x, y

sql: SELECT count(*) AS n FROM users AS p(a, b, c, d, e, x, y) WHERE predict(churn, p) = 'yes' AND p.a > 1;
class churn("p"."x", "p"."y") of "p".rowid: churn, users, "$0"."x", "$0"."y" p: users AS "p"("a", "b", "c", "d",
"e", "x", "y"), all of users by "p".rowid: a is id, b is name, c is plan, d is fee, e is joined, x, y

sql: SELECT count(*) AS n FROM users AS p(i) WHERE predict(churn, p.x + 1, abs(p.y)) = 'yes';
class churn("p"."x" + 1, ABS("p"."y")) of "p".rowid: churn, users, "$0"."x" + 1, ABS("$0"."y") p: users AS
"p"("i"), all of users by "p".rowid: i is id, name, plan, fee, joined, x, y

sql: SELECT count(*) AS n FROM paying p WHERE predict(churn, p) = 'yes';
class churn("p"."x", "p"."y") of "p"."__rain_rid": churn, users, "$0"."x", "$0"."y" p: (SELECT "users"."id" AS
"id", "users"."name" AS "name", "users"."plan" AS "plan", "users"."fee" AS "fee", "users"."joined" AS "joined",
"users"."x" AS "x", "users"."y" AS "y", "users".rowid AS "__rain_rid" FROM users AS "users" WHERE (NOT
"users"."fee" IS NULL)) AS "p", some of users by "p"."__rain_rid": id, name, plan, fee, joined, x, y

sql: SELECT count(*) AS n FROM (SELECT u.x * 2 AS x, u.y FROM users u WHERE u.fee > 1) p WHERE predict(churn, p) =
'yes';
class churn("p"."x", "p"."y") of "p"."__rain_rid": churn, users, "$0"."(""u"".""x"" * 2)", "$0"."y" p: (SELECT
"u"."x" * 2 AS "x", "u"."y" AS "y", "u".rowid AS "__rain_rid" FROM users AS "u" WHERE "u"."fee" > 1) AS "p",
some of users by "p"."__rain_rid": x is ("u"."x" * 2), y

sql: SELECT count(*) AS n FROM (SELECT u.plan, avg(u.x) AS x, max(u.y) AS y FROM users u GROUP BY u.plan) p WHERE
predict(churn, p) = 'yes';
class churn("p"."x", "p"."y") of "p".rowid: churn, __rain_made, "$0"."x", "$0"."y" p: __rain_made AS "p", all of
(SELECT "u"."plan" AS "plan", AVG("u"."x") AS "x", MAX("u"."y") AS "y" FROM users AS "u" GROUP BY "u"."plan")
computed once of __rain_made by "p".rowid: plan, x, y

sql: SELECT count(*) AS n FROM users u JOIN users v ON predict(churn, u) = predict(churn, v) AND u.id < v.id;
class churn("u"."x", "u"."y") of "u".rowid: churn, users, "$0"."x", "$0"."y" class churn("v"."x", "v"."y") of
"v".rowid: churn, users, "$0"."x", "$0"."y" u: users AS "u", all of users by "u".rowid: id, name, plan, fee,
joined, x, y v: users AS "v", all of users by "v".rowid: id, name, plan, fee, joined, x, y

sql: WITH p AS (SELECT id, x AS y, y AS x FROM users WHERE id > 1) SELECT count(*) AS n FROM p WHERE predict(churn,
p) = 'yes';
class churn("p"."x", "p"."y") of "p"."__rain_rid": churn, users, "$0"."y", "$0"."x" p: "p" AS "p", some of users
by "p"."__rain_rid": id, y is x, x is y

sql: SELECT count(*) AS n FROM users u JOIN orders o ON o.uid = u.id WHERE predict(churn, o.z, u.y) = 'yes' AND
predict(grade, o) > 0;
class churn("o"."z", "u"."y") of "o".rowid, "u".rowid: churn, orders, users, "$0"."z", "$1"."y" class
grade("o"."z") of "o".rowid: grade, orders, "$0"."z" u: users AS "u", all of users by "u".rowid: id, name, plan,
fee, joined, x, y o: orders AS "o", all of orders by "o".rowid: oid, uid, amount, z

sql: SELECT sum(predict(worth, u)) AS s FROM users u WHERE predict(churn, *) = 'yes';
number worth("u"."x") of "u".rowid: worth, users, "$0"."x" class churn("u"."x", "u"."y") of "u".rowid: churn,
users, "$0"."x", "$0"."y" u: users AS "u", all of users by "u".rowid: id, name, plan, fee, joined, x, y

sql: SELECT u.id FROM users u WHERE predict(churn, u) = 'yes' OR EXISTS (SELECT 1 FROM orders o WHERE o.uid = u.id
AND predict(grade, o) = 2);
event () of : event, __rain_event_0 class churn("u"."x", "u"."y") of "u".rowid: churn, users, "$0"."x", "$0"."y"
class grade("o"."z") of "o".rowid: grade, orders, "$0"."z" u: users AS "u", all of users by "u".rowid: id, name,
plan, fee, joined, x, y o: orders AS "o", all of orders by "o".rowid: oid, uid, amount, z

sql: SELECT p.plan, sum(p.x) AS s FROM (SELECT * FROM users WHERE id > 2) p WHERE predict(churn, p) = 'yes' GROUP BY
p.plan;
class churn("p"."x", "p"."y") of "p"."__rain_rid": churn, users, "$0"."x", "$0"."y" p: (SELECT "users"."id" AS
"id", "users"."name" AS "name", "users"."plan" AS "plan", "users"."fee" AS "fee", "users"."joined" AS "joined",
"users"."x" AS "x", "users"."y" AS "y", "users".rowid AS "__rain_rid" FROM users AS "users" WHERE "users"."id" >
2) AS "p", some of users by "p"."__rain_rid": id, name, plan, fee, joined, x, y

sql: SELECT count(*) AS n FROM (SELECT u.id, u.x, u.y FROM users u JOIN orders o ON o.uid = u.id) p WHERE
predict(churn, p) = 'yes';
class churn("p"."x", "p"."y") of "p".rowid: churn, __rain_made, "$0"."x", "$0"."y" p: __rain_made AS "p", all of
(SELECT "u"."id" AS "id", "u"."x" AS "x", "u"."y" AS "y" FROM users AS "u" JOIN orders AS "o" ON "o"."uid" =
"u"."id") computed once of __rain_made by "p".rowid: id, x, y

sql: SELECT count(*) AS n FROM users u, (SELECT 1 AS x, 2 AS y) p WHERE predict(churn, p) = 'yes';
class churn("p"."x", "p"."y") of "p".rowid: churn, __rain_made, "$0"."x", "$0"."y" u: users AS "u", all of users
by "u".rowid: id, name, plan, fee, joined, x, y p: __rain_made AS "p", all of (SELECT 1 AS "x", 2 AS "y")
computed once of __rain_made by "p".rowid: x, y

sql: SELECT count(*) AS n FROM (SELECT * FROM users AS q(k)) p WHERE predict(churn, p) = 'yes' AND p.k > 1;
class churn("p"."x", "p"."y") of "p"."__rain_rid": churn, users, "$0"."x", "$0"."y" p: (SELECT "q"."k" AS "k",
"q"."name" AS "name", "q"."plan" AS "plan", "q"."fee" AS "fee", "q"."joined" AS "joined", "q"."x" AS "x",
"q"."y" AS "y", "q".rowid AS "__rain_rid" FROM users AS "q"("k")) AS "p", some of users by "p"."__rain_rid": k,
name, plan, fee, joined, x, y

sql: SELECT count(*) AS n FROM paying AS p(i, who) WHERE predict(churn, p) = 'yes' AND who <> 'Bob';
class churn("p"."x", "p"."y") of "p"."__rain_rid": churn, users, "$0"."x", "$0"."y" p: (SELECT "users"."id" AS
"i", "users"."name" AS "who", "users"."plan" AS "plan", "users"."fee" AS "fee", "users"."joined" AS "joined",
"users"."x" AS "x", "users"."y" AS "y", "users".rowid AS "__rain_rid" FROM users AS "users" WHERE (NOT
"users"."fee" IS NULL)) AS "p", some of users by "p"."__rain_rid": i is id, who is name, plan, fee, joined, x, y

sql: SELECT count(*) AS n FROM users u LEFT JOIN orders o ON o.uid = u.id WHERE predict(churn, u) = 'yes' AND
predict(grade, o) = 2;
class churn("u"."x", "u"."y") of "u".rowid: churn, users, "$0"."x", "$0"."y" class grade("o"."z") of "o".rowid:
grade, orders, "$0"."z" u: users AS "u", all of users by "u".rowid: id, name, plan, fee, joined, x, y o: orders
AS "o", all nullable of orders by "o".rowid: oid, uid, amount, z o: orders AS
"o", all of orders by "o".rowid: oid, uid, amount, z

sql: SELECT count(*) AS n FROM (SELECT DISTINCT x, y FROM users) p WHERE predict(churn, p) = 'yes';
class churn("p"."x", "p"."y") of "p".rowid: churn, __rain_made, "$0"."x", "$0"."y" p: __rain_made AS "p", all of
(SELECT DISTINCT "users"."x" AS "x", "users"."y" AS "y" FROM users AS "users") computed once of __rain_made by
"p".rowid: x, y

sql: SELECT predict(churn, u) AS c, count(*) AS n FROM users u WHERE u.id IN (SELECT o.uid FROM orders o WHERE
predict(grade, o) = 2) GROUP BY c;
class churn("u"."x", "u"."y") of "u".rowid: churn, users, "$0"."x", "$0"."y" event () of : event, __rain_event_0
class grade("o"."z") of "o".rowid: grade, orders, "$0"."z" u: users AS "u", all of users by "u".rowid: id, name,
plan, fee, joined, x, y o: orders AS "o", all of orders by "o".rowid: oid, uid, amount, z

sql: SELECT u.id FROM users u WHERE u.x < (SELECT count(*) FROM orders o WHERE o.uid = u.id AND predict(churn, u.x,
o.z) = 'yes');
lookup () of : lookup, __rain_event_0 event () of : event, __rain_event_1 class churn(__rain_event_0.x1,
"o"."z") of "__rain_event_0".x2, "o".rowid: churn, users, orders, "$0"."x", "$1"."z" class churn("u"."x",
"o"."z") of "u".rowid, "o".rowid: churn, users, orders, "$0"."x", "$1"."z" __rain_event_0: (SELECT "u"."id" AS
x0, "u"."x" AS x1, "u".rowid AS x2 FROM users AS "u") AS "__rain_event_0", all of users by "__rain_event_0".x2:
x0 is id, x1 is x o: orders AS "o", all of orders by "o".rowid: oid, uid, amount, z u: users AS "u", all of
users by "u".rowid: id, name, plan, fee, joined, x, y

sql: WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r WHERE i < 3) SELECT count(*) AS n FROM (SELECT i
AS x, i AS y FROM r) p WHERE predict(churn, p) = 'yes';
class churn("p"."x", "p"."y") of "p".rowid: churn, __rain_made, "$0"."x", "$0"."y" p: __rain_made AS "p", all of
(WITH RECURSIVE "r"("i") AS (SELECT 1 AS "i" UNION ALL SELECT "r"."i" + 1 AS "i" FROM "r" AS "r" WHERE "r"."i" <
3) SELECT "r"."i" AS "x", "r"."i" AS "y" FROM "r" AS "r") computed once of __rain_made by "p".rowid: x, y

sql: WITH q AS (SELECT plan, avg(x) AS x, avg(y) AS y FROM users GROUP BY plan) SELECT count(*) AS n FROM q WHERE
predict(churn, q) = 'yes' AND q.x > 0;
class churn("q"."x", "q"."y") of "q".rowid: churn, __rain_made, "$0"."x", "$0"."y" q: __rain_made AS "q", all of
(WITH "q" AS (SELECT "users"."plan" AS "plan", AVG("users"."x") AS "x", AVG("users"."y") AS "y" FROM users AS
"users" GROUP BY "users"."plan") SELECT "users"."plan" AS "plan", AVG("users"."x") AS "x", AVG("users"."y") AS
"y" FROM users AS "users" GROUP BY "users"."plan") computed once of __rain_made by "q".rowid: plan, x, y

sql: SELECT sum(predict(churn, 1, p.y)= 'yes') AS n FROM users p;
class churn(1, "p"."y") of "p".rowid: churn, users, 1, "$0"."y" p: users AS "p", all of users by "p".rowid: id,
name, plan, fee, joined, x, y
"""
"""A query; its predictions: of which rows, and what calls with the same ones share; its sources and their columns."""


def parts(part: Any, kind: type) -> Iterator[Any]:
    """Those parts of a plan, or of a tree of blocks, that are of a kind."""
    if isinstance(part, kind):
        yield part
    elif dataclasses.is_dataclass(part):
        for field in dataclasses.fields(part):
            yield from parts(getattr(part, field.name), kind)
    elif isinstance(part, tuple | list | dict):
        for each in part.values() if isinstance(part, dict) else part:
            yield from parts(each, kind)


def of_atom(a: Atom) -> str:
    """What is predicted from what, of which rows; and what calls with the same predictions share."""
    kind = a.kind if a.class_code is None else f"{a.kind} {a.class_code}"
    return f"{kind} {a.model}({', '.join(a.features)}) of {', '.join(a.rids)}: {', '.join(a.identity)}"


def of_source(s: Source) -> str:
    """A source's rows and columns, those that have another name in the table below with that."""
    columns = [c if s.base_column(c) == c else f"{c} is {s.base_column(c)}" for c in s.columns]
    words = [
        "all" if s.is_whole else "some",
        *[f"of ({s.relation}) computed once"] * bool(s.materialised),
        *["nullable"] * s.nullable,
    ]
    return f"{s.alias}: {s.from_sql}, {' '.join(words)} of {s.identity} by {s.rid}: {', '.join(columns)}"


def read(sql: str) -> str:
    """All predictions and sources of a query."""
    query = database(Path(__file__).with_name("nested.test"), "duckdb").query(sql)
    plan = query.nested if hasattr(query, "nested") else query.plan
    lines = dict.fromkeys([*map(of_atom, parts(plan, Atom)), *map(of_source, parts(plan, Source))])
    return re.sub("__rain_[0-9a-f]{16}", "__rain_made", " ".join(" ".join(lines).split()))


@pytest.mark.parametrize(("sql", "expected"), cases(READ))
def test_what_is_predicted_from_what(sql: str, expected: str) -> None:
    assert read(sql) == " ".join(expected.split())
