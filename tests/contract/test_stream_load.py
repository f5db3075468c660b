"""Loads of streams: the worker's rows show causal, phase-spread, separate utterances."""

from __future__ import annotations

import json
import math
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from websockets.sync.client import connect

from tests.contract.conftest import Echo, StartEcho, sound
from yapbench import load, store
from yapbench.corpus import Corpus, Utterance, Word
from yapbench.errors import UsageError
from yapbench.load import LoadProfile, LoadResult, Plan
from yapbench.pacing.schedule import poisson_offsets
from yapbench.pacing.streaming import StreamOptions
from yapbench.schema import UTTERANCES

pytestmark = pytest.mark.slow  # seconds each, waiting for real time

STEP_NS = 4_000_000  # 40 ms, ten times faster than live


def made_corpus(count: int = 6) -> Corpus:
    """Utterances of 0.5 s, 0.6 s ... of different noise; the last 0.1 s of each is no speech."""
    words = (Word("hello", 0.1, 0.4),)
    utterances = []
    for number in range(count):
        seconds = 0.5 + number / 10
        facts: dict[str, Any] = {"text": "hello", "words": words, "speech_end_s": seconds - 0.1}
        audio = sound(seconds, seed=number)
        utterances.append(Utterance(id=f"u{number}", duration_s=seconds, samples=audio, sample_rate_hz=16_000, **facts))
    return Corpus.of("made", utterances)


def run(
    url: str, folder: Path, *, stream: dict[str, Any] | None = None, **profile: Any
) -> tuple[LoadResult, pd.DataFrame]:
    options = StreamOptions(**{"frame_ms": 40, "pace": 10, **(stream or {})})
    plan = Plan(client="echo_pcm", url=url, corpus=made_corpus(), profile=LoadProfile(stream=options, **profile))
    result = load.run(plan, folder=folder)
    return result, store.read_table(folder / "utterances.parquet", UTTERANCES)


def check_rows(rows: pd.DataFrame) -> None:
    """What holds for every paced load."""
    assert set(rows["outcome"]) == {"ok"}
    assert set(zip(rows["frame_ms"], rows["pace"], strict=True)) == {(40.0, 10.0)}
    assert rows["request_id"].is_unique
    for row in rows.to_dict("records"):
        frames = math.ceil(row["speech_end_s"] * 25 - 1e-6)
        assert len(row["lateness_ns"]) == frames
        assert min(row["lateness_ns"]) >= 0
        assert row["sent_ns"] >= row["intended_ns"] + STEP_NS
        assert row["connected_ns"] <= row["intended_ns"]
        final = row["events"][-1]
        assert (final["kind"], final["at_ns"]) == ("final", row["ended_ns"])
        assert json.loads(final["data"])["request_id"] == row["request_id"]
        assert json.loads(final["data"])["audio_s"] == pytest.approx(frames * 0.04)


def test_fixed_n_keeps_its_streams_and_spreads_their_phases(echo: Echo, tmp_path: Path) -> None:
    result, rows = run(echo.url, tmp_path, levels=(4,), requests=40, warmup=4)
    check_rows(rows)
    assert rows["phase"].value_counts()[["warmup", "steady"]].tolist() == [4, 40]
    assert sorted(rows["index"]) == list(range(len(rows)))
    assert sorted(rows["stream"].unique()) == [0, 1, 2, 3]
    for _, own in rows.groupby("stream"):  # a user's next utterance begins within a few frames of the last one's end
        own = own.sort_values("intended_ns")
        gaps = own["intended_ns"].to_numpy()[1:] - own["ended_ns"].to_numpy()[:-1]
        assert (gaps > 0).all()
    first = rows.sort_values("index").iloc[:4]
    assert first["utterance_id"].is_unique
    assert len(set(first["intended_ns"] % STEP_NS)) == 4
    assert (result.failure, result.unmeasured) == (None, [])
    assert rows["words"][0][0] == {"word": "hello", "start_s": 0.1, "end_s": 0.4}


def test_aligned_streams_send_at_the_same_instants(echo: Echo, tmp_path: Path) -> None:
    _, rows = run(echo.url, tmp_path, stream={"phases": "aligned"}, levels=(3,), requests=9)
    check_rows(rows)
    assert set(rows["intended_ns"] % STEP_NS) == {0}


def test_calls_come_when_they_are_due_and_wait_for_nobody(start_echo: StartEcho, tmp_path: Path) -> None:
    url = start_echo("--delay-ms=300").url
    stream = {"dial_ahead_s": 0.2}
    _, rows = run(url, tmp_path, stream=stream, kind="poisson", levels=(40,), requests=30, warmup=3, seed=1)
    check_rows(rows)
    rows = rows.sort_values("index")
    offsets = list(islice(poisson_offsets(40, seed=1, repeat=0), len(rows)))
    moved = rows["intended_ns"] - rows["intended_ns"].iloc[0] - offsets
    assert (moved % STEP_NS == 0).all()  # whole frames, where the server was not ready in time
    assert (moved == 0).mean() > 0.5
    at_once = [((rows["intended_ns"] <= at) & (rows["ended_ns"] > at)).sum() for at in rows["intended_ns"]]
    assert max(at_once) >= 5  # 14 on average


def test_a_ramp_and_a_burst(echo: Echo, tmp_path: Path) -> None:
    _, ramp = run(echo.url, tmp_path / "a", kind="ramp", levels=(1, 3), requests=6)
    check_rows(ramp)
    assert ramp[ramp["phase"] == "steady"].groupby("level").size().tolist() == [6, 6]
    _, burst = run(echo.url, tmp_path / "b", kind="burst", levels=(4,), requests=8, period_s=0.8)
    check_rows(burst)
    moments = burst[burst["phase"] == "steady"].groupby("stream")["intended_ns"]
    assert [(len(times), (times.max() - times.min()) % STEP_NS) for _, times in moments] == [(4, 0), (4, 0)]


def test_a_burst_may_end_at_one_moment(echo: Echo, tmp_path: Path) -> None:
    stream = {"phases": "ends", "dial_ahead_s": 0.3}
    _, rows = run(echo.url, tmp_path, stream=stream, kind="burst", levels=(5,), requests=5, period_s=1.0)
    check_rows(rows)
    ends_ns = rows["intended_ns"] + [len(lateness) * STEP_NS for lateness in rows["lateness_ns"]]
    assert rows["intended_ns"].nunique() > 1
    assert ends_ns.nunique() == 1
    with pytest.raises(UsageError, match="is for bursts"):
        LoadProfile(requests=1, stream=StreamOptions(phases="ends"))


def test_failures_stay_in_the_rows(start_echo: StartEcho, tmp_path: Path) -> None:
    url = start_echo("--never-final-rate=0.2", "--wrong-rate=0.2", "--drop-rate=0.2", "--seed=3").url
    _, rows = run(url, tmp_path, stream={"post_wait_s": 0.3}, levels=(5,), requests=40)
    steady = rows[rows["phase"] == "steady"]
    assert len(steady) == 40
    assert set(steady["outcome"]) == {"ok", "no_final", "wrong_result", "server_error"}
    assert steady.loc[steady["outcome"] != "ok", "error"].str.len().min() > 0


def test_a_client_that_does_not_stream_takes_no_stream_options(echo: Echo, tmp_path: Path) -> None:
    for client, stream in (("echo", StreamOptions()), ("echo_pcm", None)):
        profile = LoadProfile(requests=1, stream=stream)
        plan = Plan(client=client, url=echo.url, corpus=made_corpus(), profile=profile)
        with pytest.raises(UsageError, match="stream"):
            load.run(plan, folder=tmp_path)


def test_a_plan_with_streams_survives_json(tmp_path: Path) -> None:
    one = Utterance(id="a", duration_s=1.0, path=tmp_path / "a.wav")
    profile = LoadProfile(requests=1, stream=StreamOptions(frame_ms=20, eos="silence", retries=3))
    plan = Plan(client="echo_pcm", url="http://x", corpus=Corpus("c", (one,), "00"), profile=profile)
    assert Plan.from_json(json.loads(json.dumps(plan.as_json()))) == plan


def test_what_echo_injects_is_what_is_measured(start_echo: StartEcho, tmp_path: Path) -> None:
    log = tmp_path / "delays.jsonl"
    url = start_echo("--delay-ms=40", "--delay-sigma=0.5", f"--delay-log={log}").url
    _, rows = run(url, tmp_path, levels=(4,), requests=60)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    injected_ms = {line["request_id"]: line["injected_s"] * 1000 for line in lines if line.get("kind") == "final"}
    flush_ms = (rows["ended_ns"] - rows["sent_end_ns"]).astype(float) / 1e6
    error_ms = flush_ms - rows["request_id"].map(injected_ms)
    assert error_ms.notna().all()
    # The end message may be read by the server before our own stamp of it.
    assert error_ms.min() > -5
    assert error_ms.abs().median() < 15  # a busy machine; an idle one shows a fraction of 1 ms


def test_who_finds_no_room_waits_a_second_before_the_next_call(start_echo: StartEcho, tmp_path: Path) -> None:
    echo = start_echo("--seats=1")
    with connect(echo.ws):
        _, rows = run(echo.url, tmp_path, levels=(2,), duration_s=2.5)
    assert set(rows["outcome"]) == {"rejected_at_capacity"}
    assert 2 * 2 <= len(rows) <= 2 * 4
    for _, mine in rows.groupby("stream"):
        assert mine["intended_ns"].sort_values().diff().dropna().min() >= 1_000_000_000
