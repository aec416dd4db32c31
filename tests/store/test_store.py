"""Runs in a folder: what was written is read again, whatever happened in between, and nothing else is touched."""

from __future__ import annotations

import os
import random
import resource
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rain_debug.errors import DeskError, RainError, StoreError
from rain_debug.store import Filter, RunStore

COLUMNS = [{"name": n, "kind": "text"} for n in ("source", "fee", "note")]


def view(run: str, **more: Any) -> dict[str, Any]:
    return {
        "id": run, "at": "2026-11-22T19:00:00.000Z", "state": "done", "sentence": "Removing 3 records …",
        "complaints": ["n is too low"], "removed": 3, "met": True, "seconds": 1.5, "columns": COLUMNS, "request": {},
        "rounds": [], "standings": [], "patterns": [], "records": 3, "kept": 0, **more,
    }  # fmt: skip


def row(rank: int, **more: Any) -> dict[str, Any]:
    return {
        "rank": rank, "model": "churn", "key": rank * 7, "score": 1 / rank, "label": "no", "fix": "delete",
        "values": [f"import-{rank % 5}", rank % 3 or None, "Größe"], **more,
    }  # fmt: skip


def told(number: int) -> dict[str, Any]:
    standings = [{"text": "n is too low", "after": 40 + number, "met": number > 2}]
    return {"number": number, "removed": 10 * (number - 1), "q": 1.0, "values": [40], "standings": standings,
            "seconds": number / 10}  # fmt: skip


def finished(store: RunStore, rows: list[dict[str, Any]] | None = None, **more: Any) -> str:
    run = store.new_id()
    store.begin(view(run, state="interrupted"))
    store.finish(view(run, **more), rows if rows is not None else [row(i) for i in (1, 2, 3)])
    return run


def test_a_finished_run_is_read_back_as_it_was(tmp_path: Path) -> None:
    with RunStore(tmp_path / "runs") as store:
        run = finished(store, sentence="Removed <b>3</b> “records”")
        store.keep(run, True, [("churn", 14)])
    with RunStore(tmp_path / "runs") as store:
        assert store.view(run) == {**view(run, sentence="Removed <b>3</b> “records”"), "kept": 1, "live": False}
        page = store.records(run, 0, 10)
        assert page["rows"] == [{**row(i), "kept": i == 2} for i in (1, 2, 3)] and page["columns"] == COLUMNS
        assert store.heads(0, 10)["runs"][0]["sentence"] == "Removed <b>3</b> “records”"
        assert store.spared(run) == {"churn": [14]}


def test_runs_of_no_folder_are_gone_with_their_store() -> None:
    with RunStore() as store:
        finished(store)
        folder = store.folder
        assert folder.is_dir() and store.count() == 1
    assert not folder.exists()


def test_what_was_spared_stays_spared(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    run = store.new_id()
    store.begin(view(run), {"churn": [99], "price": ["a"]})
    store.finish(view(run), [row(1)])
    store.keep(run, True)
    assert store.spared(run) == {"churn": [99, 7], "price": ["a"]}


# -- halfway ------------------------------------------------------------------------------------------------------


def test_a_run_that_died_tells_how_far_it_came(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    run = store.new_id()
    store.begin(view(run, state="interrupted", removed=0, met=False, records=0))
    assert "before the first round" in store.view(run)["sentence"]
    for number in (1, 2, 3):
        store.add_round(run, told(number), [row(2 * number - 1), row(2 * number)])
        found = store.view(run)
        assert found["state"] == "interrupted" and found["removed"] == 10 * (number - 1)
        assert found["met"] == (number > 2) and found["seconds"] == number / 10
        assert [r["number"] for r in found["rounds"]] == list(range(1, number + 1))
        assert set(found["rounds"][0]) == {"number", "removed", "q", "values"}
        assert store.records(run, 0, 100)["total"] == found["records"] == 2 * number
        (head,) = store.heads(0, 10)["runs"]
        assert f"after {number} round" in head["sentence"], "the list is as new as the file"


def test_a_run_under_way_can_be_read_and_marked(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    run = store.new_id()
    store.begin(view(run, state="interrupted", records=0))
    store.add_round(run, told(1), [row(1), row(2)])
    assert store.records(run, 0, 10, Filter("import"))["total"] == 2
    store.keep(run, True, [("churn", 14)])
    store.add_round(run, told(2), [row(3)])
    assert store.records(run, 0, 10, Filter("import"))["total"] == 3, "not what was found before the round"
    store.finish(view(run), [row(i) for i in (1, 2, 3, 4)])
    assert [r["rank"] for r in store.records(run, 0, 10, Filter(kept=True))["rows"]] == [2], "marks stay"


def beside(work: Callable[[Path, int], None], folder: Path) -> tuple[int, TextIO]:
    """A process that does this in the folder, and what it says."""
    hear, say = os.pipe()
    process = os.fork()
    if not process:
        try:
            work(folder, say)
        finally:
            os._exit(1)
    os.close(say)
    return process, open(hear, encoding="utf-8")


def _writes(folder: Path, say: int) -> None:
    """Runs that are written one after the other, each round told once it stands there; until it is killed."""
    store = RunStore(folder)
    while True:
        run = store.new_id()
        store.begin(view(run, state="interrupted", records=0))
        for number in range(1, 6):
            store.add_round(run, told(number), [row(10 * number + i) for i in range(10)])
            os.write(say, f"{run} {number}\n".encode())
        store.finish(view(run), [row(i) for i in range(1, 51)])
        store.heads(0, 10)
        os.write(say, f"{run} done\n".encode())


def test_a_killed_process_loses_no_round_that_it_had_written(tmp_path: Path) -> None:
    chance = random.Random(11)
    for kill in range(4):
        folder = tmp_path / str(kill)
        process, hear = beside(_writes, folder)
        with hear:
            lines = [hear.readline()]
            time.sleep(chance.uniform(0.0, 0.15))
            os.kill(process, signal.SIGKILL)
            lines += hear.readlines()
        assert os.waitpid(process, 0)[1] == signal.SIGKILL
        last: dict[str, str] = dict(line.split() for line in lines if line.endswith("\n"))
        with RunStore(folder) as store:
            heads = {h["id"]: h for h in store.heads(0, 1000)["runs"]}
            assert set(last) <= set(heads) and len(heads) <= len(last) + 1
            for run, came in last.items():
                found = store.view(run)
                if came == "done":
                    assert found["state"] == "done" and store.records(run, 0, 1)["total"] == 50
                elif found["state"] != "done":
                    assert len(found["rounds"]) in (int(came), int(came) + 1)
                    assert store.records(run, 0, 1)["total"] == 10 * len(found["rounds"])
            for file in folder.glob("*"):
                if file.suffix in (".rain", ".sqlite"):
                    with sqlite3.connect(file) as con:
                        assert con.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def _fills_the_disk(folder: Path, say: int) -> None:
    """Rounds until no file may grow any more; tells which one was refused, and how."""
    store = RunStore(folder)
    run = store.new_id()
    store.begin(view(run, state="interrupted", records=0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
    number = 0
    try:
        while True:
            number += 1
            store.add_round(run, told(number), [row(500 * number + i) for i in range(500)])
    except StoreError as error:
        os.write(say, f"{number} {error.message}".encode())


def test_a_full_disk_is_said_and_what_was_written_stays(tmp_path: Path) -> None:
    process, hear = beside(_fills_the_disk, tmp_path)
    with hear:
        number, message = hear.read().split(" ", 1)
    os.waitpid(process, 0)
    assert int(number) > 1 and "cannot be read or written" in message
    with RunStore(tmp_path) as store:
        (head,) = store.heads(0, 10)["runs"]
        assert store.records(head["id"], 0, 1)["total"] == 500 * (int(number) - 1)


# -- names and files ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "..%2fx", "%2e%2e/x", "/etc/passwd", "..\\x", "a\x00b", "index", "20261122T195432491",
     "20261122T195432491-bbbe5841353A", "20261122T195432491-bbbe5841353a\n", "٢0261122T195432491-bbbe5841353a",
     "20261122T195432491-bbbe5841353a"],
)  # fmt: skip
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "x.rain").write_text("outside")
    with RunStore(tmp_path / "runs") as store:
        asked = [store.view, store.spared, store.discard, lambda n: store.records(n, 0, 1),
                 lambda n: store.keep(n, True),
                 lambda n: list(store.rows(n)), lambda n: store.finish(view(n))]  # fmt: skip
        for ask in asked:
            with pytest.raises(DeskError):
                ask(name)
    assert (tmp_path / "x.rain").read_text() == "outside"


def test_the_list_follows_the_files(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    runs = [finished(store, sentence=f"run {i}") for i in range(5)]
    assert [h["id"] for h in store.heads(0, 10)["runs"]] == runs[::-1], "the latest first"
    assert [h["id"] for h in store.heads(1, 2)["runs"]] == runs[::-1][1:3]
    (tmp_path / f"{runs[2]}.rain").unlink()
    assert store.heads(0, 10)["total"] == 4 == store.count()
    (tmp_path / "index.sqlite").unlink()
    assert [h["sentence"] for h in store.heads(0, 10)["runs"]] == ["run 4", "run 3", "run 1", "run 0"]
    store.discard(runs[0])
    assert store.heads(0, 10)["total"] == 3


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    run = finished(store)
    mine = tmp_path / "20261122T195432491-bbbe5841353a.rain"
    mine.write_text("no database at all, but a name like one")
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "odd.rain").write_text("mine")
    assert [h["id"] for h in store.heads(0, 10)["runs"]] == [run]
    with pytest.raises(StoreError):
        store.view(mine.stem)
    assert mine.read_text().startswith("no database")
    other = tmp_path / "20261122T195432491-000000000000.rain"
    with sqlite3.connect(other) as con:
        con.execute("CREATE TABLE theirs (x)")
    with pytest.raises(StoreError, match="is no run"):
        store.view(other.stem)
    (tmp_path / "index.sqlite").write_text("not an index either, and rather long" * 100)
    with pytest.raises(StoreError) as caught:
        store.heads(0, 10)
    assert "index.sqlite" in str(caught.value)


def test_a_folder_that_cannot_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "no" / "such"):
        with pytest.raises(StoreError) as caught:
            RunStore(folder)
        assert caught.value.hint


# -- records ------------------------------------------------------------------------------------------------------

TEXTS = st.text(max_size=5) | st.sampled_from(["import-1", "ÄÖ", "äö", "%", "_", "'", '"', "\n", "null", "3"])
ROWS = st.lists(st.tuples(TEXTS, st.none() | st.integers(-5, 5), st.booleans()), min_size=1, max_size=12)


@settings(max_examples=40)
@given(made=ROWS, text=TEXTS, pattern=st.none() | st.integers(0, 2), kept=st.none() | st.booleans(),
       down=st.booleans(), sort=st.sampled_from([None, "rank", "key", "score", "label", "fix", "kept", "fee"]),
       data=st.data())  # fmt: skip
def test_a_page_is_what_a_loop_would_find(
    made: Any, text: str, pattern: Any, kept: Any, down: bool, sort: Any, data: Any
) -> None:
    rows = [row(i, key=f"k{i}", label=flag, values=[word, n, None]) for i, (word, n, flag) in enumerate(made, start=1)]
    members = [data.draw(st.sets(st.sampled_from([r["key"] for r in rows]))) for _ in range(2)]
    marked = data.draw(st.sets(st.sampled_from([r["key"] for r in rows])))
    with RunStore() as store:
        run = store.new_id()
        store.begin(view(run))
        store.finish(view(run), rows, [[("churn", k) for k in sorted(m)] for m in members])
        assert store.keep(run, True, [("churn", k) for k in sorted(marked)])["marked"] == len(marked)

        def fits(r: dict[str, Any]) -> bool:
            words = "\n".join(str(v) for v in (r["key"], r["label"], r["fix"], *r["values"]) if v is not None)
            in_pattern = pattern is None or (pattern < 2 and r["key"] in members[pattern])
            return text.strip().casefold() in words.casefold() and in_pattern and kept in (None, r["key"] in marked)

        expected = [{**r, "kept": r["key"] in marked} for r in rows if fits(r)]
        only = Filter(text, pattern, kept)
        found = store.records(run, 0, 100, only, sort, down)
        assert found["total"] == len(expected) and found["kept"] == len(marked)
        by_rank = sorted(found["rows"], key=lambda r: r["rank"])
        assert by_rank == expected
        if sort is not None:
            known = [r["values"][1] if sort == "fee" else r[sort] for r in found["rows"]]
            some = [v for v in known if v is not None]
            assert some == sorted(some, reverse=down) and known[: len(some)] == some, "what is not known comes last"
        pages = [store.records(run, i, 1, only, sort, down)["rows"] for i in range(len(expected))]
        assert [r for page in pages for r in page] == found["rows"]
        changed = store.keep(run, False, only=only)
        assert changed == {"kept": len(marked - {r["key"] for r in expected}), "marked": len(expected)}


def test_keys_that_json_tells_apart_or_not(tmp_path: Path) -> None:
    with RunStore() as store:
        keys: list[Any] = [3, "3", 2.5, True, None, "9007199254740993", "ü\n'"]
        run = finished(store, [row(i, key=k) for i, k in enumerate(keys, start=1)])
        assert store.keep(run, True, [("churn", 3.0)]) == {"kept": 1, "marked": 1}, "browsers have one kind of number"
        assert store.keep(run, True, [("churn", k) for k in keys[1:]])["kept"] == len(keys)
        assert store.keep(run, True, [("other", "3"), ("churn", "4")])["marked"] == 0
        assert store.spared(run)["churn"] == keys


def test_an_unknown_column_is_said() -> None:
    with RunStore() as store:
        run = finished(store)
        with pytest.raises(DeskError) as caught:
            store.records(run, 0, 1, sort="feee")
        assert "did you mean 'fee'" in str(caught.value)
        for sort in ("'; DROP TABLE records; --", "own", "words"):
            with pytest.raises(RainError):
                store.records(run, 0, 1, sort=sort)


def test_a_long_ranking_is_paged_without_being_read(tmp_path: Path) -> None:
    with RunStore() as store:
        n = 30_000
        run = finished(store, [row(i) for i in range(1, n + 1)], records=n)
        for ask in (
            lambda: store.records(run, n - 100, 100),
            lambda: store.records(run, 0, 100, Filter("import-3")),
            lambda: store.records(run, 100, 100, Filter("import-3")),
        ):
            seconds = []
            for _ in range(3):
                begin = time.perf_counter()
                page = ask()
                seconds.append(time.perf_counter() - begin)
            assert len(page["rows"]) == 100 and min(seconds) < 0.05
