"""`rain run` and `rain check`: a project file in, what is wrong and why out."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from rain_debug.complaints import goals, value_text
from rain_debug.config import Project, load
from rain_debug.config.build import Session, build
from rain_debug.errors import ConfigError
from rain_debug.report import Report, save

MET, NOT_MET, INTERRUPTED = 0, 1, 130


@dataclass(frozen=True)
class State:
    """One complaint as it stands: its sentence, what the place holds now, and whether that is right."""

    complaint: str
    value: str
    met: bool


def check_file(file: Path, *, quiet: bool, as_json: bool) -> int:
    """Print how each complaint of the project stands; 0 where all are met, 1 where some are not."""
    session = _open(file)
    states = standing(session.complaints)
    met = sum(s.met for s in states)
    if as_json:
        rows = [{"complaint": s.complaint, "value": s.value, "met": s.met} for s in states]
        click.echo(json.dumps({"complaints": rows, "met": met, "of": len(states)}, ensure_ascii=False, indent=2))
    else:
        for s in states:
            click.echo(f"{'met    ' if s.met else 'NOT MET'}  {s.complaint}: it is {s.value}")
        if not quiet:
            of = f"{len(states)} complaint{'s are' if len(states) != 1 else ' is'}"
            click.echo(f"{met} of {of} met", err=True)
    return MET if met == len(states) else NOT_MET


def debug_file(
    file: Path,
    *,
    outputs: Sequence[Path],
    overwrite: bool,
    budget: int | None,
    top: int,
    quiet: bool,
    as_json: bool,
) -> int:
    """Debug the project, print and save the report; 0 where every complaint is met in the end, 1 where some are not."""
    for path in outputs:
        save.place(path, overwrite)  # what would fail after the run is refused before it
    session = _open(file)
    settings = {**session.project.debug, **({} if budget is None else {"budget": budget})}
    if "budget" not in settings:
        raise ConfigError(
            "nothing says how many records may be removed",
            where=str(file),
            hint="add budget = 300 under [debug], or pass --budget 300",
        )
    if all(s.met for s in standing(session.complaints)) and settings.get("until") != "budget":
        return _nothing_to_do(session, as_json)
    report = session.db.debug(list(session.complaints), progress=False if quiet else None, **settings)
    show(report, as_json=as_json, top=top)
    for path in outputs:
        report.save(path, overwrite=overwrite)
        if not quiet:
            click.echo(f"saved {path}", err=True)
    return exit_code(report)


def show(report: Report, *, as_json: bool, top: int) -> None:
    """The report on stdout: JSON, coloured tables for a terminal, plain text for a file or pipe."""
    if as_json:
        click.echo(report.to_json(), nl=False)
    elif sys.stdout.isatty():
        report.render(Console(), top=top)
    else:
        click.echo(report.to_text(top=top))


def exit_code(report: Report) -> int:
    """0 where every complaint is met in the end (a mere direction: moved that way), else 1; 130 if interrupted."""
    if report.stopped == "interrupted":
        return INTERRUPTED
    return MET if report.met else NOT_MET


def standing(complaints: Sequence[Any]) -> list[State]:
    """How each complaint stands in the database's own answer, before anything is removed."""
    values = [float(c.query.read(c.query.answer, c.target)) for c in complaints]
    made = goals(complaints, values, values)
    return [
        State(g.complaint.describe(), value_text(v, g.complaint), g.resolved(v))
        for g, v in zip(made, values, strict=True)
    ]


def _open(file: Path) -> Session:
    project: Project = load(file)
    if not project.complaints:
        raise ConfigError(
            "the project names no complaint", where=str(file), hint="add [[complaints]]; `rain init` writes an example"
        )
    return build(project)


def _nothing_to_do(session: Session, as_json: bool) -> int:
    message = "every complaint is met already: there is nothing to remove"
    if as_json:
        click.echo(json.dumps({"message": message, "met": len(session.complaints), "of": len(session.complaints)}))
    else:
        click.echo(message)
    return MET
