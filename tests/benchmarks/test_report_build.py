"""What the benchmark of the report counts: requests that a page would make, and a small sweep from end to end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.report_build import MOST_BYTES, MOST_SECONDS, measured, requests

pytestmark = pytest.mark.slow  # each page is built whole


@pytest.mark.parametrize(
    ("page", "count"),
    [
        ('<img src="https://example.org/a.png">', 1),
        ("<link href='//example.org/a.css'><style>@import 'https://example.org/b.css';</style>", 2),
        ("<style>p{background:url(http://example.org/a.png)}</style>", 1),
        ("<script>fetch('/x'); new WebSocket ('wss://example.org')</script>", 2),
        ('<a class="x" href="https://example.org">read on</a>', 0),
        ('<img src="data:image/png;base64,AAAA"><audio src="data:audio/ogg;base64,AA"></audio>', 0),
        ("<p>fetched from https://example.org</p>", 0),
    ],
)
def test_what_a_page_would_ask_for_is_counted(page: str, count: int) -> None:
    assert requests(page) == count


def test_a_small_sweep_is_built_in_a_process_of_its_own(tmp_path: Path) -> None:
    found = measured(tmp_path, trials=2, levels=1, repeats=2, utterances=6)
    assert (found.utterances, found.requests) == (24, 0)
    assert 10_000 < found.bytes < MOST_BYTES
    assert found.cpu_seconds > 0
    assert replace(found, seconds=MOST_SECONDS + 1).verdict == "missed"
    assert replace(found, seconds=9.0).verdict == "bar"
    assert replace(found, seconds=1.0).verdict == "goal"
    assert replace(found, seconds=1.0, requests=1).verdict == "missed"
