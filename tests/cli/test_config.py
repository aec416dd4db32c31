"""Project files: what they may say, and where each mistake is said to be."""

from __future__ import annotations

from pathlib import Path

import pytest

from rain_debug import config
from rain_debug.cli.template import TEMPLATE
from rain_debug.config.build import build
from rain_debug.errors import ConfigError, RainError

GOOD = '''\
version = 1

[database]
path = "shop.duckdb"

[models.churn]
estimator = "logistic_regression"
C = 1
scale = true
training = "SELECT * FROM churn_training"
label = "churned"
key = "id"
features = ["tenure", "fee"]

[queries.weekly]
sql = """SELECT week, count(*) AS n FROM users u
WHERE predict(churn, u) = 'yes' GROUP BY week"""

[[complaints]]
query = "weekly"
column = "n"
where = {week = "2026-11-02"}
at_least = 60

[debug]
budget = 300
step = 10
'''


def parse(text: str) -> config.Project:
    return config.parse(text, Path("/somewhere/shop.toml"))


def test_spared_records_are_named_by_model() -> None:
    assert parse(GOOD + "spare = { churn = [17, 208] }").debug["spare"] == {"churn": [17, 208]}
    with pytest.raises(ConfigError) as caught:
        parse(GOOD + "spare = { churn = 17 }")
    assert "churn" in str(caught.value) and "list" in str(caught.value)


def test_good() -> None:
    project = parse(GOOD)
    assert project.database.path == Path("/somewhere/shop.duckdb")
    (model,) = project.models
    assert model.options == {"C": 1.0, "scale": True}
    assert model.features == ("tenure", "fee")
    assert (model.key, model.label) == ("id", "churned")
    (complaint,) = project.complaints
    assert (complaint.claim, complaint.value, complaint.place) == ("at_least", 60.0, {"week": "2026-11-02"})
    assert project.debug == {"budget": 300, "step": 10}
    assert project.queries[0].where == "shop.toml, line 16, key queries.weekly.sql"


@pytest.mark.parametrize(
    ("old", "claim", "value"),
    [
        ('is = "too_low"', "too_low", None),
        ('is = "right"', "is_right", None),
        ("too_high = 5", "too_high", 5.0),
        ("too_low = true", "too_low", None),
        ("should_be = 7\ntolerance = 0.5", "should_be", 7.0),
        ('should_be = "spam"', "should_be", "spam"),
        ("at_most = 3.5", "at_most", 3.5),
    ],
)
def test_claims(old: str, claim: str, value: object) -> None:
    (complaint,) = parse(GOOD.replace("at_least = 60", old)).complaints
    assert (complaint.claim, complaint.value) == (claim, value)


def test_rows_and_predictions() -> None:
    text = GOOD + (
        '[[complaints]]\nquery = "weekly"\nwhere = {week = 2026-11-02}\nexists = false\n'
        '[[complaints]]\nmodel = "churn"\nkey = 17\nshould_be = "yes"\ntable = "users"\n'
    )
    _, row, prediction = parse(text).complaints
    assert (row.claim, str(row.place["week"])) == ("should_not_exist", "2026-11-02")
    assert (prediction.model, prediction.key, prediction.value, prediction.table) == ("churn", 17, "yes", "users")


def test_create_model_and_python() -> None:
    head, tail = GOOD.split("[models.churn]")[0], "[queries" + GOOD.split("[queries")[1]
    created = parse(head + '[models.churn]\nsql = "CREATE MODEL churn AS SELECT 1"\n' + tail)
    assert created.models[0].sql == "CREATE MODEL churn AS SELECT 1"
    python = '[models.churn]\npython = "mine:make"\ntraining = "SELECT 1"\nlabel = "y"\n'
    with pytest.raises(ConfigError, match="does not allow that") as error:
        parse(head + python + tail)
    assert "trust_python = true" in str(error.value)
    assert parse("trust_python = true\n" + head + python + tail).models[0].python == "mine:make"


BAD = [  # what is changed, into what; the line and the key named; what the message holds
    ("budget = 300", "budgt = 300", 26, "debug.budgt", "did you mean 'budget'"),
    ("budget = 300", 'budget = "300"', 26, "debug.budget", "a whole number, not '300'"),
    ("budget = 300", "budget = 0", 26, "debug.budget", "at least 1"),
    ("budget = 300", "budget = true", 26, "debug.budget", "a whole number"),
    ("step = 10", 'ranker = "holistc"', 27, "debug.ranker", "did you mean 'holistic'"),
    ("version = 1", "version = 2", 1, "version", "version = 1"),
    ("version = 1", "verson = 1", 1, "verson", "did you mean 'version'"),
    ('path = "shop.duckdb"', 'db = "x"', 3, "database", "add one of: path, url, dataset, tables"),
    ('path = "shop.duckdb"', 'pth = "x"', 4, "database.pth", "did you mean 'path'"),
    ('label = "churned"', 'labl = "churned"', 11, "models.churn.labl", "did you mean 'label'"),
    ("at_least = 60", "at_leest = 60", 23, "complaints[1].at_leest", "did you mean 'at_least'"),
    ('path = "shop.duckdb"', 'path = "x"\ndataset = "shop"', 5, "database.dataset", "exclude each other"),
    ('path = "shop.duckdb"', 'path = "  "', 4, "database.path", "is empty"),
    ('path = "shop.duckdb"', 'dataset = "shopp"', 4, "database.dataset", "did you mean 'shop'"),
    ('path = "shop.duckdb"', 'tables = {u = "u.xls"}', 4, "database.tables.u", ".csv, .tsv, .parquet, .json"),
    ('"logistic_regression"', '"random_forest"', 7, "models.churn.estimator", "logistic_regression"),
    ("C = 1\n", "C = 0\n", 8, "models.churn.C", "positive"),
    ("C = 1\n", "c = 1\n", 8, "models.churn.c", "did you mean 'C'"),
    ("C = 1\n", 'class_weight = "balance"\n', 8, "models.churn.class_weight", "balanced"),
    ("scale = true", "min_df = 3", 9, "models.churn.min_df", 'text = "body"'),
    ('label = "churned"\n', "", 6, "models.churn", 'label = "churned"'),
    ('label = "churned"', 'label = ["churned"]', 11, "models.churn.label", "must be text"),
    ('["tenure", "fee"]', "[1, 2]", 13, "models.churn.features", "a list of names"),
    ("[models.churn]", "[models]", 7, "models.estimator", "must be a table"),
    ('query = "weekly"', 'query = "weakly"', 20, "complaints[1].query", "did you mean 'weekly'"),
    ('query = "weekly"', "", 19, "complaints[1]", "add one of: query, model"),
    ('query = "weekly"', 'query = "weekly"\nmodel = "churn"', 21, "complaints[1].model", "exclude each other"),
    ('column = "n"\n', "", 19, "complaints[1]", 'column = "n"'),
    ("at_least = 60", "", 19, "complaints[1]", "add one of: is, should_be"),
    ("at_least = 60", 'is = "to_low"', 23, "complaints[1].is", "did you mean 'too_low'"),
    ("at_least = 60", 'at_least = "60"', 23, "complaints[1].at_least", "must be a number"),
    ("at_least = 60", "at_least = 60\nat_most = 70", 24, "complaints[1].at_most", "exclude each other"),
    ("at_least = 60", "too_low = 3\ntolerance = 1", 24, "complaints[1].tolerance", "should_be"),
    ("at_least = 60", "exists = true", 21, "complaints[1].column", "about no column"),
    ('where = {week = "2026-11-02"}', "where = 3", 22, "complaints[1].where", "a table"),
    ("[[complaints]]", "[complaints]", 19, "complaints", "a list"),
]


@pytest.mark.parametrize(("old", "new", "line", "key", "says"), BAD, ids=[f"{b[3]}: {b[4]}" for b in BAD])
def test_mistakes_are_placed(old: str, new: str, line: int, key: str, says: str) -> None:
    assert old in GOOD
    with pytest.raises(ConfigError) as error:
        parse(GOOD.replace(old, new))
    assert error.value.where == f"shop.toml, line {line}, key {key}"
    assert says in str(error.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such project file"):
        config.load(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="a folder"):
        config.load(tmp_path)
    (tmp_path / "latin.toml").write_bytes("# caf\xe9".encode("latin-1"))
    with pytest.raises(ConfigError, match="not UTF-8"):
        config.load(tmp_path / "latin.toml")
    (tmp_path / "bad.toml").write_text("a = = 1\n")
    with pytest.raises(ConfigError, match=r"not valid TOML.*line"):
        config.load(tmp_path / "bad.toml")
    (tmp_path / "windows.toml").write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert config.load(tmp_path / "windows.toml").queries[0].where == "windows.toml, line 16, key queries.weekly.sql"


def test_options_of_a_data_set(tmp_path: Path) -> None:
    from rain_debug.config.build import build

    for options, says in (
        ("sed = 1", "did you mean 'seed'"),
        ("weeks = 'x'", "does not take"),
        ("weeks = 1", "3 weeks"),
    ):
        text = GOOD.replace('path = "shop.duckdb"', f'dataset = "shop"\noptions = {{ {options} }}')
        with pytest.raises(RainError) as error:
            build(config.parse(text, tmp_path / "shop.toml"))
        assert says in str(error.value) and "key database.dataset" in str(error.value)


def test_python_models(tmp_path: Path) -> None:
    from rain_debug.config.build import build

    (tmp_path / "own_model.py").write_text(
        "from sklearn.linear_model import LogisticRegression as L\ndef make():\n    return L(max_iter=900)\n"
    )
    text = GOOD.replace('path = "shop.duckdb"', 'dataset = "shop"').replace("C = 1\nscale = true\n", "")
    text = text.replace('["tenure", "fee"]', '["tenure", "sessions", "tickets", "baskets_left", "fee"]')
    text = "trust_python = true\n" + text.replace('estimator = "logistic_regression"', 'python = "own_model:make"')
    assert len(build(config.parse(text, tmp_path / "shop.toml")).complaints) == 1
    for old, new, says in (("own_model:", "no_model:", "cannot be imported"), (":make", ":mak", "did you mean 'make'")):
        with pytest.raises(ConfigError) as error:
            build(config.parse(text.replace(old, new), tmp_path / "shop.toml"))
        assert says in str(error.value) and "models.churn" in str(error.value)


def test_tables_from_files(tmp_path: Path) -> None:
    from rain_debug.config.build import build

    (tmp_path / "u.csv").write_text("id,x\n" + "".join(f"{i},{i % 7}\n" for i in range(40)))
    (tmp_path / "t.csv").write_text("id,x,y\n" + "".join(f"{i},{i % 7},{i % 7 > 3}\n" for i in range(40)))
    text = """
[database]
tables = { u = "u.csv", t = "t.csv" }
[models.m]
sql = "CREATE MODEL m OPTIONS (model_type = 'logistic_reg', input_label_cols = ['y']) AS SELECT x, y FROM t"
[queries.q]
sql = "SELECT count(*) AS n FROM u WHERE predict(m, u)"
[[complaints]]
query = "q"
column = "n"
at_most = 3
"""
    (complaint,) = build(config.parse(text, tmp_path / "p.toml")).complaints
    assert complaint.describe() == "n should be at most 3"


def test_two_cells_compared(tmp_path: Path) -> None:
    text = TEMPLATE.replace(
        'where = { week = "2026-11-09" }', 'where = { week = "2026-11-09" }\nratio_to = { week = "2026-10-26" }', 1
    )
    path = tmp_path / "shop.toml"
    path.write_text(text)
    assert text != TEMPLATE
    assert any("÷" in c.place for c in build(config.load(path)).complaints)
    path.write_text(text.replace("ratio_to", "difference_to = { week = 1 }\nratio_to"))
    with pytest.raises(ConfigError, match="exclude each other"):
        config.load(path)
