"""A scripted stream's times, done by hand, and the reasons where a stamp is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.yapbench import made_up_streams as made_up
from yapbench import store
from yapbench.schema import UTTERANCES
from yapbench.streams.times import TIMES, Stream, processing_s, stream_rtf, times_ms

BY_HAND = {
    "connect": 20,
    "handshake": 20,
    "ttfp": 650 - 200,
    "ttfp_wire": 650 - 101,
    "first_response": 300 - 101,
    "first_word": 650 - 101,
    "eos": 1100 - 850,
    "eos_due": 1100 - 900,
    "flush": 1100 - 901,
    "last_frame": 1100 - 901,
    "last_partial": 1100 - 1000,
    "send": 901 - 101,
    "delta_to_audio": 1100 - 101 - 900,
    "partial_gap": 700 / 3,
    "partial_gap_max": 350,
}


def numbers(**changes: Any) -> dict[str, float | None]:
    return {name: found.value for name, found in times_ms(Stream.of(made_up.row(**changes))).items()}


def reason(name: str, **changes: Any) -> str:
    found = times_ms(Stream.of(made_up.row(**changes)))[name]
    assert found.value is None
    return found.reason


def test_every_time_of_a_scripted_stream_is_what_the_script_says() -> None:
    assert numbers() == pytest.approx(BY_HAND, abs=1e-6)
    assert set(BY_HAND) == set(TIMES)


def test_ten_times_faster_the_audio_has_its_own_clock() -> None:
    script = [(60, "partial", "hello"), (150, "final", "hello brave world")]
    found = numbers(script=script, pace=10.0)
    assert (found["ttfp"], found["eos"], found["eos_due"]) == pytest.approx((60 - 20, 150 - 85, 150 - 90))


def test_audio_sent_as_fast_as_accepted_has_a_real_time_factor_and_no_latency_of_speech() -> None:
    stored = made_up.row(pace=0.0, lateness_ns=[], sent_ns=made_up.T0_NS + 100 * made_up.MS)
    found = times_ms(Stream.of(stored))
    assert processing_s(Stream.of(stored)).value == pytest.approx(1.0)
    assert found["flush"].value == pytest.approx(199)
    assert all(found[name].reason.startswith("not paced") for name in ("ttfp", "eos", "eos_due", "last_frame"))
    assert stream_rtf(Stream.of(stored)).reason == "not paced: see rtfx"


def test_a_paced_streams_wall_time_is_no_real_time_factor() -> None:
    assert stream_rtf(Stream.of(made_up.row())).value == pytest.approx(1100 / 900)
    assert processing_s(Stream.of(made_up.row())).reason == "paced: its wall time is the audio's own"


@pytest.mark.parametrize(
    ("name", "changes", "why"),
    [
        ("connect", {"connect_start_ns": None}, "the connection was kept open"),
        ("handshake", {"script": made_up.SCRIPT[1:]}, "the server does not say ready"),
        ("ttfp", {"script": made_up.SCRIPT[-1:]}, "no partial with words"),
        ("ttfp", {"words": None}, "the corpus does not say when speech begins"),
        ("eos", {"words": None, "speech_end_s": None}, "the corpus does not say when speech ends"),
        ("eos", {"script": made_up.SCRIPT[:-1]}, "no final"),
        ("eos_due", {"frame_ms": None}, "no paced frame"),
        ("flush", {"sent_end_ns": None}, "the end message was not handed over"),
        ("partial_gap", {"script": made_up.SCRIPT[-2:]}, "fewer than two partials"),
        ("last_partial", {"script": made_up.SCRIPT[-1:]}, "no partial"),
        ("eos", {"outcome": "timeout"}, "outcome timeout"),
    ],
)
def test_what_is_missing_says_why(name: str, changes: dict[str, Any], why: str) -> None:
    assert reason(name, **changes) == why


def test_without_a_speech_end_the_last_word_is_it() -> None:
    assert numbers(speech_end_s=None)["eos"] == pytest.approx(1100 - 850)


def test_the_first_and_the_last_frame_have_lateness_of_their_own() -> None:
    found = numbers(lateness_ns=[k * made_up.MS for k in range(1, 15)])
    assert found["ttfp_wire"] == pytest.approx(650 - 101)
    assert found["last_frame"] == pytest.approx(1100 - 909)


def test_silence_behind_the_speech_moves_nothing() -> None:
    stored = made_up.row(frames=14, sent_end_ns=made_up.T0_NS + 901 * made_up.MS)
    assert {name: found.value for name, found in times_ms(Stream.of(stored)).items()} == pytest.approx(
        BY_HAND, abs=1e-6
    )


def test_an_upload_is_as_long_as_its_file_and_a_stream_as_its_frames() -> None:
    upload = Stream.of(made_up.row(frame_ms=None, pace=None, frames=1))
    assert upload.sent_s == 1.0
    assert Stream.of(made_up.row()).sent_s == pytest.approx(0.9)
    assert (upload.end_due_ns, upload.first_frame_ns) == (None, upload.sent_ns)


def test_what_an_earlier_attempt_was_told_is_no_answer_to_the_audio() -> None:
    refused = [(-400, "ready", None), (-350, "at_capacity", None), *made_up.SCRIPT]
    assert numbers(script=refused) == pytest.approx(BY_HAND, abs=1e-6)


def test_of_several_finals_the_last_one_counts_and_an_early_one_may_come_before_the_end_message() -> None:
    twice = [(700, "final", "hello"), (880, "final", "hello brave world")]
    found = numbers(script=twice)
    assert (found["eos"], found["eos_due"], found["flush"]) == pytest.approx((30, -20, -21))


def test_what_comes_after_the_final_is_not_shown_any_more_not_even_at_the_same_instant() -> None:
    shown = Stream.of(made_up.row([(900, "partial", "a"), (1100, "final", "a b"), (1100, "partial", "c")])).shown
    assert [message.text for message in shown] == ["a", "a b"]


def test_a_final_without_words_is_a_final() -> None:
    assert numbers(script=[(1100, "final", "")])["eos"] == pytest.approx(250)


@given(st.integers(-6_000_000_000_000, 10**15))
@settings(max_examples=50, deadline=None)
def test_shifting_all_stamps_changes_nothing(by_ns: int) -> None:
    moved = times_ms(Stream.of(made_up.shifted(made_up.row(), by_ns)))
    assert {name: found.value for name, found in moved.items()} == pytest.approx(BY_HAND, abs=1e-3)


@given(st.floats(0, 500), st.floats(0, 3000))
@settings(max_examples=50, deadline=None)
def test_a_final_so_much_later_makes_every_latency_to_it_so_much_longer(late_ms: float, more_ms: float) -> None:
    def until(ms: float) -> dict[str, float | None]:
        return numbers(script=[(500, "partial", "hello"), (ms, "final", "hello")], late_ms=late_ms)

    early, later = until(1100), until(1100 + more_ms)
    for name in ("eos", "eos_due", "flush", "last_frame", "last_partial", "delta_to_audio"):
        assert (later[name] or 0) - (early[name] or 0) == pytest.approx(more_ms, abs=1e-5)


def test_a_row_read_back_from_a_file_is_the_same_stream(tmp_path: Path) -> None:
    stored = [made_up.row(), made_up.row(connect_start_ns=None, reference=None, script=(), outcome="no_final")]
    kept = [{name: value for name, value in row.items() if name in UTTERANCES.names} for row in stored]
    store.write_table(tmp_path / "rows.parquet", kept, UTTERANCES)
    frame = store.read_table(tmp_path / "rows.parquet", UTTERANCES)
    assert [Stream.of(row) for row in frame.to_dict("records")] == [Stream.of(row) for row in kept]
    assert [Stream.of(row) for _, row in frame.iterrows()] == [Stream.of(row) for row in kept]


def test_columns_of_a_later_schema_are_read_as_pandas_gives_them() -> None:
    frame = pd.DataFrame([made_up.row(), made_up.row(words=None, frame_ms=None, pace=None, speech_end_s=None)])
    with_words, without = [Stream.of(row) for row in frame.to_dict("records")]
    assert (len(with_words.words), with_words.frame_ms, with_words.pace) == (3, 100, 1)
    assert (without.words, without.frame_ms, without.pace, without.end_s) == ((), None, None, None)
