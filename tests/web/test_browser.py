"""What other sites' pages can do to the server in a real browser: nothing. And our page does not break its policy."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import rain_debug as rain
from rain_debug.engines import Table
from rain_debug.web import serve
from rain_debug.web.server import Server
from web.talk import SmallDesk

HOSTILE = (
    "<script>window.taken=1</script>", "<img src=x onerror=\"window.taken=1\">", "</script><b>bold</b>",
    "\"><svg onload=alert(1)>", "javascript:alert(1)", "<!--", "</style><script>alert(1)</script>", "{{7*7}}",
    "${alert(1)}", "=HYPERLINK(\"http://evil.test\")",
)  # fmt: skip


@pytest.fixture(scope="module")
def small() -> Iterator[tuple[Server, SmallDesk]]:
    desk = SmallDesk()
    with Server(desk, port=0) as server:
        yield server, desk


@pytest.fixture(scope="module")
def foreign() -> Iterator[dict[str, Any]]:
    """Another site's server on this machine: what it answers is `page`."""
    site: dict[str, Any] = {"page": "", "port": 0}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = site["page"].encode()
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        site["port"] = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield site
        server.shutdown()


@pytest.fixture
def visitor(chromium: Any, small: tuple[Server, SmallDesk]) -> Iterator[Any]:
    """A page of a browser that was let in before: it holds the cookie."""
    context = chromium.new_context()
    page = context.new_page()
    page.set_default_timeout(10_000)
    server, desk = small
    with page.expect_response("**/api/project"):  # what the page itself asks, after it is loaded
        page.goto(server.url)
    assert page.url == f"http://127.0.0.1:{server.port}/"  # the secret is out of the address
    (cookie,) = context.cookies()
    assert (cookie["name"], cookie["httpOnly"], cookie["sameSite"]) == (server.gate.cookie, True, "Strict")
    assert page.evaluate("document.cookie") == ""
    desk.asked.clear()
    yield page
    context.close()


def test_a_foreign_name_that_leads_here(visitor: Any, small: tuple[Server, SmallDesk]) -> None:
    server, desk = small
    for path in ("/", f"/?token={server.gate.token}", "/project.json", "/static/rain.js"):
        answer = visitor.goto(f"http://rebound.test:{server.port}{path}")
        assert answer.status == 421
    status = visitor.evaluate(
        "(b) => fetch('/api/query', {method: 'POST', headers: {'Content-Type': 'application/json'}, body: b})"
        ".then((r) => r.status)", '{"name": "weekly"}',
    )  # fmt: skip
    assert status == 421
    assert desk.asked == []


def test_other_sites_requests(visitor: Any, small: tuple[Server, SmallDesk], foreign: dict[str, Any]) -> None:
    """Another site, and another port of this very host: fetch with the cookie, forms of each kind, pings."""
    server, desk = small
    own = f"http://127.0.0.1:{server.port}"
    for site in (f"http://evil.test:{foreign['port']}", f"http://127.0.0.1:{foreign['port']}"):
        foreign["page"] = "<title>evil</title>"
        visitor.goto(site)
        for kind in ("application/json", "text/plain", "application/x-www-form-urlencoded"):
            for mode in ("cors", "no-cors"):
                said = visitor.evaluate(
                    """([url, kind, mode]) => fetch(url, {method: 'POST', mode, credentials: 'include',
                       headers: {'Content-Type': kind}, body: '{"name": "weekly"}'})
                       .then((r) => r.type + r.status, () => 'refused')""",
                    [f"{own}/api/query", kind, mode],
                )  # fmt: skip
                assert said in ("refused", "opaque0"), (site, kind, mode, said)
        read = "(u) => fetch(u, {credentials: 'include'}).then(() => 'read', () => 'refused')"
        assert visitor.evaluate(read, f"{own}/project.json") == "refused"
        visitor.evaluate("(u) => navigator.sendBeacon(u, '{}')", f"{own}/api/query")
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
            foreign["page"] = (
                f"<form method=post enctype='{kind}' action='{own}/api/query'>"
                "<input name='{&quot;name&quot;:&quot;weekly&quot;,&quot;a' value='&quot;:1}'></form>"
            )
            visitor.goto(site)
            with visitor.expect_navigation() as moved:
                visitor.evaluate("document.forms[0].submit()")
            assert moved.value.status == 403, (site, kind)
    assert desk.asked == []


def test_frames_and_includes(visitor: Any, small: tuple[Server, SmallDesk], foreign: dict[str, Any]) -> None:
    server, _ = small
    own = f"http://127.0.0.1:{server.port}"
    for site in (f"http://evil.test:{foreign['port']}", f"http://127.0.0.1:{foreign['port']}"):
        foreign["page"] = (
            f"<iframe src='{own}/'></iframe><script src='{own}/project.json' onerror='window.kept=1'></script>"
            f"<script type=module src='{own}/static/rain.js' onerror='window.module=1'></script>"
            f"<script src='{own}/static/rain.js' onerror='window.classic=1'></script>"
            f"<img src='{own}/static/rain.js' onerror='window.image=1'><div id='rain-view' data-mode='page'></div>"
        )
        visitor.goto(site)
        visitor.wait_for_function("window.kept && window.classic && window.module && window.image")
        assert all(own not in frame.url for frame in visitor.frames)
        assert visitor.evaluate("document.getElementById('rain-view').shadowRoot") is None


def test_a_link_from_elsewhere_shows_nothing(
    visitor: Any, small: tuple[Server, SmallDesk], foreign: dict[str, Any]
) -> None:
    """The page is opened by its user, not by another site: a link from there is turned away."""
    server, _ = small
    foreign["page"] = f"<a href='http://127.0.0.1:{server.port}/runs'>x</a>"
    visitor.goto(f"http://evil.test:{foreign['port']}")
    with visitor.expect_navigation() as moved:
        visitor.click("a")
    assert moved.value.status == 403
    assert visitor.goto(f"http://127.0.0.1:{server.port}/runs").status == 200


@pytest.fixture(scope="module")
def hostile() -> Iterator[Server]:
    """Names, labels, cells and SQL that would be markup if anything took them for it."""
    n = len(HOSTILE) * 6
    x = np.linspace(-1, 1, n)
    cells = np.array([HOSTILE[i % len(HOSTILE)] for i in range(n)], dtype=object)
    label = HOSTILE[0]
    past = Table.of(id=np.arange(n), x=x, note=cells, y=np.where(x > 0, label, HOSTILE[1]).astype(object))
    db = rain.connect({"past": past, "now": Table.of(id=np.arange(n), x=x, note=cells)})
    db.create_model("m", LogisticRegression(), "SELECT * FROM past", key="id", label="y", features=["x"])
    text = label.replace("'", "''")
    counted = f"SELECT note, count(*) AS \"<b>n</b>\" FROM now t WHERE predict(m, t) = '{text}' GROUP BY note"
    sql = f"{counted} -- {HOSTILE[2]}"
    query = db.query(sql, name=HOSTILE[1])
    rows = db.query(f"SELECT id, note, predict(m, t) AS p FROM now t -- {HOSTILE[0]}", name="rows")
    complaint = query.cell("<b>n</b>", note=HOSTILE[3]).at_most(0)
    with serve(db, [query, rows], [complaint], title=HOSTILE[0], port=0) as server:
        yield server


MADE = """[...document.querySelector('#rain-view').shadowRoot.querySelectorAll(
    'script, img[src], b, iframe, object, embed, [onerror], [onload], [href^="javascript:"]'
  )].map((e) => e.outerHTML)"""


def test_hostile_texts_are_texts(hostile: Server, page: Any) -> None:
    """No script of theirs runs, no element of theirs is made; the page's policy is not broken by its own module."""
    page.goto(hostile.url)
    named = HOSTILE[1].replace("/", "%2F").replace("?", "%3F")
    for path in ("/", "/q/rows", f"/q/{named}", "/runs", "/new", "/records/m/3"):
        page.goto(f"http://127.0.0.1:{hostile.port}{path}")
        page.wait_for_function("document.querySelector('#rain-view')?.shadowRoot?.textContent.trim().length > 20")
        page.wait_for_timeout(300)
        assert page.evaluate("window.taken") is None
        assert page.evaluate(MADE) == [], path
    assert page.evaluate("document.querySelectorAll('#rain-view script, body > b, body > img').length") == 0
