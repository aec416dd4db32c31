"""Predictions as other systems write them: each form and its canonical text; what is refused, and where."""

from __future__ import annotations

import contextlib
import random
import re
from pathlib import Path

import duckdb
import pytest

from rain_debug.errors import SQLError
from rain_debug.sql import ModelInfo, Relation
from rain_debug.sql.read import _functions, read


class Models:
    """A catalog of two models, one of them with aliases."""

    known = (
        ModelInfo("churn", ("age", "visits"), ("no", "yes"), "churned"),
        ModelInfo("digit", ("img",), (0, 1, 2)),
        ModelInfo("price", ("age", "visits"), (), "fee"),
        ModelInfo("flag", ("img",), (False, True)),
    )
    aliases = {
        "predict_churn": "churn",
        "churnpredictor": "churn",
        "logregr_predict": "churn",
        "logregr_predict_prob": "churn",
        "linregr_predict": "price",
    }
    models = tuple(m.name for m in known)

    def model(self, name: str) -> ModelInfo | None:
        wanted = self.aliases.get(name.lower(), name.lower())
        return next((m for m in self.known if m.name.lower() == wanted), None)

    def relation(self, from_sql: str) -> Relation:
        raise NotImplementedError

    def relations(self) -> list[str]:
        return []

    def is_aggregate(self, function: str) -> bool:
        return False


def canonical(sql: str, dialect: str = "duckdb", catalog: Models | None = None) -> str:
    """The text of the query that `sql` is read as."""
    text: str = read(sql, dialect, catalog).sql("duckdb")
    return text.replace("RAIN_PREDICT_PROBA", "predict_proba").replace("RAIN_PREDICT", "predict")


GOLDEN = {
    "paper": [
        ("churn.predict(u)", "predict(churn, u)"),
        ("churn.predict(u.*)", "predict(churn, u.*)"),
        ("predict(churn, u)", "predict(churn, u)"),
        ("shop.churn.predict(u.age, u.visits)", "predict(churn, u.age, u.visits)"),
        ("predict(shop.churn, u)", "predict(churn, u)"),
        ("churn.predict_proba(u, 'yes')", "predict_proba(churn, u, 'yes')"),
        ("predict(churn, [u.age, u.visits])", "predict(churn, u.age, u.visits)"),
        ("predict(churn, {'visits': u.v, 'age': u.a})", "predict(churn, u.a, u.v)"),
        ("predict_proba(churn, {'visits': u.v, 'age': u.a}, 'yes')", "predict_proba(churn, u.a, u.v, 'yes')"),
    ],
    "alias": [
        ("predict_churn(u.age, u.visits)", "predict(churn, u.age, u.visits)"),
        ("predict_churn(u)", "predict(churn, u)"),
        ("PREDICT_CHURN(u.*)", "predict(churn, u.*)"),
        ("churn(u)", "predict(churn, u)"),
        ('"churn"(u.age, u.visits)', "predict(churn, u.age, u.visits)"),
        ("public.predict_churn(u.age, u.visits)", "predict(churn, u.age, u.visits)"),
    ],
    "MLflow": [
        ("ml.predict_churn(struct(u.visits, u.age))", "predict(churn, u.age, u.visits)"),
        ("predict_churn(struct(u.a, u.b))", "predict(churn, u.a, u.b)"),
        ("predict_churn(struct(*))", "predict(churn, *)"),
        ("predict_churn(struct(u.b AS visits, u.a + 1 AS age))", "predict(churn, u.a + 1, u.b)"),
    ],
    "EvaDB": [
        ("ChurnPredictor(u.age, u.visits).label", "predict(churn, u.age, u.visits)"),
        ("ChurnPredictor(*).predictions", "predict(churn, *)"),
    ],
    "MADlib": [
        ("madlib.logregr_predict(coef, ARRAY[1, u.age, u.visits])", "predict(churn, u.age, u.visits)"),
        ("madlib.logregr_predict(m.coef, ARRAY[u.age, u.visits])", "predict(churn, u.age, u.visits)"),
        ("madlib.linregr_predict(coef, ARRAY[1, u.age, u.visits])", "predict(price, u.age, u.visits)"),
        (
            "madlib.logregr_predict_prob(coef, ARRAY[1, u.age, u.visits])",
            "predict_proba(churn, u.age, u.visits, 'yes')",
        ),
    ],
    "PostgresML": [
        ("pgml.predict('churn', ARRAY[u.age, u.visits])", "predict(churn, u.age, u.visits)"),
        ("pgml.predict('churn', ARRAY[u.age, u.visits]::real[])", "predict(churn, u.age, u.visits)"),
        ("pgml.predict('churn', (u.age, u.visits))", "predict(churn, u.age, u.visits)"),
        (
            "(pgml.predict_proba('churn', ARRAY[u.age, u.visits]))[2]",
            "predict_proba(churn, u.age, u.visits, 'yes')",
        ),
        ("pgml.predict_proba('digit', ARRAY[u.img])[1]", "predict_proba(digit, u.img, 0)"),
        ("pgml.predict_proba('flag', ARRAY[u.img])[1]", "predict_proba(flag, u.img, FALSE)"),
        ("pgml.predict_proba('flag', ARRAY[u.img])[2]", "predict_proba(flag, u.img, TRUE)"),
    ],
    "Snowflake": [
        ("churn!PREDICT(u.age, u.visits)", "predict(churn, u.age, u.visits)"),
        ("shop.churn!PREDICT(u.age, u.visits)", "predict(churn, u.age, u.visits)"),
        ("MODEL(churn)!PREDICT(u.age, u.visits):output_feature_0", "predict(churn, u.age, u.visits)"),
        ("MODEL(churn, v2)!PREDICT(u.age, u.visits):label::text", "CAST(predict(churn, u.age, u.visits) AS TEXT)"),
        ("churn!PREDICT(INPUT_DATA => {*})", "predict(churn, *)"),
        ("MODEL(churn)!PREDICT(u.*)", "predict(churn, u.*)"),
        ("churn!PREDICT(INPUT_DATA => {*}):probabilities:no", "predict_proba(churn, *, 'no')"),
        ("churn!PREDICT_PROBA(u.*)['no']", "predict_proba(churn, u.*, 'no')"),
        ("churn!PREDICT(INPUT_DATA => {u.*}):class", "predict(churn, u.*)"),
        ("churn!PREDICT(INPUT_DATA => {*}):probability:yes", "predict_proba(churn, *, 'yes')"),
        ("churn!PREDICT(INPUT_DATA => {*})['probability']['yes']", "predict_proba(churn, *, 'yes')"),
        (
            "churn!PREDICT(INPUT_DATA => OBJECT_CONSTRUCT('visits', u.v, 'age', u.a)):class",
            "predict(churn, u.a, u.v)",
        ),
        ("churn!PREDICT_PROBA(u.age, u.visits):output_feature_1", "predict_proba(churn, u.age, u.visits, 'yes')"),
        ("digit!PREDICT_PROBA(u.img):PREDICT_PROBA_2", "predict_proba(digit, u.img, 2)"),
    ],
    "Databricks": [
        ("ai_query('churn', named_struct('visits', u.v, 'age', u.a))", "predict(churn, u.a, u.v)"),
        ("ai_query('churn', struct(u.age, u.visits), 'STRING')", "predict(churn, u.age, u.visits)"),
        ("ai_query('churn', struct(*))", "predict(churn, *)"),
        ("ai_query('churn', struct(u.*), 'STRING', 'more')", "predict(churn, u.*)"),
        (
            "ai_query(endpoint => 'churn', request => named_struct('age', u.a, 'visits', u.v), returnType => 'STRING')",
            "predict(churn, u.a, u.v)",
        ),
        ("ai_query('churn', struct(u.*), failOnError => false).result", "predict(churn, u.*)"),
    ],
    "DuckDB": [
        ("infera_predict('churn', u.age, u.visits)", "predict(churn, u.age, u.visits)"),
        ("ml_predict('churn', [u.age, u.visits]::FLOAT[])", "predict(churn, u.age, u.visits)"),
        ("ml_predict('churn', u.age::INT, u.visits)", "predict(churn, CAST(u.age AS INT), u.visits)"),
        (
            "ml_predict((SELECT model FROM models WHERE name = 'churn'), u.age, u.visits)",
            "predict(churn, u.age, u.visits)",
        ),
        ("infera_predict_multi('churn', u.age, u.visits)[2]", "predict_proba(churn, u.age, u.visits, 'yes')"),
        ("ml_predict('churn', [u.age, u.visits])", "predict(churn, u.age, u.visits)"),
        ("ml_predict('churn', {'visits': u.v, 'age': u.a})", "predict(churn, u.a, u.v)"),
        ("ml_predict('churn', struct_pack(visits := u.v, age := u.a))", "predict(churn, u.a, u.v)"),
        ("ml_predict('digit', u.img)", "predict(digit, u.img)"),
    ],
    "ClickHouse": [
        ("catboostEvaluate('/models/churn.bin', u.age, u.visits)", "predict(churn, u.age, u.visits)"),
        ("modelEvaluate('churn', u.age, u.visits)", "predict(churn, u.age, u.visits)"),
        ("evalMLMethod(churn, u.age, u.visits)", "predict(churn, u.age, u.visits)"),
    ],
    "Oracle": [
        ("PREDICTION(churn USING u.visits, u.age)", "predict(churn, u.age, u.visits)"),
        ("PREDICTION(churn USING u.a, u.b)", "predict(churn, u.a, u.b)"),
        ("PREDICTION(churn USING u.v AS visits, u.a * 2 AS age)", "predict(churn, u.a * 2, u.v)"),
        ("PREDICTION(shop.churn USING *)", "predict(churn, *)"),
        ("PREDICTION(churn USING u.*)", "predict(churn, u.*)"),
        ("PREDICTION_PROBABILITY(churn, 'yes' USING *)", "predict_proba(churn, *, 'yes')"),
        ("PREDICTION_PROBABILITY(digit, 1 USING u.img)", "predict_proba(digit, u.img, 1)"),
    ],
    "SingleStore": [
        ("cluster.PREDICT('churn', TO_JSON(u.*))", "predict(churn, u.*)"),
        ("cluster.PREDICT('churn', TO_JSON(u))", "predict(churn, u)"),
    ],
    "Trino": [
        ("classify(features(u.age, u.visits), churn)", "predict(churn, u.age, u.visits)"),
        ("regress(features(u.age, u.visits), price)", "predict(price, u.age, u.visits)"),
    ],
}
"""System → (expression, its canonical form)."""

QUERIES = [
    # BigQuery
    (
        "SELECT * FROM ML.PREDICT(MODEL d.churn, TABLE d.users, STRUCT(0.7 AS threshold, "
        "TRUE AS keep_original_columns))",
        "SELECT * FROM (SELECT users.*, CASE WHEN predict_proba(churn, users, 'yes') > 0.7 THEN 'yes' "
        "WHEN predict_proba(churn, users, 'yes') <= 0.7 THEN 'no' END AS predicted_churned "
        "FROM d.users AS users) AS users",
    ),
    (
        "SELECT p.c FROM PREDICT(MODEL = churn, DATA = (SELECT * FROM users)) WITH (c VARCHAR(9)) AS p",
        "SELECT predict(churn, input) AS c FROM (SELECT * FROM users) AS input",
    ),
    (
        "WITH m AS MODEL d.churn, t AS (SELECT 1) SELECT m!PREDICT(visits => a, age => b):class FROM u",
        "WITH t AS (SELECT 1) SELECT predict(churn, visits => a, age => b) FROM u",
    ),
    (
        "SELECT * FROM ML.PREDICT(MODEL d.churn, TABLE d.users) WHERE predicted_churned = 'yes'",
        "SELECT * FROM (SELECT users.*, predict(churn, users) AS predicted_churned FROM d.users AS users) AS users "
        "WHERE predicted_churned = 'yes'",
    ),
    (
        "SELECT p.id FROM ML.PREDICT(MODEL `my-project.d.churn`, (SELECT * FROM `d.users` WHERE age > 1)) AS p",
        "SELECT p.id FROM (SELECT input.*, predict(churn, input) AS predicted_churned FROM "
        '(SELECT * FROM "d"."users" WHERE age > 1) AS input) AS p',
    ),
    (
        "SELECT * FROM ML.PREDICT(MODEL digit, TABLE users) p",
        "SELECT * FROM (SELECT users.*, predict(digit, users) AS predicted_label FROM users AS users) AS p",
    ),
    (
        "SELECT * FROM ML.PREDICT(MODEL churn, TABLE t, STRUCT(0.7 AS threshold))",
        "SELECT * FROM (SELECT t.*, CASE WHEN predict_proba(churn, t, 'yes') > 0.7 THEN 'yes' "
        "WHEN predict_proba(churn, t, 'yes') <= 0.7 THEN 'no' END AS predicted_churned FROM t AS t) AS t",
    ),
    (
        "SELECT * FROM ML.PREDICT(MODEL churn, (SELECT u.*, digit(u) AS d FROM users u)) AS p",
        "SELECT * FROM (SELECT input.*, predict(churn, input) AS predicted_churned FROM "
        "(SELECT u.*, predict(digit, u) AS d FROM users AS u) AS input) AS p",
    ),
    (
        "SELECT id, (SELECT p.prob FROM UNNEST(predicted_churned_probs) AS p WHERE p.label = 'yes') AS risk "
        "FROM ML.PREDICT(MODEL churn, TABLE users)",
        "SELECT id, predicted_churned_probs_yes AS risk FROM (SELECT users.*, predict(churn, users) AS "
        "predicted_churned, predict_proba(churn, users, 'yes') AS predicted_churned_probs_yes FROM users AS users) "
        "AS users",
    ),
    (
        "SELECT avg(predicted_fee) FROM ML.PREDICT(MODEL price, TABLE users)",
        "SELECT AVG(predicted_fee) FROM (SELECT users.*, predict(price, users) AS predicted_fee FROM users AS users) "
        "AS users",
    ),
    # SQL Server, Synapse, Raven
    (
        "SELECT d.*, p.score FROM PREDICT(MODEL = @churn, DATA = dbo.users AS d, RUNTIME = ONNX) "
        "WITH (score FLOAT) AS p WHERE p.score = 'yes' ORDER BY p.score",
        "SELECT d.*, predict(churn, d) AS score FROM dbo.users AS d WHERE predict(churn, d) = 'yes' "
        "ORDER BY predict(churn, d)",
    ),
    (
        "SELECT * FROM PREDICT(MODEL = 'churn.onnx', DATA = users AS d) WITH (label VARCHAR(3), prob FLOAT) AS p",
        "SELECT *, predict(churn, d) AS label, predict_proba(churn, d, 'yes') AS prob FROM users AS d",
    ),
    (
        "DECLARE @m VARBINARY(MAX) = (SELECT model FROM models WHERE name = 'churn'); "
        "WITH data AS (SELECT * FROM users) SELECT score, COUNT(*) FROM PREDICT(MODEL = @m, DATA = data AS d) "
        "WITH (score VARCHAR(3)) AS p JOIN visits AS v ON v.id = d.id AND score = 'yes' GROUP BY score",
        "WITH data AS (SELECT * FROM users) SELECT predict(churn, d) AS score, COUNT(*) FROM data AS d "
        "JOIN visits AS v ON v.id = d.id AND predict(churn, d) = 'yes' GROUP BY predict(churn, d)",
    ),
    (
        "SELECT p.*, (SELECT max(n) FROM visits AS v WHERE v.label = p.s) AS n, (SELECT p.s FROM q AS p) AS q "
        "FROM PREDICT(MODEL = (SELECT model FROM models WHERE name = 'churn'), DATA = (SELECT * FROM users) AS d) "
        "WITH (s VARCHAR(3)) AS p",
        "SELECT predict(churn, d) AS s, (SELECT MAX(n) FROM visits AS v WHERE v.label = predict(churn, d)) AS n, "
        "(SELECT p.s FROM q AS p) AS q FROM (SELECT * FROM users) AS d",
    ),
    # a prediction that a lateral subquery names
    (
        "SELECT p.c FROM users AS u CROSS JOIN LATERAL (SELECT predict(churn, u) AS c) AS p WHERE p.c = 'yes'",
        "SELECT predict(churn, u) AS c FROM users AS u WHERE predict(churn, u) = 'yes'",
    ),
    (
        "SELECT p.c FROM users AS u CROSS APPLY (SELECT predict(churn, u)) AS p(c)",
        "SELECT predict(churn, u) AS c FROM users AS u",
    ),
    # Snowflake
    (
        "WITH x AS MODEL d.churn VERSION v1 SELECT x!PREDICT(age, visits) FROM users",
        "SELECT predict(churn, age, visits) FROM users",
    ),
    (
        "WITH t AS (SELECT * FROM users), x AS MODEL churn VERSION LAST, y AS MODEL digit "
        "SELECT x!PREDICT(t.age, t.visits):label, y!PREDICT(t.img) FROM t",
        "WITH t AS (SELECT * FROM users) SELECT predict(churn, t.age, t.visits), predict(digit, t.img) FROM t",
    ),
    # ClickHouse
    (
        "WITH (SELECT state FROM churn) AS model SELECT evalMLMethod(model, age, visits) FROM users",
        "SELECT predict(churn, age, visits) FROM users",
    ),
    # several at once
    (
        "SELECT count(*) FROM users a, users b WHERE churn!PREDICT(a.age, a.visits) = churn(b)",
        "SELECT COUNT(*) FROM users AS a, users AS b WHERE predict(churn, a.age, a.visits) = predict(churn, b)",
    ),
]
"""Whole queries and their canonical texts."""

UNTOUCHED = [
    "SELECT u.id, s.c FROM users AS u JOIN LATERAL (SELECT predict(churn, u) AS c) AS s ON u.id = 3",
    "WITH churn(a, b) AS (SELECT 1, 2) SELECT churn.a FROM churn",
    "WITH churn(a, b) AS MATERIALIZED (SELECT 1, 2) SELECT churn.a FROM churn",
    "SELECT churn.a FROM users AS churn(a, b)",
    "SELECT c.churn FROM users AS u JOIN (SELECT 1 AS churn) AS c USING (churn)",
    "SELECT 'churn(u)' AS churn, COUNT(*) AS predict FROM users /* churn(u) */",
    "SELECT LOWER(u.name) FROM users AS u",
    "SELECT ml.predict, cluster.predict FROM ml, cluster",
]
"""Queries without a prediction, which stay as they are."""

REFUSED = [
    (
        "SELECT ai_query('churn', named_struct('visits', a, 'age', b, 'age', c)) FROM u",
        "a feature of model 'churn' is given twice",
        "a, 'age', b, 'age', c",
        "features of 'churn': age, visits",
    ),
    (
        "SELECT * FROM ML.PREDICT(MODEL d.churn, TABLE d.users, STRUCT(0.7 AS threshhold))",
        "the option threshhold of ML.PREDICT is not read here",
        "0.7 AS threshhold",
        "only threshold is: STRUCT(0.7 AS threshold)",
    ),
    ("DECLARE @m INT", "DECLARE is not a query", "DECLARE @m INT", "queries begin with SELECT or WITH"),
    ("SELECT * FROM ML.PREDICT(MODEL d.churm, TABLE u)", "there is no model 'd.churm'", "d.churm", "'churn'"),
    ("SELECT pgml.predict('chrun', ARRAY[a, b]) FROM u", "there is no model 'chrun'", "'chrun'", "'churn'"),
    ("SELECT diggit!PREDICT(a) FROM u", "there is no model 'diggit'", "diggit", "'digit'"),
    ("SELECT PREDICTION(chrn USING *) FROM u", "there is no model 'chrn'", "chrn", "'churn'"),
    (
        "SELECT ai_query('churn', named_struct('age', a, 'visit', b)) FROM u",
        "model 'churn' has no feature 'visit'",
        "b",
        "age, visits",
    ),
    (
        "SELECT ml_predict('churn', {'age': u.a}) FROM u",
        "model 'churn' needs the feature 'visits', which is not given",
        "u.a",
        "age, visits",
    ),
    (
        "SELECT * FROM ML.PREDICT(MODEL digit, TABLE t, STRUCT(0.7 AS threshold))",
        "a threshold is for two classes, and this model has 3 classes",
        "0.7",
        "likeliest",
    ),
    (
        "SELECT predicted_churned_probs FROM ML.PREDICT(MODEL churn, TABLE t)",
        "predicted_churned_probs holds the probabilities of all classes: choose one",
        "predicted_churned_probs",
        "WHERE label = 'yes'",
    ),
    (
        "SELECT predicted_fee_probs FROM ML.PREDICT(MODEL price, TABLE t)",
        "predicted_fee_probs holds the probabilities of all classes: choose one",
        "predicted_fee_probs",
        "WHERE label",
    ),
    ("SELECT * FROM ML.EVALUATE(MODEL churn, TABLE t)", "ML.EVALUATE is not read here", "ML.EVALUATE", "ML.PREDICT"),
    (
        "SELECT * FROM ML.PREDICT(MODEL churn)",
        "ML.PREDICT names no rows",
        "ML.PREDICT(MODEL churn)",
        "TABLE t",
    ),
    (
        "SELECT * FROM TABLE(churn!FORECAST(3))",
        "the method FORECAST of a model is not read here",
        "churn!FORECAST(3)",
        "PREDICT",
    ),
    (
        "SELECT churn!PREDICT_PROBA(a, b) FROM u",
        "these are the probabilities of all classes: choose one",
        "churn!PREDICT_PROBA(a, b)",
        "no, yes",
    ),
    ("SELECT churn!PREDICT(a, b):probability:maybe FROM u", "model 'churn' has no class 'maybe'", "maybe", "no, yes"),
    (
        "SELECT pgml.predict_proba('churn', ARRAY[a, b]) FROM u",
        "these are the probabilities of all classes: choose one",
        "predict_proba('churn', ARRAY[a, b])",
        "[1] is the first",
    ),
    (
        "SELECT pgml.predict_proba('churn', ARRAY[a, b])[3] FROM u",
        "there is no class 3 of this model",
        "predict_proba('churn', ARRAY[a, b])",
        "no, yes",
    ),
    (
        "SELECT pgml.predict_proba('churn', ARRAY[a, b])['maybe'] FROM u",
        "there is no class 'maybe' of this model",
        "predict_proba('churn', ARRAY[a, b])",
        "no, yes",
    ),
    (
        "SELECT * FROM PREDICT(MODEL = churn, DATA = t AS d) WITH (label VARCHAR, x FLOAT) AS p",
        "what is the column 'x' of PREDICT?",
        "x",
        "probability",
    ),
    (
        "SELECT * FROM PREDICT(MODEL = churn) WITH (x FLOAT) AS p",
        "DATA = … is missing from PREDICT",
        "PREDICT(MODEL = churn)",
        "DATA = t",
    ),
    (
        "SELECT PREDICTION(churn COST MODEL USING *) FROM u",
        "costs of predictions are not supported",
        "COST",
        "likeliest",
    ),
    ("SELECT PREDICTION_SET(churn USING *) FROM u", "PREDICTION_SET is not read here", "PREDICTION_SET", "PREDICTION"),
    (
        "SELECT PREDICTION_PROBABILITY(churn USING *) FROM u",
        "PREDICTION_PROBABILITY needs the class: PREDICTION_PROBABILITY(m, class USING *)",
        "PREDICTION_PROBABILITY(churn USING *)",
        "no, yes",
    ),
    (
        "SELECT madlib.elastic_net_predict(coef, ARRAY[1, a]) FROM u",
        "no model has the alias 'elastic_net_predict'",
        "madlib.elastic_net_predict(coef, ARRAY[1, a])",
        "aliases=['elastic_net_predict']",
    ),
    ("SELECT `a FROM u", "this SQL cannot be read: a backtick is not closed", "`", "second"),
    (
        "SELECT ml_predict('churn', {'visits': u.v}) FROM u",
        "model 'churn' needs the feature 'age', which is not given",
        "u.v",
        "age, visits",
    ),
    (
        "SELECT churn!PREDICT(a, b):probability FROM u",
        "these are the probabilities of all classes: choose one",
        "churn!PREDICT(a, b)",
        "no, yes",
    ),
    (
        "SELECT (SELECT p.score FROM UNNEST(predicted_churned_probs) AS p WHERE p.label = 'yes') AS r "
        "FROM ML.PREDICT(MODEL churn, TABLE users)",
        "predicted_churned_probs holds the probabilities of all classes: choose one",
        "predicted_churned_probs",
        "WHERE label = 'yes'",
    ),
    (
        "SELECT (SELECT p.prob FROM UNNEST(predicted_churned_probs) AS p WHERE p.prob = 'yes') AS r "
        "FROM ML.PREDICT(MODEL churn, TABLE users)",
        "predicted_churned_probs holds the probabilities of all classes: choose one",
        "predicted_churned_probs",
        "WHERE label = 'yes'",
    ),
    (
        "SELECT ai_query('churn') FROM u",
        "ai_query needs an endpoint and a request",
        "ai_query('churn')",
        "named_struct",
    ),
]
"""Query, message, the underlined fragment, and a part of the hint."""

RESULTS = (
    "class", "label", "prediction", "predictions", "predicted", "predicted_label", "result", "response", "LABEL",
)  # fmt: skip
ENDINGS = ("bin", "cbm", "joblib", "json", "onnx", "pickle", "pkl", "pmml", "pt", "txt", "ubj")
SPELLINGS = [f"/models/v1/churn.{ending}" for ending in ENDINGS] + [
    "churn", "CHURN", "shop.churn", "d.shop.churn", "models:/churn/3", "models:/churn@best", r"c:\\models\\churn.onnx",
]  # fmt: skip


@pytest.mark.parametrize("name", RESULTS)
def test_a_prediction_s_one_field_is_the_prediction(name: str) -> None:
    head = "SELECT count(*) AS n FROM users AS u WHERE"
    plain = canonical(f"{head} predict(churn, u.age, u.visits) = 'yes'")
    for call in ("churn(u.age, u.visits)", "ai_query('churn', struct(u.age, u.visits))"):
        assert canonical(f"{head} {call}.{name} = 'yes'", catalog=Models()) == plain
    assert canonical(f"{head} lower(u.name).{name} = 'yes'", catalog=Models()).endswith(f".{name} = 'yes'")


@pytest.mark.parametrize("name", SPELLINGS)
def test_a_model_is_found_by_its_file_or_its_schema(name: str) -> None:
    found = canonical(f"SELECT ml_predict('{name}', u.age, u.visits) AS c FROM users AS u", catalog=Models())
    assert found == "SELECT predict(churn, u.age, u.visits) AS c FROM users AS u"


EXPRESSIONS = [(system, form, text) for system, pairs in GOLDEN.items() for form, text in pairs]


@pytest.mark.parametrize("dialect", ["duckdb", "postgres"])
@pytest.mark.parametrize(("system", "form", "text"), EXPRESSIONS, ids=[f"{s}: {f}" for s, f, _ in EXPRESSIONS])
def test_an_expression_is_brought_to_its_canonical_form(system: str, form: str, text: str, dialect: str) -> None:
    head = "SELECT count(*) AS n FROM users AS u WHERE"
    assert canonical(f"{head} {form} = 'yes'", dialect, Models()) == canonical(f"{head} {text} = 'yes'")
    assert canonical(f"{head} NOT ({form} = {form})", dialect, Models()) == canonical(f"{head} NOT ({text} = {text})")


@pytest.mark.parametrize(("form", "text"), QUERIES, ids=[f for f, _ in QUERIES])
def test_a_query_is_brought_to_its_canonical_form(form: str, text: str) -> None:
    assert canonical(form, catalog=Models()) == text
    assert canonical(text, catalog=Models()) == text, "the canonical form is its own"


@pytest.mark.parametrize("sql", UNTOUCHED)
def test_a_name_is_not_taken_for_a_prediction(sql: str) -> None:
    assert canonical(sql, catalog=Models()) == sql


@pytest.mark.parametrize(("sql", "message", "fragment", "hint"), REFUSED, ids=[s for s, *_ in REFUSED])
def test_what_is_wrong_is_underlined(sql: str, message: str, fragment: str, hint: str) -> None:
    with pytest.raises(SQLError) as caught:
        read(sql, "duckdb", Models())
    assert (caught.value.message, caught.value.fragment) == (message, fragment)
    assert hint in (caught.value.hint or "")


PAGE = Path(__file__).resolve().parent.parent / "docs" / "forms.md"
ROWS = re.findall(r"^\|[^|`]*\| `([^`]+)` \| `([^`]+)` \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize(("form", "text"), ROWS, ids=[f for f, _ in ROWS])
def test_the_page_says_what_is_done(form: str, text: str) -> None:
    head = "SELECT * " if form.startswith("FROM ") else "" if form.startswith("WITH ") else "SELECT "
    tail = "" if head in ("", "SELECT * ") else " FROM u"
    assert canonical(head + form + tail, catalog=Models()) == canonical(head + text + tail)


FILES = sorted((Path(__file__).resolve().parent / "sql").glob("*.test"))
WAYS = [
    "{m}.predict({u})", "{m}!PREDICT({u})", "MODEL({m}, v1)!PREDICT({u}):label", "PREDICTION({m} USING {u})",
    "{m}({u})", "pgml.predict('{m}', {u})", "cluster.PREDICT('{m}', TO_JSON({u}))", "ai_query('{m}', struct({u}))",
    "infera_predict('{m}', {u})", "modelEvaluate('{m}', {u})", "shop.{m}({u}).label", '"{m}"(to_json({u}))',
]  # fmt: skip


@pytest.mark.parametrize("path", FILES, ids=[p.stem for p in FILES])
def test_every_query_of_the_test_files_may_be_written_in_every_way(path: Path) -> None:
    text = path.read_text(encoding="utf-8")

    class Known(Models):
        models = tuple(re.findall(r"^model (\w+)", text, re.MULTILINE))
        known = tuple(ModelInfo(m, ("f1", "f2"), ("no", "yes")) for m in models)

    done = 0
    for sql in re.findall(r"^case [^\n]*\n(.*?)^---- ", text, re.MULTILINE | re.DOTALL):
        call = re.compile(rf"\bpredict\(({'|'.join(Known.models)}), (\w+)\)")
        try:
            expected = canonical(sql, catalog=Known())
        except SQLError:
            continue
        for way in WAYS if call.search(sql) and "'predict(" not in sql else ():
            other = call.sub(way.format(m=r"\1", u=r"\2"), sql)
            assert canonical(other, catalog=Known()) == expected, way
            done += 1
    assert done or path.stem == "forms"


def test_functions_of_the_engine_are_not_taken_for_models() -> None:
    found = duckdb.sql("SELECT DISTINCT upper(function_name) FROM duckdb_functions()").fetchall()
    plain = {name for (name,) in found if name.isalnum() and not name[0].isdigit()}
    assert plain - _functions("duckdb") == set()


def test_a_query_that_is_nested_too_deeply_ends_in_a_sentence() -> None:
    with contextlib.suppress(SQLError):  # compiled, sqlglot can read this one
        read(f"SELECT {'abs(' * 300}x{')' * 300} FROM t", "duckdb", Models())


def test_without_a_catalog_names_stay_as_they_are() -> None:
    sql = "SELECT pgml.predict('m', ARRAY[a, b]), d.m!PREDICT(a), PREDICT_M(u) FROM t AS u"
    assert canonical(sql) == 'SELECT predict(m, a, b), predict("d.m", a), PREDICT_M(u) FROM t AS u'
    chances = "SELECT pgml.predict_proba('m', ARRAY[a, b])['yes'], m!PREDICT_PROBA(a):yes FROM t AS u"
    assert canonical(chances) == "SELECT predict_proba(m, a, b, 'yes'), predict_proba(m, a, 'yes') FROM t AS u"
    with pytest.raises(SQLError, match="there is no class 1 of this model"):
        read("SELECT pgml.predict_proba('m', ARRAY[a, b])[1] FROM t", "duckdb", None)


def test_a_broken_query_ends_in_a_sentence() -> None:
    """No text, however it is cut, ends in anything but an error that names its place."""
    texts = [f"SELECT {f} FROM u" for _, f, _ in EXPRESSIONS] + [f for f, _ in QUERIES] + [s for s, *_ in REFUSED]
    pieces = [re.findall(r"\w+|'[^']*'|\s+|.", t) for t in texts]
    every = [p for parts in pieces for p in parts]
    rng = random.Random(0)
    for _ in range(2000):
        parts = list(rng.choice(pieces))
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(parts))
            parts[at : at + rng.randint(0, 1)] = rng.choice([[], [rng.choice(every)]])
        try:
            read("".join(parts), "duckdb", Models())
        except SQLError as error:
            assert error.hint
