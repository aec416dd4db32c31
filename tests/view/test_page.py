"""The HTML around the module: what stands in it, what cannot get out of it, and what it forbids."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rain_debug.errors import ReportError
from rain_debug.view import page

HOSTILE = '</script><script>alert(1)</script><!--\u2028"&\ud800'


class Reader(HTMLParser):
    """The elements of a page, and the text of each script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1][0] == "script" and data.strip():
            self.scripts.append((self.elements[-1][1], data))


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module in the place of the built one that holds what would end a script."""
    code = 'export const a = "</script><!--<SCRIPT", r = /<script>/.test("<script>");'
    (tmp_path / "rain.js").write_text(code, encoding="utf-8")
    monkeypatch.setattr(page, "STATIC", tmp_path)
    return code


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(values | st.text(alphabet='</script>!-\u2028\u2029&"\ud800'))
def test_a_block_gives_back_what_went_in_and_nothing_can_end_it(value: Any) -> None:
    block = page.json_block("x", value)
    inside = block.removeprefix('<script type="application/json" id="x">').removesuffix("</script>")
    assert json.loads(inside) == value
    assert not re.search("[<\u2028\u2029\ud800-\udfff]", inside)


def test_the_shell_holds_an_element_and_one_script() -> None:
    shown = page.shell(title=HOSTILE, module="/static/rain.js?a=1&b=2")
    read = Reader(shown)
    assert not read.scripts and [a for tag, a in read.elements if tag == "script"] == [
        {"type": "module", "src": "/static/rain.js?a=1&b=2"}
    ]
    assert {"id": "rain-view", "data-mode": "page"} in [a for _, a in read.elements]
    shown.encode("utf-8")


def test_a_saved_page_is_one_file_that_asks_for_nothing(module: str) -> None:
    shown = page.saved_page({"run": HOSTILE}, title=HOSTILE, plain="<h1>what it says</h1>")
    read = Reader(shown)
    data, code = read.scripts
    assert data[0]["id"] == "rain-saved" and json.loads(data[1]) == {"run": HOSTILE}
    assert code[0] == {"type": "module"} and code[1].count("\\x3c") == module.lower().count("<") == 5
    assert not [a for _, a in read.elements if "src" in a or (a.get("href") or "data:,") != "data:,"]
    policy = next(a["content"] for tag, a in read.elements if a.get("http-equiv") == "Content-Security-Policy") or ""
    assert policy.startswith("default-src 'none'; ") and "unsafe-eval" not in policy and "http" not in policy
    digest = base64.b64encode(hashlib.sha256(code[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'; " in policy
    assert shown.index("Content-Security-Policy") < shown.index("<style>") < shown.index("<script")
    assert '<div id="rain-view" data-mode="report"><main><h1>what it says</h1></main></div>' in shown
    shown.encode("utf-8")


def test_a_module_that_was_not_built_is_a_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "STATIC", tmp_path)
    with pytest.raises(ReportError, match="module is missing") as caught:
        page.bundle()
    assert "make ui" in str(caught.value) and str(tmp_path) in str(caught.value)
