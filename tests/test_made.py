"""What the pages say of the source: every class of errors with its remedy, every message, a page for every room."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path
from typing import Any

from rain_debug import errors
from test_architecture import ROOMS

ROOT = Path(__file__).resolve().parent.parent
MADE: dict[str, Any] = runpy.run_path(str(ROOT / "docs" / "made.py"))
CLASSES = [n for n, c in vars(errors).items() if isinstance(c, type) and issubclass(c, errors.RainError)]
WITHOUT = 18
"""Messages, of a missing feature of SQL apart, that may do with the remedy of their class."""


def test_every_class_says_what_to_do_and_the_page_says_the_same() -> None:
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    known = MADE["remedies"]()
    assert set(known) == set(CLASSES) - {"RainError"}
    for name, (means, todo) in known.items():
        assert means.endswith(".") and todo.endswith("."), f"{name}: its docstring lacks `What to do: ….`"
        assert f"| `{name}` | {means} | {todo} |" in page, "run: python docs/made.py classes, and put it into errors.md"


def test_every_message_is_found_with_its_hint() -> None:
    found = MADE["messages"]()
    assert {m.kind for m in found} <= set(CLASSES) and len(found) > 500
    lines = {(m.kind, m.text): m.hint for m in found}
    assert "give yours another name" in lines["DebugError", "'…' is a ranker of Rain's own"]
    assert lines["SQLError", "a probability is compared with a plain number only"].startswith(
        "write it as predict_proba"
    )
    bare = [f"{m.file}:{m.line} {m.text}" for m in found if not m.hint and m.kind != "SQLError"]
    assert len(bare) <= WITHOUT, "say what to do, hint=…:\n" + "\n".join(bare)


def test_the_list_of_messages_is_a_table() -> None:
    page = MADE["made"]((ROOT / "docs" / "errors.md").read_text(encoding="utf-8"))
    rows = page[page.index("### ComplaintError") :].splitlines()
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 3 for row in rows if row.startswith("|"))
    assert "<!-- messages -->" not in page


def test_every_room_has_its_page() -> None:
    index = (ROOT / "docs" / "rooms.md").read_text(encoding="utf-8")
    listed = re.findall(r"\]\(rooms/(\w+)\.md\)", index)
    assert [r for r in listed if r in ROOMS] == list(ROOMS), "docs/rooms.md lists the rooms in their order"
    for room in ROOMS:
        page = (ROOT / "docs" / "rooms" / f"{room}.md").read_text(encoding="utf-8")
        assert f"<!-- files: {room} -->" in page and "| comes in | " in page and "| goes out | " in page
        rows = MADE["files"](room).splitlines()[2:]
        assert rows and all(re.search(r"\| \S.*\w.* \|$", row) for row in rows), f"a file of {room} has no docstring"
        paths = re.findall(r"`(tests/[\w/.]+)`", page)
        assert paths and [p for p in paths if not (ROOT / p).exists()] == []


def test_the_bars_name_commands_that_there_are_and_results_that_stand_there() -> None:
    page = (ROOT / "docs" / "bars.md").read_text(encoding="utf-8")
    paths = set(re.findall(r"`((?:tests|benchmarks|docs)/[\w/]+\.py)`", page))
    assert len(paths) > 30 and [p for p in sorted(paths) if not (ROOT / p).exists()] == []
    chores = set(re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"`make (\w+)`", page)) <= chores
    measured = re.findall(r"\| ([\d.e-]+)[ :]?([^|(]*) \(`([\w.]+)`: `([^`]+)`\) \|", page)
    assert len(measured) >= 15
    for number, unit, file, keys in measured:
        found: Any = json.loads((ROOT / "benchmarks" / "results" / file).read_text(encoding="utf-8"))
        for key in keys.split("."):
            found = found[int(key)] if isinstance(found, list) else found[key]
        found = found / 1e6 if unit == "MB" else found
        shown = float(number)
        digits = len(number.partition(".")[2]) if "e" not in number else 0
        close = abs(found - shown) <= 0.5 * 10.0**-digits + 1e-12 if "e" not in number else 0.5 < found / shown < 2
        assert close, f"{file}: {keys} is {found}, and docs/bars.md says {number}"


def test_every_page_is_in_the_list_of_pages_and_linked_from_another() -> None:
    listed = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = {str(p.relative_to(ROOT / "docs")): p.read_text(encoding="utf-8") for p in (ROOT / "docs").rglob("*.md")}
    assert [name for name in pages if f": {name}\n" not in listed] == []
    links = {link for name, text in pages.items() for link in re.findall(r"\]\(([\w/.-]+\.md)", text)}
    assert [name for name in pages if name != "index.md" and name not in links and Path(name).name not in links] == []
