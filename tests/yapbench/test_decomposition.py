"""Where the time to the final goes: parts that add up to it exactly, and what is said when there are none."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.yapbench import made_up_sessions, made_up_traces
from tests.yapbench import made_up_streams as streams
from yapbench import traces
from yapbench.measures import points_of
from yapbench.pacing.streaming import StreamOptions
from yapbench.plots.decomposition import parts_of_final
from yapbench.streams.decomposition import PARTS, caption, decompose, of_trial, why_not
from yapbench.streams.times import Stream, times_ms
from yapbench.traces import Spans

MS = streams.MS
T0 = streams.T0_NS
NEAR = st.integers(T0 + 800 * MS, T0 + 1300 * MS)


def test_each_part_is_between_its_stamps() -> None:
    """Speech ends at 850 ms; the frame that holds its end is due at 900 and handed over 1 ms late; final at 1100."""
    stream = Stream.of(streams.row())
    steps = ((T0 + 780 * MS, T0 + 800 * MS), (T0 + 910 * MS, T0 + 930 * MS), (T0 + 1000 * MS, T0 + 1050 * MS))
    spans = Spans((T0 + 700 * MS, T0 + 903 * MS), (), steps, (T0 + 810 * MS, T0 + 1060 * MS))
    found = {name: ns / MS for name, ns in decompose(stream, spans).parts_ns.items()}
    assert found == {"frame": 50, "client": 1, "up": 2, "queue": 77, "model": 70, "send": 10, "down": 40}
    assert sum(found.values()) == times_ms(stream)["eos"].value == 250


def test_of_a_step_that_runs_already_the_rest_counts() -> None:
    spans = Spans((T0 + 903 * MS,), (), ((T0 + 890 * MS, T0 + 920 * MS),), (T0 + 925 * MS,))
    found = decompose(Stream.of(streams.row()), spans).parts_ns
    assert (found["model"], found["queue"]) == (17 * MS, 0)


@given(
    received=st.lists(NEAR, min_size=1),
    steps=st.lists(st.tuples(NEAR, NEAR).map(lambda pair: (min(pair), max(pair))), min_size=1),
    sent=st.lists(NEAR, min_size=1),
    end_s=st.floats(0.5, 0.9),
    late_ms=st.floats(0, 30),
)
def test_the_parts_add_up_to_eos_whatever_the_stamps(
    received: list[int], steps: list[tuple[int, int]], sent: list[int], end_s: float, late_ms: float
) -> None:
    stream = Stream.of(streams.row(speech_end_s=end_s, late_ms=late_ms))
    found = decompose(stream, Spans(tuple(received), (), tuple(steps), tuple(sent))).parts_ns
    assert stream.final is not None
    assert sum(found.values()) == stream.final.at_ns - round(stream.audio_ns(end_s))
    assert sum(found.values()) / MS == pytest.approx(times_ms(stream)["eos"].value, abs=1e-6)


def test_a_negative_part_is_kept() -> None:
    spans = Spans((T0 + 903 * MS,), (), ((T0 + 910 * MS, T0 + 920 * MS),), (T0 + 1101 * MS,))
    assert decompose(Stream.of(streams.row()), spans).parts_ns["down"] == -MS


@pytest.mark.parametrize(
    ("change", "spans", "said"),
    [
        ({"outcome": "timeout"}, Spans(), "outcome timeout"),
        ({"pace": 0.0}, Spans(), "not paced"),
        ({"speech_end_s": None, "words": None}, Spans(), "does not say when speech ends"),
        ({}, None, "the trace has nothing of it"),
        ({}, Spans((T0,), (), (), (T0,)), "lacks its receiving, its steps or its sending"),
    ],
)
def test_a_stream_without_parts_says_why(change: dict[str, object], spans: Spans | None, said: str) -> None:
    found = decompose(Stream.of(streams.row() | change), spans)
    assert said in found.reason
    assert not found.parts_ns


def test_means_of_a_point_add_up_and_failures_are_counted(tmp_path: Path) -> None:
    made = made_up_sessions.trial(tmp_path / "t", levels=(1, 8), count=30, failing_from=8, failing=0.3)
    trial = made_up_traces.traced(made, model_ms=20, queue_ms=5)
    levels = of_trial(trial, points_of(trial), traces.read(trial))
    assert [level.point.level for level in levels] == [1, 8]
    assert [levels[0].parts[name].value for name in ("up", "queue", "model", "send")] == pytest.approx([1, 5, 20, 2])
    for level in levels:
        whole = sum(part.value or 0 for part in level.parts.values())
        assert whole == pytest.approx(level.eos.value) == pytest.approx(level.point["eos_mean_ms"].value)
    assert sum(levels[1].left_out.values()) == sum(levels[1].point.failures.values()) > 0


def test_the_figure_names_the_largest_part_and_shows_all(tmp_path: Path) -> None:
    made = made_up_sessions.trial(tmp_path / "t", levels=(1, 8), count=30, base_ms=200)
    trial = made_up_traces.traced(made, model_ms=150)
    figure = parts_of_final(of_trial(trial, points_of(trial), traces.read(trial)))
    assert figure.finding.startswith("The model is the largest part at 8 streams: 150 of ")
    assert figure.manner == "end of speech: commit by the client"
    assert all(f"■ {name}" in figure.svgs["phone"] for name in ("queue", "model", "send", "network, up and down"))
    assert figure.svgs["wide"].count('class="tip"') == 2 * len(PARTS)
    assert "not drawn" not in figure.note


def test_a_negative_mean_is_said_and_not_drawn(tmp_path: Path) -> None:
    trial = made_up_traces.traced(made_up_sessions.trial(tmp_path / "t", levels=(1,), count=30), model_ms=200)
    figure = parts_of_final(of_trial(trial, points_of(trial), traces.read(trial)))
    assert "Negative in single streams: network down (30 of the streams)" in figure.note
    assert "A part with a negative mean is not drawn" in figure.note
    assert "■ network up" in figure.svgs["wide"] and "up and down" not in figure.svgs["wide"]


def test_no_part_is_called_the_largest_where_intervals_overlap(tmp_path: Path) -> None:
    made = made_up_sessions.trial(tmp_path / "t", levels=(1,), count=4, base_ms=200)
    trial = made_up_traces.traced(made, model_ms=75)
    (level,) = of_trial(trial, points_of(trial), traces.read(trial))
    assert level.parts["down"].overlaps(level.parts["model"])
    assert caption([level]) == "Parts of the time to the final: none is shown to be the largest at 1 stream"


def test_of_several_settings_the_share_of_the_time_is_said(tmp_path: Path) -> None:
    levels = []
    for number, model_ms in enumerate((150, 170)):
        setting = {"delay_ms": float(number)}
        made = made_up_sessions.trial(tmp_path / str(number), levels=(8,), count=30, base_ms=200, settings=setting)
        trial = made_up_traces.traced(made, model_ms=model_ms)
        levels += of_trial(trial, points_of(trial), traces.read(trial))
    shares = sorted(round(100 * (one.parts["model"].value or 0) / (one.eos.value or 1)) for one in levels)
    said = f"The model is the largest part at 8 streams in 2 of 2 settings: {shares[0]}–{shares[1]} % of the time"
    assert caption(levels) == said


def test_an_invalid_point_has_no_part_in_it(tmp_path: Path) -> None:
    trial = made_up_traces.traced(made_up_sessions.trial(tmp_path / "t", levels=(1,), count=8, lateness_ms=30))
    assert of_trial(trial, points_of(trial), traces.read(trial)) == []


def test_a_server_that_finds_the_end_itself_has_no_parts(tmp_path: Path) -> None:
    options = StreamOptions(eos="silence")
    trial = made_up_traces.traced(made_up_sessions.trial(tmp_path / "t", levels=(1,), count=8, options=options))
    assert of_trial(trial, points_of(trial), traces.read(trial)) == []
    assert "the server finds the end of speech by itself" in why_not(trial, traces.read(trial))


def test_why_a_trial_has_none(tmp_path: Path) -> None:
    plain = made_up_sessions.trial(tmp_path / "t", levels=(1,), count=4)
    assert why_not(plain, traces.read(plain)) == traces.UNASKED
    silent = made_up_traces.traced(plain)
    made_up_traces.write(silent.folder, [])
    assert "no steps of streams" in why_not(silent, traces.read(silent))
