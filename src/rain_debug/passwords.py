"""Passwords of databases, taken out of every text that is shown or kept: errors, reports, runs, the page."""

from __future__ import annotations

import re

HIDDEN = "***"

_ADDRESS = re.compile(r"(:/{1,2})([^\s/@:?#]*):\S*@")
"""Up to the last @ of the word: a password may hold one that nobody escaped. Of two slashes a path keeps one."""
_NAMED = re.compile(
    r"""\b(password|passwd|sslpassword|pgpassword|bearer_token|session_token|secret)(\s*=\s*|\s+(?='))"""
    r"""('(?:[^'\\]|\\.|'')*'?|"[^"]*"?|[^\s&;,'")\]]+)""",
    re.IGNORECASE,
)
"""As connection strings and CREATE SECRET have them."""


def without_passwords(text: str) -> str:
    """The same text with *** for the password of each address and connection string in it.

    >>> without_passwords("no server at postgresql://ann:s3cr@t/@db.example/shop?sslmode=require&sslpassword=k3y")
    'no server at postgresql://ann:***@db.example/shop?sslmode=require&sslpassword=***'
    >>> without_passwords("postgres_scan('host=db user=ann password=s3cret', 'public', 't')")
    "postgres_scan('host=db user=ann password=***', 'public', 't')"
    >>> without_passwords("a cell is too low: n = 3 at https://example.org/a:b")
    'a cell is too low: n = 3 at https://example.org/a:b'
    """
    if ":/" in text:
        text = _ADDRESS.sub(rf"\1\2:{HIDDEN}@", text)
    return _NAMED.sub(rf"\1\2{HIDDEN}", text)
