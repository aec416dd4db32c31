"""Rain in a notebook: the page as a widget, and `%load_ext rain_debug.notebook` for `%%rain` cells."""

from __future__ import annotations

from typing import Any


def load_ipython_extension(shell: Any) -> None:
    """What `%load_ext rain_debug.notebook` calls: cells that begin with `%%rain` are SQL from then on."""
    from rain_debug.notebook.magic import RainMagics

    shell.register_magics(RainMagics)
