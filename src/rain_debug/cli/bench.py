"""`rain bench`: experiments run, results kept, tables on stdout; the bar is on stderr."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from rain_debug.bench import EXPERIMENTS, Experiment, Job, chosen, jobs, own, pending, run
from rain_debug.bench.protocol import PHASES
from rain_debug.bench.summary import Comparison, Row, comparisons, rows
from rain_debug.debugger.rounds import Round
from rain_debug.errors import ConfigError, ReportError

MET, NOT_MET, COULD_NOT, INTERRUPTED = 0, 1, 2, 130


def bench(
    names: Sequence[str],
    *,
    corrupt: Sequence[str],
    rankers: Sequence[str],
    seeds: int | None,
    damping: float | None,
    folder: Path,
    again: bool,
    kept: bool,
    check: bool,
    page: Path | None,
    figures: Path | None,
    quiet: bool,
    as_json: bool,
) -> int:
    """Run what is named and not kept yet, then print it all; 1 where a checked claim is broken, 2 if a run failed."""
    if page or figures:
        _need_matplotlib()
    files = [Path(n) for n in names if n.endswith(".toml")]
    if corrupt and not files:
        raise ConfigError(
            "--corrupt is about a project file, and none is named", hint="rain bench FILE.toml --corrupt …"
        )
    experiments = [*chosen([n for n in names if not n.endswith(".toml")]), *(own.experiment(f, corrupt) for f in files)]
    work = [] if kept else jobs(experiments, rankers or None, seeds, damping)
    todo = work if again else pending(work, folder)
    failed: list[str] = []
    stopped = False
    with _Bar(quiet, todo) as bar:
        try:
            failed = run(todo, folder, watch=bar)
        except KeyboardInterrupt:
            stopped = True
    known = rows(experiments, folder, damping)
    found = [r for r in known if not rankers or r.ranker in rankers]
    broken = [r for r in found if r.target is not None and r.auccr < r.target]
    if as_json:
        click.echo(json.dumps({"rows": [r.json for r in found], "failed": failed}, ensure_ascii=False, indent=1))
    elif found:
        click.echo(table(found))
        if beside := [c for c in comparisons(known) if not rankers or c.ranker in rankers]:
            click.echo("\n" + beside_holistic(beside))
    if not stopped:
        _draw(experiments, found, page, figures, quiet)
    for text in failed:
        click.echo(f"failed: {text}", err=True)
    for row in broken if check else ():
        click.echo(f"BROKEN: {row.case}: Holistic's AUCCR is {row.auccr:.3f}, at least {row.target} is asked", err=True)
    if stopped:
        left = len(pending(work, folder))
        click.echo(f"stopped; {len(work) - left} of {len(work)} runs are kept, the same command goes on", err=True)
        return INTERRUPTED
    return COULD_NOT if failed else NOT_MET if check and broken else MET


def _need_matplotlib() -> None:
    if importlib.util.find_spec("matplotlib") is None:
        raise ReportError("figures are drawn with matplotlib, which is not installed",
                          hint="pip install 'rain-debug[bench]'")  # fmt: skip


def _draw(
    experiments: Sequence[Experiment], found: Sequence[Row], page: Path | None, figures: Path | None, quiet: bool
) -> None:
    made = []
    if figures:
        from rain_debug.bench.figures import draw

        for experiment in experiments:
            own = [r for r in found if r.experiment == experiment.name]
            if own:
                made.append(draw(experiment, own, figures / f"{experiment.name}.svg"))
    if page:
        from rain_debug.bench.page import write

        made.append(write(page, experiments, found))
    for path in () if quiet else made:
        click.echo(f"written: {path}", err=True)


def listing() -> str:
    """The experiments by name, each with the authors' figure it repeats.

    >>> "dblp" in listing()
    True
    """
    lines = [f"{e.name:<18}{e.title} ({e.shows}; {len(e.cases)} cases)" for e in EXPERIMENTS.values()]
    return "\n".join([*lines, "", "`rain bench NAME`, a family (dblp, enron, mnist, adult), `all`, or a project file"])


def table(found: Sequence[Row]) -> str:
    """One line a case and ranker; `*` marks a mean more than two standard errors from the authors'."""
    width = max([len(r.case) for r in found], default=4) + 2
    names = max([len(r.ranker) for r in found], default=6) + 2
    lines = [
        f"{'case':<{width}}{'ranker':<{names}}{'K':>5}{'runs':>6}{'AUCCR':>8}{'±':>7}{'r@K':>7}{'papers':>9}{'±':>7}"
        "   s/round " + " + ".join(PHASES)
    ]
    for r in found:
        authors = f"{r.authors.auccr:>8.3f}{'*' if r.differs else ' '}" if r.authors else f"{'':>9}"
        spread = f"{r.authors.std:>7.3f}" if r.authors and r.authors.std is not None else f"{'':>7}"
        seconds = " + ".join(f"{r.seconds[p]:.3f}" for p in PHASES)
        lines.append(
            f"{r.case:<{width}}{r.ranker:<{names}}{r.wrong:>5}{r.runs:>6}{r.auccr:>8.3f}{r.std:>7.3f}{r.recall:>7.3f}"
            f"{authors}{spread}   {seconds}"
        )
    return "\n".join(lines)


def beside_holistic(found: Sequence[Comparison]) -> str:
    """One line a ranker: its mean beside Holistic's over the cases that both have."""
    lines = [f"{'beside holistic':<18}{'cases':>6}{'mean':>8}{'holistic':>10}{'best':>8}{'closed':>9}   worst case"]
    for c in found:
        lines.append(
            f"{c.ranker:<18}{c.cases:>6}{c.mean:>8.3f}{c.holistic:>10.3f}{c.best:>8.3f}{c.closed:>9.1%}   "
            f"{c.worst} ({-c.loss:+.3f})"
        )
    return "\n".join(lines)


class _Bar:
    """How many runs are done, on stderr; nothing where that is no terminal, or where it should be quiet."""

    def __init__(self, quiet: bool, work: Sequence[Job]) -> None:
        self.bar: Progress | None = None
        self.task: TaskID | None = None
        if not quiet and work and sys.stderr.isatty():
            text = TextColumn("{task.description}", markup=False)
            columns = (TextColumn("runs"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), text)
            self.bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self.task = self.bar.add_task("", total=len(work))

    def __enter__(self) -> _Bar:
        if self.bar is not None:
            self.bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.bar is not None:
            self.bar.stop()

    def started(self, job: Job) -> None:
        self._say(str(job))

    def went_on(self, job: Job, done: Round) -> None:
        self._say(f"{job}: {done.removed + len(done.chosen)} records removed")

    def finished(self, job: Job) -> None:
        if self.bar is not None and self.task is not None:
            self.bar.advance(self.task)

    def _say(self, text: str) -> None:
        if self.bar is not None and self.task is not None:
            self.bar.update(self.task, description=text)
