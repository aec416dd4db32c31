"""`%%rain`: a cell of SQL becomes a query that is shown and kept; a mistake is a message."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import rain_debug as rain
from rain_debug import datasets
from rain_debug.database import Database, ModelHandle, Query

pytest.importorskip("IPython")
from IPython.core.interactiveshell import InteractiveShell

MODEL = """CREATE MODEL churn OPTIONS (model_type = 'logistic_reg', input_label_cols = ['churned']) AS
SELECT tenure, sessions, tickets, baskets_left, fee, churned FROM churn_training"""


@pytest.fixture(scope="module")
def db() -> Iterator[Database]:
    with rain.connect(datasets.shop().frames()) as found:
        yield found


@pytest.fixture
def shell(db: Database) -> Iterator[Any]:
    made = InteractiveShell.instance()
    made.run_cell("%load_ext rain_debug.notebook")
    made.push({"db": db, "a": 1})
    yield made
    InteractiveShell.clear_instance()


def test_a_cell_of_sql_is_a_query(shell: Any, db: Database) -> None:
    made = shell.run_cell(f"%%rain db churn\n{datasets.shop().query}")
    assert not made.success and "'churn'" in str(made.error_in_exec), "there is no such model yet"
    model = shell.run_cell(f"%%rain db\n{MODEL}").result
    assert isinstance(model, ModelHandle) and model.name == "churn"
    done = shell.run_cell(f"%%rain db weekly\n{datasets.shop().query}")
    weekly = shell.user_ns["weekly"]
    assert isinstance(weekly, Query) and weekly is done.result and weekly.name == "weekly"
    assert weekly.columns == ("week", "n") and "<svg" in weekly._repr_html_()
    unnamed = shell.run_cell("%%rain db\nSELECT count(*) AS n FROM users u WHERE predict(churn, u) = 'yes'").result
    assert isinstance(unnamed, Query) and unnamed.name.startswith("query ")


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("%%rain db\nSELECT n FROM users", "this query holds no prediction"),
        ("%%rain\nSELECT 1", "%%rain db weekly"),
        ("%%rain db one two\nSELECT 1", "%%rain db weekly"),
        ("%%rain db a-b\nSELECT 1", "%%rain db weekly"),
        ("%%rain a\nSELECT 1", "the variable 'a' is no database"),
        ("%%rain dbs\nSELECT 1", "did you mean 'db'?"),
    ],
)
def test_a_mistake_is_a_message(shell: Any, cell: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    done = shell.run_cell(cell)
    assert not done.success and message in str(done.error_in_exec)
    shown = "".join(capsys.readouterr())
    assert message in shown and "Traceback" not in shown
