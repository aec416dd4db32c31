"""The page at a host of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ui.host import Host
from ui.run_host import Finished


@pytest.fixture
def opened(page: Any) -> Iterator[Callable[..., Any]]:
    """`opened(finished, path)`: the page at an address of a host of its own; `page.host` is it."""
    hosts: list[Host] = []

    def start(finished: Finished | None = None, path: str = "/runs/r7", ready: str = "h1") -> Any:
        hosts.append((finished or Finished()).host())
        page.host = hosts[-1]
        page.goto(page.host.url + path)
        page.locator(ready).first.wait_for()
        return page

    yield start
    for host in hosts:
        host.close()
