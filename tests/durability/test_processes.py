"""What processes do to one another: they die, they fill the disk, they want the same file."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rain_debug.cli import app
from rain_debug.cli.demo import project_text
from rain_debug.datasets import shop
from rain_debug.engines import folders
from rain_debug.engines.folders import OWNER, Folder, sweep
from rain_debug.errors import StoreError
from rain_debug.store import Journal

HERE = Path(__file__).parent
KILLS, CASES = 4, "holistic,relabel"


def rain(*words: object) -> int:
    return app.outcome([str(w) for w in words])


@pytest.fixture
def project(tmp_path_factory: pytest.TempPathFactory, made: Path) -> Path:
    """The demo's project in a folder of its own, with a budget that is soon spent."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "shop.duckdb").symlink_to(made)
    text = project_text().replace("budget = 400", "budget = 60")
    (folder / "shop.toml").write_text(text, encoding="utf-8")
    return folder / "shop.toml"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shop(0).write(tmp_path_factory.mktemp("shop") / "shop.duckdb")


@pytest.fixture
def child() -> Iterator[Callable[[Callable[[], Any]], int]]:
    """Starts a process that does something, says so, and waits; what is left of them at the end is killed."""
    started = []

    def start(work: Callable[[], Any]) -> int:
        ready, say = os.pipe()
        pid = os.fork()
        if not pid:
            try:
                held = work()
                os.write(say, b"!")
                while held is not None:
                    time.sleep(1)
            finally:
                os._exit(1)
        started.append(pid)
        os.close(say)
        assert os.read(ready, 1) == b"!"
        os.close(ready)
        return pid

    yield start
    for pid in started:
        kill(pid)


def kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        pass


# -- kill -9 ----------------------------------------------------------------------------------------------------------


def test_runs_that_are_killed_end_as_if_they_had_not_been() -> None:
    command = [sys.executable, str(HERE / "kills.py"), "--kills", str(KILLS), "--cases", CASES, "--seed", "3"]
    threads = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, **threads})
    assert done.returncode == 0, done.stderr
    assert f"{KILLS} kills, " in done.stdout and "every one byte-identical, every file sound" in done.stdout


# -- the command line -------------------------------------------------------------------------------------------------


def test_a_run_that_ends_leaves_nothing_and_a_named_one_its_file(project: Path, tmp_path: Path) -> None:
    before = sorted(p.name for p in project.parent.iterdir())
    assert rain("run", project, "--quiet", "--json") == 1
    assert sorted(p.name for p in project.parent.iterdir()) == before
    assert rain("run", project, "--quiet", "--json", "--run", tmp_path / "kept") == 1
    with Journal(tmp_path / "kept", resume=True) as journal:
        assert journal.ended and journal.rounds == 7


def test_what_stops_a_run_leaves_the_way_on(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from rain_debug.debugger import loop

    assert rain("run", project, "--json") == 1
    whole, rounds, real = capsys.readouterr().out, [], loop.merge

    def breaks(*given: Any) -> Any:
        rounds.append(1)
        if len(rounds) == 4:
            raise StoreError("the dog ate it")
        return real(*given)

    monkeypatch.setattr(loop, "merge", breaks)
    assert rain("run", project, "--json") == 2
    out, err = capsys.readouterr()
    assert json.loads(out)["error"]["message"] == "the dog ate it"
    assert f"3 rounds are kept: `rain run {project} --resume` goes on" in err
    assert rain("run", project) == 2
    assert "a run in this file that came as far as round 3" in (err := capsys.readouterr().err) and "--resume" in err
    assert rain("run", project, "--json", "--resume") == 1
    assert capsys.readouterr().out == whole and not project.with_suffix(".rain").exists()


def test_what_cannot_go_on_is_not_said_to(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("rain_debug.cli.run.show", never)
    assert rain("run", project) == 2
    assert "7 rounds are kept" in capsys.readouterr().err, "nobody has seen the report yet"
    assert rain("run", project, "--budget", 50, "--resume") == 2
    err = capsys.readouterr().err
    assert "settings, budget was 60, and is 50" in err and "are kept" not in err


def never(*given: Any, **settings: Any) -> Any:
    raise StoreError("the dog ate it")


def test_where_nothing_can_be_written_a_run_runs_all_the_same(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("rain_debug.cli.kept.os.access", lambda path, how: how == os.R_OK)
    before = sorted(project.parent.iterdir())
    assert rain("run", project, "--resume") == 1
    assert f"{project.parent} cannot be written to" in capsys.readouterr().err
    assert sorted(project.parent.iterdir()) == before


def test_a_run_that_fails_before_its_first_round_leaves_nothing(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rain_debug.debugger import loop

    monkeypatch.setattr(loop, "merge", never)
    assert rain("run", project, "--quiet") == 2
    assert not list(project.parent.glob("*.rain*"))


# -- two runs on one file ---------------------------------------------------------------------------------------------


def test_a_second_run_on_the_same_file_is_refused_until_the_first_is_gone(
    project: Path, child: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    path = project.with_suffix(".rain")
    pid = child(lambda: Journal(path))
    for how in ([], ["--resume"], ["--overwrite"]):
        assert rain("run", project, *how) == 2
        err = capsys.readouterr().err
        assert "another process is at work on this run" in err and str(path) in err and "wait for it" in err
    kill(pid)
    assert rain("run", project, "--resume", "--quiet", "--json") == 1


# -- a full disk ------------------------------------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 KiB."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    try:
        done = subprocess.run(mounted, capture_output=True, text=True)
    except OSError as error:
        pytest.skip(f"no small disk can be mounted here: {error}")
    if done.returncode:
        pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(place: Path, free: int) -> Path:
    """A file that leaves so many bytes free."""
    left = os.statvfs(place)
    made = place / "filler"
    made.write_bytes(b"x" * (left.f_bavail * left.f_frsize - free))
    return made


@pytest.mark.parametrize("free", [0, 8 << 10, 36 << 10, 80 << 10])
def test_a_full_disk_takes_nothing_and_the_run_goes_on(
    project: Path, small: Path, free: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """From no room for the run's file to no room for the report."""
    assert rain("run", project, "--json") == 1
    whole = capsys.readouterr().out
    report, run = small / "report.json", small / "run"
    report.write_text("the old report")
    filler = fill(small, free)
    words = ["run", project, "--run", run, "-o", report, "--overwrite", "--json"]
    assert rain(*words) == 2
    out, err = capsys.readouterr()
    said = json.loads(out[out.rindex('{\n  "error"') :])["error"]
    if said["kind"] == "ReportError":
        assert free == 80 << 10 and "No space left on device" in said["message"] and "7 rounds are kept" in err
    else:
        assert said["kind"] == "StoreError" and "the disk is full" in said["message"] and said["where"] == str(run)
    assert report.read_text() == "the old report"
    assert {p.name for p in small.iterdir()} <= {"report.json", "filler", "run", "run-journal"}, "nothing half is left"
    if run.exists():
        with sqlite3.connect(run) as con:
            assert con.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        con.close()
    filler.unlink()
    assert rain(*words, "--resume") == 1
    assert capsys.readouterr().out == whole and report.read_text() == whole


# -- scratch folders --------------------------------------------------------------------------------------------------


def test_what_a_killed_process_left_is_swept_and_nothing_else(tmp_path: Path, child: Any) -> None:
    def scratch() -> Any:
        made = Folder("rain-", tmp_path)
        (Path(made.name) / "records").write_text("much")
        return made

    dead, alive = child(scratch), child(scratch)
    ours = {p.name for p in tmp_path.iterdir()}
    assert len(ours) == 2 and sweep(tmp_path) == []
    outside = tmp_path / "mine"
    outside.mkdir()
    (outside / OWNER).touch()
    (tmp_path / "rain-link").symlink_to(outside)
    (tmp_path / "rain-of-the-user").mkdir()
    (tmp_path / "rain-notes.txt").write_text("mine")
    kill(dead)
    folders._swept.clear()
    with Folder("rain-", tmp_path) as name:
        left = {p.name for p in tmp_path.iterdir()} - {Path(name).name}
    assert len(ours & left) == 1 and left - ours == {"mine", "rain-link", "rain-of-the-user", "rain-notes.txt"}
    kill(alive)
    assert set(sweep(tmp_path)) == ours & left


def test_a_report_that_was_being_written_is_swept_with_the_next(tmp_path: Path, child: Any) -> None:
    from rain_debug.report import save

    def half(path: Path) -> None:
        path.write_text("half")

    def never(path: Path) -> None:
        half(path)
        os.kill(os.getpid(), signal.SIGKILL)

    pid = os.fork()
    if not pid:
        save.write(tmp_path / "report.html", never)
    os.waitpid(pid, 0)
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".report-rain-")
    folders._swept.clear()
    save.write(tmp_path / "report.html", half)
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_the_systems_own_folder_is_the_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    made = Folder()
    assert Path(made.name).parent == tmp_path
    made.cleanup()
    made.cleanup()
    assert not list(tmp_path.iterdir())
