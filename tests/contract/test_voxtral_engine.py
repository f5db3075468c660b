"""The gateway's promises with vLLM itself behind it: one engine for all of them, and one more after it was killed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
from websockets.asyncio.client import connect

from servers.common.devices import cuda_is_visible
from servers.voxtral.app import PATH
from tests.servers.voxtral.conftest import KEY, Call, dial
from yapbench import envs
from yapbench.command import free_port

VLLM = envs.environment("vllm")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.skipif(not VLLM.is_complete(), reason="needs environment vllm (yapbench install voxtral)"),
]

ROOT = Path(__file__).resolve().parents[2]
SAMPLE_RATE_HZ = 16_000
START_S = 300.0
"""An engine's start takes 30 to 100 s on two cores."""
CONTEXT_STEPS = 512
FLAGS = (
    "--host=127.0.0.1",
    "--model=tiny",
    "--max-connections=6",
    "--vllm-max-num-seqs=8",
    f"--vllm-max-model-len={CONTEXT_STEPS}",
    "--vllm-max-num-batched-tokens=1024",
    "--segment-s=6",
    "--segment-max-s=8",
    "--overlap-s=1",
    "--rut-s=0",
    "--watchdog-tick-s=0.2",
)


@dataclass
class Gateway:
    """The process, where it answers, and how long its engine took."""

    process: subprocess.Popen[bytes]
    address: str
    log: Path
    start_s: float

    @property
    def socket(self) -> str:
        return f"ws://{self.address}{PATH}"

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = httpx.get(f"http://{self.address}/status", timeout=10).json()
        return found

    def is_ready(self) -> bool:
        try:
            return httpx.get(f"http://{self.address}/ready", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def metric(self, name: str) -> float:
        """The sum over all labels; 0.0 where there is none."""
        lines = httpx.get(f"http://{self.address}/metrics", timeout=10).text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.partition("{")[0].split(" ")[0] == name)

    def engine(self) -> list[psutil.Process]:
        """All processes of the engine, the guards that hold it included."""
        return psutil.Process(self.process.pid).children(recursive=True)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Not by `process.launch`: its guard would clean up what the gateway itself has to."""
    folder, port = tmp_path_factory.mktemp("gateway"), free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("VLLM_", "VOXTRAL_"))}
    environment |= {"VOXTRAL_API_KEY": KEY, "VOXTRAL_ENGINE_PYTHON": str(VLLM.python), "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-m", "servers.voxtral", f"--port={port}", f"--model-dir={folder / 'models'}", *FLAGS]
    began_s = time.monotonic()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(words, cwd=folder, env=environment, stdout=log, stderr=log)
    found = Gateway(process, f"127.0.0.1:{port}", folder / "log", 0.0)
    try:
        wait_for(lambda: found.is_ready() or process.poll() is not None, START_S)
        assert process.poll() is None, found.log.read_text()[-4000:]
        found.start_s = time.monotonic() - began_s
        yield found
    finally:
        process.terminate()
        process.wait(30)


def wait_for(reached: Callable[[], bool], timeout_s: float) -> None:
    """Asks every 50 ms; fails when it does not become so."""
    deadline_s = time.monotonic() + timeout_s
    while not reached():
        assert time.monotonic() < deadline_s, f"not so after {timeout_s:g} s"
        time.sleep(0.05)


def noise(seconds: float, *, seed: int = 0) -> bytes:
    """Sound without a pause, PCM16."""
    draw = np.random.default_rng(seed)
    return draw.integers(-6000, 6000, round(seconds * SAMPLE_RATE_HZ)).astype("<i2").tobytes()


def steps_of(seconds: float) -> int:
    """Steps that vLLM answers audio of this length with, once it is finished: none may be missing."""
    return (round(seconds * SAMPLE_RATE_HZ) - 40) // 1280 + 11


async def done(call: Call) -> dict[str, Any]:
    """The payload of the next `done`, whose text is that of its deltas."""
    row = await call.hear_until("transcription.done")
    assert row["payload"]["text"] == call.deltas(row["request_id"])
    return dict(row["payload"])


def heard_steps(payload: dict[str, Any]) -> int:
    return int(payload["usage"]["completion_tokens"])


@pytest.mark.skipif(cuda_is_visible(), reason="needs a machine without a GPU")
def test_the_engine_s_environment_holds_nothing_that_only_cuda_can_use() -> None:
    """With torchvision, torchaudio or torchcodec there the engine does not start; triton is a gigabyte for nothing."""
    names = {path.name.partition("-")[0].lower() for path in VLLM.path.glob("lib/python3*/site-packages/*")}
    assert {"torch", "vllm", "soundfile"} <= names
    assert not {
        name for name in names if name.startswith(("torchvision", "torchaudio", "torchcodec", "triton", "nvidia"))
    }


async def test_deltas_come_one_for_each_step(gateway: Gateway) -> None:
    async with dial(gateway.socket) as call:
        await call.tell("session.update", {"model": "tiny"})
        assert (await call.hear_until("session.updated"))["payload"]["transcription_delay_ms"] == 400
        await call.begin()
        await call.say(noise(3))
        await call.finish()
        payload = await done(call)
        assert heard_steps(payload) == len(call.of("transcription.delta")) == steps_of(3)


async def test_audio_between_finish_and_done_is_the_next_utterance_s(gateway: Gateway) -> None:
    """vLLM itself throws it away."""
    async with dial(gateway.socket) as call:
        await call.begin("one")
        await call.say(noise(3))
        await call.finish()
        call.request_id = "two"
        await call.say(noise(2, seed=1))
        await call.begin("two")
        await call.finish()
        assert heard_steps(await done(call)) == steps_of(3)
        assert heard_steps(await done(call)) == steps_of(2)
        assert [row["request_id"] for row in call.of("transcription.done")] == ["one", "two"]


async def test_barge_in_ends_the_old_utterance_and_frees_its_seat(gateway: Gateway) -> None:
    async with dial(gateway.socket) as call:
        await call.begin("one")
        await call.say(noise(5))
        await call.begin("two")
        assert (await call.hear_until("cancelled"))["payload"]["reason"] == "barge_in"
        await call.say(noise(1))
        await call.finish()
        assert heard_steps(await done(call)) == steps_of(1)
        assert not [row for row in call.of("transcription.done") if row["request_id"] == "one"]
    wait_for(lambda: gateway.metric("vllm:num_requests_running") == 0, 20)


async def test_an_utterance_is_parked_and_resumed(gateway: Gateway) -> None:
    async with dial(gateway.socket) as call:
        await call.begin()
        await call.say(noise(2))
        await asyncio.sleep(5)
        await call.say(noise(2, seed=1))
        await call.finish()
        assert heard_steps(await done(call)) == steps_of(4)


async def test_one_session_too_many_is_refused(gateway: Gateway) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(6):
            await stack.enter_async_context(dial(gateway.socket))
        async with dial(gateway.socket, created=False) as call:
            assert (await call.error())["code"] == "server_at_capacity"
            assert await call.end() == 4002


async def test_no_client_meets_the_end_of_the_engine_s_context(gateway: Gateway) -> None:
    """45 s of sound without a pause are more than the 512 steps that the engine was started with."""
    before = gateway.metric("voxtral_rollovers_total")
    async with dial(gateway.socket) as call:
        await call.begin()
        for second in range(45):
            await call.say(noise(1, seed=second), portion=32_000)
        await call.finish()
        payload = await done(call)
    assert heard_steps(payload) > CONTEXT_STEPS
    assert gateway.metric("voxtral_rollovers_total") - before >= 45 // 8


async def test_two_hundred_connections_leave_nothing(gateway: Gateway) -> None:
    for at in range(200):
        async with connect(gateway.socket, additional_headers={"X-API-Key": KEY}, proxy=None) as socket:
            call = Call(socket)
            await call.hear()
            if at % 2:
                await call.begin()
                await call.say(noise(0.2))
            if at % 4 == 3:
                socket.transport.abort()
    wait_for(lambda: gateway.metric("voxtral_sessions") == 0, 10)
    running = ("vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:websocket_connections_active")
    wait_for(lambda: sum(map(gateway.metric, running)) == 0, 30)
    async with dial(gateway.socket) as call:
        await call.begin()
        await call.say(noise(1))
        await call.finish()
        assert heard_steps(await done(call)) == steps_of(1)


async def test_a_killed_worker_is_told_at_once_and_replaced(gateway: Gateway) -> None:
    """Of the three sessions one speaks, one has begun and one only listens."""
    before = gateway.engine()
    worker = [one for one in before if "VLLM::" in " ".join(one.cmdline())][-1]
    async with dial(gateway.socket) as speaking, dial(gateway.socket) as begun, dial(gateway.socket) as silent:
        await speaking.begin()
        await speaking.say(noise(1))
        await begun.begin()
        worker.kill()
        killed_s = time.monotonic()
        for call in (speaking, begun, silent):
            assert (await call.error())["reason_code"] == "engine_unavailable"
            assert await call.end() == 1013
        assert time.monotonic() - killed_s < 1
    async with dial(gateway.socket, created=False) as refused:
        assert (await refused.error())["reason_code"] == "engine_unavailable"
        assert await refused.end() == 1013
    await asyncio.to_thread(wait_for, gateway.is_ready, gateway.start_s + 5)
    assert not [one for one in before if one.is_running()]
    assert gateway.status()["engine"]["restarts"] == 1
    async with dial(gateway.socket) as call:
        await call.begin()
        await call.say(noise(1))
        await call.finish()
        assert heard_steps(await done(call)) == steps_of(1)


def test_of_a_killed_gateway_no_engine_stays_behind(gateway: Gateway) -> None:
    engine = gateway.engine()
    assert len([one for one in engine if "VLLM::" in " ".join(one.cmdline())]) >= 1
    gateway.process.send_signal(signal.SIGKILL)
    gateway.process.wait(10)
    _, left = psutil.wait_procs(engine, timeout=20)
    assert not left
