"""The golden tests of forms once more with sqlglot's compiled build: users of `sqlglot[c]` get the same answers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

COMPILED = Path(sys.prefix) / "compiled"
"""Where `make test` installs sqlglot with its compiled modules: beside the plain one, which all other tests use."""

RUN = """
import sys, pytest, sqlglot.generator, sqlglot.parser
plain = [m.__file__ for m in (sqlglot.generator, sqlglot.parser) if m.__file__.endswith(".py")]
assert not plain, f"not compiled: {plain}"
sys.exit(pytest.main(sys.argv[1:]))
"""


def test_forms_are_read_alike_by_compiled_sqlglot(root: Path) -> None:
    assert COMPILED.is_dir(), f"`make test` installs sqlglot[c] into {COMPILED}"
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    paths = [str(COMPILED), str(root / "src"), env.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-c", RUN, "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "tests/test_forms.py",
         "tests/sql/test_sql_files.py", "-k", "forms and not in_every_way and not postgres"],
        cwd=root, env={**env, "PYTHONPATH": os.pathsep.join(filter(None, paths))}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
