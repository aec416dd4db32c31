"""`rain run` and `rain check`: a project file in, what is wrong and why out."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from rain_debug.cli.history import History, Reading
from rain_debug.cli.kept import journal
from rain_debug.complaints import goals, value_text
from rain_debug.config import Project, load
from rain_debug.config.build import Session, build
from rain_debug.errors import ConfigError, RainError, nearest
from rain_debug.report import Report, save

MET, NOT_MET, INTERRUPTED = 0, 1, 130


@dataclass(frozen=True)
class State:
    """One complaint as it stands: its sentence, what the place holds now, and whether that is right."""

    complaint: str
    value: str
    met: bool


def check_file(
    file: Path,
    *,
    history: Path | None = None,
    trust_pickle: bool = False,
    untrusted: bool = False,
    quiet: bool,
    as_json: bool,
) -> int:
    """Print how each complaint of the project stands; 0 where all are met, 1 where some are not.

    With a `history` also what was met at the last check and is not any more, and its first suspects; this check is
    added to it.
    """
    session = _open(file, trust_pickle, untrusted)
    kept = History(history) if history is not None else None
    before = kept.last() if kept is not None else {}
    states = standing(session.complaints)
    met = sum(s.met for s in states)
    broken = [c for c, s in zip(session.complaints, states, strict=True) if not s.met and _was_met(before, s)]
    found = suspects(session, broken) if broken else Suspects()
    if kept is not None:
        kept.add([(s.complaint, s.value, s.met) for s in states])
    if as_json:
        click.echo(json.dumps(_as_json(states, before, found), ensure_ascii=False, indent=2))
    else:
        for s in states:
            click.echo(f"{'met    ' if s.met else 'NOT MET'}  {s.complaint}: it is {s.value}{_since(before, s)}")
        if broken:
            click.echo(f"\n{found.text()}")
        if not quiet:
            of = f"{len(states)} complaint{'s are' if len(states) != 1 else ' is'}"
            click.echo(f"{met} of {of} met" + f", {len(broken)} newly violated" * bool(broken), err=True)
    return MET if met == len(states) else NOT_MET


def show_history(path: Path, *, limit: int, as_json: bool) -> int:
    """The last checks in a history, oldest first."""
    checks = History(path).checks(limit)
    if as_json:
        click.echo(json.dumps([asdict(c) for c in checks], indent=2))
    for c in () if as_json else checks:
        click.echo(f"{c.at} UTC  {c.met} of {c.of} met")
    return MET


@dataclass(frozen=True)
class Suspects:
    """The first records that a ranking of newly violated complaints names; `why` there are none, where there are."""

    records: tuple[tuple[str, Any], ...] = ()
    why: str = ""

    def text(self) -> str:
        """One line for the terminal."""
        named = ", ".join(f"{model} {key}" for model, key in self.records)
        return f"first suspects: {named}; `rain run` removes and verifies" if named else f"no suspects: {self.why}"


def suspects(session: Session, broken: Sequence[Any], count: int = 5) -> Suspects:
    """The records that a first ranking puts on top, of the project's own settings; nothing is changed."""
    own = {
        k: v for k, v in session.project.debug.items() if k in ("ranker", "scale", "loss", "damping", "seed", "spare")
    }
    try:
        report = session.db.debug(list(broken), budget=count, step=count, until="resolved", progress=False, **own)
    except RainError as error:
        return Suspects((), error.message)
    chosen = tuple((c.model, c.key) for c in report.run.rounds[0].chosen)
    return Suspects(chosen, "" if chosen else "no record moves these places in the right direction")


def _was_met(before: dict[str, Reading], state: State) -> bool:
    last = before.get(state.complaint)
    return last is not None and last.met


def _since(before: dict[str, Reading], state: State) -> str:
    """What the last check found, where it differs."""
    last = before.get(state.complaint)
    if last is None or (last.met, last.value) == (state.met, state.value):
        return ""
    return f" (it was {last.value}{', met,' if last.met and not state.met else ''} on {last.at} UTC)"


def _as_json(states: Sequence[State], before: dict[str, Reading], found: Suspects) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    for s in states:
        row: dict[str, Any] = {"complaint": s.complaint, "value": s.value, "met": s.met}
        last = before.get(s.complaint)
        if last is not None:
            row["last"] = {"at": last.at, "value": last.value, "met": last.met}
            row["newly_violated"] = last.met and not s.met
        rows.append(row)
    out = {"complaints": rows, "met": sum(s.met for s in states), "of": len(states)}
    if found.records:
        out["suspects"] = [{"model": model, "key": key} for model, key in found.records]
    return out


def debug_file(
    file: Path,
    *,
    outputs: Sequence[Path],
    overwrite: bool,
    run: Path | None = None,
    resume: bool = False,
    rows: bool,
    redact: Sequence[str],
    asked: Mapping[str, Any],
    top: int,
    trust_pickle: bool = False,
    untrusted: bool = False,
    quiet: bool,
    as_json: bool,
) -> int:
    """Debug the project, print and save the report; 0 where every complaint is met in the end, 1 where some are not.

    `asked` are settings of the command line, None where the file's stand. Every round is written into the file `run`,
    or beside the project as long as it takes; `resume` goes on from there.
    """
    for path in outputs:
        save.check_leaving_out(save.place(path, overwrite), rows, redact)  # refused before the run, not after it
    session = _open(file, trust_pickle, untrusted)
    _check_columns(session, redact)
    settings = {**session.project.debug, **{k: v for k, v in asked.items() if v is not None}}
    if "budget" not in settings:
        raise ConfigError(
            "nothing says how many records may be fixed",
            where=str(file),
            hint="add budget = 300 under [debug], or pass --budget 300",
        )
    if all(s.met for s in standing(session.complaints)) and settings.get("until") != "budget":
        return _nothing_to_do(session, as_json)
    with journal(file, run, resume=resume, overwrite=overwrite, quiet=quiet) as kept:
        progress = False if quiet else None
        report = session.db.debug(list(session.complaints), progress=progress, run=kept, **settings)
        show(report, as_json=as_json, top=top)
        for path in outputs:
            report.save(path, overwrite=overwrite, rows=rows, redact=redact)
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
    values = [float(c.query.read(c.query.keyed_answer, c.target)) for c in complaints]
    made = goals(complaints, values, values)
    return [
        State(g.complaint.describe(), value_text(v, g.complaint), g.resolved(v))
        for g, v in zip(made, values, strict=True)
    ]


def _open(file: Path, trust_pickle: bool, untrusted: bool) -> Session:
    project: Project = load(file)
    if not project.complaints:
        raise ConfigError(
            "the project names no complaint", where=str(file), hint="add [[complaints]]; `rain init` writes an example"
        )
    return build(project, trust_pickle=trust_pickle, untrusted=untrusted)


def _check_columns(session: Session, redact: Sequence[str]) -> None:
    """ConfigError for a column to be redacted that neither records nor answers have."""
    known = {name for c in session.complaints for name in c.query.columns}
    known.update(name for m in session.db.models.values() if m.records is not None for name in m.records.table)
    for name in redact:
        if name not in known:
            raise ConfigError(f"there is no column '{name}' to redact", where="--redact", hint=nearest(name, known))


def _nothing_to_do(session: Session, as_json: bool) -> int:
    message = "every complaint is met already: there is nothing to remove"
    if as_json:
        click.echo(json.dumps({"message": message, "met": len(session.complaints), "of": len(session.complaints)}))
    else:
        click.echo(message)
    return MET
