"""The command `rain`. Light on purpose: everything heavy is loaded by the command that needs it."""

from __future__ import annotations

from rain_debug.cli.app import cli, main

__all__ = ["cli", "main"]
