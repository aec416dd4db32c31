"""The documentation is true: its snippets run, its commands exist, its pages build, its links lead somewhere."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

import rain_debug
from rain_debug import config, errors
from rain_debug.cli import cli
from rain_debug.cli.reference import markdown
from rain_debug.datasets import shop

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a language, each after as many line feeds as put it on its own line of the page."""
    text = page.read_text(encoding="utf-8")
    return ["\n" * text.count("\n", 0, m.start(2)) + m[2] for m in BLOCK.finditer(text) if m[1] == language]


def with_blocks(language: str) -> list[Path]:
    return [page for page in PAGES if blocks(page, language)]


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop's database, as `rain demo --keep` leaves it."""
    return shop().write(tmp_path_factory.mktemp("shop") / "shop.duckdb")


@pytest.mark.parametrize("page", with_blocks("python"), ids=lambda p: p.name)
def test_snippets_run(page: Path, kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page's Python snippets run in order, as one program, in a folder that holds the shop."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop.duckdb").symlink_to(kept)
    names: dict[str, object] = {"__name__": "page"}
    for block in blocks(page, "python"):
        try:
            exec(compile(block, str(page), "exec"), names)
        except Exception:
            pytest.fail(f"a snippet of {page.name} failed\n{traceback.format_exc()}")


@pytest.mark.parametrize("name", ["explain.md", "how-it-works.md"])
def test_what_a_page_shows_was_printed(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The text on a page that follows a query is what its snippets print."""
    page = ROOT / "docs" / name
    exec("".join(blocks(page, "python")), {"__name__": "page"})
    printed = capsys.readouterr().out
    assert [b for b in blocks(page, "text") if b.strip() not in printed] == []


@pytest.mark.parametrize("page", with_blocks("toml"), ids=lambda p: p.name)
def test_project_files_are_read(page: Path) -> None:
    for block in blocks(page, "toml"):
        assert config.parse(block, page).complaints


@pytest.mark.parametrize("page", with_blocks("console"), ids=lambda p: p.name)
def test_commands_exist(page: Path) -> None:
    """Every command line of ours names a command and options that there are."""
    chores = set(re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for line in "".join(blocks(page, "console")).split("\n"):
        words = line.removeprefix("$ ").split()
        if words[:1] == ["make"]:
            assert set(words[1:]) <= chores, line
        elif words[:1] == ["rain"]:
            options = {o for p in cli.commands[words[1]].params for o in p.opts}
            assert {w for w in words[2:] if w.startswith("-")} <= options, line


def test_the_command_reference_is_current() -> None:
    shown = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert shown == markdown(), "run: python -m rain_debug.cli.reference > docs/cli.md"
    assert all(f"## rain {name}\n" in shown for name in cli.commands)


def test_the_table_of_sql_features_is_current() -> None:
    """It says what the rules say now of each example."""
    make = runpy.run_path(str(ROOT / "docs" / "features.py"))["page"]
    shown = (ROOT / "docs" / "sql.md").read_text(encoding="utf-8")
    assert shown == make(shown), "run: python docs/features.py"


def test_every_public_name_is_documented() -> None:
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    assert [n for n in rain_debug.__all__ if not re.search(rf"`{n}\b", page)] == []


def test_every_error_is_documented() -> None:
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    classes = [n for n, c in vars(errors).items() if isinstance(c, type) and issubclass(c, errors.RainError)]
    assert [n for n in classes if f"`{n}`" not in page] == []


def test_every_key_of_a_project_file_is_documented() -> None:
    page = (ROOT / "docs" / "project-file.md").read_text(encoding="utf-8")
    source = (ROOT / "src" / "rain_debug" / "config" / "project.py").read_text(encoding="utf-8")
    keys = set(re.findall(r'section\.(?:get|need|number|whole|choice|names|has)\("(\w+)"', source)) | {
        *config.project.CLAIMS
    }
    assert {k for k in keys if not re.search(rf"\b{k}\b", page)} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = [t for t in LINK.findall(page.read_text(encoding="utf-8")) if "://" not in t]
    assert [t for t in links if not (page.parent / t).exists()] == []


def test_contributing_is_short() -> None:
    assert len((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").splitlines()) < 50


def test_the_pages_build_and_fetch_nothing(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    loaded = re.compile(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=\"(?:https?:)?//[^\"]*\"")
    for page in (tmp_path / "site").rglob("*.html"):
        assert loaded.findall(page.read_text(encoding="utf-8")) == [], page.name
