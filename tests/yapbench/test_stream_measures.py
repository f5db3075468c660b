"""Rows of streams to numbers: one scripted utterance in closed form, then a point over many."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.yapbench import made_up
from tests.yapbench import made_up_streams as streams
from yapbench.measures import Point
from yapbench.stats import Estimate
from yapbench.store import TrialData
from yapbench.streams import cost
from yapbench.streams import measures as stream_measures
from yapbench.streams.flicker import Flicker
from yapbench.streams.measures import MEASURES, measure
from yapbench.streams.times import Stream
from yapbench.wer import Errors

SAID = "hello brave world"


def level(count: int = 12, **changes: Any) -> pd.DataFrame:
    """`count` streams of three users, one every 1.25 s, after one of warm-up that went badly and must not count."""
    rows = [
        streams.row(t0_ns=made_up.START_NS + k * 1250 * streams.MS, index=k, stream=k % 3, **changes)
        for k in range(count + 1)
    ]
    rows[0] |= {"phase": "warmup", "events": [], "outcome": "timeout"}
    return pd.DataFrame(rows)


def numbers(rows: pd.DataFrame) -> dict[str, Estimate]:
    return stream_measures.values(rows, slo_ms=300, replicates=40)


def heard(texts: list[str | None], **changes: Any) -> pd.DataFrame:
    """One stream for each text, heard as its final; None: it timed out."""
    rows = level(len(texts), **changes)
    scripts = [[(500.0, "partial", text), (1100.0, "final", text)] if text is not None else [] for text in texts]
    made = [streams.row(script) for script in [[], *scripts]]
    rows["events"] = [row["events"] for row in made]
    rows["outcome"] = ["timeout", *("timeout" if text is None else "ok" for text in texts)]
    return rows


def test_one_scripted_utterance_in_closed_form() -> None:
    found = measure(Stream.of(streams.row()))
    assert [(e.word, round(e.first_ms or 0, 6)) for e in found.emissions] == [
        ("hello", 200),
        ("brave", 350),
        ("world", 250),
    ]
    assert all(e.first_ms == e.stable_ms for e in found.emissions)
    assert found.lag_slope.value == pytest.approx(125)  # 200, 350, 250 ms at 0.45, 0.65, 0.85 s
    assert found.flicker == Flicker(final_words=3, unstable_words=2, revisions=2, erased_words=2)
    assert found.score and found.score.words.errors == Errors(3, 0, 0, 0)
    assert found.score.raw_words == Errors(1, 2, 0, 0)  # Hello, and world! as they were written
    assert (found.times["eos"].value, found.stream_rtf.value) == pytest.approx((250, 1100 / 900))


def test_a_failed_stream_has_no_number_but_all_its_words_deleted() -> None:
    found = measure(Stream.of(streams.row(streams.SCRIPT[:-1], outcome="no_final")))
    assert {item.reason for item in found.times.values()} == {"outcome no_final"}
    assert (found.emissions, found.flicker, found.lag_slope.value) == ((), Flicker(), None)
    assert found.score and found.score.words.errors == Errors(0, 0, 3, 0)


def test_a_point_of_equal_streams_has_each_ones_numbers() -> None:
    found = numbers(level())
    expected = {
        "ttfp_p50_ms": 450,
        "eos_p50_ms": 250,
        "eos_p99_ms": 250,
        "eos_due_mean_ms": 200,
        "flush_p95_ms": 199,
        "handshake_p50_ms": 20,
        "partial_gap_max_p95_ms": 350,
        "emission_p50_ms": 250,
        "emission_stable_p99_ms": 350,
        "emission_share": 1,
        "lag_slope_ms_per_s": 125,
        "stream_rtf_p50": 1100 / 900,
        "partials": 4,
        "partial_rate": 4 / 0.65,
        "upwr": 2 / 3,
        "upsr": 2,
        "normalized_erasure": 2 / 3,
        "wer": 0,
        "wer_raw": 2 / 3,
        "goodput_share": 1,
    }
    assert {name: found[name].value for name in expected} == pytest.approx(expected)
    assert set(found) | {"cpu_s_per_audio_s", *cost.MEASURES} == set(MEASURES)


def test_wer_is_pooled_strict_with_failures_and_counted_by_kind() -> None:
    found = numbers(heard([SAID, "hello world", "hello brave new world", "yellow brave world", None, ""]))
    assert found["wer"].value == pytest.approx((0 + 1 + 1 + 1 + 3) / 15)
    assert found["wer_mean"].value == pytest.approx((0 + 1 / 3 + 1 / 3 + 1 / 3 + 1) / 5)
    assert found["wer_strict"].value == pytest.approx((6 + 3) / 18)
    kinds = [found[name].value for name in ("substitutions", "deletions", "insertions")]
    assert kinds == pytest.approx([1 / 15, 4 / 15, 1 / 15])
    assert (found["wer"].n, found["wer_strict"].n) == (5, 6)
    assert found["empty_share"].value == pytest.approx(1 / 5)
    assert (found["wer"].low or 0) < (found["wer"].value or 0) < (found["wer"].high or 0)


def test_words_in_another_order_are_errors_in_wer_alone() -> None:
    found = numbers(heard(["world hello brave"] * 6))
    assert found["wer_unordered"].value == 0 < (found["wer"].value or 0)


def test_words_made_up_where_nothing_is_said_are_counted_by_the_minute() -> None:
    found = numbers(heard(["thank you", "", ""], reference="", audio_s=20.0))
    assert found["made_up_words_per_min"].value == pytest.approx(2)
    assert found["wer"].reason == "no utterance with a reference"


def test_without_partials_there_is_no_flicker_to_praise() -> None:
    found = numbers(level(script=streams.SCRIPT[-1:]))
    assert (found["upwr"].reason, found["ttfp_p50_ms"].reason) == ("no partials", "no partial with words")
    assert found["partial_rate"].value == 0


def test_words_that_a_server_never_showed_are_in_the_share() -> None:
    found = numbers(heard(["hello", "hello", "hello"]))
    assert found["emission_share"].value == pytest.approx(1 / 3)
    assert numbers(level(words=None))["emission_share"].reason == "the corpus does not say when its words are spoken"


def test_audio_sent_as_fast_as_accepted_is_summed_up_as_rtfx() -> None:
    found = numbers(level(pace=0.0))
    assert found["rtfx"].value == pytest.approx(0.9 / 0.999)
    assert found["eos_p50_ms"].reason == "not paced: the audio has no clock"


@pytest.mark.parametrize(("one", "other", "equal"), [(10, 10.9, True), (10, 12, False), (0, 0, True), (None, 10, None)])
def test_work_is_equal_within_a_tenth(one: float | None, other: float | None, equal: bool | None) -> None:
    assert stream_measures.equal_work(Estimate(one), Estimate(other)) is equal


def trial(folder: Path, rows: pd.DataFrame) -> TrialData:
    return dataclasses.replace(made_up.trial(folder / "t", levels=[1]), utterances=rows)


def only(data: TrialData) -> Point:
    (point,) = stream_measures.points(data, replicates=40)
    return point


def test_a_trials_point_keeps_what_is_said_of_any_server(tmp_path: Path) -> None:
    rows = level()
    rows.loc[3, "outcome"] = "server_died"
    point = only(trial(tmp_path, rows))
    assert (point.n, point.failures, point["eos_p50_ms"].n) == (12, {"server_died": 1}, 11)
    assert point["ok_share"].value == pytest.approx(11 / 12)
    assert (point["rss_peak_mib"].value or 0) > 0
    assert (point["cpu_s_per_audio_s"].value or 0) > 0
    json.dumps(point.as_dict(), allow_nan=False)


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    data = trial(tmp_path, heard([SAID, "hello", None, "hello brave"] * 4))
    assert json.dumps(only(data).as_dict()) == json.dumps(only(data).as_dict())


def test_repeats_have_points_of_their_own(tmp_path: Path) -> None:
    rows = level()
    rows["repeat"] = [0] * 7 + [1] * 6
    found = stream_measures.points_by_repeat(trial(tmp_path, rows), replicates=20)
    assert [(point.repeat, point.n) for point in found] == [(0, 6), (1, 6)]


def test_the_normalisers_behind_the_scores_are_named() -> None:
    found = [measure(Stream.of(streams.row(language=code))) for code in ("en", "fr", "en")]
    assert [name.split("/")[-1] for name in stream_measures.norm_versions(found)] == ["basic", "english"]


def test_rows_of_which_all_failed_give_reasons_and_no_warning() -> None:
    found = numbers(level(outcome="refused", script=()))
    assert found["eos_p50_ms"].reason == found["emission_p50_ms"].reason == "outcome refused"
    assert (found["wer_strict"].value, found["wer"].value, found["partials"].reason) == (
        1,
        None,
        "no stream ended well",
    )


messages = st.tuples(
    st.integers(-50, 2000),
    st.sampled_from(["ready", "partial", "final", "error"]),
    st.sampled_from([None, "", SAID, "x"]),
)
oddities = st.fixed_dictionaries(
    {
        "script": st.lists(messages, max_size=5).map(lambda found: sorted(found, key=lambda message: message[0])),
        "frames": st.integers(0, 12),
        "words": st.sampled_from([None, (), streams.WORDS]),
    },
    optional={
        "outcome": st.sampled_from(["ok", "timeout", "no_final"]),
        "repeat": st.integers(0, 2),
        "stream": st.integers(0, 6),
        "pace": st.sampled_from([None, 0.0, 1.0, 10.0]),
        "frame_ms": st.none(),
        "reference": st.sampled_from([None, "", "[noise]", SAID]),
        "language": st.sampled_from([None, "fr"]),
        "speech_end_s": st.none(),
        "sent_ns": st.none(),
        "sent_end_ns": st.none(),
    },
)


@given(st.lists(oddities, min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_whatever_was_stored_each_number_has_a_value_or_a_reason(stored: list[dict[str, Any]]) -> None:
    found = numbers(pd.DataFrame([streams.row(**odd) for odd in stored]))
    assert all(item.reason if item.value is None else item.n or item.reason for item in found.values())
    json.dumps({name: item.as_dict() for name, item in found.items()}, allow_nan=False)
