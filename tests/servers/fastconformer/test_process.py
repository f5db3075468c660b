"""The server as a process of its own: how it starts, is drained, is killed, and outlives no client that is dead."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from tests import server_process
from tests.raw_socket import Deaf
from tests.servers.fastconformer.conftest import dial, floats, pcm
from tests.servers.fastconformer.fake import words_of
from tests.waiting import until

pytestmark = pytest.mark.slow

STUB = str(Path(__file__).with_name("stub_server.py"))


class Child(server_process.Child):
    """With what the tests ask of it."""

    @property
    def ws(self) -> str:
        return f"ws://{self.address}/"

    @property
    def free(self) -> int:
        found: dict[str, Any] = httpx.get(f"http://{self.address}/health", timeout=30).json()
        return int(found["seats"]["free"])


Launch = Callable[..., Child]


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    """`launch("--max-streams=2", STUB_MS="50")`; the processes are gone after the test."""
    with server_process.launching(Child, tmp_path, STUB, "--flush-after-ms=0") as launch:
        yield launch


async def test_a_killed_server_leaves_no_port_and_no_process(launch: Launch) -> None:
    child = launch("--max-streams=32", STUB_MS="20")
    begun = asyncio.Barrier(33)

    async def speak(number: int) -> int:
        async with dial(child.ws, init={"sid": number}) as call:
            await call.say(pcm(1.0))
            await begun.wait()
            return await call.end()

    speaking = [asyncio.create_task(speak(number)) for number in range(32)]
    await begun.wait()
    child.process.send_signal(signal.SIGKILL)
    assert await asyncio.gather(*speaking) == [1006] * 32
    assert child.process.wait(10) == -signal.SIGKILL
    assert not Path(f"/proc/{child.process.pid}").exists()
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", child.port))


async def test_a_draining_server_finishes_its_streams_and_takes_no_new_ones(launch: Launch) -> None:
    child, audio = launch("--drain-timeout-s=30"), pcm(1.0)
    async with dial(child.ws, init={"sid": "a"}) as call, dial(child.ws) as late:
        await call.say(audio[:16_000])
        await call.tell("flush")
        await call.hear()
        child.process.send_signal(signal.SIGTERM)
        await until(lambda: httpx.get(f"http://{child.address}/ready").status_code == 503)
        with pytest.raises(InvalidStatus) as refusal:
            async with dial(child.ws):
                pass
        assert refusal.value.response.status_code == 503
        await late.tell("init")
        assert await late.end() == 1012
        assert late.rows[0]["code"] == "draining"
        await call.say(audio[16_000:])
        assert await call.close() == 1000
    assert call.final == words_of(floats(audio[:16_000]), floats(audio[16_000:]))
    assert await asyncio.to_thread(child.process.wait, 20) == 0


async def test_draining_has_an_end(launch: Launch) -> None:
    child = launch("--drain-timeout-s=0.5")
    async with dial(child.ws, init={}) as call:
        await call.say(pcm(0.1))
        await until(lambda: child.free < 128)
        child.process.send_signal(signal.SIGTERM)
        assert await call.end() == 1012
    assert await asyncio.to_thread(child.process.wait, 20) == 0
    assert "Traceback" not in child.log.read_text()


@pytest.mark.slow
async def test_the_system_gives_up_a_client_that_takes_nothing(launch: Launch) -> None:
    child = launch("--idle-timeout-s=0", "--max-streams=1", "--step-ms=1", STUB_UNACKNOWLEDGED_S="1")
    deaf = await asyncio.to_thread(Deaf, child.address, "/")
    deaf.send('{"op":"init"}')
    await until(lambda: child.free == 0)
    for _ in range(160):  # 2,000 interims of up to 16 kB, more than fits anywhere on the way
        await asyncio.to_thread(deaf.send, pcm(2.0))
    await until(lambda: child.free == 1, within_s=30)
    deaf.socket.close()


async def test_a_log_names_the_stream_and_keeps_its_words_and_its_key(launch: Launch) -> None:
    child = launch("--log-level=debug", ASR_API_KEY="hush-hush")
    async with dial(f"{child.ws}?api_key=hush-hush", init={"sid": "call-7"}) as call:
        await call.say(pcm(0.5))
        await call.ws.send('{"op": "nonsense"}')
        await call.end()
    child.process.terminate()
    assert await asyncio.to_thread(child.process.wait, 20) == 0
    text = child.log.read_text()
    assert "hush-hush" not in text
    assert not any(row["text"] and row["text"] in text for row in call.of("interim"))


def test_without_its_runtime_it_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as util\n"
        "found = util.find_spec\n"
        "util.find_spec = lambda name, *more: None if name in ('torch', 'nemo') else found(name, *more)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "servers.fastconformer", "--host=127.0.0.1", "--port=0", "--model=tiny"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{tmp_path}{os.pathsep}{server_process.ROOT}"},
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if "WARNING" not in line]
    assert len(lines) == 1
    assert "torch and nemo" in lines[0] and "yapbench install fastconformer" in lines[0]
