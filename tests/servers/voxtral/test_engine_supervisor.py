"""The engine kept running: a child without vLLM, crashes, restarts, and an engine that somebody else runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from servers.common.errors import StartupRefused
from servers.voxtral.engine import Supervisor
from servers.voxtral.engine.place import free_port
from servers.voxtral.engine.smoke import smoke
from servers.voxtral.engine.watch import Rhythm
from servers.voxtral.interfaces import EngineGone
from servers.voxtral.settings import Settings
from tests.servers.voxtral.engine_folder import scripted_settings, until
from tests.servers.voxtral.scripted_vllm import Script, ScriptedVllm

pytestmark = pytest.mark.slow

QUICK = Rhythm(processes_s=0.05, health_s=0.1, silence_s=60)


@pytest.fixture(autouse=True)
def code_of_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """The child is one of the tests' own modules."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[3]))


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[tuple[Supervisor, list[float]]]:
    """A started engine, and when it was said to be gone."""
    engine, gone = Supervisor(settings, rhythm=QUICK), []
    engine.on_gone = lambda: gone.append(time.monotonic())
    try:
        await engine.start()
        yield engine, gone
    finally:
        await engine.stop()


def settings_of(engine_url: str, *, key: str | None = None) -> Settings:
    """Of a gateway before somebody else's engine."""
    given = {"api_key": "s", "model": "tiny", "engine_url": engine_url, "engine_key": key}
    return Settings.model_validate(given)


def processes(place: Path) -> list[int]:
    """Whatever runs with a path below this test's folder in its words."""
    found = psutil.process_iter(["cmdline"])
    return [one.pid for one in found if str(place) in " ".join(one.info["cmdline"] or [])]


async def test_a_child_is_started_proved_and_leaves_nothing(tmp_path: Path) -> None:
    async with running(scripted_settings(tmp_path, "--delay-steps=1")) as (engine, gone):
        facts = engine.facts()
        assert engine.available and (facts["state"], facts["where"], facts["restarts"]) == ("ready", "child", 0)
        assert facts["device"] in ("cpu", "cuda")
        assert psutil.pid_exists(facts["pid"]) and processes(tmp_path)
        await smoke(engine.begin, timeout_s=10)
    assert engine.facts()["state"] == "stopped" and not gone and not processes(tmp_path)
    with pytest.raises(EngineGone):
        await engine.begin()


async def test_a_killed_child_is_told_at_once_and_comes_back(tmp_path: Path) -> None:
    async with running(scripted_settings(tmp_path)) as (engine, gone):
        request = await engine.begin()
        first = psutil.Process(engine.facts()["pid"])
        killed_s = time.monotonic()
        first.kill()
        with pytest.raises(EngineGone):
            [event async for event in request.events()]
        await until(lambda: bool(gone))
        assert gone[0] - killed_s < 1
        with pytest.raises(EngineGone):
            await engine.begin()
        await until(lambda: engine.available)
        await smoke(engine.begin, timeout_s=10)
        facts = engine.facts()
        assert facts["restarts"] == 1 and facts["pid"] != first.pid and facts["failure"]
    assert not processes(tmp_path)


async def test_an_engine_that_dies_young_again_and_again_is_given_pauses(tmp_path: Path) -> None:
    """It dies at the second request after each start: the first is the smoke utterance."""
    async with running(scripted_settings(tmp_path, "--die-at=1", "--only-request=2")) as (engine, gone):
        for deaths in (1, 2):
            await until(lambda: engine.available)
            request = await engine.begin()
            await request.send(bytes(64_000))
            await until(partial(_has, gone, deaths))
        began_s = time.monotonic()
        await until(lambda: engine.available)
        assert time.monotonic() - began_s > 1


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("sh -c 'echo out of memory; exit 3'", r"exit code 3\nout of memory"),
        ("no-such-program-at-all", "exit code 127"),
        ("sh -c 'sleep 60; true'", r"within --engine-start-timeout-s=1 \(VOXTRAL_ENGINE_START_TIMEOUT_S\)"),
    ],
)
async def test_a_child_that_does_not_start_says_why(tmp_path: Path, command: str, words: str) -> None:
    settings = scripted_settings(tmp_path, engine_command=command, engine_start_timeout_s=1)
    engine = Supervisor(settings)
    with pytest.raises(StartupRefused, match=words):
        await engine.start()
    assert engine.facts()["state"] == "stopped" and not processes(tmp_path)


async def test_an_engine_that_cannot_transcribe_does_not_count_as_started(tmp_path: Path) -> None:
    with pytest.raises(StartupRefused, match="cannot transcribe: processing_error"):
        await Supervisor(scripted_settings(tmp_path, "--error-at=0")).start()
    assert not processes(tmp_path)


async def test_a_start_may_be_given_up(tmp_path: Path) -> None:
    engine = Supervisor(scripted_settings(tmp_path, engine_command="sh -c 'sleep 60; true'"))
    starting = asyncio.create_task(engine.start())
    await until(lambda: bool(processes(tmp_path)))
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    await engine.stop()
    assert not processes(tmp_path)


async def test_somebody_else_s_engine_is_waited_for_and_left_alone(tmp_path: Path) -> None:
    port = free_port()
    settings = settings_of(f"ws://127.0.0.1:{port}/v1/realtime", key="k")
    script = Script(api_key="k", model="tiny")
    late = asyncio.create_task(_listening(script, port))
    async with running(settings) as (engine, gone):
        assert engine.facts()["where"] == "url" and engine.facts()["pid"] is None
        assert engine.facts()["device"] == "unknown"
        await (await late).die()
        await until(lambda: bool(gone))
        assert not engine.available
        async with ScriptedVllm(script, port=port) as back:
            await until(lambda: engine.available)
            assert len(gone) == 1 and back.begun == 1


async def test_somebody_else_s_engine_that_refuses_us(tmp_path: Path) -> None:
    async with ScriptedVllm(Script(api_key="k")) as other:
        engine = Supervisor(settings_of(other.url, key="wrong"))
        with pytest.raises(StartupRefused, match="refuses: handshake: HTTP 401"):
            await engine.start()


async def test_the_engine_s_own_numbers_are_shown_while_it_answers(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    async with ScriptedVllm(Script(slots=4)) as other:
        settings = settings_of(other.url)
        engine = Supervisor(settings, rhythm=QUICK)
        engine.export(registry)
        await engine.start()
        try:
            await until(_shows(registry, 'vllm:num_requests_waiting_by_reason{engine="0",model_name="m"'))
        finally:
            await engine.stop()


def _has(found: list[float], count: int) -> bool:
    return len(found) == count


def _shows(registry: CollectorRegistry, words: str) -> Callable[[], bool]:
    return lambda: words in generate_latest(registry).decode()


async def _listening(script: Script, port: int) -> Any:
    await asyncio.sleep(0.3)
    return await ScriptedVllm(script, port=port).__aenter__()
