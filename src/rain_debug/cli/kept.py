"""Where `rain run` writes its rounds while it is at work, so that `--resume` can go on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from rain_debug.errors import StoreError
from rain_debug.store import Journal

SUFFIX = ".rain"


@contextmanager
def journal(file: Path, named: Path | None, *, resume: bool, overwrite: bool, quiet: bool) -> Iterator[Journal | None]:
    """The journal of the project `file`'s run: `named`, or beside the project, where it goes once the run is over.

    None where nothing can be written beside the project and no other place is named. A run that does not come to its
    end leaves it, and a line on stderr says how to go on; one that came to no round leaves nothing.
    """
    path = named or file.with_suffix(SUFFIX)
    if named is None and not path.exists() and not os.access(path.parent, os.W_OK):
        if not quiet:
            click.echo(f"{path.parent} cannot be written to: if killed, this run cannot go on (--run PATH)", err=True)
        yield None
        return
    made = Journal(path, resume=resume, overwrite=overwrite)
    before = made.rounds
    try:
        yield made
        if made.ended:
            made.close(remove=named is None)
    finally:
        if not made.closed:
            rounds = _left(made)
            if rounds > before and not quiet:
                kept = f"{rounds} rounds are kept" if rounds > 1 else "1 round is kept"
                where = f" --run {named}" if named is not None else ""
                click.echo(f"{kept}: `rain run {file}{where} --resume` goes on", err=True)


def _left(made: Journal) -> int:
    """How many rounds there are to go on from; where there is none, the file goes."""
    try:
        rounds = made.rounds
    except StoreError:  # what is wrong with the file is said already
        made.close()
        return 0
    made.close(remove=not rounds)
    return rounds
