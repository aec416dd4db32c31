"""What many cells are worth where predictions are unsure: numbers to six digits, of exact and of approximate rules.

An exact one is the expectation over all worlds too; all lie in their bounds, and have the gradient of differences.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import rain_debug as rain
from laws.worlds import fixed
from rain_debug.engines.table import Table
from rain_debug.relax import Target

CHANCE = np.array([0.5, 0.25, 0.75, 0.6, 0.9, 0.4])
"""Of class 1, row by row."""
BELOW = """SELECT u.g, count(*) AS n, sum(u.x) AS s, avg(u.x) AS m, max(u.x) AS top, min(u.y) AS low
FROM t u WHERE predict(k, u) = 1 GROUP BY u.g"""

N = Target("value", "n", ())

GROUPS = [
    ("count(*)", 1.5, 1.9), ("sum(x)", 4.413793, 0.819672), ("avg(x)", 2.793103, 0.894737),
    ("min(x)", 2.068966, 0.421053), ("max(x)", 3.551724, 1.368421), ("var_pop(x)", 0.971264, 0.710526),
    ("var_samp(x)", 3.375, 4.5), ("stddev_pop(x)", 0.985527, 0.842927), ("stddev_samp(x)", 1.837117, 2.12132),
    ("count(x)", 1.5, 1.0), ("sum(DISTINCT x)", 4.413793, 0.819672), ("avg(DISTINCT x)", 2.666667, 0.8),
    ("count(DISTINCT x)", 1.655172, 1.02459), ("bool_or(x > 1)", 0.896552, 0.789474),
    ("bool_and(x > 1)", 0.448276, 0.473684), ("sum(x) > count(*)", 0.896552, 0.028033),
    ("sum(x) * count(*) > 3", 0.802448, 0.276703), ("sum(x) / count(*) > avg(y)", 0.607613, 0.018349),
    ("avg(x) > avg(y)", 0.773071, 0.100572), ("var_pop(x) > 1", 0.482722, 0.411202),
    ("var_samp(x) > count(*)", 0.713235, 1.0), ("stddev_pop(x) < 1", 0.517152, 0.58134),
    ("stddev_samp(x) > 0.5", 0.952, 1.0), ("max(x) >= count(*)", 0.931236, 0.267645),
    ("min(x) < count(*)", 0.39498, 0.637329), ("max(x) - min(x) > 1", 0.613632, 0.489144),
    ("abs(sum(x)) > count(*)", 0.900207, 0.198458), ("sqrt(count(*)) > 1.2", 0.610893, 0.764749),
    ("exp(count(*)) > 4", 0.617232, 0.715074), ("ln(count(*)) > 0.5", 0.503262, 0.665823),
    ("greatest(sum(x), count(*)) > 2", 0.886264, 0.480604), ("least(sum(x), count(*)) > 2", 0.431556, 0.140631),
    ("CASE WHEN count(*) > 1 THEN sum(x) ELSE max(y) END > 2", 0.807511, 0.344594),
    ("coalesce(sum(x), 5) > count(*)", 0.900207, 0.496153), ("coalesce(max(x), 5) > max(y)", 0.815629, 0.28551),
    ("-max(x) < -2", 0.939084, 0.302788), ("floor(sum(x)) > max(y)", 0.819279, 0.088715),
    ("round(avg(x)) > min(y)", 0.853447, 0.411344), ("count(DISTINCT x) > 1", 0.796373, 0.514157),
    ("sum(DISTINCT x) > count(*)", 0.900207, 0.198458), ("avg(DISTINCT x) > count(*)", 0.840466, 0.185271),
    ("bool_or(x > 1) AND bool_and(y > 1)", 0.649227, 0.04787), ("count(*) <> count(DISTINCT x)", 0.654721, 0.742405),
    ("count(x) = count(DISTINCT y)", 0.345279, 0.257595), ("max(x) > 2", 0.827586, 0.0),
    ("max(x) >= 2", 0.896552, 0.614754), ("max(x) = 2", 0.068966, 0.614754), ("max(x) <> 2", 0.931034, 0.163934),
    ("max(x) < 2", 0.103448, 0.163934), ("max(x) <= 2", 0.172414, 0.778689), ("min(x) > 1", 0.448276, 0.368852),
    ("min(x) >= 1", 1.0, 0.368852), ("min(x) = 1", 0.551724, 0.0), ("min(x) <> 1", 0.448276, 0.778689),
    ("min(x) < 2", 0.551724, 0.409836), ("min(x) <= 2", 0.689655, 0.778689), ("avg(x) > 2", 0.827586, 0.0),
    ("avg(x) = 2", 0.034483, 0.368852), ("sum(x) / count(*) >= 2", 0.862069, 0.036885),
    ("sum(x) / sum(y) >= 1", 0.862069, 0.0), ("sum(x) > 2", 0.862069, 0.0), ("sum(x) + sum(y) > 6", 0.551724, 0.456),
    ("sum(x) - sum(y) > 0", 0.551724, 0.0), ("2 * sum(x) > 5", 0.862069, 0.0), ("sum(x) / 2 > 1", 0.862069, 0.0),
    ("sum(x) IS NULL", 0.0, 0.221311), ("(sum(x) > 2) IS NULL", 0.0, 0.221311), ("max(x) IS NOT NULL", 1.0, 0.778689),
    ("nullif(count(*), 2)", 1.655172, 1.946721), ("sum(x) FILTER (WHERE y > 1)", 3.862069, 0.819672),
    ("count(*) FILTER (WHERE y > 1) > 1", 0.413793, 0.245902), ("NOT (max(x) > 2)", 0.172414, 0.778689),
    ("NOT (max(x) > 2 OR count(*) > 1)", 0.077289, 0.21382), ("CAST(avg(x) AS FLOAT) > 1", 0.896552, 0.368852),
    ("CAST(sum(x) AS DECIMAL(9,1)) > 2", 0.862069, 0.0), ("(max(x) > 2 AND count(*) > 0) IS NULL", 0.0, 0.221311),
    ("(NOT bool_or(x > 1)) IS NULL", 0.0, 0.221311), ("coalesce(sum(x) > 2, 1 > 0)", 0.862069, 0.221311),
    ("coalesce(avg(x), -1)", 2.793103, 0.47541), ("coalesce(sum(x), -1)", 4.413793, 0.598361),
    ("coalesce(sum(x) / count(*), 7)", 2.666667, 0.421053),
    ("CASE WHEN sum(x) IS NULL THEN 1 ELSE 0 END", 0.0, 0.221311), ("bool_or(x > 1) IS NULL", 0.0, 0.221311),
    ("sum(x) <= count(*)", 0.103448, 0.750656), ("avg(x) <= 2", 0.172414, 0.778689),
    ("sum(x) < 2 AND count(*) > 1", 0.057075, 0.297299), ("count(*) - 2 * count(x) < 0", 1.0, 0.29918),
    ("count(*) * 2 = 4", 0.448276, 0.504098), ("0 - count(*) > -2", 0.448276, 0.27459),
    ("4 / count(*) > 2", 0.448276, 0.27459), ("count(*) > 1.5", 0.551724, 0.72541),
    ("(count(*) + 1) * 2 > 5", 0.551724, 0.72541), ("(count(*) + 1) / 2 >= 1.5", 0.551724, 0.72541),
    ("sum(x) = 2", 0.034483, 0.368852), ("sum(x) <> 2", 0.965517, 0.409836),
    ("sum(x) <> 2 OR avg(y) > 2", 0.979786, 0.772642), ("exp(avg(x)) > 5", 0.838267, 0.16239),
    ("sqrt(sum(y)) > 2", 0.410817, 0.626047), ("ln(sum(y)) > 1", 0.711098, 0.850166),
    ("ceil(avg(x)) > 1", 0.896552, 0.368852), ("stddev_pop(y) > 0.5", 0.456319, 0.98666),
    ("var_samp(y) > 1", 0.350972, 0.922498), ("sum(x) / avg(y) > 1", 0.84695, 0.08903),
    ("sum(y) / count(x) > 2", 0.413793, 0.747541), ("sum(y) / sum(x) > 1", 0.137931, 0.717004),
    ("sum(x) / (count(*) + 1) > 1", 0.768788, 0.028261), ("2 < sum(y) / count(*)", 0.413793, 0.614754),
    ("max(x) * min(y) > 2", 0.942477, 0.426977), ("nullif(sum(y), 3) > 2", 0.812852, 0.85552),
    ("CAST(avg(x) AS INTEGER) > 1", 0.896552, 0.368852), ("bool_and(x > 1) OR count(*) > 2", 0.505351, 0.508533),
]  # fmt: skip
"""A value of the groups a and b, given that they are there."""
OVER = [
    ("sum(p.n)", 3.4), ("avg(p.n)", 1.806349), ("max(p.n)", 1.946721), ("min(p.n)", 1.655172),
    ("count(p.n)", 1.88225), ("count(*)", 1.88225), ("var_pop(p.n)", 0.021221), ("stddev_samp(p.n)", 0.212778),
    ("sum(p.m)", 3.404513), ("avg(p.top)", 2.41962), ("sum(p.n) > 2", 0.87798), ("avg(p.n) > 1.5", 0.706647),
    ("max(p.n) > 2", 0.472589), ("min(p.n) > avg(p.s)", 0.266181), ("sum(p.s) > sum(p.n)", 0.690666),
    ("var_samp(p.n) > 1", 0.003235), ("stddev_pop(p.s) > 1", 0.74871), ("count(p.s) > 1", 0.996317),
    ("sum(p.n) / count(*)", 1.806349), ("sum(p.n * p.low)", 4.999576), ("sum(p.n) > 2 * avg(p.s)", 0.264175),
    ("sum(CASE WHEN p.n > 1 THEN 1 ELSE 0 END)", 1.208), ("count(*) FILTER (WHERE p.n > 1)", 1.208),
    ("sum(abs(p.s))", 4.8), ("avg(p.s + p.n)", 4.356488), ("sum(-p.m)", -3.404513), ("sum(coalesce(p.s, 1))", 4.8),
    ("sum(nullif(p.n, 2))", 3.4), ("sum(round(p.m))", 3.404513), ("max(p.s) > 2", 0.928755),
    ("sum(CAST(p.m AS INTEGER))", 3.404513), ("sum(p.n) > sum(p.low)", 0.639818), ("count(*) = 2", 0.8845),
    ("max(p.top) - min(p.low) > 1", 0.844206), ("avg(p.n) - avg(p.s) > 0", 0.288296),
    ("sum(p.n * p.n) > 4", 0.766872), ("sum(sqrt(p.n)) > 2", 0.816131), ("sum(p.n) IS NULL", 0.0),
    ("max(p.n) IS NULL", 0.0), ("coalesce(max(p.n), 0)", 1.946721), ("bool_or(p.n > 1)", 0.911862),
    ("avg(p.n * 2)", 3.612698), ("max(-p.n)", -1.655172), ("min(p.top)", 1.368421), ("avg(p.low) > 1", 0.836278),
    ("max(p.low) <= 2", 0.598041), ("var_pop(p.m) > 1", 0.467623), ("count(p.m)", 1.88225),
    ("sum(p.n) FILTER (WHERE p.g = 'a')", 1.5), ("sum(p.s * p.s)", 18.31091), ("sum(p.s / p.n) > 2", 0.665723),
    ("sum(p.n + p.low) > 4", 0.889413), ("sum(exp(p.n)) > 9", 0.647767), ("sum(ln(p.n)) > 1", 0.5683),
    ("sum(greatest(p.n, p.low)) > 4", 0.359462), ("sum(CASE WHEN p.n > 1 THEN p.s ELSE p.low END) > 2", 0.728375),
    ("sum(coalesce(p.m, p.n)) > 2", 0.82678), ("avg(p.m) > 1 AND sum(p.n) > 3", 0.556188), ("min(p.m) < 1", 0.542279),
    ("sum(p.top) - sum(p.low) > 2", 0.45193),
]  # fmt: skip
"""A value over both groups, numbers that predictions move."""
WHERE = [
    ("p.n > 1", 1.208), ("p.n >= 2", 1.208), ("p.n = 1", 0.67425), ("p.n <> 1", 1.208), ("p.s > 2", 0.78125),
    ("p.m > 1.5", 1.14125), ("p.m <= 2", 0.91625), ("p.top > 2", 0.75), ("p.top <= 2", 0.91625), ("p.low < 2", 1.15),
    ("p.low = 1", 1.15), ("2 < p.s", 0.78125), ("1 = p.n", 0.67425), ("p.n > p.low", 1.130838),
    ("p.s > p.n", 0.763688), ("p.s / p.n > 2", 0.75), ("p.n > 1 AND p.s > 3", 0.413793),
    ("p.n > 1 OR p.top > 2", 1.544207), ("NOT (p.n > 1)", 0.67425), ("p.n IS NOT NULL", 1.88225),
    ("p.s IS NULL", 0.216), ("p.n BETWEEN 1 AND 2", 1.5725), ("p.n IN (1, 3)", 0.984),
    ("CAST(p.n AS DOUBLE) > 1", 1.208), ("CAST(p.s AS DOUBLE) > 2", 0.78125), ("1.5 < CAST(p.m AS FLOAT)", 1.14125),
    ("abs(p.s) > 1", 1.290639), ("p.n + 1 > 2", 1.208),
    ("p.n > (SELECT avg(q.n) FROM below q)", 0.942856),
    ("CASE WHEN p.n > 1 THEN p.s ELSE p.m END > 2", 0.862487), ("coalesce(p.s, 0) > 1", 1.286284),
    ("greatest(p.n, p.s) > 2", 1.272247), ("p.n * p.s > 3", 0.997281), ("p.g = 'a'", 0.90625), ("p.s < p.n", 0.46816),
    ("p.m > p.low", 1.086058), ("p.top - p.low > 1", 0.942779), ("sqrt(p.s) > 1", 1.324192),
    ("p.n > 1 AND p.g = 'a'", 0.5), ("p.s BETWEEN 1 AND 3", 0.75625), ("p.top <> 2", 1.00375), ("p.top = 4", 0.75),
    ("p.low <> 1", 0.73225), ("p.low > 1", 0.73225), ("p.low >= 2", 0.73225), ("p.n / 2 > 1", 0.30975),
    ("p.s - p.n >= 1", 0.763688), ("-p.n < -1", 1.208), ("2 * p.n + 1 = 5", 0.89825),
    ("p.n > 1 OR p.s IS NULL", 1.267311), ("nullif(p.n, 2) > 1", 1.595303), ("p.s IS NULL OR p.m > 2", 0.966),
    ("(p.s > 2) IS NULL", 0.216),
]  # fmt: skip
"""A condition on such groups, and how many meet it."""
ROWS = [
    ("predict_proba(k, u, 1) > 0.55", 3.159208, 4.469776, 2.269128),
    ("predict_proba(k, u, 1) <= 0.3", 1.646481, 1.97814, 2.149982),
    ("0.45 < predict_proba(k, u, 0)", 2.840792, 3.530224, 2.300298),
    ("predict_proba(k, u, 1) > 0.55 AND predict(k, u) = 1", 2.075646, 2.98377, 2.064713),
    ("predict(k, u) = 1 AND u.x > 1", 1.6, 4.7, 2.966216), ("predict(k, u) <> 1", 2.6, 3.2, 2.271347),
    ("predict(k, u) = 1 OR u.x > 2", 3.65, 5.8, 2.276358),
    ("NOT (predict(k, u) = 1 AND u.x > 1)", 3.5, 3.3, 2.374687),
    ("EXISTS (SELECT 1 FROM t v WHERE v.g <> u.g AND predict(k, v) = 1)", 5.64675, 7.73825, 2.310031),
    ("NOT EXISTS (SELECT 1 FROM t v WHERE v.y = u.x AND predict(k, v) = 1)", 3.375, 3.675, 1.769417),
    ("u.id IN (SELECT v.id FROM t v WHERE predict(k, v) = 1)", 3.4, 4.8, 2.298641),
    ("u.x NOT IN (SELECT v.y FROM t v WHERE predict(k, v) = 1)", 2.37725, 3.675, 2.096637),
    ("u.y > (SELECT avg(v.y) FROM t v WHERE predict(k, v) = 1)", 2.341875, 3.56625, 3.778872),
    ("u.y < (SELECT count(*) FROM t v WHERE v.g = u.g AND predict(k, v) = 1)", 1.51775, 1.159, 1.169241),
    ("predict(k, u) = 1 AND EXISTS (SELECT 1 FROM t v WHERE v.y = u.y AND v.id <> u.id AND predict(k, v) = 1)",
     1.05, 1.35, 1.580772),
    ("u.x > (SELECT max(v.y) FROM t v WHERE v.g <> u.g AND predict(k, v) = 1) AND predict(k, u) = 0",
     0.2685, 0.725, 1.518319),
    ("u.y = (SELECT count(*) FROM t v WHERE predict(k, v) = 1)", 0.864375, 1.163, 2.778236),
]  # fmt: skip
"""A condition on rows, and the COUNT(*), SUM(x) and AVG(y) of those that meet it."""

JOINED = [
    ("p.low < v.y", 2.9025), ("p.low <> v.y", 3.7645), ("v.x <= p.low", 2.6145), ("p.top > v.y", 2.9125),
    ("p.top = v.x", 1.66625), ("p.top <= v.x", 2.07625), ("p.m > v.x", 2.1625), ("CAST(p.m AS DOUBLE) < v.y", 2.21625),
    ("p.s > v.y", 2.70375), ("p.s <= v.x", 1.57625), ("p.n = v.y", 1.66625), ("p.n >= v.y", 3.184),
    ("v.y < p.n", 1.51775), ("p.n > 1 AND v.y > 1", 2.416), ("p.g = 'a' AND p.n > v.y", 0.59375),
    ("round(p.n * v.y) > 3", 2.617358), ("round(p.n + v.y) >= 4.5", 1.882806),  # these two by their spreads
]  # fmt: skip
"""A condition on a row and the group of its g, and how many rows meet it, over all worlds."""
FOUND = [
    ("count(*)", "predict_proba(k, u, 1) > 0.55", 1.784396), ("count(*)", "predict_proba(k, u, 1) <= 0.55", 1.215604),
    ("count(*)", "0.55 <= predict_proba(k, u, 1)", 1.784396), ("count(*)", "0.55 > predict_proba(k, u, 1)", 1.215604),
    ("count(*)", "NOT predict_proba(k, u, 1) > 0.55", 1.215604),
    ("count(*)", "predict_proba(k, u, 1) > 0.55 AND predict(k, v) = 1", 0.760325),
    ("sum(predict_proba(k, u, 1))", "predict(k, v) = 1", 0.825),
    ("count(predict_proba(k, u, 1))", "predict(k, v) = 1", 1.5),
    ("avg(predict_proba(k, u, 1))", "predict(k, v) = 1", 0.55), ("sum(predict_proba(k, u, 0) * v.y)", "1 = 1", 2.5),
]  # fmt: skip
"""Over rows, three of which an outer join finds another for, and three not."""

OVER_ROWS = [
    ("sum({p}) OVER (ORDER BY u.y, u.id)", [2.8, 0.25, 1.9, 3.4, 1.15, 2.3]),
    ("sum({p}) OVER (ORDER BY u.y)", [2.8, 1.15, 2.3, 3.4, 1.15, 2.3]),
    ("sum({p}) OVER (PARTITION BY u.g ORDER BY u.id ROWS 1 PRECEDING)", [0.5, 0.75, 1.0, 0.6, 1.5, 1.3]),
    ("sum({p}) OVER (ORDER BY u.id ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING)", [0.75, 1.5, 1.6, 2.25, 1.9, 1.3]),
    (
        "avg({p}) OVER (ORDER BY u.id ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)",
        [0.566667, 0.58, 0.6625, 0.633333, 0.65, 0.4],
    ),
    ("avg({p}) OVER (PARTITION BY u.g)", [0.5, 0.5, 0.5, 0.633333, 0.633333, 0.633333]),
    ("sum({p}) OVER (ORDER BY u.id ROWS BETWEEN 3 PRECEDING AND 2 PRECEDING)", [0.0, 0.0, 0.5, 0.75, 1.0, 1.35]),
    (
        "sum({p}) OVER (ORDER BY u.y RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)",
        [2.8, 1.15, 2.3, 3.4, 1.15, 2.3],
    ),
    ("lag({p}) OVER (ORDER BY u.id)", [0.0, 0.5, 0.25, 0.75, 0.6, 0.9]),
    ("lead({p}) OVER (PARTITION BY u.g ORDER BY u.y DESC, u.id)", [0.75, 0.0, 0.25, 0.4, 0.0, 0.9]),
    ("first_value({p}) OVER (PARTITION BY u.g ORDER BY u.id)", [0.5, 0.5, 0.5, 0.6, 0.6, 0.6]),
    ("last_value({p}) OVER (ORDER BY u.y)", [0.5, 0.9, 0.4, 0.6, 0.9, 0.4]),
    ("{p} - avg({p}) OVER (PARTITION BY u.g)", [0.0, -0.25, 0.25, -0.033333, 0.266667, -0.233333]),
    ("sum({p} * 2) OVER (ORDER BY u.id) + 1", [2.0, 2.5, 4.0, 5.2, 7.0, 7.8]),
    ("{p} / sum({p}) OVER (PARTITION BY u.g)", [0.333333, 0.166667, 0.5, 0.315789, 0.473684, 0.210526]),
    ("coalesce(lag({p}) OVER (ORDER BY u.id), 7)", [7.0, 0.5, 0.25, 0.75, 0.6, 0.9]),
    ("sum({p}) OVER (ORDER BY u.x NULLS FIRST)", [1.8, 2.65, 3.4, 2.65, 0.9, 1.3]),
    ("count(*) OVER (ORDER BY u.id) * {p}", [0.5, 0.5, 2.25, 2.4, 4.5, 2.4]),
    ("sum({p}) OVER (ORDER BY u.id ROWS BETWEEN 1 FOLLOWING AND 3 FOLLOWING)", [1.6, 2.25, 1.9, 1.3, 0.4, 0.0]),
    (
        "CASE WHEN sum({p}) OVER (ORDER BY u.id) > 1 THEN {p} ELSE 0 END",
        [0.079328, 0.088182, 0.552342, 0.528925, 0.881685, 0.394374],
    ),
]
"""A window over the chances {p} of all six rows, and its value at each of them."""
OVER_BELOW = [
    ("sum(p.n) OVER (ORDER BY p.g)", [1.655172, 3.601894]),
    ("lag(p.n) OVER (ORDER BY p.g)", [0.0, 1.655172]),
    ("lag(p.n, 1, 7) OVER (ORDER BY p.g)", [7.0, 1.655172]),
    ("lead(p.n, 2, -1.5) OVER (ORDER BY p.g)", [-1.5, -1.5]),
    ("lag(p.n, 1, 0) OVER (ORDER BY p.g) > 1", [0.0, 0.796373]),
    ("avg(p.s) OVER ()", [2.616733, 2.616733]),
    ("p.n - first_value(p.n) OVER (ORDER BY p.g DESC)", [-0.291549, 0.0]),
    ("row_number() OVER (ORDER BY p.g)", [1.0, 2.0]),
    ("count(*) OVER (ORDER BY p.g)", [1.0, 2.0]),
    ("p.n / sum(p.n) OVER ()", [0.459528, 0.540472]),
]
"""The same over the groups a and b."""


@functools.cache
def database() -> Any:
    """Table t (id, g, x, y, f) with a NULL in x, and model k, whose chances `worth` gives."""
    found = rain.connect(
        {
            "t": Table.of(
                id=np.arange(6),
                g=np.array(list("aaabbb"), dtype=object),
                x=np.array([1.0, 2.0, 4.0, 2.0, np.nan, -1.0]),
                y=np.array([3.0, 1.0, 2.0, 5.0, 1.0, 2.0]),
                f=np.arange(6.0),
            )
        }
    )
    found.create_model("k", fixed((0, 1)))
    return found


def worth(sql: str, targets: Sequence[Target]) -> list[float]:
    """The relaxed values of cells, once their program has kept the laws."""
    capture = database().query(sql).capture(targets)
    program: Any = capture.program
    chances = [CHANCE[np.asarray(block.table["f"].values, dtype=int)] for block in capture.blocks]
    P = [np.column_stack([1 - p, p]) for p in chances]
    value, bounds = program.relaxed(P), program.bounds()
    assert ((value >= bounds[:, 0] - 1e-9) & (value <= bounds[:, 1] + 1e-9)).all()
    if not all(program.approximate):
        total, known, there = np.zeros((3, len(targets)))
        for world in itertools.product((0, 1), repeat=sum(map(len, P))):
            codes = np.split(np.array(world), np.cumsum([len(p) for p in P])[:-1])
            chance = math.prod(float(p[range(len(p)), c].prod()) for p, c in zip(P, codes, strict=True))
            cells = program.exact(P, codes)
            total, known = total + chance * np.nan_to_num(cells), known + chance * ~np.isnan(cells)
        for i, t in enumerate(targets):  # the first of a row asks how likely it is there
            there[i] = total[next(j for j, first in enumerate(targets) if first.where == t.where)]
        readings = np.stack([total, total / np.maximum(known, 1e-9), total / there])  # NULL: nothing, left out, or 0
        far = np.abs(readings - value).min(axis=0) > 1e-9
        assert not [t for t, off, loose in zip(targets, far, program.approximate, strict=True) if off and not loose]
    rng = np.random.default_rng(0)
    weights, direction = rng.normal(size=len(targets)), [rng.normal(size=p.shape) for p in P]
    up, down = (program.relaxed([p + s * 1e-5 * d for p, d in zip(P, direction, strict=True)]) for s in (1, -1))
    slope = sum(float((g * d).sum()) for g, d in zip(program.gradient(P, weights), direction, strict=True))
    assert slope == pytest.approx(float((up - down) @ weights) / 2e-5, rel=1e-5, abs=1e-5)
    return [float(v) for v in value]


@pytest.mark.parametrize(("at", "group"), [(1, "a"), (2, "b")])
def test_values_of_a_group(at: int, group: str) -> None:
    names, row = [str(cell[0]) for cell in GROUPS], (("g", group),)
    values = ", ".join(f"{name} AS a{i}" for i, name in enumerate(names))
    targets = [Target("present", None, row), *(Target("value", f"a{i}", row) for i in range(len(names)))]
    found = worth(f"SELECT g, {values} FROM t u WHERE predict(k, u) = 1 GROUP BY g", targets)[1:]
    near = {name: pytest.approx(value, abs=1e-6) for name, value in zip(names, found, strict=True)}
    assert near == {cell[0]: cell[at] for cell in GROUPS}


@pytest.mark.parametrize(("value", "expected"), OVER)
def test_values_over_groups(value: str, expected: float) -> None:
    found = worth(f"SELECT {value} AS n FROM ({BELOW}) p", [N])
    assert found == pytest.approx([expected], abs=1e-6)


@pytest.mark.parametrize(("condition", "expected"), WHERE)
def test_conditions_on_groups(condition: str, expected: float) -> None:
    found = worth(f"WITH below AS ({BELOW}) SELECT count(*) AS n FROM below p WHERE {condition}", [N])
    assert found == pytest.approx([expected], abs=1e-6)


@pytest.mark.parametrize(("condition", "count", "total", "mean"), ROWS)
def test_conditions_on_rows(condition: str, count: float, total: float, mean: float) -> None:
    sql = f"SELECT count(*) AS n, sum(u.x) AS s, avg(u.y) AS m FROM t u WHERE {condition} AND 1 = 1"
    found = worth(sql, [N, Target("value", "s", ()), Target("value", "m", ())])
    assert found == pytest.approx([count, total, mean], abs=1e-6)


@pytest.mark.parametrize(("condition", "expected"), JOINED)
def test_conditions_on_a_row_and_its_group(condition: str, expected: float) -> None:
    found = worth(f"SELECT count(*) AS n FROM t v JOIN ({BELOW}) p ON p.g = v.g WHERE {condition}", [N])
    assert found == pytest.approx([expected], abs=1e-6)


@pytest.mark.parametrize(("value", "condition", "expected"), FOUND)
def test_rows_that_an_outer_join_may_not_find(value: str, condition: str, expected: float) -> None:
    found = worth(f"SELECT {value} AS n FROM t v LEFT JOIN t u ON u.id = v.id + 3 WHERE {condition}", [N])
    assert found == pytest.approx([expected], abs=1e-6)


@pytest.mark.parametrize(("value", "expected"), OVER_ROWS)
def test_windows_over_chances(value: str, expected: list[float]) -> None:
    sql = f"SELECT u.id, {value.format(p='predict_proba(k, u, 1)')} AS n FROM t u"
    assert worth(sql, [Target("value", "n", (("id", i),)) for i in range(6)]) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("value", "expected"), OVER_BELOW)
def test_windows_over_groups(value: str, expected: list[float]) -> None:
    found = worth(f"SELECT p.g, {value} AS n FROM ({BELOW}) p", [Target("value", "n", (("g", g),)) for g in "ab"])
    assert found == pytest.approx(expected, abs=1e-6)


STEPS = [
    ("n BETWEEN 2 AND 4", lambda n: 2 <= n <= 4), ("n < 2 OR n > 4", lambda n: n < 2 or n > 4),
    ("NOT (n > 1 AND n <= 3)", lambda n: not 1 < n <= 3), ("n = 0 OR n = 3 OR n = 5", lambda n: n in (0, 3, 5)),
    ("n > 1 OR n <= 1", lambda n: True), ("n > 3 AND n < 3", lambda n: False),
    ("n <> 2 AND n <> 3", lambda n: n not in (2, 3)),
]  # fmt: skip


@pytest.mark.parametrize(("condition", "holds"), STEPS)
def test_several_comparisons_of_one_number_of_a_subquery(condition: str, holds: Any) -> None:
    worlds = itertools.product((0, 1), repeat=len(CHANCE))
    chance = sum(float(np.where(w, CHANCE, 1 - CHANCE).prod()) for w in map(np.array, worlds) if holds(w.sum()))
    below = "(SELECT count(*) AS n FROM t u WHERE predict(k, u) = 1) p"
    assert worth(f"SELECT count(*) AS n FROM t v, {below} WHERE {condition}", [N]) == pytest.approx(
        [6 * chance], abs=1e-9
    )
    value = f"SELECT sum(CASE WHEN {condition} THEN 5 ELSE 1 END) AS n FROM t v, {below}"
    assert worth(value, [N]) == pytest.approx([6 + 24 * chance], abs=1e-9)
