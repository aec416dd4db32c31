"""The shop's project file, as tests write it: a complaint about the last week of its query."""

from __future__ import annotations

WEEKLY = (
    "SELECT week, count(*) AS n FROM users u WHERE u.active AND predict(churn, u) = 'yes' GROUP BY week ORDER BY week"
)


def shop_project(claim: str, *, path: str = "shop.duckdb", debug: str = "budget = 300") -> str:
    """Its text; `claim` and `debug` are lines of the complaint and of the run's settings."""
    return f"""
version = 1
[database]
path = "{path}"
[models.churn]
estimator = "logistic_regression"
scale = true
training = "SELECT * FROM churn_training"
key = "id"
label = "churned"
features = ["tenure", "sessions", "tickets", "baskets_left", "fee"]
[queries.weekly]
sql = "{WEEKLY}"
[[complaints]]
query = "weekly"
column = "n"
where = {{ week = "2026-11-09" }}
{claim}
[debug]
{debug}
"""
