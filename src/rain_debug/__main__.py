"""`python -m rain_debug` is the command `rain`."""

from __future__ import annotations

from rain_debug.cli import main

if __name__ == "__main__":
    main()
