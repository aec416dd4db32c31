"""Who may ask the page's server anything: whoever was given its address, from that address, and nobody else.

The server runs with the rights of the user who started it, and every program and web page on the machine can reach its
port. So a request must name the server as its user does (no other site's name may be made to lead here), must not come
from another site's page, and must hold the secret of the address that was printed.

>>> gate = Gate.of("127.0.0.1", 8765, token="s3cret")
>>> gate.address
'http://127.0.0.1:8765/?token=s3cret'
>>> own = {"host": ["127.0.0.1:8765"], "authorization": ["Bearer s3cret"]}
>>> gate.refusal("GET", own) is None
True
>>> gate.refusal("GET", {**own, "host": ["evil.test:8765"]}).status
421
>>> gate.refusal("GET", {"host": ["localhost:8765"]}).status
401
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie

LOOPBACK = ("127.0.0.1", "localhost", "::1")
METHODS = ("GET", "HEAD", "POST")
TICKET_SECONDS = 60.0

Headers = Mapping[str, Sequence[str]]
"""Every value of each header, by its name in small letters."""


@dataclass(frozen=True)
class Refusal:
    """Why a request is not answered: an HTTP status, what is wrong, what to do."""

    status: int
    message: str
    hint: str


@dataclass(frozen=True)
class Gate:
    """The names that the server answers to, each `host:port`, and the secret that its user was given."""

    hosts: tuple[str, ...]
    port: int
    token: str
    tickets: dict[str, float] = field(default_factory=dict, repr=False)
    """Secrets that open once, each until its time."""

    @classmethod
    def of(cls, host: str, port: int, allowed: Iterable[str] = (), token: str | None = None) -> Gate:
        """The gate of a server bound to `host`; `allowed` are further names of it, with a port or without one."""
        names = [host, "127.0.0.1", "localhost"] if host in LOOPBACK else [host]
        told = [_with_port(n, port) for n in names if n not in ("0.0.0.0", "::")]
        told += [a.lower() if _has_port(a) else _with_port(a, port) for a in allowed]
        if port == 80:
            told += [t.removesuffix(":80") for t in told]
        return cls(tuple(dict.fromkeys(told)), port, token or secrets.token_urlsafe(32))

    @property
    def cookie(self) -> str:
        """Named by the port: browsers send cookies to every port of a host, and two servers may run."""
        return f"rain-{self.port}"

    @property
    def address(self) -> str:
        """What its user opens; the secret stands in it once, and then in a cookie."""
        return f"http://{self.hosts[0]}/?token={self.token}"

    def ticket(self) -> str:
        """An address that opens once and soon: a browser is started with it, and other users see how it was started."""
        made = secrets.token_urlsafe(32)
        self.tickets[made] = time.monotonic() + TICKET_SECONDS
        return f"http://{self.hosts[0]}/?token={made}"

    def opens(self, text: str) -> bool:
        """Whether `text` is the secret, or a ticket, which it then is no more."""
        until = self.tickets.pop(text, None)
        return self.is_token(text) or (until is not None and time.monotonic() < until)

    def is_token(self, text: str) -> bool:
        """Whether `text` is the secret, in a time that says nothing of it."""
        return secrets.compare_digest(text.encode("utf-8", "surrogateescape"), self.token.encode())

    def stranger(self, method: str, headers: Headers) -> Refusal | None:
        """Why a request is turned away before it is asked for the secret; None where it is not."""
        host = _only(headers, "host")
        if host is None or host.lower() not in self.hosts:
            return Refusal(421, "this server does not answer to that name", "open the address that was printed")
        if method not in METHODS:
            return Refusal(405, f"{method[:20]} is not a method of this server", f"use {', '.join(METHODS)}")
        origin, site = _only(headers, "origin"), _only(headers, "sec-fetch-site")
        if len(headers.get("origin", ())) > 1 or len(headers.get("sec-fetch-site", ())) > 1:
            return Refusal(403, "the request says twice where it comes from", "send each header once")
        if origin is not None and origin.lower() != f"http://{host.lower()}":
            return Refusal(403, "the request comes from another site's page", "open the address that was printed")
        if site is not None and site != "same-origin" and (site != "none" or method == "POST"):
            return Refusal(403, "the request comes from another site's page", "open the address that was printed")
        return None

    def refusal(self, method: str, headers: Headers) -> Refusal | None:
        """Why a request is not answered; None where it may be."""
        strange = self.stranger(method, headers)
        if strange is not None:
            return strange
        bearer = _only(headers, "authorization")
        if bearer is not None and bearer[:7].lower() == "bearer " and self.is_token(bearer[7:].strip()):
            return None  # no page can make a browser send it: it needs no proof of where it comes from
        if not any(self.is_token(value) for value in self._cookies(headers)):
            return Refusal(401, "this server asks who you are", "open the address that `rain serve` printed, once")
        if method == "POST" and not (headers.get("origin") or headers.get("sec-fetch-site")):
            return Refusal(403, "the request does not say where it comes from", "scripts send Authorization: Bearer")
        return None

    def _cookies(self, headers: Headers) -> list[str]:
        """The values of our cookie; another server of this host may have set one of the same name for some path."""
        found = []
        for line in headers.get("cookie", ()):
            for part in line.split(";"):
                try:
                    jar = SimpleCookie(part.strip())
                except CookieError:
                    continue
                found += [morsel.value for name, morsel in jar.items() if name == self.cookie]
        return found


def is_json(headers: Headers) -> bool:
    """Whether a request's body says that it is JSON; a form of another site's cannot say so unasked."""
    kind = _only(headers, "content-type")
    if kind is None:
        return False
    media, _, parameter = kind.lower().replace(" ", "").partition(";")
    return media == "application/json" and parameter in ("", "charset=utf-8", 'charset="utf-8"')


def _only(headers: Headers, name: str) -> str | None:
    values = headers.get(name, ())
    return values[0] if len(values) == 1 else None


def _has_port(name: str) -> bool:
    return name.rpartition(":")[2].isdigit() and (name.count(":") == 1 or "]:" in name)


def _with_port(name: str, port: int) -> str:
    bare = f"[{name}]" if ":" in name and not name.startswith("[") else name
    return f"{bare.lower()}:{port}"
