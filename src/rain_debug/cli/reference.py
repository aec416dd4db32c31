"""The page `docs/cli.md`, made of the commands themselves: `python -m rain_debug.cli.reference > docs/cli.md`."""

from __future__ import annotations

import click

from rain_debug.cli.app import cli

HEAD = """\
# Commands

Made from the commands' own help by `python -m rain_debug.cli.reference`; a test keeps it current.

What a machine reads goes to stdout, progress and errors to stderr. Every command that runs something ends with one of
these exit codes:

| code | says |
|---|---|
| 0 | every complaint is met |
| 1 | some complaint is not met |
| 2 | it could not run: one message on stderr says what, where and what to do |
| 130 | stopped with Ctrl-C; `rain run` prints the report so far |

With `--json` an error is printed on stdout in one shape, `{"error": {"kind", "message", "where", "hint"}}`. Colours
are left out where stdout is no terminal or `NO_COLOR` is set.
"""


def markdown() -> str:
    """The page as Markdown: a heading and the help text of every command.

    >>> "## rain run" in markdown()
    True
    """
    parts = [HEAD]
    top = click.Context(cli, info_name="rain", terminal_width=100, help_option_names=["-h", "--help"])
    for name, command in sorted(cli.commands.items()):
        context = click.Context(command, parent=top, info_name=name)
        parts.append(f"## rain {name}\n\n```text\n{command.get_help(context).rstrip()}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    click.echo(markdown(), nl=False)
