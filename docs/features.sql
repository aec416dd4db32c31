-- The features that docs/sql.md lists, an example each: what `python docs/features.py` asks the rules about.
-- "-- #" opens a group of features, "--" one of them. `daily` is a CTE: a query that reads it is run with it in front.

-- # setup
CREATE TABLE users AS SELECT * FROM (VALUES
    (1, 'Ann', 'pro', 10.0, DATE '2026-11-02', 3.0), (2, 'Bob', 'basic', 20.5, DATE '2026-11-03', 1.2),
    (3, 'Cid', NULL, NULL, DATE '2026-11-09', 2.0), (4, 'Dan', 'pro', 5.0, DATE '2026-11-10', 4.0),
    (5, 'Eve', 'basic', 8.0, DATE '2026-11-11', 2.2)) t(id, name, plan, fee, joined, x);
CREATE TABLE orders AS SELECT * FROM (VALUES
    (1, 1, 5.0, 0.5), (2, 1, 7.0, 2.5), (3, 2, 4.0, 1.5), (4, 3, 1.0, 3.0), (5, 4, 2.0, 2.5)) t(id, uid, amount, x);
CREATE TABLE training AS SELECT * FROM (VALUES
    (0.0, 'no', 0, 9.0), (0.6, 'no', 0, 11.0), (1.0, 'no', 0, 12.5), (1.4, 'yes', 1, 14.5), (1.6, 'no', 1, 14.0),
    (2.0, 'yes', 1, 17.0), (2.4, 'yes', 2, 16.5), (3.0, 'yes', 2, 19.5)) t(x, churned, grade, worth);
CREATE TABLE pairs AS SELECT a.x AS l_x, b.x AS r_x, abs(a.x - b.x) < 0.7 AS same FROM training a, training b;

-- # given
-- daily
SELECT u.joined, count(*) AS n FROM users u WHERE predict(churn, u) = 'yes' GROUP BY u.joined;

-- # Where a prediction may stand
-- SELECT, a class
SELECT u.id, predict(churn, u) AS c FROM users u;
-- WHERE
SELECT u.id FROM users u WHERE predict(churn, u) = 'yes';
-- WHERE with LIKE, BETWEEN, IS NULL
SELECT u.id FROM users u WHERE predict(churn, u) LIKE 'y%' AND predict(grade, u) BETWEEN 1 AND 2;
-- WHERE with AND, OR, NOT, IN
SELECT u.id FROM users u WHERE NOT (predict(churn, u) = 'yes' AND predict(grade, u) IN (0, 1));
-- JOIN … ON
SELECT u.id, o.id AS oid FROM users u JOIN orders o ON u.id = o.uid AND predict(churn, u) = 'yes';
-- GROUP BY a class
SELECT predict(churn, u) AS c, count(*) AS n FROM users u GROUP BY 1;
-- HAVING
SELECT u.plan, count(*) AS n FROM users u GROUP BY u.plan HAVING count_if(predict(churn, u) = 'yes') > 1;
-- CASE
SELECT u.id, CASE WHEN predict(churn, u) = 'yes' THEN u.fee ELSE 0 END AS v FROM users u;
-- CASE, as text
SELECT u.id, CASE WHEN predict(churn, u) = 'yes' THEN 'leaves' ELSE 'stays' END AS v FROM users u;
-- inside functions and casts
SELECT u.id, sqrt(CAST(predict(grade, u) AS DOUBLE)) AS v FROM users u;
-- in text
SELECT u.id, concat('grade ', predict(grade, u)) AS text FROM users u;
-- an aggregate in text
SELECT concat(count(*), ' users') AS text FROM users u WHERE predict(churn, u) = 'yes';
-- COALESCE, NULLIF
SELECT u.id, coalesce(nullif(predict(grade, u), 0), 9) AS v FROM users u;
-- ORDER BY
SELECT u.id, predict(grade, u) AS g FROM users u ORDER BY predict(grade, u), u.id;
-- LIMIT and OFFSET
SELECT u.id FROM users u ORDER BY u.id LIMIT (SELECT count(*) FROM users u WHERE predict(churn, u) = 'yes');
-- for rows that other predictions make
SELECT count(*) AS n FROM (SELECT u.id, predict(grade, u) AS x FROM users u) p WHERE predict(churn, p) = 'yes';
-- COLUMNS
SELECT COLUMNS(*) FROM users u WHERE predict(churn, u) = 'yes';

-- # Joins
-- inner join, cross join
SELECT count(*) AS n FROM users u, orders o WHERE u.id = o.uid AND predict(churn, u) = 'yes';
-- join on two predictions
SELECT count(*) AS n FROM users u JOIN orders o ON predict(churn, u) = predict(churn, o);
-- self-join
SELECT a.id, b.id AS other FROM users a JOIN users b ON predict(churn, a) = predict(churn, b) AND a.id < b.id;
-- LEFT JOIN, prediction above
SELECT sum(o.amount) AS s FROM users u LEFT JOIN orders o ON o.uid = u.id WHERE predict(churn, u) = 'yes';
-- LEFT JOIN … ON a prediction
SELECT u.id, count(o.id) AS n FROM users u LEFT JOIN orders o ON o.uid = u.id AND predict(grade, o) = 2
GROUP BY u.id;
-- FULL JOIN … ON a prediction
SELECT count(*) AS n FROM users u FULL JOIN orders o ON o.uid = u.id AND predict(grade, o) = 2;
-- SEMI JOIN, ANTI JOIN
SELECT count(*) AS n FROM users u ANTI JOIN orders o ON o.uid = u.id AND predict(grade, o) = 2;
-- ASOF JOIN
SELECT count(*) AS n FROM users u ASOF JOIN orders o ON o.uid = u.id AND o.amount <= u.fee WHERE predict(churn, u) =
'yes';
-- ASOF LEFT JOIN … ON a prediction
SELECT u.id, count(o.id) AS n FROM users u
ASOF LEFT JOIN orders o ON o.uid = u.id AND o.amount <= u.fee AND predict(grade, o) = 2 GROUP BY u.id;
-- several outer joins, a prediction in one's ON
SELECT count(*) AS n FROM users u LEFT JOIN orders o ON o.uid = u.id AND predict(grade, o) = 2
LEFT JOIN orders p ON p.uid = u.id;
-- LATERAL
SELECT count(*) AS n FROM users u, LATERAL (SELECT o.id FROM orders o WHERE o.uid = u.id) l WHERE predict(churn, u)
= 'yes';

-- # Aggregates
-- COUNT
SELECT count(*) AS n FROM users u WHERE predict(churn, u) = 'yes';
-- SUM
SELECT sum(u.fee) AS s FROM users u WHERE predict(churn, u) = 'yes';
-- AVG over a filter
SELECT avg(u.fee) AS a FROM users u WHERE predict(churn, u) = 'yes';
-- AVG of an indicator
SELECT avg(CASE WHEN predict(churn, u) = 'yes' THEN 1 ELSE 0 END) AS share FROM users u;
-- FILTER (WHERE …)
SELECT u.plan, count(*) FILTER (WHERE predict(churn, u) = 'yes') AS n FROM users u GROUP BY u.plan;
-- COUNT_IF
SELECT count_if(predict(churn, u) = 'yes') AS n FROM users u;
-- BOOL_AND, BOOL_OR
SELECT bool_or(predict(churn, u) = 'yes') AS b FROM users u;
-- MIN, MAX
SELECT max(u.fee) AS m FROM users u WHERE predict(churn, u) = 'yes';
-- MIN, MAX of a class
SELECT max(predict(grade, u)) AS m FROM users u;
-- VAR
SELECT var_samp(u.fee) AS v FROM users u WHERE predict(churn, u) = 'yes';
-- STDDEV
SELECT stddev(u.fee) AS v FROM users u WHERE predict(churn, u) = 'yes';
-- COUNT(DISTINCT …)
SELECT count(DISTINCT u.plan) AS n FROM users u WHERE predict(churn, u) = 'yes';
-- SUM(DISTINCT …)
SELECT sum(DISTINCT u.fee) AS s FROM users u WHERE predict(churn, u) = 'yes';
-- AVG(DISTINCT …)
SELECT avg(DISTINCT u.fee) AS a FROM users u WHERE predict(churn, u) = 'yes';
-- arithmetic of aggregates
SELECT 100.0 * count_if(predict(churn, u) = 'yes') / count(*) AS pct FROM users u;
-- a ratio of predicted counts
SELECT sum(u.fee) / count(*) AS r FROM users u WHERE predict(churn, u) = 'yes';
-- functions of an aggregate
SELECT sqrt(count(*)) AS r FROM users u WHERE predict(churn, u) = 'yes';
-- squares, cubes and roots of an aggregate
SELECT power(count(*), 2) AS r FROM users u WHERE predict(churn, u) = 'yes';
-- LOG, LOG2 and LN of an aggregate
SELECT log(1 + count(*)) AS r FROM users u WHERE predict(churn, u) = 'yes';
-- COALESCE of an aggregate
SELECT coalesce(sum(u.fee), 0) AS s FROM users u WHERE predict(churn, u) = 'yes';
-- CASE over an aggregate
SELECT CASE WHEN count(*) > 2 THEN 10 ELSE 1 END AS k FROM users u WHERE predict(churn, u) = 'yes';
-- CASE of several thresholds on an aggregate
SELECT CASE WHEN count(*) > 2 THEN 10 WHEN count(*) > 1 THEN 5 ELSE 1 END AS k FROM users u WHERE predict(churn, u) = 'yes';
-- MEDIAN, QUANTILE
SELECT median(u.fee) AS m FROM users u WHERE predict(churn, u) = 'yes';
-- STRING_AGG, LIST
SELECT string_agg(u.name, ', ' ORDER BY u.id) AS names FROM users u WHERE predict(churn, u) = 'yes';
-- MAX of a date
SELECT max(u.joined) AS d FROM users u WHERE predict(churn, u) = 'yes';
-- FIRST, LAST
SELECT first(u.fee ORDER BY u.id) AS f FROM users u WHERE predict(churn, u) = 'yes';
-- CORR, REGR_…, ENTROPY and others
SELECT corr(u.fee, predict(grade, u)) AS c FROM users u;

-- # Groups
-- a column
SELECT u.plan, count(*) AS n FROM users u WHERE predict(churn, u) = 'yes' GROUP BY u.plan;
-- a truncated date
SELECT date_trunc('week', u.joined) AS w, count(*) AS n FROM users u WHERE predict(churn, u) = 'yes' GROUP BY 1;
-- a class and a column
SELECT u.plan, predict(churn, u) AS c, sum(u.fee) AS s FROM users u GROUP BY ALL;
-- a threshold, in CASE
SELECT CASE WHEN predict_proba(churn, u, 'yes') > 0.7 THEN 'high' ELSE 'low' END AS risk, count(*) AS n FROM users u
GROUP BY 1;
-- a condition as the group
SELECT predict_proba(churn, u, 'yes') > 0.7 AS risky, count(*) AS n FROM users u GROUP BY 1;
-- a subquery's count, as the group
SELECT n, count(*) AS m FROM daily GROUP BY n;
-- another number that predictions decide, as the group
SELECT a, count(*) AS m FROM (SELECT u.plan, avg(u.fee) AS a FROM users u WHERE predict(churn, u) = 'yes' GROUP BY 1) p GROUP BY a;
-- ROLLUP, CUBE, GROUPING SETS
SELECT u.plan, grouping(u.plan) AS total, count(*) AS n FROM users u WHERE predict(churn, u) = 'yes'
GROUP BY ROLLUP (u.plan);
-- ROLLUP of a class
SELECT predict(churn, u) AS c, count(*) AS n FROM users u GROUP BY ROLLUP (1);
-- DISTINCT
SELECT DISTINCT u.plan FROM users u WHERE predict(churn, u) = 'yes';
-- DISTINCT ON
SELECT DISTINCT ON (u.plan) u.plan, u.id FROM users u WHERE predict(churn, u) = 'yes' ORDER BY u.plan, u.id;
-- HAVING of a count
SELECT u.plan, count(*) AS n FROM users u WHERE predict(churn, u) = 'yes' GROUP BY u.plan HAVING count(*) > 1;
-- HAVING with BETWEEN, IN, AND, OR over one aggregate
SELECT u.plan, count(*) AS n FROM users u WHERE predict(churn, u) = 'yes' GROUP BY u.plan
HAVING count(*) BETWEEN 1 AND 2 OR count(*) IN (4, 5);
-- HAVING with IS DISTINCT FROM, IS NOT TRUE
SELECT u.plan, count(*) AS n FROM users u GROUP BY u.plan
HAVING count(*) FILTER (WHERE predict(churn, u) = 'yes') IS DISTINCT FROM 1;
-- a comparison of a subquery's number that may be NULL, grouped by or counted
SELECT g.s > 11 AS high, count(*) AS n, count(g.s > 20) AS known
FROM (SELECT u.plan, sum(u.fee) FILTER (WHERE predict(churn, u) = 'yes') AS s FROM users u GROUP BY u.plan) g GROUP BY ALL;
-- groups by the word for their count
SELECT count(*) AS k FROM (SELECT u.plan, CASE WHEN count(*) > 1 THEN 'many' ELSE 'few' END AS word FROM users u
WHERE predict(churn, u) = 'yes' GROUP BY u.plan) t WHERE word = 'many';
-- rows told apart by the word for their count
SELECT word, count(*) AS n FROM (SELECT u.plan, CASE WHEN count(*) > 1 THEN 'many' ELSE 'few' END AS word FROM users u
WHERE predict(churn, u) = 'yes' GROUP BY u.plan) t GROUP BY word;
-- HAVING of a sum
SELECT u.plan, sum(u.fee) AS s FROM users u WHERE predict(churn, u) = 'yes' GROUP BY u.plan HAVING sum(u.fee) > 6;
-- HAVING of an average
SELECT u.plan, avg(u.fee) AS a FROM users u WHERE predict(churn, u) = 'yes' GROUP BY u.plan HAVING avg(u.fee) > 6;
-- HAVING of a rounded average
SELECT u.plan, avg(u.fee) AS a FROM users u WHERE predict(churn, u) = 'yes' GROUP BY u.plan HAVING round(avg(u.fee)) > 6;
-- HAVING of a maximum
SELECT u.plan, count(*) AS n FROM users u WHERE predict(churn, u) = 'yes' GROUP BY u.plan HAVING max(u.fee) > 6;
-- HAVING of a share
SELECT u.plan, count(*) AS n FROM users u GROUP BY u.plan
HAVING count_if(predict(churn, u) = 'yes') / count(*) > 0.4;
-- HAVING that compares two aggregates
SELECT u.plan, count(*) AS n FROM users u WHERE predict(churn, u) = 'yes' GROUP BY u.plan HAVING max(u.fee) > avg(u.fee);
-- a condition on an aggregate of a subquery
SELECT p.plan FROM (SELECT u.plan, max(u.fee) AS m FROM users u WHERE predict(churn, u) = 'yes' GROUP BY u.plan) p
JOIN users u ON u.plan = p.plan WHERE p.m > u.fee;

-- # Subqueries
-- CTE, derived table
WITH p AS (SELECT u.plan, u.fee FROM users u WHERE predict(churn, u) = 'yes') SELECT sum(fee) AS s FROM p;
-- a CTE that is read twice
WITH p AS (SELECT u.id, predict(churn, u) AS c FROM users u) SELECT count(*) AS n FROM p a JOIN p b ON a.c = b.c AND
a.id < b.id;
-- sum of counts
SELECT date_trunc('week', joined) AS w, sum(n) AS n FROM daily GROUP BY 1;
-- average of counts
SELECT date_trunc('week', joined) AS w, avg(n) AS a FROM daily GROUP BY 1;
-- maximum of counts
SELECT max(n) AS m FROM daily;
-- groups of counts
WITH p AS (SELECT u.plan, count(*) AS n FROM users u WHERE predict(churn, u) = 'yes' GROUP BY u.plan) SELECT
count(*) AS m FROM p WHERE n > 1;
-- EXISTS
SELECT o.id FROM orders o WHERE EXISTS (SELECT 1 FROM users u WHERE u.id = o.uid AND predict(churn, u) = 'yes');
-- NOT EXISTS
SELECT o.id FROM orders o WHERE NOT EXISTS (SELECT 1 FROM users u WHERE u.id = o.uid AND predict(churn, u) = 'yes');
-- EXISTS in HAVING, alone or joined by AND
SELECT u.plan, count(*) AS n FROM users u GROUP BY u.plan
HAVING count(*) > 1 AND EXISTS (SELECT 1 FROM users v WHERE v.plan = u.plan AND predict(churn, v) = 'yes');
-- EXISTS beside an aggregate: OR, CASE
SELECT u.plan, count(*) AS n FROM users u GROUP BY u.plan
HAVING count(*) > 1 OR EXISTS (SELECT 1 FROM users v WHERE v.plan = u.plan AND predict(churn, v) = 'yes');
-- EXISTS over several rows
SELECT count(*) AS n FROM users u WHERE EXISTS (SELECT 1 FROM orders o WHERE o.uid = u.id AND predict(grade, o) = 2);
-- IN (SELECT …)
SELECT sum(o.amount) AS s FROM orders o WHERE o.uid IN (SELECT u.id FROM users u WHERE predict(churn, u) = 'yes');
-- IN (SELECT …) as a value
SELECT u.id, u.id IN (SELECT v.id FROM users v WHERE predict(churn, v) = 'yes') AS b FROM users u;
-- NOT IN (SELECT …)
SELECT sum(o.amount) AS s FROM orders o WHERE o.uid NOT IN (SELECT u.id FROM users u WHERE predict(churn, u) =
'yes');
-- a scalar subquery
SELECT count(*) / (SELECT count(*) FROM users) AS share FROM users u WHERE predict(churn, u) = 'yes';
-- rows of two columns IN (SELECT …)
SELECT count(*) AS n FROM users u
WHERE (u.id, u.plan) IN (SELECT v.id, v.plan FROM users v WHERE predict(churn, v) = 'yes');
-- a comparison with a scalar subquery
SELECT u.id FROM users u WHERE u.fee > (SELECT avg(v.fee) FROM users v WHERE predict(churn, v) = 'yes');
-- a correlated scalar subquery
SELECT u.id, (SELECT count(*) FROM orders o WHERE o.uid = u.id AND predict(grade, o) = 2) AS n FROM users u;
-- a scalar subquery without an aggregate
SELECT o.id FROM orders o
WHERE o.amount = (SELECT u.fee FROM users u WHERE predict(churn, u) = 'yes' ORDER BY u.fee LIMIT 1);
-- a correlated subquery with groups
SELECT u.id FROM users u WHERE EXISTS (SELECT o.uid FROM orders o WHERE o.uid = u.id AND predict(grade, o) = 2
GROUP BY o.uid HAVING count(*) > 1);
-- = ANY, > ALL
SELECT u.id FROM users u WHERE u.fee > ALL (SELECT v.fee FROM users v WHERE predict(churn, v) = 'yes');
-- ORDER BY … LIMIT in a subquery
SELECT sum(fee) AS s FROM (SELECT u.fee FROM users u WHERE predict(churn, u) = 'yes' ORDER BY u.fee LIMIT 2) p;
-- recursive CTE
WITH RECURSIVE r AS (SELECT u.id FROM users u WHERE predict(churn, u) = 'yes' UNION ALL SELECT r.id + 1 FROM r WHERE
r.id < 3) SELECT count(*) AS n FROM r;
-- PIVOT
SELECT * FROM (SELECT u.plan, u.fee FROM users u WHERE predict(churn, u) = 'yes') PIVOT (sum(fee) FOR plan IN
('pro', 'basic'));
-- TABLESAMPLE
SELECT count(*) AS n FROM users u TABLESAMPLE 50% WHERE predict(churn, u) = 'yes';
-- POSITIONAL JOIN
SELECT count(*) AS n FROM users u POSITIONAL JOIN users v WHERE predict(churn, u) = 'yes';
-- random()
SELECT count(*) AS n FROM users u WHERE predict(churn, u) = 'yes' AND random() < 0.5;

-- # Set operations
-- UNION ALL
SELECT u.id FROM users u WHERE predict(churn, u) = 'yes' UNION ALL SELECT o.id + 10 FROM orders o WHERE
predict(grade, o) = 2;
-- UNION
SELECT u.plan FROM users u WHERE predict(churn, u) = 'yes' UNION SELECT u.plan FROM users u WHERE predict(grade, u)
= 2;
-- INTERSECT
SELECT u.id FROM users u WHERE predict(churn, u) = 'yes' INTERSECT SELECT o.uid FROM orders o WHERE predict(grade,
o) = 2;
-- EXCEPT
SELECT u.id FROM users u WHERE predict(churn, u) = 'yes' EXCEPT SELECT o.uid FROM orders o WHERE predict(grade, o) =
2;
-- UNION ALL of numbers
SELECT 'users' AS what, count(*) AS n FROM users u WHERE predict(churn, u) = 'yes' UNION ALL SELECT 'orders',
count(*) FROM orders o WHERE predict(grade, o) = 2;
-- UNION of numbers
SELECT count(*) AS n FROM users u WHERE predict(churn, u) = 'yes' UNION SELECT count(*) FROM orders o WHERE
predict(grade, o) = 2;
-- UNION BY NAME, INTERSECT ALL, EXCEPT ALL
SELECT u.id FROM users u WHERE predict(churn, u) = 'yes' UNION BY NAME SELECT o.id FROM orders o;

-- # Windows
-- running and moving SUM, COUNT
SELECT joined, sum(n) OVER (ORDER BY joined) AS total FROM daily;
-- moving AVG
SELECT joined, avg(n) OVER (ORDER BY joined ROWS 1 PRECEDING) AS a FROM daily;
-- share of the total
SELECT joined, n / sum(n) OVER () AS share FROM daily;
-- MIN and MAX of a window
SELECT joined, n - max(n) OVER (ORDER BY joined ROWS 2 PRECEDING) AS behind FROM daily;
-- LAG, LEAD of rows that are surely there
SELECT u.id, lag(predict_proba(churn, u, 'yes')) OVER (ORDER BY u.id) AS v FROM users u;
-- LAG, LEAD of rows that may be missing
SELECT joined, n - lag(n) OVER (ORDER BY joined) AS up FROM daily;
-- ROW_NUMBER, RANK by a column
SELECT u.id, row_number() OVER (ORDER BY u.id) AS k FROM users u WHERE predict(churn, u) = 'yes';
-- RANK by a predicted number
WITH p AS (SELECT u.plan, count(*) AS n FROM users u WHERE predict(churn, u) = 'yes' GROUP BY u.plan) SELECT plan,
rank() OVER (ORDER BY n DESC) AS k FROM p;
-- PARTITION BY a class
SELECT u.id, count(*) OVER (PARTITION BY predict(churn, u)) AS n FROM users u;
-- QUALIFY
SELECT u.plan, u.id FROM users u WHERE predict(churn, u) = 'yes' QUALIFY row_number() OVER (PARTITION BY u.plan
ORDER BY u.id) = 1;
-- LAG with a default
SELECT joined, lag(n, 1, 0) OVER (ORDER BY joined) AS v FROM daily;
-- RANGE with an offset
SELECT joined, sum(n) OVER (ORDER BY joined RANGE BETWEEN INTERVAL 7 DAY PRECEDING AND CURRENT ROW) AS v
FROM daily;
-- GROUPS with an offset
SELECT joined, sum(n) OVER (ORDER BY joined GROUPS 1 PRECEDING) AS v FROM daily;
-- EXCLUDE
SELECT joined, sum(n) OVER (ORDER BY joined ROWS 1 PRECEDING EXCLUDE CURRENT ROW) AS v FROM daily;
-- DISTINCT in a window
SELECT joined, sum(DISTINCT n) OVER (ORDER BY joined) AS v FROM daily;
-- RANK by a count, then by a text
SELECT u.plan, count(*) AS n, rank() OVER (ORDER BY count(*) DESC, u.plan) AS k FROM users u
WHERE predict(churn, u) = 'yes' GROUP BY u.plan;
-- SUM … OVER (ORDER BY a predicted number)
SELECT joined, sum(n) OVER (ORDER BY n) AS v FROM daily;
-- NTILE, PERCENT_RANK
SELECT joined, ntile(2) OVER (ORDER BY joined) AS v FROM daily;

-- # Order and limits
-- ORDER BY … LIMIT of an aggregate
SELECT u.plan, count(*) AS n FROM users u WHERE predict(churn, u) = 'yes' GROUP BY u.plan ORDER BY n DESC LIMIT 1;
-- ORDER BY … LIMIT of rows
SELECT u.id, predict(grade, u) AS g FROM users u ORDER BY u.id LIMIT 2;

-- # Models
-- probabilities
SELECT sum(predict_proba(churn, u, 'yes')) AS s FROM users u;
-- a threshold on a probability
SELECT count(*) AS n FROM users u WHERE predict_proba(churn, u, 'yes') > 0.7;
-- division by a probability
SELECT sum(u.fee / predict_proba(churn, u, 'yes')) AS v FROM users u;
-- several models
SELECT count(*) AS n FROM users u WHERE predict(churn, u) = 'yes' AND predict(grade, u) > 0;
-- two models compared
SELECT count(*) AS n FROM users u WHERE predict(grade, u) = CASE predict(churn, u) WHEN 'yes' THEN 2 ELSE 0 END;
-- one row's class and another's
SELECT count(*) AS n FROM users u, orders o WHERE u.id = o.uid AND predict(grade, u) < predict(grade, o);
-- a regressor
SELECT u.id, predict(worth, u) AS w FROM users u;
-- SUM, AVG of a regressor
SELECT u.plan, avg(predict(worth, u)) AS a FROM users u GROUP BY u.plan;
-- a threshold on a regressor
SELECT count(*) AS n FROM users u WHERE predict(worth, u) > 15;
-- a threshold on a regressor, as the group
SELECT predict(worth, u) > 15 AS dear, count(*) AS n FROM users u GROUP BY 1;
-- a regressor's rounded number as the group
SELECT round(predict(worth, u)) AS worth, count(*) AS n FROM users u GROUP BY 1;
-- regressors and classifiers
SELECT sum(predict(worth, u)) AS s FROM users u WHERE predict(churn, u) = 'yes';
-- two regressors' numbers compared
SELECT count(*) AS n FROM users u, orders o WHERE u.id = o.uid AND predict(worth, u) > predict(worth, o);
-- two regressors' numbers equal
SELECT count(*) AS n FROM users u, orders o WHERE predict(worth, u) = predict(worth, o);
-- pairs of rows
SELECT count(*) AS n FROM users a JOIN orders b ON predict(same, a.x, b.x);
-- rows without a match: pairs across NOT EXISTS
SELECT count(*) AS n FROM users a WHERE NOT EXISTS (SELECT 1 FROM orders b WHERE predict(same, a.x, b.x));
-- pairs in the ON of an outer join
SELECT a.id, b.id AS other FROM users a LEFT JOIN orders b ON predict(same, a.x, b.x);
