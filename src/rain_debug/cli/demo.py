"""`rain demo`: the shop's story, told by the same calls that anyone would make."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import click

from rain_debug.cli.run import exit_code
from rain_debug.cli.template import TEMPLATE
from rain_debug.config import load
from rain_debug.config.build import build
from rain_debug.datasets import shop
from rain_debug.engines.folders import Folder
from rain_debug.errors import ReportError
from rain_debug.report import Report
from rain_debug.report.bars import chart
from rain_debug.report.grid import screen

STORY = """\
A shop counts, week by week, the active users whom its model predicts to leave:

{sql}

Nobody changed the query. Yet the last two weeks fell:

{answer}

The analyst expects about 90, as in the weeks before, and complains:

{complaints}

Rain looks for the training records that made them so …
"""

ENDING = """\
{summary}

What they have in common:

    {pattern}

The first of them (a positive score: removing the record moves the answer as asked):

{ranking}

The line before and after, trained without them:

{chart}

{verdict}

Next: {following}; `rain init` writes a project of your own."""


def tell(*, keep: Path | None, seed: int, quiet: bool, as_json: bool) -> int:
    """Print the story; 0 if it ends well. Writes to a temporary folder, or to `keep`, where it overwrites nothing."""
    if keep is None:
        with Folder("rain-demo-") as folder:
            return _tell(Path(folder), seed, quiet, as_json, kept=False)
    _make(keep)
    return _tell(keep, seed, quiet, as_json, kept=True)


def _make(folder: Path) -> None:
    for name in ("shop.duckdb", "shop.toml", "report.json"):
        if (folder / name).exists():
            raise ReportError(f"{name} is there already", where=str(folder), hint="name an empty or a new folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        hint = "name one where you may write"
        raise ReportError(f"the folder cannot be made: {error.strerror}", where=str(folder), hint=hint) from None


def _tell(folder: Path, seed: int, quiet: bool, as_json: bool, *, kept: bool) -> int:
    shop(seed).write(folder / "shop.duckdb")
    (folder / "shop.toml").write_text(project_text(), encoding="utf-8")
    session = build(load(folder / "shop.toml"))
    weekly = session.queries["weekly"]
    fallen = {dict(c.target.where)["week"] for c in session.complaints}
    if not as_json:
        rows = weekly.rows()
        click.echo(
            STORY.format(
                sql=_indent(weekly.sql.strip()),
                answer=_indent(_line(rows, None, fallen)),
                complaints=_indent("\n".join(c.describe() for c in session.complaints)),
            )
        )
    progress = False if quiet else None
    report = session.db.debug(list(session.complaints), progress=progress, **session.project.debug)
    click.echo(report.to_json() if as_json else _ending(report, fallen, folder if kept else None), nl=not as_json)
    if kept:
        report.save(folder / "report.json")
        if not quiet:
            click.echo(f"kept shop.duckdb, shop.toml and report.json in {folder}", err=True)
    return exit_code(report)


def project_text() -> str:
    """The demo's project file: what `rain init` writes, about the database beside it."""
    was = 'dataset = "shop"             # a bundled example; or one of:\n# path = "shop.duckdb"      '
    now = '# dataset = "shop"           # a bundled example; or one of:\npath = "shop.duckdb"        '
    return TEMPLATE.replace("rain.toml", "shop.toml").replace(was, now, 1)


def _ending(report: Report, fallen: set[str], kept: Path | None) -> str:
    query = report.run.queries[0]
    after = query.before if query.after is None else query.after
    return ENDING.format(
        summary=report.summary,
        pattern=report.pattern or "nothing that tells them from the others",
        ranking=_indent(report.ranking.to_text(10, width=min(100, screen()) - 4)),
        chart=_indent(_line(query.before.rows(), after.rows(), fallen)),
        following=f"`rain run {kept / 'shop.toml'}`"
        if kept
        else "`rain demo --keep DIR` keeps database and project file",
        verdict="The complaints are resolved." if report.resolved else "Not every complaint is resolved.",
    )


def _line(before: list[dict[str, Any]], after: list[dict[str, Any]] | None, fallen: set[str]) -> str:
    """The weekly counts as a chart, the fallen weeks marked; a week that is missing from one answer has no number."""
    was, now = ({row["week"]: float(row["n"]) for row in rows} for rows in (before, after or before))
    weeks = sorted(was.keys() | now.keys())
    return chart(
        weeks,
        [was.get(w, math.nan) for w in weeks],
        None if after is None else [now.get(w, math.nan) for w in weeks],
        marked=[w in fallen for w in weeks],
        width=40,
        ascii_only=not _speaks_unicode(),
    )


def _speaks_unicode() -> bool:
    return (getattr(sys.stdout, "encoding", None) or "ascii").lower().replace("-", "").startswith("utf")


def _indent(text: str) -> str:
    return "\n".join(f"    {line}" if line else "" for line in text.splitlines())
