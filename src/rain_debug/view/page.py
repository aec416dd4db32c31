"""The HTML around the one module that draws everything: a server's shell, and a saved report in one file.

Both hold an element `#rain-view` whose `data-mode` tells the module what it is in, a report also its data as a JSON
block that no text can close (`ui/src/index.ts` reads them). A notebook imports the module and mounts it by hand.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rain_debug.errors import ReportError

STATIC = Path(__file__).parent / "static"
"""What a server may hand out: the module and the licences of what is bundled into it."""

NO_SCRIPT = "<p>This page is drawn by a script; add .json to its address for the same as JSON.</p>"

_UNSAFE = re.compile("[<\u2028\u2029\ud800-\udfff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_MARKUP = re.compile(r"<(?=/script|script|!--)", re.IGNORECASE)

STYLE = """
:root { color-scheme: light dark }
body { margin: 0; font: 15px/1.5 system-ui, sans-serif }
main { max-width: 60rem; margin: 0 auto; padding: 1.5rem 1rem }
h1 { font-size: 1.3rem; line-height: 1.35; overflow-wrap: anywhere }
h2 { font-size: 1.05rem; margin: 1.75rem 0 .5rem }
.wide { overflow-x: auto }
.rows td { white-space: nowrap }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { vertical-align: top; border-bottom: 1px solid #8886 }
@media screen { #rain-view[data-look] > main { display: none } }
@media print {
  .wide { overflow: visible }
  .rows td { white-space: normal }
  table { font-size: .7rem }
  tr, svg { break-inside: avoid }
  h2 { break-after: avoid }
}
"""
"""Of what stands in a page before the module does, in its place where no script runs, and on paper."""


def bundle() -> bytes:
    """The module that draws the page, one file; ReportError where it was not built."""
    path = STATIC / "rain.js"
    try:
        return path.read_bytes()
    except OSError:
        raise ReportError(
            "the page's module is missing: installed packages carry it, a checkout builds it",
            where=str(path),
            hint="make ui, or pip install rain-debug again",
        ) from None


def shell(*, module: str = "/static/rain.js", title: str = "Rain") -> str:
    """The page that a server sends for every address: the module at `module` asks that server for all the rest.

    >>> page = shell(title="A & B")
    >>> "<title>A &amp; B</title>" in page, '<script type="module" src="/static/rain.js"></script>' in page
    (True, True)
    """
    inside = f"<noscript><main><h1>{html.escape(title)}</h1>{NO_SCRIPT}</main></noscript>"
    return _page(title, "page", "", inside, f'<script type="module" src="{html.escape(module)}"></script>')


def saved_page(saved: Mapping[str, Any], *, title: str, plain: str) -> str:
    """A report as one file that asks nothing of any network: the module, its data, and `plain` HTML without it.

    `plain` is what is read where scripts do not run. The policy forbids every request, and every script but ours.
    """
    # Bundlers write these three inside string and regex literals only, where \x3c means the same.
    code = _MARKUP.sub(r"\\x3c", bundle().decode("utf-8"))
    digest = base64.b64encode(hashlib.sha256(code.encode("utf-8")).digest()).decode("ascii")
    policy = (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    head = (
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="referrer" content="no-referrer"><link rel="icon" href="data:,">'
        f"<style>{STYLE}</style>"
    )
    block = json_block("rain-saved", saved)
    return _page(title, "report", head, f"<main>{plain}</main>", f'{block}\n<script type="module">{code}</script>')


def json_block(name: str, value: Any) -> str:
    """A <script> that holds `value` as JSON, and that no text in it can end.

    >>> json_block("x", {"a": "</script>\\u2028é"})
    '<script type="application/json" id="x">{"a":"\\\\u003c/script>\\\\u2028é"}</script>'
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    safe = _UNSAFE.sub(lambda m: f"\\u{ord(m[0]):04x}", text)
    return f'<script type="application/json" id="{name}">{safe}</script>'


def _page(title: str, mode: str, head: str, inside: str, scripts: str) -> str:
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'{head}<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><title>{html.escape(title)}</title></head>\n'
        f'<body><div id="rain-view" data-mode="{mode}">{inside}</div>\n{scripts}</body></html>\n'
    )
    return _SURROGATE.sub("\ufffd", page)
