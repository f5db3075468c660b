"""What makes a trial the same trial."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.yapbench.audio_files import write
from yapbench import single, sweeping
from yapbench.errors import ExitCode, UsageError
from yapbench.pacing.streaming import WHOLE_FILES, StreamOptions
from yapbench.parameters import DEFAULT_STREAM_S
from yapbench.sweep import Sweep
from yapbench.trial import Trial, code_sha256, notebook_sha256


def smart_turn(**parameters: Any) -> Trial:
    return Trial.from_parameters("smart_turn", "10_smart_turn", parameters)


def test_a_default_spelt_out_is_the_same_trial() -> None:
    assert smart_turn(window_ms=5).trial_id == smart_turn().trial_id


@pytest.mark.parametrize(
    "parameters", [{"window_ms": 7}, {"seed": 2}, {"concurrency": 3}, {"repeats": 2}, {"trace": True}]
)
def test_what_can_change_a_result_changes_the_id(parameters: dict[str, Any]) -> None:
    assert smart_turn(**parameters).trial_id != smart_turn().trial_id


@pytest.mark.parametrize("parameters", [{"sweep": "other"}, {"out_dir": "/tmp/x"}, {"slo_ms": 50}, {"port": 9000}])
def test_what_cannot_change_a_result_does_not(parameters: dict[str, Any]) -> None:
    assert smart_turn(**parameters).trial_id == smart_turn().trial_id


def test_a_key_in_the_environment_is_neither_hashed_nor_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    before = smart_turn().identity()
    monkeypatch.setenv("AUTH_KEY", "very-secret")
    assert smart_turn().identity() == before
    assert "very-secret" not in json.dumps(smart_turn().identity())


def test_an_unknown_parameter_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="did you mean 'window_ms'"):
        smart_turn(windw_ms=3)


def echo(**parameters: Any) -> Trial:
    return Trial.from_parameters("echo", "05_echo", {"client": "echo_pcm", **parameters})


def test_stream_parameters_make_the_streams_of_the_load() -> None:
    given: dict[str, Any] = {
        "frame_ms": 20,
        "pace": 4,
        "eos": "silence",
        "phases": "aligned",
        "post_wait_s": 3,
        "retries": 2,
    }
    trial = echo(**given, dial_ahead_s=0.2, concurrency="2,4", load_workers=2, requests=9)
    assert trial.profile.stream == StreamOptions(**given, dial_ahead_s=0.2)
    assert (trial.profile.workers, trial.profile.levels, trial.client) == (2, (2.0, 4.0), "echo_pcm")
    assert (echo().profile.requests, echo().profile.duration_s) == (None, DEFAULT_STREAM_S)


def test_a_client_that_sends_requests_has_no_streams() -> None:
    trial = Trial.from_parameters("echo", "05_echo", {})
    assert (trial.client, trial.profile.stream, trial.script) == ("echo", None, None)
    for name, value in {"frame_ms": 20, "eos": "commit", "retries": 0}.items():
        with pytest.raises(UsageError, match=f"{name}=.* is for clients that stream; 'smart_turn' sends requests"):
            smart_turn(**{name: value})


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"client": "echo_pmc"}, "unknown client of echo 'echo_pmc'; did you mean 'echo_pcm'"),
        ({"client": "smart_turn"}, "unknown client of echo"),
        ({"frame_ms": "long"}, "frame_ms is 'long'; it must be a number"),
        ({"frame_ms": 20.01}, "no whole number of samples at 16000 Hz"),
        ({"pace": -1}, "pace is -1"),
        ({"eos": "silent"}, "did you mean 'silence'"),
        ({"eos": "silence", "pace": 0}, "needs a pace above 0"),
        ({"phases": "ends"}, "phases=ends is for bursts"),
        ({"retries": 1.5}, "retries is 1.5; it must be a whole number"),
        ({"wrong_words": 2}, "wrong_words is 2"),
        ({"wrong_words": 0.1, "url": "http://localhost:1"}, "wrong_words=0.1 is for a server that the trial launches"),
    ],
)
def test_streams_that_cannot_be_are_refused_by_name(parameters: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        echo(**parameters)


@pytest.mark.parametrize(
    "parameters",
    [{"client": "echo_json"}, {"frame_ms": 20}, {"pace": 2}, {"eos": "silence"}, {"retries": 1}, {"wrong_words": 0.1}],
)
def test_how_it_is_streamed_and_what_is_said_are_part_of_the_identity(parameters: dict[str, Any]) -> None:
    assert echo(**parameters).trial_id != echo().trial_id
    assert echo(frame_ms=80, pace=1.0).trial_id == echo(pace=1, wrong_words=0).trial_id == echo().trial_id


def test_streams_get_what_has_a_transcript_and_turns_only_when_asked_for() -> None:
    kinds = {one.label for one in echo(corpus="samples").corpus}
    assert kinds == {None}
    assert len(echo(corpus="samples?kind=turn").corpus) == 100
    assert all(one.text and one.label == "complete" for one in echo().corpus)


def test_a_model_of_a_small_world_is_sent_texts_of_it() -> None:
    def sent(**parameters: Any) -> list[str]:
        return [one.id for one in Trial.from_parameters("fastconformer", "40_fastconformer", parameters).corpus]

    assert all("-tiny-" in one for one in sent(model="tiny", device="cpu"))
    assert all(one.startswith("paragraph-") for one in sent())
    assert sent(model="tiny", corpus="samples?kind=paragraph&language=en") == sent()


def test_a_policy_that_the_wire_does_not_have_is_refused() -> None:
    with pytest.raises(
        UsageError, match=r"eos='silence' with client 'fastconformer': .* allowed: commit \(silence: echo"
    ):
        Trial.from_parameters("fastconformer", "40_fastconformer", {"eos": "silence"})


@pytest.mark.parametrize("given", [{"pace": 1}, {"frame_ms": 20}, {"eos": "commit"}, {"phases": "ends"}])
def test_a_file_has_no_pace(given: dict[str, Any]) -> None:
    asked = {"client": "echo_upload", **given}
    with pytest.raises(UsageError, match=f"{next(iter(given))}=.* 'echo_upload' sends whole files"):
        Trial.from_parameters("echo", "05_echo", asked)
    trial = Trial.from_parameters("echo", "05_echo", {"client": "echo_upload"})
    assert trial.profile.stream == WHOLE_FILES and all(one.text for one in trial.corpus)


def test_a_wire_of_frames_sends_no_files() -> None:
    with pytest.raises(
        UsageError, match=r"eos='file' with client 'echo_pcm', which streams; whole files: .*echo_upload"
    ):
        Trial.from_parameters("echo", "05_echo", {"client": "echo_pcm", "eos": "file", "pace": 0})
    with pytest.raises(UsageError, match="eos=file is for uploads, which have no pace; pace is 1"):
        Trial.from_parameters("echo", "05_echo", {"client": "echo_pcm", "eos": "file"})


def test_weights_that_are_not_there_are_named(tmp_path: Path) -> None:
    missing = Trial.from_parameters("fastconformer", "40_fastconformer", {"model": str(tmp_path / "no.nemo")})
    with pytest.raises(UsageError, match=r"fastconformer: --model=.*no\.nemo: there is no file"):
        assert missing.trial_id


def test_a_server_that_runs_already_needs_no_weights_here() -> None:
    running = Trial.from_parameters("fastconformer", "40_fastconformer", {"url": "http://host:1"})
    assert running.identity()["model"] == {}


def test_a_running_echo_keeps_its_settings_and_its_script() -> None:
    trial = echo(url="http://localhost:1", seed=3)
    assert (trial.settings, trial.script, trial.profile.seed) == ({}, None, 3)


def test_a_trial_has_the_notebooks_own_values_where_none_are_given() -> None:
    trial = Trial.from_notebook("echo", "05_echo", {"pace": 2})
    assert (trial.client, trial.profile.warmup, trial.slo_ms) == ("echo_pcm", 2, 500)
    assert trial.trial_id == Trial.from_notebook("echo", "05_echo", {"pace": 2, "warmup": 2}).trial_id


LINES: dict[str, tuple[dict[str, Any], str]] = {
    "no text": ({"text": None}, "a: no text"),
    "empty text": ({"text": " "}, "a: no text"),
    "no word": ({"text": "--"}, "a: no word is left of '--'"),
    "no file": ({"file": None}, "'file' is missing"),
    "not there": ({"file": "b.wav"}, "b.wav: no such file"),
    "cut short": ({"file": "cut.wav"}, "cut.wav: is cut short"),
    "no audio": ({"file": "text.wav"}, "text.wav: cannot be decoded"),
    "word without end": ({"words": [{"word": "a", "start_s": 0}]}, "'words' must be a list of"),
}


def faulty(folder: Path, changes: dict[str, Any]) -> Path:
    """A corpus whose second line has a fault."""
    good = write(folder / "a.wav")
    (folder / "cut.wav").write_bytes(good.read_bytes()[:9000])
    (folder / "text.wav").write_text("hello")
    line = {"file": "a.wav", "id": "ok", "text": "hello"}
    (folder / "manifest.jsonl").write_text(f"{json.dumps(line)}\n{json.dumps({**line, 'id': 'a', **changes})}\n")
    return folder


@pytest.mark.parametrize(("changes", "words"), LINES.values(), ids=list(LINES))
def test_a_fault_of_the_corpus_is_named_with_file_and_line(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=rf"manifest\.jsonl:2: {words}"):
        echo(corpus=str(faulty(tmp_path, changes)))


VERBS: dict[str, Callable[[Path, Path, Path], object]] = {
    "run": lambda corpus, grid, runs: single.run("echo", [f"--corpus={corpus}"], runs_dir=runs),
    "sweep": lambda corpus, grid, runs: sweeping.run(Sweep.load(grid), runs_dir=runs),
    "dry run": lambda corpus, grid, runs: sweeping.plan(Sweep.load(grid), runs_dir=runs),
}


@pytest.mark.parametrize("verb", VERBS.values(), ids=list(VERBS))
def test_the_verbs_refuse_it_before_anything_is_launched(
    verb: Callable[[Path, Path, Path], object], tmp_path: Path
) -> None:
    corpus, grid, runs = faulty(tmp_path / "corpus", {"file": "cut.wav"}), tmp_path / "grid.yaml", tmp_path / "runs"
    grid.write_text(f"notebook: 05_echo\nparameters: {{corpus: {corpus}, client: [echo_pcm, echo_json]}}\n")
    with pytest.raises(UsageError, match=r"manifest\.jsonl:2: cut\.wav: is cut short") as refused:
        verb(corpus, grid, runs)
    assert refused.value.exit_code == ExitCode.USAGE
    assert not [path for path in runs.rglob("*") if path.is_file() and path.name != ".lock"]


def test_prose_and_readme_do_not_count_as_code(tmp_path: Path) -> None:
    for name in ("common", "echo"):
        (tmp_path / "servers" / name).mkdir(parents=True)
        (tmp_path / "servers" / name / "app.py").write_text("x = 1\n")
    before = code_sha256("echo", tmp_path)
    (tmp_path / "servers" / "echo" / "README.md").write_text("words")
    assert code_sha256("echo", tmp_path) == before
    (tmp_path / "servers" / "common" / "app.py").write_text("x = 2\n")
    assert code_sha256("echo", tmp_path) != before


def test_a_notebooks_outputs_and_prose_do_not_count(tmp_path: Path) -> None:
    def write(name: str, *, prose: str, outputs: list[Any], code: str) -> Path:
        code_cell = {"cell_type": "code", "metadata": {}, "source": [code], "outputs": outputs}
        path = tmp_path / name
        path.write_text(
            json.dumps({"cells": [{"cell_type": "markdown", "metadata": {}, "source": [prose]}, code_cell]})
        )
        return path

    plain = write("a", prose="one", outputs=[], code="x = 1")
    assert notebook_sha256(write("b", prose="two", outputs=[{}], code="x = 1")) == notebook_sha256(plain)
    assert notebook_sha256(write("c", prose="one", outputs=[], code="x = 2")) != notebook_sha256(plain)
