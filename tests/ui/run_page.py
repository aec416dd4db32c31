"""What the tests of the screens after a run look at."""

from __future__ import annotations

from typing import Any

import pytest

expect = pytest.importorskip("playwright.sync_api", reason="browser tests need playwright").expect


def rows(page: Any) -> Any:
    """The rows of the ranked records."""
    return page.locator(".records tbody tr")


def settled(page: Any, n: int) -> None:
    """Wait until the page of records has so many rows."""
    expect(rows(page)).to_have_count(n)


def kept(page: Any) -> Any:
    """What the bar says of the kept records."""
    return page.locator(".kept-bar p")


def in_focus(page: Any) -> str:
    """The words of what has the focus."""
    return str(
        page.evaluate("() => document.querySelector('#rain-view').shadowRoot.activeElement?.innerText ?? ''")
    ).strip()
