"""The harness against the gateway as a process: clients, verbs, a trial and a check, each text known.

Behind the gateway stands a recogniser of marked speech in vLLM's place, so that no model is needed.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.conftest import Calls
from tests.servers.voxtral.marked_speech import SAMPLE_RATE_HZ, speech, text
from tests.yapbench.verb_looks import lines
from yapbench import clients, process
from yapbench.clients.interface import Exchange
from yapbench.corpora.opening import open_corpus
from yapbench.corpus import Utterance
from yapbench.errors import ExitCode
from yapbench.pacing.streaming import StreamOptions
from yapbench.process import Server
from yapbench.runner import Run
from yapbench.schema import Outcome
from yapbench.store import read_trial
from yapbench.verbs import convo, idle, probing, quick, verify
from yapbench.verbs.options import Options

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
KEY = "secret"
DELAY_STEPS = 5
SEATS = 6


@pytest.fixture(scope="module")
def engine() -> Iterator[str]:
    """The address of an engine that somebody else runs."""
    command = [sys.executable, "-m", "tests.servers.voxtral.scripted_vllm", "--port=0", f"--delay-steps={DELAY_STEPS}"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        said = running.stdout.readline()
        yield said.partition("listening on ")[2].strip()
        running.terminate()


def settings(engine: str, **more: Any) -> dict[str, Any]:
    own = {"engine_url": engine, "model": "tiny", "max_connections": SEATS, "transcription_delay_ms": 80 * DELAY_STEPS}
    return own | {"watchdog_tick_s": 0.2, **more}


@pytest.fixture(scope="module")
def gateway(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("gateway")
    given = settings(engine, idle_timeout_s=1.0)
    with process.launch(
        "voxtral", settings=given, log_path=folder / "log", secrets={"VOXTRAL_API_KEY": f"{KEY},other"}
    ) as server:
        yield server


@pytest.fixture(autouse=True)
def looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files go to a folder of the test's; no .env, and of keys only the gateway's."""
    for name in ("RUNPOD_TCP_HOST", "RUNPOD_TCP_PORT", "RUNPOD_API_KEY", "VLLM_REALTIME_URL", "VLLM_REALTIME_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("VOXTRAL_API_KEY", KEY)
    monkeypatch.setattr(quick, "LOOKS", tmp_path / "looks")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "looks" / "voxtral"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three clips of marks, a word each 0.4 s, with their words."""
    folder = tmp_path_factory.mktemp("corpus")
    for number, words in enumerate((3, 4, 5)):
        marks = range(100 * number, 100 * number + words)
        with wave.open(str(folder / f"clip{number}.wav"), "wb") as file:
            file.setparams((1, 2, SAMPLE_RATE_HZ, 0, "NONE", ""))
            file.writeframes(speech(marks))
        (folder / f"clip{number}.txt").write_text(text(marks).strip())
    return folder


async def stream(
    calls: Calls, server: Server, clip: Utterance, *, wire: str = "voxtral", key: str = KEY, **options: Any
) -> Exchange:
    given = StreamOptions(**{"pace": 10.0, **options})
    keys = {"VOXTRAL_API_KEY": key}
    client = clients.build(wire, server.url, timeout_s=10, environment=keys, stream=given, pacer=calls.pacer)
    payload = client.prepare(clip, clip.audio(client.sample_rate_hz))
    return await client.exchange(payload, f"r-{clip.id}", intended_ns=time.monotonic_ns())


def clips(corpus: Path) -> list[Utterance]:
    return list(open_corpus(str(corpus), need_text=True))


@pytest.mark.parametrize("wire", ["voxtral", "voxtral_eager"])
async def test_words_come_while_they_are_spoken_and_all_of_them_are_there(
    calls: Calls, gateway: Server, corpus: Path, wire: str
) -> None:
    clip = clips(corpus)[-1]
    exchange = await stream(calls, gateway, clip, wire=wire, pace=2)
    assert (exchange.outcome, exchange.error) == (Outcome.OK, None)
    partials = [event.text for event in exchange.events if event.kind == "partial"]
    words = (clip.text or "").split()
    assert partials == [" ".join(words[: number + 1]) for number in range(len(words))]
    assert exchange.events[-1].text == clip.text
    first = next(event.at_ns for event in exchange.events if event.kind == "partial")
    assert first < (exchange.owed_ns or 0)
    steps = sum(event.kind in ("step", "partial") for event in exchange.events)
    assert steps == 25 + 10  # two seconds, of which the last step lacks its look-ahead, and eleven more


async def test_more_callers_than_seats_are_served_in_the_end_each_with_its_own_words(
    calls: Calls, gateway: Server, corpus: Path
) -> None:
    wanted = clips(corpus) * 5
    found = await asyncio.gather(*(stream(calls, gateway, clip, retries=20) for clip in wanted))
    assert [one.outcome for one in found] == [Outcome.OK] * 15
    assert [one.events[-1].text for one in found] == [clip.text for clip in wanted]
    refused = [event for one in found for event in one.events if event.kind == "at_capacity"]
    assert refused and "too_many_sessions" in (refused[0].data or "")


async def test_a_wrong_key_is_refused_for_good(calls: Calls, gateway: Server, corpus: Path) -> None:
    found = await stream(calls, gateway, clips(corpus)[0], key="wrong", retries=3)
    assert (found.outcome, found.sent_ns) == (Outcome.BAD_REQUEST, None)
    assert "authentication_failed" in (found.error or "")


def test_convo_says_two_utterances_on_one_connection(
    gateway: Server, corpus: Path, looks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = Options(url=gateway.url, file=str(corpus), rtf=5.0)
    assert convo.convo("voxtral", options, pause_s=0.3) == ExitCode.OK
    rows = lines(looks / "convo" / "convo_metrics.jsonl")
    assert [row["outcome"] for row in rows] == ["ok", "ok"] and rows[1]["connect_ms"] is None
    said = capsys.readouterr().out
    assert all(clip.text and clip.text in said for clip in clips(corpus)[:2])


@pytest.mark.parametrize("after", [False, True])
def test_silence_is_ended_with_4000(
    gateway: Server, corpus: Path, after: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where an utterance was begun and fed nothing; the tick is read from /status."""
    options = Options(url=gateway.url, file=str(corpus), rtf=5.0)
    assert idle.idle("voxtral", options, after=after, expect_s=1.0, tick_s=None) == ExitCode.OK
    said = capsys.readouterr().out
    assert "with 4000 " in said and "within the 2.2 s allowed" in said


def test_bench_counts_words_and_what_the_gateway_takes(gateway: Server, corpus: Path, looks: Path) -> None:
    options = Options(url=gateway.url, file=str(corpus), requests=4, concurrency="1,4", rtf=5.0)
    assert quick.bench("voxtral", options) == ExitCode.OK
    rows = lines(looks / "bench" / "bench_metrics.jsonl")
    assert {row["outcome"] for row in rows} == {"ok"} and {row["wer"] for row in rows} == {0.0}
    assert all(row["partials"] >= 3 for row in rows)


def test_warmup_and_probe_show_one_session(
    gateway: Server, corpus: Path, looks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = Options(url=gateway.url, file=str(corpus / "clip0.wav"), rtf=5.0)
    assert quick.warmup("voxtral", options) == ExitCode.OK
    assert probing.probe("voxtral", options) == ExitCode.OK
    said = capsys.readouterr().out
    assert "session.updated" in said and "transcription.done" in said and KEY not in said


def test_remote_goes_through_a_proxy_with_a_key_of_its_own(gateway: Server, corpus: Path, looks: Path) -> None:
    host, port = gateway.url.removeprefix("http://").split(":")
    keys = f"RUNPOD_API_KEY=of-the-proxy\nVOXTRAL_API_KEY={KEY}\n"
    Path(".env").write_text(f"RUNPOD_TCP_HOST={host}\nRUNPOD_TCP_PORT={port}\n{keys}")
    options = Options(file=str(corpus), requests=2, concurrency="1", rtf=5.0)
    assert quick.remote("voxtral", options) == ExitCode.OK
    assert {row["outcome"] for row in lines(looks / "remote" / "remote_metrics.jsonl")} == {"ok"}


def test_a_trial_starts_the_gateway_with_a_key_of_its_own_and_stores_its_delay(
    engine: str, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VOXTRAL_API_KEY")
    asked = settings(engine) | {"corpus": str(corpus), "concurrency": "3", "requests": 6, "warmup": 1, "pace": 4}
    with Run.from_parameters("voxtral", "30_voxtral", asked | {"out_dir": str(tmp_path / "trial")}) as run:
        run.start()
        assert f"delay {80 * DELAY_STEPS} ms" in "\n".join(run.started_words())
        run.measure()
    data = read_trial(tmp_path / "trial")
    assert list(data.utterances["outcome"].unique()) == ["ok"]
    assert data.info["obtained"]["transcription_delay_ms"] == 80 * DELAY_STEPS
    assert data.machine[data.machine["metric"] == "rss_bytes"]["value"].max() > 20 << 20
    assert 'VOXTRAL_API_KEY="$VOXTRAL_API_KEY" ' in data.info["server_command"]


def test_verify_checks_a_gateway_whose_weights_nobody_knows(gateway: Server, tmp_path: Path) -> None:
    words = [f"--url={gateway.url}", f"--output={tmp_path / 'report.tar.gz'}"]
    assert verify.verify("voxtral", words) == ExitCode.OK
