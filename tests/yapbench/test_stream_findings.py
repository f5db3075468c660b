"""What is said of streams, over several shapes of data: kept, missed, failed, tied, unequal work, several manners."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yapbench import axes
from yapbench.measures import Point
from yapbench.obtained import setting_of
from yapbench.stats import Estimate
from yapbench.streams import captions, findings, key_numbers
from yapbench.streams.measures import MEASURES, TAKEN_OVER
from yapbench.validity import Validity, Verdict

VALID = Validity(Verdict.VALID, (), 0.1, 0.5, 1.0, 0.2, 0.0, 1.0)
INVALID = dataclasses.replace(VALID, verdict=Verdict.INVALID, reasons=("client late",))


def near(value: float, *, by: float = 0.02, n: int = 140, indicative: bool = False) -> Estimate:
    return Estimate(value, value * (1 - by), value * (1 + by), n, indicative)


def point(
    level: float,
    p50: float,
    *,
    p95: Estimate | None = None,
    setting: Mapping[str, Any] | None = None,
    failures: Mapping[str, int] | None = None,
    validity: Validity = VALID,
    kind: str = "closed",
    **values: Estimate,
) -> Point:
    """A point of streams; what is not given is missing."""
    failed = sum((failures or {}).values())
    found = {name: Estimate.missing("not made up") for name in (*MEASURES, *TAKEN_OVER)}
    found |= {"eos_p50_ms": near(p50), "eos_p95_ms": p95 or near(1.5 * p50), "ttfp_p50_ms": near(2 * p50)}
    found |= {"partial_rate": near(3.0), "wer": near(0.04), "ok_share": near(1 - failed / 140)} | values
    said = {"client": "pcm", "eos": "commit", "pace": 1.0, "frame_ms": 80.0} | dict(setting or {})
    return Point(
        trial_id="-".join(str(value) for value in said.values()),
        setting=said,
        kind=kind,
        level=level,
        repeat=None,
        repeats=1,
        n=140,
        failures=failures or {},
        slo_ms=300,
        validity=validity,
        values=found,
        batch_sizes={},
        streams=True,
    )


def test_the_headline_is_up_to_how_many_streams_the_slo_is_kept() -> None:
    text = findings.headline([point(1, 100), point(8, 150), point(32, 250)])

    assert text.startswith(
        "95 % of the finals come within 300 ms of the end of speech up to 8 streams (p95 of EOS 225 ms"
    )
    assert text.endswith("; 375 ms at 32 streams)")


def test_what_was_kept_everywhere_says_that_no_more_was_tried() -> None:
    assert "up to 8 streams, the most that was tried" in findings.headline([point(1, 100), point(8, 150)])


def test_a_load_above_a_missed_one_is_not_kept() -> None:
    found = captions.capacity([point(1, 100), point(8, 250), point(32, 100)], 300)
    assert found is not None
    assert found.best is not None
    assert found.best.level == 1


def test_the_upper_bound_decides_and_not_the_value() -> None:
    kept = captions.within([point(1, 100, p95=Estimate(290, 250, 310, 140))], 300)
    assert kept == "95 % of the finals do not come within 300 ms of the end of speech, even at 1 stream"


def test_with_few_samples_the_median_stands_in_and_says_so() -> None:
    text = findings.headline([point(1, 100, p95=near(150, indicative=True))])
    assert text.startswith("Half of the finals come within 300 ms")
    assert "p95 is only indicative" in text


@given(st.floats(10, 290), st.integers(1, 139))
def test_failures_count_as_misses(p50: float, failed: int) -> None:
    points = [point(1, p50, p95=near(p50), failures={"timeout": failed})]
    kept = captions.capacity(points, 300)
    assert kept is not None
    assert (kept.best is not None) == (failed <= 7)  # 5 % of 140


def test_a_share_of_failures_that_is_too_large_is_the_reason() -> None:
    text = findings.headline([point(1, 100), point(8, 100, failures={"timeout": 14})])
    assert "up to 1 stream (" in text
    assert text.endswith("10 % of the streams failed at 8 streams)")


@pytest.mark.parametrize(
    ("points", "text"),
    [
        ([], "All 3 trials failed"),
        ([point(1, 100, failures={"refused": 140})], "No stream ended well"),
        ([point(1, 100, validity=INVALID)], "No point is valid: the load was not what it was meant to be"),
    ],
)
def test_what_else_a_headline_can_be(points: list[Point], text: str) -> None:
    assert findings.headline(points, failed=3) == text


def test_invalid_heavier_loads_are_not_the_most_that_was_tried() -> None:
    points = [point(1, 100), point(8, 100, validity=INVALID)]
    assert captions.within(points, 300).endswith("up to 1 stream; beyond it no point is valid")


def test_what_is_said_of_several_settings_holds_for_the_slowest() -> None:
    points = [point(8, value, setting={"client": name}) for name, value in (("json", 150.0), ("pcm", 100.0))]
    assert "in each of 2 settings, the most that was tried (the slowest setting's p95 of EOS 225 ms" in (
        captions.within(points, 300, full=True)
    )


def test_the_better_wire_is_named_with_its_interval() -> None:
    points = [point(8, value, setting={"client": name}) for name, value in (("json", 150.0), ("pcm", 100.0))]
    texts = [finding.text for finding in findings.of_streams(points) if finding.shown]
    assert "Pcm gives finals 50.0 ms sooner than json at 8 streams (p50 100 vs 150 ms; ratio 1.46–1.54)" in texts


def test_overlapping_intervals_show_no_difference() -> None:
    points = [point(8, value, setting={"client": name}) for name, value in (("json", 101.0), ("pcm", 100.0))]
    found = [finding for finding in findings.of_streams(points) if "EOS" in finding.text]
    assert [finding.shown for finding in found] == [False]
    assert found[0].text.startswith("No difference in EOS was shown between pcm and json at 8 streams")


def test_servers_that_did_unequal_work_are_not_compared() -> None:
    points = [
        point(8, value, setting={"client": name}, partial_rate=near(rate))
        for name, value, rate in (("json", 150.0, 5.0), ("pcm", 100.0, 1.0))
    ]
    found = [finding for finding in findings.of_streams(points) if "not compared" in finding.text]
    assert len(found) == 2  # EOS and TTFP
    assert not any(finding.shown for finding in found)


@pytest.mark.parametrize(("axis", "values"), [("eos", ("commit", "silence")), ("pace", (1.0, 10.0))])
def test_no_sentence_compares_policies_or_paces(axis: str, values: tuple[object, object]) -> None:
    points = [point(8, ms, setting={axis: value}) for value, ms in zip(values, (100.0, 400.0), strict=True)]
    texts = [finding.text for finding in findings.of_streams(points)]
    assert not any("sooner" in text for text in texts)
    assert any("[end of speech: " in text for text in texts)


def test_live_audio_is_the_headlines_and_the_others_are_named() -> None:
    points = [point(8, 50, setting={"pace": 10.0}), point(8, 400, p95=near(500))]
    assert "do not come within 300 ms" in findings.headline(points)
    assert any(text.text.endswith("[end of speech: commit by the client · 10 times faster than live]")
               for text in findings.of_streams(points))  # fmt: skip


def test_audio_without_a_clock_has_its_speed_for_a_headline() -> None:
    missing = Estimate.missing("not paced")
    points = [point(4, 1, setting={"pace": 0.0}, eos_p50_ms=missing, eos_p95_ms=missing, rtfx=near(12.5))]
    assert findings.headline(points).startswith("At 4 streams each stream is recognised 12.5x faster than it is spoken")
    numbers = key_numbers.numbers(points, 300)
    assert (numbers[0].value, numbers[2].value) == ("12.5", None)


def test_growth_with_the_load() -> None:
    texts = [finding.text for finding in findings.of_streams([point(1, 100), point(8, 200)]) if finding.shown]
    assert any(text.startswith("EOS grows 2x from 1 stream to 8 streams (p50 100 and 200 ms") for text in texts)


def test_where_no_corpus_says_when_speech_ends_the_due_end_message_counts() -> None:
    missing = Estimate.missing("the corpus does not say when speech ends")
    due = point(1, 1, eos_p50_ms=missing, eos_p95_ms=missing, eos_due_p50_ms=near(80), eos_due_p95_ms=near(90))
    text = findings.headline([due])
    assert "within 300 ms of when the end message was due" in text


def test_a_change_of_wer_needs_enough_utterances() -> None:
    def said(n: int) -> list[str]:
        points = [point(1, 100, wer=Estimate(0.0, 0.0, 0.0, n)), point(8, 110, wer=near(0.05))]
        return [finding.text for finding in findings.of_streams(points) if "WER" in finding.text]

    assert said(3) == []
    assert said(140) == ["WER changes with the load from 1 stream to 8 streams (0.0 and 5.0 %)"]


def test_failures_in_words() -> None:
    assert captions.failures([point(1, 100)]) == "No stream of 140 failed: a true share above 2.1 % is unlikely"
    one = point(8, 100, failures={"timeout": 6, "no_final": 1}, validity=INVALID)
    text = captions.failures([point(1, 100), one])
    assert text == (
        "7 of 280 streams failed (2.5 %), most of them timeout; the largest share at 8 streams; "
        "7 of them at invalid points"
    )


def test_lateness_is_held_against_a_quarter_of_a_frame() -> None:
    assert captions.lateness([point(1, 100)]).endswith("within the limit of 10 ms")
    fast = captions.lateness([point(1, 100, setting={"frame_ms": 20.0, "pace": 20.0})])
    assert fast.endswith("NOT within the limit of 0.25 ms")


def test_frames_that_were_late_while_the_machine_stood_still_are_said_apart() -> None:
    still = dataclasses.replace(VALID, verdict=Verdict.DISTURBED, lateness_p99_ms=45.6)
    said = captions.lateness([point(1, 100), point(8, 100, validity=still)])
    assert "at most 0.5 ms late, within the limit of 10 ms" in said
    assert said.endswith("with the machine standing still in 1 of 2 points, 45.6 ms")


def test_four_numbers() -> None:
    most, end, first, wrong = key_numbers.numbers([point(1, 100), point(8, 150), point(32, 250)], 300, server="echo")
    assert (most.value, most.unit, most.label) == ("8", "streams", "within 300 ms at p95")
    assert (end.value, first.value) == ("100.0", "200.0")
    assert (wrong.value, wrong.label) == ("4.0", "scripted WER")


def test_how_utterances_are_streamed_is_part_of_a_trials_setting() -> None:
    streamed = {"client": "echo_pcm", "load": {"stream": {"frame_ms": 20.0, "pace": 1.0, "eos": "silence"}}}
    requests = {"client": "smart_turn", "load": {"stream": None}, "settings": {"window_ms": 5}}
    assert setting_of(streamed) == {"client": "echo_pcm", "frame_ms": 20.0, "pace": 1.0, "eos": "silence"}
    assert setting_of(requests) == {"window_ms": 5}


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("client", "echo_pcm", "echo_pcm"),
        ("frame_ms", 20.0, "frame 20 ms"),
        ("pace", 1.0, "live"),
        ("pace", 10.0, "pace 10"),
        ("pace", 0.0, "as fast as accepted"),
        ("eos", "silence", "silence, the server finds the end"),
    ],
)
def test_ways_of_streaming_in_words(name: str, value: object, words: str) -> None:
    assert axes.words(name, value) == words


def test_a_number_of_few_streams_says_so() -> None:
    few = key_numbers.numbers([point(1, 100, eos_p50_ms=near(100, n=3))], 300)[1]
    assert few.note == "1 stream · only 3 utterances"


def test_poisson_arrivals_are_calls() -> None:
    assert "up to 8 calls/s" in findings.headline([point(8, 100, kind="poisson")])
