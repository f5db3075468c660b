"""Grids: what is accepted, what is refused by name, which trials come out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from yapbench.errors import UsageError
from yapbench.pacing.streaming import StreamOptions
from yapbench.sweep import Sweep, estimate_s, locked, planned_requests

ROOT = Path(__file__).resolve().parents[2]
REAL_MODELS = ("choose-gpu",)


def grid(**parameters: Any) -> Sweep:
    return Sweep.from_mapping({"notebook": "10_smart_turn", "parameters": parameters}, name="test")


def test_lists_are_axes_and_the_last_turns_fastest() -> None:
    sets = grid(window_ms=[0, 5], sessions=[1, 2], requests=10).parameter_sets()
    assert [(s["window_ms"], s["sessions"]) for s in sets] == [(0, 1), (0, 2), (5, 1), (5, 2)]
    assert all(s["requests"] == 10 for s in sets)


def test_concurrency_is_measured_inside_one_trial() -> None:
    sets = grid(concurrency=[1, 4], sessions=[1, 2]).parameter_sets()
    assert [s["concurrency"] for s in sets] == ["1,4", "1,4"]


def test_exclude_removes_matching_settings() -> None:
    sweep = Sweep.from_mapping(
        {
            "notebook": "10_smart_turn",
            "parameters": {"window_ms": [0, 5], "sessions": [1, 2]},
            "exclude": [{"window_ms": 5, "sessions": 2}],
        },
        name="test",
    )
    assert len(sweep.parameter_sets()) == 3


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({"notebook": "10_smart_turn", "paramters": {}}, "did you mean 'parameters'"),
        ({"notebook": "10_smart_turm"}, "did you mean '10_smart_turn'"),
        ({"notebook": "10_smart_turn", "parameters": {"windw_ms": 1}}, "did you mean 'window_ms'"),
        ({"notebook": "10_smart_turn", "parameters": {"sessions": []}}, "empty list"),
        ({"parameters": {}}, "'notebook' is missing"),
        ("a sentence", "expected keys"),
    ],
)
def test_a_mistake_is_named_with_its_remedy(raw: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Sweep.from_mapping(raw, name="test")


def test_a_value_that_the_server_refuses_stops_the_sweep_before_it_begins() -> None:
    with pytest.raises(UsageError, match="window"):
        grid(window_ms=[0, -3]).trials()


def test_trial_ids_differ_by_setting_and_not_by_where_results_go() -> None:
    first, second = (trial.trial_id for trial in grid(window_ms=[0, 5]).trials())
    assert first != second
    again = grid(window_ms=[0, 5]).trials()[0]
    assert again.trial_id == first


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted((ROOT / "sweeps").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_sweep_file_is_valid(path: Path) -> None:
    """A file of real models is tried with random weights: no machine needs to have the models to run the tests."""
    raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    if path.stem in REAL_MODELS:
        raw["parameters"]["model"] = "random"
    assert Sweep.from_mapping(raw, name=path.stem).trials()


def test_the_quick_sweep_is_as_large_as_promised() -> None:
    trials = Sweep.load(ROOT / "sweeps" / "smart_turn-quick.yaml").trials()
    assert len(trials) >= 6
    assert sum(len(trial.profile.levels) * trial.profile.repeats for trial in trials) >= 24
    assert all((trial.profile.requests or 0) >= 130 for trial in trials)


def test_the_quick_sweep_of_streams_meets_its_queues_knee() -> None:
    trials = Sweep.load(ROOT / "sweeps" / "echo-quick.yaml").trials()
    assert [trial.client for trial in trials] == ["echo_pcm", "echo_json", "echo_msgpack"]
    assert sum(estimate_s(trial, per_request_s=0) for trial in trials) < 180
    for trial in trials:
        speech_s = sum(one.speech_end_s or 0.0 for one in trial.corpus) / len(trial.corpus)
        knee = trial.settings["workers"] / 0.25 * (speech_s + trial.settings["service_ms"] / 1000)
        assert [level for level in trial.profile.levels if level < knee] == [1, 5, 10, 20]
        assert trial.profile.stream == StreamOptions()


def test_a_second_runner_of_the_same_sweep_is_refused(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(UsageError, match="another process"), locked(tmp_path):
        pass
    with locked(tmp_path):
        pass


def test_estimates_count_every_request_or_every_second() -> None:
    counted = grid(requests=10, warmup=2, concurrency="1,4", repeats=3).trials()[0]
    timed = grid(duration_s=5.0, concurrency="1,4", repeats=2).trials()[0]
    assert planned_requests(counted) == 12 * 2 * 3
    assert estimate_s(counted, per_request_s=0.5) == 36
    assert estimate_s(timed, per_request_s=0.5) == 20


def test_speech_takes_its_time_in_an_estimate() -> None:
    given = {"client": "echo_pcm", "requests": 20, "warmup": 0, "concurrency": "1,4", "pace": 2}
    sweep = Sweep.from_mapping({"notebook": "05_echo", "parameters": given}, name="x")
    (trial,) = sweep.trials()
    spoken_s = trial.corpus.audio_s / len(trial.corpus) / 2
    assert estimate_s(trial, per_request_s=0.05) == pytest.approx(20 * spoken_s * (1 + 1 / 4))
    (calls,) = Sweep.from_mapping(
        {"notebook": "05_echo", "parameters": {**given, "profile": "poisson"}}, name="x"
    ).trials()
    assert estimate_s(calls, per_request_s=0.05) == pytest.approx(20 * (1 + 1 / 4))


def test_stream_parameters_and_the_wire_are_axes() -> None:
    parameters = {"client": ["echo_pcm", "echo_json"], "frame_ms": [20, 80], "eos": "commit"}
    sweep = Sweep.from_mapping({"notebook": "05_echo", "parameters": parameters}, name="x")
    found = [(t.client, t.profile.stream.frame_ms) for t in sweep.trials() if t.profile.stream]
    assert found == [("echo_pcm", 20), ("echo_pcm", 80), ("echo_json", 20), ("echo_json", 80)]
    assert sweep.axis_names == ["client", "frame_ms"]
    with pytest.raises(UsageError, match="did you mean 'frame_ms'"):
        Sweep.from_mapping({"notebook": "05_echo", "parameters": {"frame_sm": 20}}, name="x")


def test_several_grids_give_each_model_its_own_axes() -> None:
    sweep = Sweep.from_mapping(
        {
            "notebook": "10_smart_turn",
            "parameters": {"window_ms": [0, 5], "concurrency": [1, 8]},
            "grids": [{"model": "v3-onnx"}, {"model": "tiny", "dtype": ["float32", "bfloat16"]}],
        },
        name="models",
    )

    found = [(s["model"], s["window_ms"], s.get("dtype")) for s in sweep.parameter_sets()]

    assert found[:2] == [("v3-onnx", 0, None), ("v3-onnx", 5, None)]
    assert set(found[2:]) == {("tiny", w, d) for w in (0, 5) for d in ("float32", "bfloat16")}
    assert sweep.axis_names == ["model", "window_ms", "dtype"]


@pytest.mark.parametrize("grids", [[], {"model": "tiny"}, ["tiny"]])
def test_grids_that_are_no_list_of_blocks_are_refused(grids: object) -> None:
    with pytest.raises(UsageError, match="'grids' must be a list of blocks"):
        Sweep.from_mapping({"notebook": "10_smart_turn", "grids": grids}, name="x")


@pytest.mark.parametrize(
    ("written", "words"),
    [(b"a: [", "not YAML"), (b"[" * 5000, "nested too deep"), (b"a: \xff", "cannot be read")],
    ids=["syntax", "depth", "encoding"],
)
def test_a_file_that_is_no_yaml_is_named(tmp_path: Path, written: bytes, words: str) -> None:
    path = tmp_path / "grid.yaml"
    path.write_bytes(written)
    with pytest.raises(UsageError, match=rf"grid\.yaml: .*{words}"):
        Sweep.load(path)
