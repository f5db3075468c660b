"""Scripts: read or refused, said in turn, or to the sound that they belong to."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servers.common.errors import StartupRefused
from servers.echo.protocol import Utterance
from servers.echo.script import Lines, Partial, Script, read_script

SIZE = 64


def sha256(sound: bytes) -> str:
    return hashlib.sha256(sound[:SIZE].ljust(SIZE, b"\0")).hexdigest()


def lines(sound: bytes, text: str, **changes: Any) -> Lines:
    partial = Partial(audio_s=0.001, text=text[:1])
    return Lines(partials=(partial,), final=text, heard=sha256(sound), heard_bytes=SIZE, **changes)


ONE, TWO, SHORT = bytes(range(1, 101)), bytes(range(101, 201)), b"\x00\x07"
BY_SOUND = Script([lines(ONE, "one"), lines(TWO, "two"), lines(SHORT, "short")])


def test_a_script_file_gives_its_utterances_in_turn(tmp_path: Path) -> None:
    path = tmp_path / "script.json"
    path.write_text(json.dumps([{"final": "one"}, {"partials": [{"audio_s": 1, "text": "t"}], "final": "two"}]))
    script = read_script(path)
    assert [Utterance(script, number).final for number in range(3)] == ["one", "two", "one"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"final": 3}',
        '{"final": "x", "heard": "not a hash"}',
        json.dumps([{"final": "x", "heard": "0" * 64}, {"final": "y"}]),
        '{"final": "x", "partials": [{"audio_s": 2, "text": ""}, {"audio_s": 1, "text": ""}]}',
    ],
)
def test_a_bad_script_refuses_the_start(tmp_path: Path, text: str) -> None:
    path = tmp_path / "script.json"
    path.write_text(text)
    with pytest.raises(StartupRefused, match=r"script\.json"):
        read_script(path)


@given(
    st.sampled_from([(ONE, "one"), (TWO, "two"), (SHORT, "short")]), st.integers(0, 50), st.lists(st.integers(1, 70))
)
def test_an_utterance_is_known_by_its_sound_however_it_is_cut(
    known: tuple[bytes, str], silence: int, cuts: list[int]
) -> None:
    sound, text = known
    audio, utterance, texts = bytes(2 * silence) + sound, Utterance(BY_SOUND), []
    while audio:
        size = cuts.pop() if cuts else 7
        texts += utterance.hear(audio[:size])
        audio = audio[size:]
    assert utterance.final == text
    assert texts == ([] if sound is SHORT else [text[0]])


@given(st.binary(max_size=200))
def test_an_unknown_sound_gets_nobodys_words(sound: bytes) -> None:
    utterance = Utterance(BY_SOUND)
    if sound.lstrip(b"\0")[:1] not in (b"\x01", b"\x65", b"\x07"):
        assert (utterance.hear(sound), utterance.final) == ([], "")
        assert BY_SOUND.recognise(sound).final == ""


def test_a_whole_clip_is_known_at_once() -> None:
    assert [BY_SOUND.recognise(bytes(4) + sound).final for sound in (ONE, TWO, SHORT)] == ["one", "two", "short"]
    assert read_script(None).recognise(b"anything").final.endswith("lazy dog")


def test_what_was_due_before_the_sound_was_known_is_said_then() -> None:
    utterance = Utterance(
        Script(
            [
                lines(
                    ONE,
                    "one",
                )
            ]
        )
    )
    assert utterance.hear(ONE[: SIZE - 2]) == []
    assert utterance.hear(ONE[SIZE - 2 : SIZE]) == ["o"]
