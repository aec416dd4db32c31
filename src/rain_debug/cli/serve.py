"""`rain serve`: a project file as a page in the browser."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import click

from rain_debug.config import load
from rain_debug.config.build import build
from rain_debug.engines import Limits
from rain_debug.web import serve

ENDED = 0


def serve_file(
    file: Path,
    *,
    host: str,
    port: int | None,
    allow_hosts: Sequence[str],
    browser: bool,
    runs: Path | None,
    limits: Limits,
    trust_pickle: bool,
    untrusted: bool,
    debug: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    """Open the project, serve it, tell its address on stdout; 0 when Ctrl-C or SIGTERM ends it."""
    session = build(load(file), trust_pickle=trust_pickle, untrusted=untrusted)
    server = serve(
        session.db, session.queries, session.complaints, settings=session.project.debug, runs=runs, title=file.stem,
        limits=limits, host=host, port=port, allow_hosts=allow_hosts, debug=debug,
    )  # fmt: skip
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _stop)
    if server.reaches_out:
        click.echo("warning: other machines reach this server, and what is sent is not encrypted", err=True)
    if not quiet:
        kept = f"runs are kept in {runs}" if runs is not None else "runs are forgotten when it ends: --runs keeps them"
        click.echo(f"{file} is served until Ctrl-C; {kept}", err=True)

    def say(url: str) -> None:
        known = {"url": url, "port": server.port, "token": server.gate.token}
        click.echo(json.dumps(known) if as_json else url)

    server.show(browser=browser, say=say)
    session.db.close()
    return ENDED


def _stop(signum: int, frame: FrameType | None) -> Any:
    raise KeyboardInterrupt
