"""What nobody chose to show stands in no answer: the server's secret, the environment, other files, other secrets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

import rain_debug as rain
from rain_debug import config, datasets
from rain_debug.cli import app
from rain_debug.config.build import build
from rain_debug.web import serve
from rain_debug.web.schemas import FORMATS, OPS
from rain_debug.web.server import Server
from web.talk import JSON, Answer, ask, bearer, cookie, origin
from web.test_serve import COMPLAINT, PLACE, PROJECT, shop, streamed

PLANTED = "pl4nted-s3cret"
CURIOUS = (
    "SELECT * FROM duckdb_secrets()", "SELECT * FROM duckdb_settings()", "SELECT * FROM duckdb_databases()",
    "SELECT * FROM duckdb_variables()", "SELECT * FROM duckdb_temporary_files()",
    "SELECT * FROM which_secret('x', 'http')",
    "SELECT current_setting('temp_directory')", "SELECT getenv('RAIN_PLANTED')", "SELECT * FROM read_text('{env}')",
    "SELECT * FROM duckdb_logs", "SELECT * FROM pragma_user_agent()", "SELECT * FROM duckdb_extensions()",
    "SELECT * FROM duckdb_prepared_statements()", "SELECT * FROM sql_auto_complete('SELECT * FROM ')",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("secrets")
    datasets.shop().write(made / "shop.duckdb")
    (made / "shop.toml").write_text(f"# {PLANTED}\n{PROJECT}")
    (made / ".env").write_text(f"PASSWORD={PLANTED}")
    return made


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAIN_PLANTED", PLANTED)
        session = build(config.load(folder / "shop.toml"))
        with serve(session.db, session.queries, session.complaints, settings=session.project.debug, port=0) as found:
            yield found


def every_answer(served: Server, folder: Path) -> Iterator[tuple[str, Answer]]:
    """Of each operation and twin, right and wrong, and of queries that look for more."""

    def post(op: str, **request: object) -> Answer:
        body = json.dumps(request).encode()
        return ask(served, "POST", f"/api/{op}", JSON, cookie(served), *origin(served), body=body, seconds=30)

    told = post("debug", complaints=[COMPLAINT], settings={"budget": 300})
    yield "debug", told
    run = streamed(told)[-1]["run"]["id"]
    page = {"offset": 0, "limit": 1000}
    asked: dict[str, dict[str, object]] = {
        "project": {}, "query": {"name": "weekly"}, "ask": {"sql": "SELECT * FROM users"},
        "rows": {"query": "weekly", **page}, "place": {"place": PLACE}, "describe": {"complaint": COMPLAINT},
        "rows_behind": {"place": PLACE, **page}, "records_behind": {"place": PLACE, "limit": 10}, "runs": page,
        "suspects": {"complaints": [COMPLAINT], "limit": 10},
        "run": {"id": run}, "records": {"run": run, **page}, "keep": {"run": run, "keep": True},
        "record": {"model": "churn", "key": 5}, "side_effects": {"id": run}, "prefix": {"id": run},
        "forecasts": {"id": run}, "export": {"id": run, "format": "html"},
    }  # fmt: skip
    assert set(asked) == set(OPS)
    for op, request in asked.items():
        answer = post(op, **request)
        assert answer.status == 200, (op, answer)
        yield op, answer
        yield op, post(op, x=1)
    yield "fix_pattern", post("fix_pattern", id=run, pattern=0)
    for sql in CURIOUS:
        yield sql, post("ask", sql=sql.replace("{env}", str(folder / ".env")))
    exports = [f"/runs/{run}/export.{kind}?table=churn_training" for kind in FORMATS]
    for path in ("/", "/project.json", "/openapi.json", "/static/rain.js", f"/runs/{run}", "/nowhere", *exports):
        yield path, ask(served, "GET", path, bearer(served), seconds=30)
        yield path, ask(served, "GET", path)


def test_no_answer_holds_a_secret(served: Server, folder: Path) -> None:
    seen = 0
    for what, answer in every_answer(served, folder):
        said = answer.body + "\n".join(answer.lines).encode()
        for secret in (PLANTED, served.gate.token):
            assert secret.encode() not in said, what
        seen += 1
    assert seen > 60


def test_a_users_secrets_in_duckdb(folder: Path) -> None:
    """Of a connection that was handed over: DuckDB tells the names of its secrets, not what they hold."""
    con = duckdb.connect(str(folder / "shop.duckdb"), read_only=True)
    try:
        con.execute(f"CREATE SECRET mine (TYPE http, BEARER_TOKEN '{PLANTED}')")
    except duckdb.Error:
        pytest.skip("this DuckDB has no secrets without its extensions")
    db = rain.connect(con)
    with pytest.warns(RuntimeWarning), serve(db, [shop(db)], port=0) as served:
        for sql in CURIOUS[:6]:
            body = json.dumps({"sql": sql}).encode()
            answer = ask(served, "POST", "/api/ask", JSON, bearer(served), body=body)
            assert PLANTED.encode() not in answer.body, sql


def test_addresses_of_databases_are_not_repeated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They hold passwords."""
    address = f"postgresql://analyst:{PLANTED}@db.example/shop"
    path = tmp_path / "shop.toml"
    for key, message in (("path", "an address is no path"), ("url", "this address has a password in it")):
        path.write_text(PROJECT.replace('path = "shop.duckdb"', f'{key} = "{address}"'))
        for command in ("check", "run", "serve"):
            assert app.outcome([command, str(path)]) == 2
            said = "".join(capsys.readouterr())
            assert message in said and PLANTED not in said
    with pytest.raises(rain.RainError) as caught:
        rain.connect(address)
    assert PLANTED not in str(caught.value)
