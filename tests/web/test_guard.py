"""Who is let in, over a real port: names, secrets, other sites' pages, bodies that are not JSON, paths, raw bytes."""

from __future__ import annotations

import random
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rain_debug.errors import ServeError
from rain_debug.web import gate as gates
from rain_debug.web.gate import Gate
from rain_debug.web.guard import HEADERS
from rain_debug.web.server import Server, listen
from web.talk import JSON, Answer, SmallDesk, ask, bearer, cookie, origin, raw

PATHS = (
    "/", "/new", "/q/weekly", "/q/weekly.json", "/runs", "/runs.json", "/runs/1", "/runs/1.json",
    "/runs/1/records.json", "/runs/1/export.csv", "/records/churn/7", "/records/churn/7.json", "/project.json",
    "/static/rain.js", "/static/LICENSES.txt", "/openapi.json", "/nowhere", "/api/query",
)  # fmt: skip
ASK = b'{"name": "weekly"}'


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(SmallDesk(), port=0) as found:
        yield found


def refused(answer: Answer, status: int) -> None:
    """A failure of one shape, with every header that an answer has."""
    assert answer.status == status, answer
    assert sorted(answer.json()) == ["column", "fragment", "hint", "kind", "line", "message", "where"]
    assert answer.json()["message"] and "Traceback" not in answer.json()["message"]
    for name, value in HEADERS.items():
        assert answer.headers[name] == value, name


# -- the address and its secret -------------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="Linux says there where a port is bound")
def test_only_this_machine_reaches_the_port(server: Server) -> None:
    bound = [line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    assert f"0100007F:{server.port:04X}" in bound
    assert f"00000000:{server.port:04X}" not in bound


def test_the_secret_is_long_and_another_each_time(server: Server) -> None:
    tokens = {Gate.of("127.0.0.1", 1).token for _ in range(100)} | {server.gate.token}
    assert len(tokens) == 101 and all(len(t) >= 43 for t in tokens)  # 256 bits, six to a letter


def test_the_secret_becomes_a_cookie(server: Server) -> None:
    answer = ask(server, "GET", f"/?token={server.gate.token}")
    assert answer.status == 303 and answer.headers["location"] == "/" and answer.body == b""
    name, *parts = answer.headers["set-cookie"].split("; ")
    assert name == f"rain-{server.port}={server.gate.token}"
    assert sorted(parts) == ["HttpOnly", "Path=/", "SameSite=Strict"]
    assert ask(server, "GET", "/", cookie(server)).status == 200
    assert server.url == f"http://127.0.0.1:{server.port}/?token={server.gate.token}"


def test_a_ticket_opens_once_and_soon(server: Server) -> None:
    """Other users of the machine see with which address a browser is started."""
    path = server.gate.ticket().removeprefix(f"http://127.0.0.1:{server.port}")
    assert server.gate.token not in path
    assert ask(server, "GET", path).status == 303
    refused(ask(server, "GET", path), 401)
    late = server.gate.ticket().removeprefix(f"http://127.0.0.1:{server.port}")
    (secret,) = server.gate.tickets
    assert 0 < server.gate.tickets[secret] - time.monotonic() <= gates.TICKET_SECONDS
    server.gate.tickets[secret] = time.monotonic()  # its time is over
    refused(ask(server, "GET", late), 401)


def test_the_secret_opens_nothing_but_the_first_page(server: Server) -> None:
    for path in PATHS[1:]:
        refused(ask(server, "GET", f"{path}?token={server.gate.token}"), 401)
    refused(ask(server, "POST", f"/?token={server.gate.token}", JSON, *origin(server), body=b"{}"), 401)


@pytest.mark.parametrize("path", PATHS)
def test_without_the_secret_nothing_is_answered(server: Server, path: str) -> None:
    token = server.gate.token
    wrong = ("", "x", token[:-1], token + "x", token.swapcase(), "null", "%00", f"{token},{token}", f'"{token}x"')
    method, body = ("POST", ASK) if path.startswith("/api") else ("GET", None)
    headers = (JSON, *origin(server)) if body else ()
    refused(ask(server, method, path, *headers, body=body), 401)
    for text in wrong:
        refused(ask(server, method, path, *headers, f"Cookie: {server.gate.cookie}={text}", body=body), 401)
        refused(ask(server, method, path, *headers, f"Authorization: Bearer {text}", body=body), 401)
    for line in (f"Cookie: rain={token}", f"Cookie: rain-1={token}", f"Authorization: Basic {token}",
                 f"Authorization: {token}", f"Authorization: Digest {token}", f"X-Token: {token}"):  # fmt: skip
        refused(ask(server, method, path, *headers, line, body=body), 401)


@pytest.mark.parametrize("text", ["", "x", "%FF", "%C3%A9", "a&token=b", "&token=", "a" * 5000])
def test_wrong_secrets_in_the_address(server: Server, text: str) -> None:
    refused(ask(server, "GET", f"/?token={text}"), 401)
    refused(ask(server, "GET", f"/?token={text}", cookie(server)), 401)
    refused(ask(server, "GET", f"/?token={server.gate.token}&token={text}"), 401)


def test_our_cookie_among_others(server: Server) -> None:
    """Another server of this host may have set one of the same name; what is no cookie at all harms nothing."""
    for line in (f"a=b; {server.gate.cookie}=old; {server.gate.cookie}={server.gate.token}; é=1; ;=;\x7f",
                 f'[x]={{"a": 1}}; {server.gate.cookie}={server.gate.token}'):  # fmt: skip
        assert ask(server, "GET", "/", f"Cookie: {line}").status == 200


def test_scripts_bring_the_secret_themselves(server: Server) -> None:
    answer = ask(server, "POST", "/api/query", JSON, bearer(server), body=ASK)
    assert (answer.status, answer.json()) == (200, {"name": "weekly"})


# -- the name -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [
    "evil.test", "evil.test:{port}", "127.0.0.1", "127.0.0.1:1", "127.0.0.1:{port}.evil.test", "127.0.0.1.:{port}",
    "127.1:{port}", "2130706433:{port}", "[::1]:{port}", "0.0.0.0:{port}", "localhost.:{port}", "user@127.0.0.1:{port}",
    "127.0.0.1:0{port}", "127.0.0.1:{port}, evil.test", "{port}", "*", "",
])  # fmt: skip
def test_other_names_of_this_server(server: Server, form: str) -> None:
    """Before the secret is looked at: a name that leads here is not one that we go by."""
    text = form.replace("{port}", str(server.port))
    for path in ("/", "/static/rain.js", f"/?token={server.gate.token}"):
        refused(raw(server, f"GET {path} HTTP/1.1\r\nConnection: close\r\nHost: {text}\r\n{cookie(server)}\r\n\r\n"
                    .encode()), 421)  # fmt: skip


def test_no_name_and_two_names(server: Server) -> None:
    refused(raw(server, f"GET / HTTP/1.0\r\n{cookie(server)}\r\n\r\n".encode()), 421)
    assert ask(server, "GET", "/", cookie(server), host=None).status == 400  # HTTP/1.1 itself asks for one
    assert ask(server, "GET", "/", cookie(server), "Host: evil.test").status == 400
    absolute = ask(server, "GET", "http://evil.test/", cookie(server))
    assert absolute.status == 404
    refused(ask(server, "GET", f"http://127.0.0.1:{server.port}/", cookie(server), host="evil.test"), 421)


def test_its_own_names(server: Server) -> None:
    for name in ("127.0.0.1", "localhost", "LOCALHOST"):
        assert ask(server, "GET", "/", cookie(server), host=f"{name}:{server.port}").status == 200


def test_further_names_are_said_by_the_user() -> None:
    gate = Gate.of("0.0.0.0", 8000, ["analysis.example", "other.example:443"])
    assert gate.hosts == ("analysis.example:8000", "other.example:443")
    assert Gate.of("::1", 8000).hosts == ("[::1]:8000", "127.0.0.1:8000", "localhost:8000")
    assert "127.0.0.1" in Gate.of("127.0.0.1", 80).hosts
    with pytest.raises(ServeError, match="other machines would reach"):
        Server(SmallDesk(), host="0.0.0.0", port=0)


# -- other sites' pages ---------------------------------------------------------------------------------------------

STRANGERS = (
    ("Origin: http://evil.test",),
    ("Origin: null",),
    ("Origin: https://127.0.0.1:{port}",),
    ("Origin: http://127.0.0.1:1",),
    ("Origin: http://localhost:{port}",),  # another site than 127.0.0.1, to a browser
    ("Sec-Fetch-Site: cross-site",),
    ("Sec-Fetch-Site: same-site",),  # another port of this machine
    ("Sec-Fetch-Site: none",),
    ("Origin: http://127.0.0.1:{port}", "Sec-Fetch-Site: cross-site"),
    ("Origin: http://evil.test", "Sec-Fetch-Site: same-origin"),
    ("Origin: http://127.0.0.1:{port}", "Origin: http://evil.test"),
    ("Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: cross-site"),
    ("Origin:",),
    (),
)


@pytest.mark.parametrize("headers", STRANGERS, ids=" ".join)
def test_a_request_that_is_not_our_own_pages(server: Server, headers: tuple[str, ...]) -> None:
    lines = [h.replace("{port}", str(server.port)) for h in headers]
    refused(ask(server, "POST", "/api/query", JSON, cookie(server), *lines, body=ASK), 403)


def test_our_own_pages_requests(server: Server) -> None:
    site, fetch = origin(server)
    for lines in ((site, fetch), (site,), (fetch,)):
        assert ask(server, "POST", "/api/query", JSON, cookie(server), *lines, body=ASK).status == 200


def test_pages_are_opened_by_hand_or_by_our_own(server: Server) -> None:
    for site, status in (("none", 200), ("same-origin", 200), ("same-site", 403), ("cross-site", 403)):
        answer = ask(server, "GET", "/runs", cookie(server), f"Sec-Fetch-Site: {site}")
        assert answer.status == status, site


@pytest.mark.parametrize("kind", [
    "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json; x=y",
    "application/json, text/plain", "text/json", "application/jsonp", "application/json; charset=utf-7", "", None,
])  # fmt: skip
def test_bodies_that_are_not_json(server: Server, kind: str | None) -> None:
    lines = () if kind is None else (f"Content-Type: {kind}",)
    refused(ask(server, "POST", "/api/query", *lines, cookie(server), *origin(server), body=ASK), 415)


def test_two_kinds_of_body_are_none(server: Server) -> None:
    refused(ask(server, "POST", "/api/query", JSON, JSON, bearer(server), body=ASK), 415)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get"])
def test_other_methods(server: Server, method: str) -> None:
    answer = ask(server, method, "/", cookie(server), "Access-Control-Request-Method: POST")
    assert answer.status in (405, 400)
    if answer.status == 405:  # before the secret is asked for
        refused(ask(server, method, "/"), 405)
    assert not any(h.startswith("access-control") for h in answer.headers)


def test_no_answer_lets_other_sites_read_it(server: Server) -> None:
    for path in PATHS:
        answer = ask(server, "GET", path, cookie(server))
        assert not any(h.startswith("access-control") for h in answer.headers)
        for name, value in HEADERS.items():
            assert answer.headers[name] == value, (path, name)
        assert "server" not in answer.headers
        assert "unsafe-eval" not in answer.headers["content-security-policy"]


def test_web_sockets_are_refused(server: Server) -> None:
    lines = ("Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==")
    assert ask(server, "GET", "/", *lines, cookie(server)).status != 101


# -- paths ----------------------------------------------------------------------------------------------------------

UP = (
    "/static/../errors.py", "/static/..%2ferrors.py", "/static/%2e%2e/errors.py", "/static/%2e%2e%2ferrors.py",
    "/static/..%5cerrors.py", "/static/....//errors.py", "/static/..%252ferrors.py", "/static/%c0%ae%c0%ae/errors.py",
    "/static//etc/passwd", "/static/%2fetc%2fpasswd", "/static/rain.js%00.txt", "/static/rain.js/../../errors.py",
    "/static/..;/errors.py", "/static/LICENSES.txt/", "/static/", "/static", "//etc/passwd", "/..%2f..%2fetc/passwd",
)  # fmt: skip


@pytest.mark.parametrize("path", UP)
def test_paths_that_lead_up(server: Server, path: str) -> None:
    answer = ask(server, "GET", path, cookie(server))
    assert answer.status in (400, 404), answer
    assert b"RainError" not in answer.body and b"root:" not in answer.body


@pytest.mark.parametrize("path", [
    "/runs/..%2f..%2fetc%2fpasswd.json", "/runs/%2e%2e.json", "/runs/1/export.csv%2f..%2fx", "/q/..%2f..%2fx.json",
])  # fmt: skip
def test_names_that_look_like_paths_are_names(server: Server, path: str) -> None:
    assert ask(server, "GET", path, cookie(server)).status == 404


# -- size, time, and bytes that are no HTTP -------------------------------------------------------------------------


def test_large_bodies(server: Server) -> None:
    big = b'{"name": "' + b"x" * 1_000_000 + b'"}'
    refused(ask(server, "POST", "/api/query", JSON, bearer(server), body=big), 413)
    chunked = b"".join(b"10000\r\n" + b"x" * 65536 + b"\r\n" for _ in range(20)) + b"0\r\n\r\n"
    refused(ask(server, "POST", "/api/query", JSON, bearer(server), "Transfer-Encoding: chunked", body=chunked), 413)
    assert ask(server, "GET", "/", cookie(server), f"X: {'x' * 400_000}").status in (0, 400, 431)


def test_slow_bodies() -> None:
    with Server(SmallDesk(), port=0) as server:
        server._guard.body_seconds = 0.3
        start = time.perf_counter()
        refused(ask(server, "POST", "/api/query", JSON, bearer(server), "Content-Length: 100", body=b"{"), 408)
        assert time.perf_counter() - start < 3


def test_raw_bytes_never_break_it(server: Server) -> None:
    """Half requests, wrong lengths, noise: an answer below 500, or none; and the next one is answered."""
    dice = random.Random(6)
    own = f"Host: 127.0.0.1:{server.port}\r\n{bearer(server)}\r\n"
    whole = (
        f"POST /api/query HTTP/1.1\r\n{own}{JSON}\r\nContent-Length: {len(ASK)}\r\nConnection: close\r\n\r\n".encode()
    )
    statuses = set()
    for n in range(300):
        data = bytearray(whole + ASK)
        for _ in range(dice.randint(1, 6)):
            at = dice.randrange(len(data))
            match dice.randrange(4):
                case 0:
                    data[at] = dice.randrange(256)
                case 1:
                    del data[at : at + dice.randint(1, 40)]
                case 2:
                    data[at:at] = dice.randbytes(dice.randint(1, 20))
                case 3:
                    data[at:at] = dice.choice([b"\r\n", b"\0", b"\n\n", b"%", b"Content-Length: 9\r\n", b"\xff\xfe"])
            if not data:
                break
        answer = raw(server, bytes(data), seconds=0.05)
        assert answer.status < 500, (n, bytes(data), answer)
        statuses.add(answer.status)
    assert {0, 200, 400, 401, 415, 421} <= statuses
    assert ask(server, "POST", "/api/query", JSON, bearer(server), body=ASK).status == 200


def test_random_bodies_never_break_it(server: Server) -> None:
    dice = random.Random(7)
    texts = [b"", b"null", b"[]", b"1e999", b"NaN", b'{"name": NaN}', b"[" * 20_000, b'{"a":' * 20_000, b'"\\ud800"',
             b'{"name": "\\ud800"}', b"\xff", b'{"name": "\xff"}', b"9" * 10_000, b'{"name": ' + b"9" * 5000 + b"}",
             b'{"name": "weekly", "name": 1}', b"\xef\xbb\xbf{}", b'{"name": "\\u0000"}', b'{"": {}}']  # fmt: skip
    texts += [bytes(dice.choices(b'{}[]",:0123456789.eE+-truefalsn \\u', k=dice.randint(1, 60))) for _ in range(150)]
    for body in texts:
        answer = ask(server, "POST", "/api/query", JSON, bearer(server), body=body)
        assert answer.status in (200, 400), (body[:60], answer)


@pytest.mark.parametrize("body", [b'{"name": NaN}', b'{"name": "\\ud800"}', b"[" * 20_000, b"\xff", b""])
def test_bodies_that_are_no_text_of_numbers(server: Server, body: bytes) -> None:
    answer = ask(server, "POST", "/api/query", JSON, bearer(server), body=body)
    assert answer.status == 400 and answer.json()["message"].startswith("the body cannot be read"), body


def test_half_a_body_is_none() -> None:
    """What came before the line went dead is not acted upon, even where it could be read."""
    desk = SmallDesk()
    with Server(desk, port=0) as server:
        head = f"POST /api/query HTTP/1.1\r\nHost: {server.gate.hosts[0]}\r\n{bearer(server)}\r\n{JSON}\r\n"
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as sock:
            sock.sendall(f"{head}Content-Length: 100\r\n\r\n".encode() + ASK)
            time.sleep(0.2)
        assert ask(server, "GET", "/", cookie(server)).status == 200
    assert desk.asked == []


def test_what_every_answer_says(server: Server) -> None:
    headers = ask(server, "GET", "/", cookie(server)).headers
    policy = {part.split()[0]: part.split()[1:] for part in headers["content-security-policy"].split(";")}
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == ["'none'"]
    assert policy["form-action"] == ["'none'"] and policy["script-src"] == policy["connect-src"] == ["'self'"]
    assert headers["x-frame-options"] == "DENY" and headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-opener-policy"] == headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store" and headers["referrer-policy"] == "no-referrer"


# -- starting and stopping ------------------------------------------------------------------------------------------


def test_a_port_that_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ServeError, match="cannot be had"):
            listen("127.0.0.1", taken.getsockname()[1])
    for host, port in (("no.such.host.invalid", 0), ("127.0.0.1", 99999), ("203.0.113.7", 0)):
        with pytest.raises(ServeError):
            listen(host, port)


def test_the_usual_port_is_a_wish() -> None:
    with listen("127.0.0.1", None) as first, listen("127.0.0.1", None) as second:
        first.listen()
        assert second.getsockname()[1] != 0


def test_it_stops_when_it_is_closed() -> None:
    server = Server(SmallDesk(), port=0)
    assert ask(server, "GET", "/", cookie(server)).status == 200
    server.close()
    with pytest.raises(OSError):
        raw(server, b"GET / HTTP/1.1\r\n\r\n")
    assert "stopped" in repr(server)


def test_defects_show_nothing(server: Server, capfd: pytest.CaptureFixture[str]) -> None:
    """An error that is ours has a status of its own, and neither the answer nor stderr quotes what it held."""
    answer = ask(server, "POST", "/api/query", JSON, bearer(server), body=b'{"name": "broken"}')
    assert answer.status == 500 and answer.json()["kind"] == "InternalError"
    streamed = ask(server, "POST", "/api/debug", JSON, bearer(server), body=b'{"break": true}')
    assert streamed.status == 200 and b'"InternalError"' in streamed.body
    for said in (answer.body.decode(), streamed.body.decode(), "".join(capfd.readouterr())):
        assert "someone" not in said and "Traceback" not in said


@pytest.mark.skipif(sys.platform == "win32", reason="sockets are closed otherwise there")
def test_hanging_up_stops_a_stream() -> None:
    desk = SmallDesk()
    with Server(desk, port=0) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as sock:
            head = f"POST /api/debug HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n{bearer(server)}\r\n{JSON}\r\n"
            sock.sendall(f"{head}Content-Length: 2\r\n\r\n{{}}".encode())
            found = b""
            while b"waiting" not in found:
                found += sock.recv(4096)
            assert b"application/x-ndjson" in found
        assert desk.stopped.wait(3)


def test_a_stream_ends_with_the_server() -> None:
    """In its own order, and to its end: what is done is not cut off in the middle."""
    desk = SmallDesk()
    with Server(desk, port=0) as server:
        sock = socket.create_connection(("127.0.0.1", server.port), timeout=5)
        head = f"POST /api/debug HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n{bearer(server)}\r\n{JSON}\r\n"
        sock.sendall(f"{head}Content-Length: 2\r\n\r\n{{}}".encode())
        found = sock.recv(4096)
        assert found
    assert desk.stopped.is_set()
    while chunk := sock.recv(4096):
        found += chunk
    assert found.endswith(b"\r\n0\r\n\r\n")
    sock.close()


def test_a_stream_that_cannot_begin_is_refused(server: Server) -> None:
    refused(ask(server, "POST", "/api/debug", JSON, bearer(server), body=b'{"refuse": true}'), 400)
