"""Voice names can be read back, so that a manifest's `voice` says how to make the clip again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samples.voices import SPEAKERS, Voice, variants

factors = st.integers(50, 200).map(lambda percent: percent / 100)


@given(st.sampled_from(sorted(SPEAKERS)), factors, factors)
def test_name_reads_back(speaker: str, pitch: float, rate: float) -> None:
    voice = Voice(speaker, pitch, rate)
    assert Voice.parse(voice.name) == voice


@pytest.mark.parametrize("name", ["", "slt-", "nobody", "slt-p1", "slt-r1.00-p1.00", "slt-p9.00", "slt-r0.10", "SLT"])
def test_bad_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"voice name|unknown speaker|must lie in"):
        Voice.parse(name)


def test_variants_are_distinct_and_speak_the_language() -> None:
    english, french = variants("en"), variants("fr")
    assert len({voice.name for voice in english}) == len(english) == 36
    assert {voice.language for voice in english} == {"en"}
    assert {voice.engine for voice in french} == {"espeak-ng"}
    assert {voice.speaker for voice in variants("en", speakers=("slt",))} == {"slt"}
