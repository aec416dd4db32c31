"""Passwords of databases stand nowhere: not in errors, on the terminal, in reports, in run files, or on the page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rain_debug as rain
from rain_debug import datasets
from rain_debug.cli import app
from rain_debug.desk import Desk
from rain_debug.errors import RainError, SQLError
from rain_debug.passwords import HIDDEN, without_passwords
from web.test_serve import COMPLAINT, PROJECT

PLANTED = "pl4nted-s3cret"
ADDRESS = f"postgresql://analyst:{PLANTED}@127.0.0.1:1/shop?connect_timeout=1&sslpassword={PLANTED}"
HARD = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=4).filter(lambda t: "***" not in t)


@given(HARD)
def test_whatever_a_password_is_made_of(password: str) -> None:
    """In an address it may be anything but a space: quotes, slashes and further signs that nobody escaped."""
    shown = without_passwords(f"cannot reach postgresql://ann:{password}@db.example/shop: no route")
    assert shown == f"cannot reach postgresql://ann:{HIDDEN}@db.example/shop: no route"


@pytest.mark.parametrize(
    "text",
    [
        f"{ADDRESS} and {ADDRESS}",
        f"host=db user=ann password={PLANTED} dbname=shop",
        f"host=db password = '{PLANTED} \\' {PLANTED}' user=ann",
        f'PGPASSWORD="{PLANTED} {PLANTED}" rain run',
        f"CREATE SECRET s (TYPE postgres, PASSWORD '{PLANTED}', HOST 'db')",
        f"CREATE SECRET s (TYPE http, BEARER_TOKEN '{PLANTED}''{PLANTED}')",
        f"mysql://root:{PLANTED}@h, https://me:{PLANTED}@example.org/x.parquet",
        f'{{"path": "{ADDRESS}"}}',
    ],
)
def test_each_way_to_write_one(text: str) -> None:
    assert PLANTED not in without_passwords(text) and HIDDEN in without_passwords(text)


@given(st.text())
def test_other_text_stays_as_it_is(text: str) -> None:
    if ":/" not in text and "password" not in text.lower() and "secret" not in text.lower():
        assert without_passwords(text) == text


def test_no_error_holds_one() -> None:
    error = RainError(f"at {ADDRESS}", where=ADDRESS, hint=f"try {ADDRESS}")
    assert PLANTED not in f"{error} {error.args} {error.message} {error.where} {error.hint}"
    sql = f"SELECT * FROM postgres_scan('{ADDRESS}', 'a', 'b')"
    told = SQLError("no such function", sql=sql, start=14, end=len(sql))
    assert PLANTED not in f"{told} {told.fragment}" and told.column == 15


TABLES = 'path = "shop.duckdb"'
PROJECTS = {
    "an address": PROJECT.replace(TABLES, f'path = "{ADDRESS}"'),
    "an address of no kind": PROJECT.replace(TABLES, f'path = "{ADDRESS.replace("postgresql", "mysql")}"'),
    "an address in a list": PROJECT.replace(TABLES, f'path = ["{ADDRESS}"]'),
    "an address as a table's file": PROJECT.replace(TABLES, f'tables = {{ users = "{ADDRESS}" }}'),
    "a key that is unknown": PROJECT.replace("budget = 300", f'budgt = "{ADDRESS}"'),
    "a name with an address": PROJECT.replace('key = "id"', f'key = "{ADDRESS}"'),
    "a file with an address": PROJECT.replace('estimator = "logistic_regression"\nscale = true', f'file = "{ADDRESS}"'),
    "no TOML": f'{PROJECT}\nx = "{ADDRESS}',
    "SQL that fails": PROJECT.replace("SELECT * FROM churn_training", f"SELECT * FROM postgres_scan('{ADDRESS}', 't')"),
    "a query that fails": PROJECT.replace("FROM users u", f"FROM postgres_scan('{ADDRESS}', 's', 't') u"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("passwords")
    datasets.shop().write(made / "shop.duckdb")
    return made


@pytest.mark.parametrize("what", PROJECTS)
def test_no_command_tells_one(folder: Path, what: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert PLANTED in PROJECTS[what]
    path = folder / "shop.toml"
    path.write_text(PROJECTS[what])
    for command in (["check", str(path)], ["check", "--json", "--debug", str(path)], ["run", "--debug", str(path)]):
        assert app.outcome(command) == 2
        said = "".join(capfd.readouterr())
        assert said.strip() and PLANTED not in said, said


@pytest.fixture
def planted(folder: Path) -> Iterator[tuple[rain.Database, str]]:
    """A query that holds an address, as those of a connection with other databases in it do."""
    with rain.connect(folder / "shop.duckdb") as db:
        db.execute(
            "CREATE MODEL churn OPTIONS (model_type = 'logistic_reg', input_label_cols = ['churned']) AS "
            "SELECT tenure, sessions, tickets, baskets_left, fee, churned FROM churn_training"
        )
        yield (
            db,
            (
                f"SELECT week, count(*) AS n FROM users u WHERE predict(churn, u) = 'yes' AND u.plan <> '{ADDRESS}' "
                "GROUP BY week ORDER BY week"
            ),
        )


def test_no_report_holds_one(planted: tuple[rain.Database, str], tmp_path: Path) -> None:
    db, sql = planted
    weekly = db.query(sql, name="weekly")
    report = db.debug(weekly.cell("n", week="2026-11-09").at_least(90), budget=20, step=20, progress=False)
    for kind in ("html", "json", "csv", "txt"):
        report.save(tmp_path / f"r.{kind}")
    for path in tmp_path.iterdir():
        assert PLANTED.encode() not in path.read_bytes(), path
    assert HIDDEN in (tmp_path / "r.json").read_text()
    assert PLANTED not in report.to_text() and PLANTED not in report._repr_html_() and PLANTED not in repr(db)


def test_neither_the_page_nor_its_runs(planted: tuple[rain.Database, str], tmp_path: Path) -> None:
    db, sql = planted
    with Desk(db, [db.query(sql, name="weekly")], (), None, tmp_path, "shop") as desk:
        told = [desk.call(op, asked) for op, asked in (("project", {}), ("query", {"name": "weekly"}))]
        told += list(desk.stream("debug", {"complaints": [COMPLAINT], "settings": {"budget": 10}}))
        assert told[-1]["type"] == "done"
    assert PLANTED not in json.dumps(told, default=str) and HIDDEN in json.dumps(told, default=str)
    kept = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert kept and not any(PLANTED.encode() in p.read_bytes() for p in kept)
