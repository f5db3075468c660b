"""The words of the wire: bytes to samples, the one text that means something, and what is answered."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servers.common.errors import BadInput, InferenceFailed, Overloaded
from servers.common.interfaces import Audio
from servers.parakeet.live.chunker import Chunk, ClosedBy
from servers.parakeet.live.protocol import Pcm, read_operation, write_error, write_partial, write_result
from servers.parakeet.transcript import Transcript, Word

CHUNK = Chunk(np.zeros(8000, np.float32), 16_000, 24_000, ClosedBy.SILENCE)
HEARD = Transcript("yes no", (Word("yes", 0.1, 0.2, 0.9), Word("no", 0.25, 0.4, 0.7)))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300), st.lists(st.integers(1, 50), max_size=40))
def test_bytes_are_the_same_samples_however_they_are_cut(data: bytes, sizes: list[int]) -> None:
    pcm, at = Pcm(), 0
    found: list[Audio] = []
    for size in [*sizes, len(data)]:
        found += list(pcm.read(data[at : at + size]))
        at += size
    whole = np.frombuffer(data[: len(data) & ~1], "<i2") / 32768
    assert np.array_equal(np.concatenate([np.zeros(0, np.float32), *found]), whole)
    assert (pcm.end() is not None) == bool(len(data) % 2)


def test_half_a_sample_is_told_once_and_the_next_begins_anew() -> None:
    pcm = Pcm()
    assert list(pcm.read(b"\x01")) == []
    fault = pcm.end()
    assert fault is not None and fault.field == "audio" and pcm.end() is None
    assert np.array_equal(next(pcm.read(b"\0\x40")), [0.5])


def test_a_long_frame_comes_in_portions() -> None:
    portions = list(Pcm().read(bytes(100_001)))
    assert max(map(len, portions)) == 16_384 and sum(map(len, portions)) == 50_000


@pytest.mark.parametrize("text", ['{"type":"flush"}', ' {"type": "flush", "why": [1]} '])
def test_a_flush_is_one(text: str) -> None:
    assert read_operation(text) == "flush"


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("", "message"),
        ("hello", "message"),
        ("[1, 2]", "message"),
        ('"flush"', "message"),
        ('{"type": NaN}', "message"),
        ("[" * 4000, "message"),
        ('{"type":"flush","pad":"' + "x" * 4096 + '"}', "message"),
        ("{}", "type"),
        ('{"type": "Flush"}', "type"),
        ('{"type": ["flush"]}', "type"),
        ('{"type":"config","sample_rate":16000}', "type"),
        ('{"type":"audio","audio":"AAAA"}', "type"),
    ],
)
def test_any_other_text_is_refused_by_name(text: str, field: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_operation(text)
    assert caught.value.field == field


def test_a_result_has_what_older_clients_read_and_times_of_the_stream() -> None:
    row = json.loads(write_result(CHUNK, HEARD))
    assert (row["text"], row["confidence"], row["words"]) == ("yes no", 0.8, [0.9, 0.7])
    assert row["timestamps"] == [
        {"text": "yes", "start": 1.1, "end": 1.2},
        {"text": "no", "start": 1.25, "end": 1.4},
    ]
    assert (row["start"], row["end"], row["closed_by"]) == (1.0, 1.5, "silence")


def test_a_partial_is_no_result_to_anybody() -> None:
    row = json.loads(write_partial(CHUNK, HEARD))
    assert row == {"partial": "yes no", "start": 1.0, "end": 1.5}


def test_an_error_says_whose_it_is() -> None:
    general = json.loads(write_error(BadInput("unknown type", field="type", limit="flush")))
    assert general == {"error": "unknown type", "code": "bad_input", "field": "type", "limit": "flush"}
    assert json.loads(write_error(InferenceFailed("the model failed"), CHUNK)) == {
        "error": "the model failed",
        "code": "inference_failed",
        "start": 1.0,
        "end": 1.5,
    }
    assert json.loads(write_error(Overloaded("full", limit=256), CHUNK))["limit"] == 256
