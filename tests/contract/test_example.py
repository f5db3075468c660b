"""The codec in docs/clients.md works as it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.contract.conftest import Calls, Echo
from yapbench import clients
from yapbench.schema import Outcome

DOCUMENT = Path(__file__).resolve().parent.parent.parent / "docs" / "clients.md"


async def test_the_example_is_short_and_works(echo: Echo, calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    [source] = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len([line for line in source.splitlines() if line.strip()]) <= 30
    names: dict[str, Any] = {}
    exec(source, names)
    monkeypatch.setitem(clients.CODECS, "example", names["Example"]())
    exchange = await calls.make("example", echo.url)
    assert (exchange.outcome, exchange.error) == (Outcome.OK, None)
    assert exchange.events[-1].text == "the quick brown fox jumps over the lazy dog"
