"""The report as one file: what it holds and says it holds, what it leaves out, and how it looks in a browser."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

import rain_debug as rain
from rain_debug import datasets
from rain_debug.cli.app import outcome
from rain_debug.cli.template import TEMPLATE
from rain_debug.engines.table import Table
from rain_debug.errors import ReportError
from rain_debug.report import Report
from rain_debug.report.html import html_of
from rain_debug.report.redact import _stripper
from rain_debug.report.view import saved
from rain_debug.view.page import bundle

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"


def shop_with(**more: Any) -> Report:
    """A run on the shop, its training data with further columns; the removed records share `source`."""
    shop = datasets.shop()
    training = Table({**shop.churn_training, **Table.of(**more)}, shop.churn_training.n_rows)
    db = rain.connect({"users": shop.users, "churn_training": training})
    db.create_model("churn", LogisticRegression(max_iter=2000), "SELECT * FROM churn_training", key="id",
                    label="churned", features=list(shop.features))  # fmt: skip
    weekly = db.query(f"{shop.query} -- not for source = 'import-17'", name="weekly")
    return db.debug(weekly.cell("n", week="2026-11-09").at_least(70), budget=60, step=20)


N = 2600


@pytest.fixture(scope="module")
def report() -> Report:
    emails = [f"{'secret' if i % 2 else HOSTILE}-{i}@mail.example" for i in range(N)]
    return shop_with(email=emails, quoted=[f"wrote to {e}" for e in emails])


class Text(HTMLParser):
    """What is read without scripts, and the data of the module."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.inside = ""
        self.data = ""
        self.feed(page.replace(bundle().decode(), ""))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.inside = dict(attrs).get("id") or tag if tag in ("script", "style") else ""

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside == "rain-saved":
            self.data += data
        elif not self.inside:
            self.words.append(data)


def read(page: str) -> tuple[str, dict[str, Any]]:
    found = Text(page)
    return " ".join(found.words), json.loads(found.data)


def test_the_file_holds_the_run_and_says_so(report: Report, tmp_path: Path) -> None:
    path = report.save(tmp_path / "x.html")
    page = path.read_text(encoding="utf-8")
    text, data = read(page)
    assert data["run"]["sentence"] == report.summary and len(data["records"]["rows"]) == 60
    assert data["rows_left_out"].startswith("This file holds 60 records (key, label, source, plan, ")
    assert data["rows_left_out"].endswith(", email, quoted) and 12 rows of 1 answer.") and data["rows_left_out"] in text
    assert report.summary in text and report.pattern in text and "2026-11-09" in text
    assert [str(k) in text.split() for k in report.ranking.column("key")] == [True] * 60
    assert page.count("<svg") - bundle().decode().count("<svg") == 1 and "<script>alert" not in page
    assert len(page.encode()) < 1_500_000 + 200 * 60


def test_the_module_is_told_of_a_thousand_records_at_most_and_the_rest_is_said() -> None:
    shop = saved(shop_with())
    row = shop["records"]["rows"][0]
    many = {**shop, "records": {**shop["records"], "rows": [row] * 1000}, "run": {**shop["run"], "records": 11_400}}
    page = html_of(many)
    text, data = read(page)
    assert "This file holds the first 1,000 of 11,400 records (" in text and len(data["records"]["rows"]) == 1000
    assert "… 900 more rows" in text, "what is read without scripts is shorter still"
    assert len(page.encode()) < 1_500_000 + 200 * 1000


def test_without_rows_no_record_is_in_it(report: Report, tmp_path: Path) -> None:
    page = report.save(tmp_path / "x.html", rows=False).read_text(encoding="utf-8")
    text, data = read(page)
    assert "This file holds no record (60 are left out), and 12 rows of 1 answer." in text
    assert data["records"]["rows"] == [] and "secret" not in page and "mail.example" not in page
    assert data["run"]["changes"][0]["before"], "rows that are groups stay"


def test_without_rows_an_answer_that_lists_people_is_left_out(tmp_path: Path) -> None:
    shop = datasets.shop()
    names = [f"person-{i}" for i in range(shop.users.n_rows)]
    db = rain.connect({"users": Table({**shop.users, **Table.of(name=names)}, len(names)), "past": shop.churn_training})
    db.create_model("churn", LogisticRegression(max_iter=2000), "SELECT * FROM past", key="id", label="churned",
                    features=list(shop.features))  # fmt: skip
    listed = db.query("SELECT name, predict(churn, u) AS leaves FROM users u WHERE u.id < 40", name="listed")
    cell = listed.cell("leaves", name="person-3")
    wrong = next(c for c in ("yes", "no") if c != listed.rows()[3]["leaves"])
    report = db.debug(cell.should_be(wrong), budget=20, step=20)
    whole = report.save(tmp_path / "whole.html").read_text(encoding="utf-8")
    none = report.save(tmp_path / "none.html", rows=False).read_text(encoding="utf-8")
    assert "person-5" in whole and "person-5" not in none
    assert "person-3" in none, "what was complained about is what the report is about"


COLUMNS = ("email", "source", "week", "id", "churned", "uploaded")


@pytest.mark.parametrize("column", COLUMNS)
def test_a_redacted_columns_values_stand_nowhere(report: Report, tmp_path: Path, column: str) -> None:
    page = report.save(tmp_path / "x.html", redact=[column]).read_text(encoding="utf-8")
    text, data = read(page)
    whole = saved(report)
    assert f"Redacted: {column}." in text and data["run"]["removed"] == 60
    if column in ("email", "source", "week", "uploaded"):
        answer = whole["run"]["changes"][0]
        names = [c["name"] for c in (answer if column == "week" else whole["records"])["columns"]]
        rows = answer["before"] if column == "week" else [r["values"] for r in whole["records"]["rows"]]
        values = {str(row[names.index(column)]) for row in rows}
        assert values and not [v for v in values if v in text or v in json.dumps(data, ensure_ascii=False)]
        bare = page.replace(bundle().decode(), "")
        assert not [v for v in values if v in bare]
    if column == "id":
        assert {r["key"] for r in data["records"]["rows"]} == {"▇▇▇"} and "key, label" not in text
    if column == "churned":
        assert {(r["label"], r["fix"]) for r in data["records"]["rows"]} == {("▇▇▇", "delete")}
        assert "'yes'" not in text and "'no'" not in text
    if column == "source":
        assert data["run"]["pattern"].endswith("removed records: a condition on ▇▇▇") or (
            data["run"]["pattern"].endswith("others: a condition on ▇▇▇")
        )
        assert "not for source = ▇▇▇" in data["run"]["changes"][0]["sql"]
    if column == "week":
        assert data["run"]["sentence"].startswith("Removing 60 of 2,600 training records moves n where week = ▇▇▇ from")
        assert data["run"]["changes"][0]["chart"]["type"] == "table"
        assert data["run"]["standings"][0]["place"]["where"] == {"week": "▇▇▇"}


def test_several_columns_are_redacted_together(report: Report, tmp_path: Path) -> None:
    page = report.save(tmp_path / "x.html", redact=["email", "quoted"]).read_text(encoding="utf-8")
    assert "secret" not in page and "mail.example" not in page and "Redacted: email, quoted." in page


def test_what_cannot_be_left_out_is_said(report: Report, tmp_path: Path) -> None:
    with pytest.raises(ReportError, match=r"no column 'emial'[\s\S]*did you mean 'email'\?"):
        report.save(tmp_path / "x.html", redact=["emial"])
    with pytest.raises(ReportError, match="the complaints are about 'n'"):
        report.save(tmp_path / "x.html", redact="n")
    for how in ({"rows": False}, {"redact": ["email"]}):
        with pytest.raises(ReportError, match="only an HTML report"):
            report.save(tmp_path / "x.json", **how)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_shows_it_and_asks_for_nothing(
    chromium: Any, violations: Any, report: Report, tmp_path: Path, script: bool, width: int
) -> None:
    path = report.save(tmp_path / "x.html")
    context = chromium.new_context(
        viewport={"width": width, "height": 900}, java_script_enabled=script,
        color_scheme="dark" if width < 400 else "light",
    )  # fmt: skip
    page = context.new_page()
    page.set_default_timeout(10_000)
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda r: asked.append(r.url))
    page.on("console", lambda m: said.append(m.text))
    page.on("pageerror", lambda e: said.append(str(e)))
    page.on("dialog", lambda d: (said.append(d.message), d.dismiss()))
    page.goto(path.as_uri())
    shown = page.locator(".rain" if script else "main")
    shown.get_by_role("heading", level=1).get_by_text(report.summary).wait_for()
    shown.get_by_text("2412", exact=True).first.wait_for()
    assert page.locator("img").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= width if script else True
    assert not said and [u for u in asked if not u.startswith("data:")] == [path.as_uri()]
    assert not script or violations(page) == []
    context.close()


def test_it_is_printed_as_it_reads_without_scripts(chromium: Any, report: Report, tmp_path: Path) -> None:
    path = report.save(tmp_path / "x.html")
    context = chromium.new_context(color_scheme="dark")
    page = context.new_page()
    page.goto(path.as_uri())
    page.locator(".rain h1").wait_for()
    assert not page.locator("main > h1").is_visible()
    page.emulate_media(media="print")
    page.locator("main > h1").wait_for()
    assert not page.locator(".rain").is_visible()
    assert page.locator("main .rows tbody tr").count() == 60
    assert page.pdf().startswith(b"%PDF")
    context.close()


@given(st.lists(st.text("ab c-+1.", min_size=1, max_size=5), min_size=1, max_size=4), st.text("ab c-+1.", max_size=40))
def test_no_hidden_text_is_left_as_a_word(texts: list[str], found: str) -> None:
    whole = [t for t in texts if t.strip()]
    left = _stripper(whole)(found)
    words = [t for t in whole if re.search(r"\w", t)]
    assert not [t for t in words if re.search(rf"(?<!\w){re.escape(t)}(?!\w)", left)]
    assert _stripper([])(found) == found


def test_from_the_shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    datasets.shop().write(tmp_path / "shop.duckdb")
    project = tmp_path / "shop.toml"
    project.write_text(TEMPLATE)
    page = tmp_path / "x.html"

    def rain_run(*words: str) -> tuple[int, str]:
        code = outcome(["run", str(project), "--quiet", *words])
        return code, "".join(capsys.readouterr())

    code, said = rain_run("-o", str(page), "--redact", "sorce")
    assert code == 2 and "did you mean 'source'?" in said and not page.exists()
    code, said = rain_run("-o", str(tmp_path / "x.csv"), "--no-rows")
    assert code == 2 and "only an HTML report" in said
    code, said = rain_run("-o", str(page), "--redact", "source", "--no-rows")
    text, data = read(page.read_text(encoding="utf-8"))
    assert code == 0 and "import-17" not in page.read_text(encoding="utf-8")
    assert data["records"]["rows"] == [] and "This file holds no record (" in text and "Redacted: source." in text
