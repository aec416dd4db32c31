"""The project file that `rain init` writes: commented, and it runs as it is."""

from __future__ import annotations

from pathlib import Path

from rain_debug.errors import ConfigError

TEMPLATE = '''\
# A project of Rain: where the data is, which models and queries there are, and what is wrong with the answers.
# As it stands it tells the shop's story:    rain check rain.toml     rain run rain.toml
version = 1

[database]
dataset = "shop"             # a bundled example; or one of:
# path = "shop.duckdb"       # a DuckDB file, read and never written; relative to this file
# url = "postgresql://ann@db.example/shop"   # a server; its password is in PGPASSWORD or ~/.pgpass
# tables = { users = "users.parquet", churn_training = "training.csv" }

[models.churn]
estimator = "logistic_regression"
C = 1.0                      # inverse strength of the L2 penalty, as in scikit-learn
scale = true                 # standardise the features first
# class_weight = "balanced"
# text = "body"              # a text column, as words
training = "SELECT * FROM churn_training"
key = "id"                   # what names a training record
label = "churned"
features = ["tenure", "sessions", "tickets", "baskets_left", "fee"]   # left out: every column but key and label
# Or, in place of all of the above:
# sql = "CREATE MODEL churn OPTIONS (model_type = 'logistic_reg', input_label_cols = ['churned']) AS SELECT …"

[queries.weekly]
sql = """
SELECT week, count(*) AS n FROM users u
WHERE u.active AND predict(churn, u) = 'yes'
GROUP BY week ORDER BY week
"""

[[complaints]]               # one for each thing that is wrong
query = "weekly"
column = "n"
where = { week = "2026-11-02" }
at_least = 90
# or: is = "too_low" (or "too_high"); too_low = 30 (by that much); at_most = …; should_be = … (tolerance = …)

[[complaints]]
query = "weekly"
column = "n"
where = { week = "2026-11-09" }
at_least = 90

# [[complaints]]             # a row that should be there, or should not
# query = "weekly"
# where = { week = "2026-11-16" }
# exists = true

# [[complaints]]             # one prediction
# model = "churn"
# key = 17
# should_be = "yes"

[debug]
budget = 400                 # fix at most so many training records
fix = "delete"               # or "relabel", or "auto": relabel, delete where in doubt
step = 10                    # so many between two retrainings
ranker = "holistic"          # or "rain", "two_step", "auto", "loss", …
until = "resolved"           # or "budget": go on when every complaint is met
'''


def write(path: Path) -> None:
    """Write the template to `path`; ConfigError where something stands there, or the folder does not."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(TEMPLATE.replace("rain.toml", path.name))
    except FileExistsError:
        raise ConfigError(
            "the project file is not written over one that exists", where=str(path), hint="name another path"
        ) from None
    except OSError as error:
        hint = "name a folder where you may write"
        raise ConfigError(f"the project file cannot be written: {error.strerror}", where=str(path), hint=hint) from None
