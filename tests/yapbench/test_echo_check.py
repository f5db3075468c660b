"""Closed forms of echo's sessions, by hand."""

from __future__ import annotations

from typing import Any

import pytest

from yapbench.corpus import Utterance, Word
from yapbench.echo.known import Known
from yapbench.echo.script import Told
from yapbench.pacing.streaming import StreamOptions

WORDS = (Word("hello", 0.2, 0.45), Word("brave", 0.45, 0.65), Word("world", 0.65, 0.85))
ONE = Utterance(id="a", duration_s=1.0, text="Hello, brave world!", words=WORDS, speech_end_s=0.85)


def known(*, wrong: set[int] | None = None, revised: set[int] | None = None, **options: Any) -> Known:
    told = Told(
        id="a",
        words=("Hello,", "brave", "world!"),
        partials=((0.45, "Hello,"), (0.65, "Hello, brave"), (0.85, "Hello, brave world!")),
        wrong=frozenset(wrong or ()),
        revised=frozenset(revised or ()),
        sound_sha256="0" * 64,
        sound_bytes=3200,
    )
    given = StreamOptions(**{"frame_ms": 100, **options})
    return Known(utterance=ONE, told=told, options=given, delay_ms=50, partial_delay_ms=10)


@pytest.mark.parametrize(("pace", "ttfp_ms", "eos_ms"), [(1, 310, 100), (2, 160, 75)])
def test_times_are_frames_and_delays(pace: float, ttfp_ms: float, eos_ms: float) -> None:
    found = known(pace=pace)
    assert found.ttfp_ms == pytest.approx(ttfp_ms)  # heard with the frame to 0.5 s, 10 ms later; onset at 0.2 s
    assert found.eos_ms == pytest.approx(eos_ms)  # committed with the frame to 0.9 s, 50 ms later; end at 0.85 s


def test_a_revised_word_is_seen_with_the_next_message_and_a_wrong_one_never() -> None:
    assert known().emissions_ms == pytest.approx((60, 60, 60))
    assert known(revised={0}).emissions_ms == pytest.approx((260, 60, 60))
    assert known(revised={2}).emissions_ms == pytest.approx((60, 60, 100))  # by the final
    assert known(wrong={1}).emissions_ms == pytest.approx((60, 60))
