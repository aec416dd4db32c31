"""What `rain` understands, and how each failure ends: a sentence on stderr and an exit code, no traceback."""

from __future__ import annotations

import io
import json
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import get_completion_class

from rain_debug.errors import RainError
from rain_debug.passwords import without_passwords
from rain_debug.version import __version__

MET, NOT_MET, COULD_NOT, INTERRUPTED, PIPE_CLOSED = 0, 1, 2, 130, 141
"""Exit codes: every complaint met; some not met; could not run; stopped with Ctrl-C; the reader went away."""

ISSUES = "this is a defect of Rain: please report it, with `--debug`'s output"

F = TypeVar("F", bound=Callable[..., Any])


def _note(context: click.Context, option: click.Parameter, value: bool) -> None:
    """Remember a flag that concerns how things are said, whichever command it stood behind."""
    assert option.name is not None
    if value:
        context.find_root().ensure_object(dict)[option.name] = True


def talk(command: F) -> F:
    """Add the options that every command which runs something has."""
    debug = click.option(
        "--debug", is_flag=True, expose_value=False, callback=_note, help="On a defect, show the traceback."
    )
    quiet = click.option("-q", "--quiet", is_flag=True, help="No progress, and nothing on stderr but errors.")
    machine = click.option(
        "--json", "as_json", is_flag=True, callback=_keep, help="JSON on stdout, errors too; progress stays on stderr."
    )
    return machine(quiet(debug(command)))


def _keep(context: click.Context, option: click.Parameter, value: bool) -> bool:
    _note(context, option, value)
    return value


def trust(command: F) -> F:
    """Add the options that say how far a project's file, data and models are trusted."""
    pickles = click.option(
        "--trust-pickle", is_flag=True, help="Open models in pickled files, which runs the code that these bring along."
    )
    untrusted = click.option(
        "--untrusted",
        is_flag=True,
        help="FILE comes from elsewhere: it runs no code, and reaches nothing but the files beside it.",
    )
    return pickles(untrusted(command))


class _Quiet(click.Group):
    """A group whose commands end quietly when the reader of their output goes away; click would exit with 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that closing it says nothing more
            return PIPE_CLOSED


@click.group(
    cls=_Quiet,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 every complaint is met, 1 some are not, 2 it could not run.",
)
@click.version_option(__version__, "-V", "--version", prog_name="rain", message="%(prog)s %(version)s")
def cli() -> None:
    """Debug the training data behind SQL.

    Say which output of a query over a model's predictions is wrong; Rain finds the training records that made it
    wrong, and shows the answer without them. Start with `rain demo`.
    """


@cli.command()
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Keep the shop's database, project file and report in DIR.",
)
@click.option("--seed", default=0, show_default=True, help="Of the generated shop.")
@talk
def demo(keep: Path | None, seed: int, quiet: bool, as_json: bool) -> int:
    """Tell the shop's story, from a query whose line falls to the records behind it.

    Writes nothing outside a temporary folder unless --keep is given.
    """
    from rain_debug.cli.demo import tell

    return tell(keep=keep, seed=seed, quiet=quiet, as_json=as_json)


@cli.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="PATH",
    help="Save the report too: .html, .json, .csv, .parquet or .txt. Can be given several times.",
)
@click.option("--overwrite", is_flag=True, help="Let --output write over files, and a new run over one that is kept.")
@click.option(
    "--run",
    "journal",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="PATH",
    help="Keep the run's rounds in PATH. [default: beside FILE, until it is over]",
)
@click.option("--resume", is_flag=True, help="Go on where a run stood that was killed or interrupted.")
@click.option(
    "--budget", type=click.IntRange(min=1), metavar="N", help="At most so many records, whatever the file says."
)
@click.option(
    "--fix",
    type=click.Choice(("delete", "relabel", "auto")),
    help="What to do to a record, whatever the file says: delete it, relabel it, or the better of the two.",
)
@click.option("--top", default=10, show_default=True, type=click.IntRange(min=0), help="Records to show.")
@click.option("--no-rows", is_flag=True, help="Leave every record out of an .html report.")
@click.option(
    "--redact", multiple=True, metavar="COL", help="Leave a column out of an .html report, wherever its values stand."
)
@trust
@talk
def run(
    file: Path,
    outputs: tuple[Path, ...],
    overwrite: bool,
    journal: Path | None,
    resume: bool,
    no_rows: bool,
    redact: tuple[str, ...],
    budget: int | None,
    fix: str | None,
    top: int,
    trust_pickle: bool,
    untrusted: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    """Find the training records behind FILE's complaints.

    Exits with 0 where every complaint is met once the records are fixed (one that says only a direction: where the
    value moved that way), with 1 where some are not, with 2 where it could not run. Every round is written down when it
    is done: whatever ends the run, the same command with --resume goes on, to the same report.
    """
    from rain_debug.cli.run import debug_file

    asked = {"budget": budget, "fix": fix}
    return debug_file(
        file, outputs=outputs, overwrite=overwrite, run=journal, resume=resume, rows=not no_rows, redact=redact,
        asked=asked, top=top, trust_pickle=trust_pickle, untrusted=untrusted, quiet=quiet, as_json=as_json,
    )  # fmt: skip


@cli.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--history",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="PATH",
    help="Keep what was found in this SQLite file, and say what was met the last time and is not any more.",
)
@trust
@talk
def check(file: Path, history: Path | None, trust_pickle: bool, untrusted: bool, quiet: bool, as_json: bool) -> int:
    """Tell which of FILE's complaints hold now; nothing is debugged.

    Exits with 0 where every complaint is met, 1 where some are not, 2 where it could not run. One that says only
    a direction is never met: say at_least or at_most, or by how much.
    """
    from rain_debug.cli.run import check_file

    return check_file(
        file, history=history, trust_pickle=trust_pickle, untrusted=untrusted, quiet=quiet, as_json=as_json
    )


@cli.command()
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path))
@click.option("-n", "limit", default=20, show_default=True, type=click.IntRange(min=1), help="The last N checks.")
@talk
def history(path: Path, limit: int, quiet: bool, as_json: bool) -> int:
    """List the checks that `rain check --history PATH` kept."""
    from rain_debug.cli.run import show_history

    return show_history(path, limit=limit, as_json=as_json)


@cli.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--rankers", metavar="A,B,…", help="Which rankers; by default all that are not too slow there.")
@click.option("--seeds", type=click.IntRange(min=1), metavar="N", help="How many, from 0 on. [default: 5; two_step 10]")
@click.option("--damping", type=click.FloatRange(min=0), metavar="λ", help="λ in H + λI; 0 solves exactly.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("benchmarks/results"),
    show_default=True,
    metavar="DIR",
    help="The folder that keeps the results.",
)
@click.option(
    "--corrupt",
    multiple=True,
    metavar="TEXT",
    help="Which labels of a project become wrong: \"label=1->0:30% WHERE plan = 'basic'\".",
)
@click.option("--again", is_flag=True, help="Run what is kept already once more.")
@click.option("--kept", is_flag=True, help="Run nothing; show what is kept.")
@click.option("--check", is_flag=True, help="Exit with 1 where Holistic misses what is claimed of it.")
@click.option(
    "--figures",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Draw the experiments into DIR, as SVG.",
)
@click.option(
    "--page",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="PATH",
    help="Write them up as a Markdown page, its figures in images/ beside it.",
)
@talk
def bench(
    names: tuple[str, ...],
    rankers: str | None,
    seeds: int | None,
    damping: float | None,
    out: Path,
    corrupt: tuple[str, ...],
    again: bool,
    kept: bool,
    check: bool,
    figures: Path | None,
    page: Path | None,
    quiet: bool,
    as_json: bool,
) -> int:
    """Run experiments of the papers, or on your own data: which ranker finds wrong labels, and how many of them.

    NAME is an experiment or a family of them, "all", or a project file whose labels are made wrong on purpose
    (--corrupt); its complaints then ask for the answers that the right labels lead to. Without one, the experiments
    are listed. Every run (a case, a ranker, a seed) is kept in DIR as soon as it is done: Ctrl-C loses nothing, and
    the same command goes on.
    """
    from rain_debug.cli import bench as command

    if not names:
        click.echo(command.listing())
        return MET
    asked = [r.strip() for r in rankers.split(",") if r.strip()] if rankers else []
    return command.bench(
        names, corrupt=corrupt, rankers=asked, seeds=seeds, damping=damping, folder=out, again=again, kept=kept,
        check=check, page=page, figures=figures, quiet=quiet, as_json=as_json,
    )  # fmt: skip


@cli.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--port", type=click.IntRange(0, 65535), help="[default: 8765, or a free one; 0: a free one]")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option(
    "--allow-host",
    "allow_hosts",
    multiple=True,
    metavar="NAME",
    help="A further name of this server, NAME or NAME:PORT. Needed where --host lets other machines in.",
)
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@click.option(
    "--runs",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Keep the runs in DIR; without it they last as long as the server.",
)
@click.option(
    "--seconds",
    default=60.0,
    show_default=True,
    type=click.FloatRange(min=0.1),
    help="What one SQL statement may take.",
)
@click.option("--memory", default="60%", show_default=True, metavar="SIZE", help="What the database may take: 4GB.")
@trust
@talk
def serve(
    file: Path,
    port: int | None,
    host: str,
    allow_hosts: tuple[str, ...],
    no_browser: bool,
    runs: Path | None,
    seconds: float,
    memory: str,
    trust_pickle: bool,
    untrusted: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    """Show FILE's queries in the browser: click what is wrong, and see the records behind it.

    The page is for you alone: the address that is printed holds a secret. SQL that is typed there reads the project's
    tables and nothing else. Ctrl-C ends it.
    """
    from rain_debug.cli.serve import serve_file
    from rain_debug.engines import Limits

    debug = bool(click.get_current_context().find_root().ensure_object(dict).get("debug"))
    return serve_file(
        file, host=host, port=port, allow_hosts=allow_hosts, browser=not no_browser, runs=runs,
        limits=Limits(seconds=seconds, memory=memory), trust_pickle=trust_pickle, untrusted=untrusted, debug=debug,
        quiet=quiet, as_json=as_json,
    )  # fmt: skip


@cli.command()
@click.argument("path", default="rain.toml", type=click.Path(path_type=Path))
def init(path: Path) -> int:
    """Write a commented project file to PATH (rain.toml), which runs as it is.

    A file that is there already is never written over.
    """
    from rain_debug.cli.template import write

    write(path)
    click.echo(f"wrote {path}: edit it, then `rain check {path}` and `rain run {path}`", err=True)
    return MET


@cli.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> int:
    """Print the script that completes `rain` in SHELL.

    In bash: eval "$(rain completion bash)"
    """
    found = get_completion_class(shell)
    assert found is not None
    maker = found(cli, {}, "rain", "_RAIN_COMPLETE")
    click.echo(maker.source_template % maker.source_vars())
    return MET


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit; `arguments` are those of the process by default."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without Unicode gets question marks, not a traceback
    sys.exit(outcome(arguments))


def outcome(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code."""
    said: dict[str, bool] = {}
    try:
        code = cli.main(args=arguments, prog_name="rain", standalone_mode=False, obj=said)
        return code if isinstance(code, int) else MET
    except RainError as error:
        return _fail(error, said)
    except click.ClickException as error:
        return _misuse(error, said, arguments)
    except (click.Abort, KeyboardInterrupt):
        click.echo("\nstopped; nothing was changed", err=True)
        return INTERRUPTED
    except Exception as error:  # a defect of ours: a line, and the traceback for whoever asks
        return _defect(error, said)


def _fail(error: RainError, said: dict[str, bool]) -> int:
    if said.get("as_json"):
        _tell_json(type(error).__name__, error.message, error.where, error.hint)
    else:
        click.echo(f"rain: {error}", err=True)
    return COULD_NOT


def _misuse(error: click.ClickException, said: dict[str, bool], arguments: Sequence[str] | None) -> int:
    if "--json" in (sys.argv[1:] if arguments is None else arguments):
        _tell_json("UsageError", error.format_message(), None, "rain --help")
    else:
        error.show()
    return COULD_NOT


def _defect(error: Exception, said: dict[str, bool]) -> int:
    if said.get("debug"):
        print(without_passwords("".join(traceback.format_exception(error))), end="", file=sys.stderr)
    message = without_passwords(f"{type(error).__name__}: {error}".splitlines()[0])
    if said.get("as_json"):
        _tell_json("InternalError", message, None, ISSUES)
    else:
        click.echo(f"rain: {message}\n  try:   {ISSUES}", err=True)
    return COULD_NOT


def _tell_json(kind: str, message: str, where: str | None, hint: str | None) -> None:
    """The one shape that an error has in JSON."""
    error = {"kind": kind, "message": message, "where": where, "hint": hint}
    click.echo(json.dumps({"error": error}, ensure_ascii=False, indent=2))
