"""JupyterLab and marimo in a real browser: the widget is clicked, a run streams, the next cell reads its report."""

from __future__ import annotations

import itertools
import json
import queue
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sklearn.linear_model import LogisticRegression

import rain_debug as rain
from notebook.servers import serving
from rain_debug.datasets import shop
from rain_debug.view.page import STATIC

pytest.importorskip("anywidget")
playwright = pytest.importorskip("playwright.sync_api")

SETUP = f"""import rain_debug as rain
from rain_debug import datasets
from sklearn.linear_model import LogisticRegression

db = rain.connect("{{path}}")
churn = db.create_model("churn", LogisticRegression(max_iter=2000), "SELECT * FROM churn_training", key="id",
                        label="churned", features={list(shop().features)!r})
"""


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shop().write(tmp_path_factory.mktemp("shop") / "shop.duckdb")


def complain_and_run(page: Any) -> None:
    """From the low point to the run."""
    page.get_by_role("button", name=re.compile("2026-11-09, n:")).click()
    form = page.get_by_role("form", name="Complaint")
    form.get_by_role("radio", name="At least", exact=True).check()
    form.locator(".claim.on input[type=number]").fill("90")
    form.get_by_role("button", name="Add complaint").click()
    page.get_by_role("button", name=re.compile("Find the records")).click()
    page.locator(".rain h1", has_text=re.compile(r"Removing \d+ of 2,600 .* is resolved")).wait_for(timeout=90_000)


@pytest.fixture
def browser_page(chromium: Any) -> Iterator[Any]:
    """A page that may ask nothing of other machines. What a notebook logs of itself is not ours."""
    context = chromium.new_context(viewport={"width": 1280, "height": 1000}, color_scheme="light")
    page = context.new_page()
    page.set_default_timeout(30_000)
    away: list[str] = []
    here = ("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:", "about:")
    page.on("request", lambda r: None if r.url.startswith(here) else away.append(r.url))
    page.on("dialog", lambda d: (away.append(d.message), d.dismiss()))
    yield page
    context.close()
    assert away == []


# -- A line that loses messages ----------------------------------------------------------------------------------

MODEL = """async () => {
  const heard = [];
  const model = {
    get: (name) => (name === "start" ? "/q/weekly" : undefined),
    set() {}, save_changes() {},
    send: (content) => window.toKernel(content),
    on: (name, callback) => heard.push(callback),
    off: (name, callback) => heard.splice(heard.indexOf(callback), 1),
  };
  const el = document.body.appendChild(document.createElement("div"));
  const { default: widget } = await import(window.bundle);
  const close = widget.render({ model, el });
  const turn = setInterval(async () => {
    for (const message of await window.fromKernel()) for (const each of [...heard]) each(message);
  }, 20);
  window.leave = () => { close(); clearInterval(turn); return heard.length; };
}"""


@pytest.mark.parametrize("lost", ["questions", "answers"])
def test_a_story_over_a_line_that_loses_every_third_message(lost: str, browser_page: Any) -> None:
    db = rain.connect(shop().frames())
    db.create_model("churn", LogisticRegression(max_iter=2000), "SELECT * FROM churn_training", key="id",
                    label="churned", features=list(shop().features))  # fmt: skip
    widget = db.query(shop().query, name="weekly").widget()
    came: queue.SimpleQueue[Any] = queue.SimpleQueue()
    numbers = itertools.count(2)  # the second is the first lost
    asked: list[str] = []
    sent: set[Any] = set()

    def arrives(kind: str, key: Any) -> bool:
        """What is sent again arrives: lost by the beat, a message could be lost for ever."""
        if lost != kind or key in sent:
            return True
        sent.add(key)
        return next(numbers) % 3 != 0

    def to_kernel(content: Any) -> None:
        asked.append(content["id"])
        if arrives("questions", content["id"]):
            widget._handle_custom_msg(content, [])

    def to_page(content: Any) -> None:
        if arrives("answers", (content["id"], content["at"])):
            came.put(content)

    widget.send = to_page
    page = browser_page
    page.expose_function("toKernel", to_kernel)
    page.expose_function("fromKernel", lambda: [came.get() for _ in range(came.qsize())])
    page.route("**/rain.js", lambda route: route.fulfill(path=STATIC / "rain.js", content_type="text/javascript"))
    page.route("**/empty", lambda route: route.fulfill(body="<title>A notebook</title>", content_type="text/html"))
    page.goto("http://127.0.0.1:9/empty")
    page.evaluate("window.bundle = '/rain.js'")
    page.evaluate(MODEL)
    page.locator(".rain .mark").first.wait_for()
    complain_and_run(page)
    assert page.locator(".rain h1").inner_text() == widget.report.summary
    assert len(asked) > len(set(asked)), "nothing was asked again"
    assert page.evaluate("window.leave()") == 0
    widget.close()


# -- JupyterLab -------------------------------------------------------------------------------------------------

CELLS = (
    SETUP + "%load_ext rain_debug.notebook\ndb",
    f"%%rain db weekly\n{shop().query}",
    "w = weekly.widget()\nw",
    "w.report.ranking",
    "w.report",
)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, kept: Path) -> Iterator[str]:
    """A server whose theme is dark, though the browser prefers light."""
    pytest.importorskip("jupyterlab")
    folder = tmp_path_factory.mktemp("lab")
    settings = folder / ".jupyterlab_settings_dir" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    (settings / "themes.jupyterlab-settings").write_text('{"theme": "JupyterLab Dark"}')
    (settings / "notification.jupyterlab-settings").write_text('{"fetchNews": "false", "checkForUpdates": false}')
    cells = [
        {"cell_type": "code", "id": f"cell-{i}", "metadata": {}, "execution_count": None, "outputs": [], "source": text}
        for i, text in enumerate(c.replace("{path}", str(kept)) for c in CELLS)
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    book = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    (folder / "story.ipynb").write_text(json.dumps(book))
    words = ("jupyterlab", "--no-browser", "--allow-root", "--port={port}", "--ServerApp.port_retries=0",
             "--IdentityProvider.token=", "--LabApp.extension_manager=readonly")  # fmt: skip
    with serving(words, folder, "/api") as url:
        yield f"{url}/lab/tree/story.ipynb?reset"


def test_jupyterlab(lab: str, browser_page: Any, violations: Any) -> None:
    page = browser_page
    # A dialog of JupyterLab's own, as of a kernel that starts slowly, would be in the way: it gets its default answer.
    page.add_locator_handler(page.locator(".jp-Dialog"), lambda dialog: dialog.locator(".jp-mod-accept").first.click())
    page.goto(lab)
    cells = page.locator(".jp-Notebook .jp-CodeCell")
    page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for()

    def run(i: int) -> Any:
        """Run a cell; its output. A notebook that is just opened may still move the focus away: then again."""
        for _ in range(5):
            cells.nth(i).locator(".cm-content").first.click()
            page.keyboard.press("Control+Enter")
            try:
                cells.nth(i).locator(".jp-InputPrompt", has_text=re.compile(r"[\d*]")).wait_for(timeout=5000)
                break
            except playwright.TimeoutError:
                continue
        return cells.nth(i).locator(".jp-OutputArea-output")

    run(0).get_by_text("churn_training").first.wait_for()
    weekly = run(1)
    weekly.locator("svg[role=img]").wait_for()
    assert weekly.locator("table tr").count() == 13 and weekly.locator("script").count() == 0
    run(2)
    try:
        page.locator(".rain .mark").first.wait_for()
    except playwright.TimeoutError:
        pytest.fail(f"no widget; what the notebook shows: {page.locator('.jp-Notebook').inner_text()}")
    page.locator("[data-look=dark] .rain").wait_for()  # the notebook's theme, not the browser's
    assert violations(page, ".rain") == []
    complain_and_run(page)
    assert violations(page, ".rain") == []
    ranking = run(3).locator("table")
    ranking.get_by_text("import-17").first.wait_for()
    sentence = page.locator(".rain h1").inner_text()
    report = run(4)
    report.get_by_text(sentence).wait_for()
    assert report.locator("svg[role=img]").count() == 1 and report.locator("script").count() == 0


# -- marimo -----------------------------------------------------------------------------------------------------

APP = """import marimo

app = marimo.App()


@app.cell
def _():
    import marimo as mo
{setup}
    weekly = db.query({query!r}, name="weekly")
    db
    return churn, db, mo, weekly


@app.cell
def _(churn, mo, weekly):
    mo.vstack([weekly, churn])
    return


@app.cell
def _(mo, weekly):
    w = mo.ui.anywidget(weekly.widget())
    w
    return (w,)


@app.cell
def _(w):
    w.value
    w.report.ranking if w.report else "no run yet"
    return


@app.cell
def _(w):
    w.value
    w.report
    return
"""


@pytest.fixture(scope="module")
def marimo(tmp_path_factory: pytest.TempPathFactory, kept: Path) -> Iterator[str]:
    pytest.importorskip("marimo")
    folder = tmp_path_factory.mktemp("marimo")
    setup = SETUP.replace("{path}", str(kept)).replace("\n", "\n    ")
    (folder / "story.py").write_text(APP.format(setup=f"    {setup}", query=shop().query))
    words = ("marimo", "run", "story.py", "--headless", "--no-token", "--host", "127.0.0.1", "--port", "{port}")
    with serving(words, folder) as url:
        yield url


def test_marimo(marimo: str, browser_page: Any, violations: Any) -> None:
    page = browser_page
    page.goto(marimo)
    page.locator(".rain .mark").first.wait_for()
    page.get_by_text("no run yet").wait_for()
    for text in ("2026-11-09", "LogisticRegression", "churn_training"):
        page.locator(".marimo-cell td").get_by_text(text).first.wait_for()
    assert violations(page, ".rain") == []
    complain_and_run(page)
    assert violations(page, ".rain") == []
    page.locator(".marimo-cell table").get_by_text("import-17").first.wait_for()
    sentence = page.locator(".rain h1").inner_text()
    page.locator(".marimo-cell strong").get_by_text(sentence).wait_for()
