"""The gateway as a process of its own: how it starts, is drained, is killed, and what its log does not hold."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from servers.voxtral.app import PATH
from tests import server_process
from tests.raw_socket import Deaf
from tests.servers.voxtral.conftest import KEY, dial
from tests.servers.voxtral.marked_speech import silence, speech, text
from tests.waiting import until

pytestmark = pytest.mark.slow

STUB = str(Path(__file__).with_name("fake_server.py"))


class Child(server_process.Child):
    """With what the tests ask of it."""

    def ws(self, path: str = PATH) -> str:
        return f"ws://{self.address}{path}"

    @property
    def used(self) -> int:
        return int(httpx.get(f"http://{self.address}/health", timeout=30).json()["seats"]["used"])

    def ready(self) -> int:
        return httpx.get(f"http://{self.address}/ready", timeout=30).status_code


Launch = Callable[..., Child]


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    """`launch("--max-connections=2")`; the processes are gone after the test."""
    with server_process.launching(Child, tmp_path, STUB, "--model=tiny", VOXTRAL_API_KEY=KEY) as launch:
        yield launch


async def test_a_draining_server_finishes_its_sessions_and_takes_no_new_ones(launch: Launch) -> None:
    child = launch("--drain-timeout-s=30")
    async with dial(child.ws()) as call:
        await call.begin()
        await call.say(speech([1]))
        child.process.send_signal(signal.SIGTERM)
        await until(lambda: child.ready() == 503)
        with pytest.raises(InvalidStatus) as refusal:
            async with dial(child.ws()):
                pass
        assert refusal.value.response.status_code == 503
        await call.say(speech([2]))
        await call.finish()
        assert await call.done() == text([1, 2])
        await call.tell("end")
        assert await call.end() == 1000
    assert await asyncio.to_thread(child.process.wait, 20) == 0


async def test_draining_has_an_end(launch: Launch) -> None:
    child = launch("--drain-timeout-s=0.5")
    async with dial(child.ws()) as call:
        child.process.send_signal(signal.SIGTERM)
        assert await call.end() == 1012
    assert await asyncio.to_thread(child.process.wait, 20) == 0
    assert "Traceback" not in child.log.read_text()


async def test_a_log_keeps_neither_words_nor_audio_nor_key(launch: Launch) -> None:
    child = launch("--log-level=debug", VOXTRAL_API_KEY="hush-hush")
    async with dial(child.ws(f"{PATH}?api_key=hush-hush"), key=None) as call:
        await call.begin()
        await call.say(speech([4321]))
        await call.ws.send("nonsense that was said")
        await call.finish()
        while not call.of("transcription.done"):
            await call.hear()
    async with dial(child.ws(), key="hush-wrong", created=False) as call:
        assert await call.end() == 4001
    child.process.terminate()
    assert await asyncio.to_thread(child.process.wait, 20) == 0
    log = child.log.read_text()
    assert PATH in log
    for secret in ("hush", "4321", "nonsense", "no key is set"):
        assert secret not in log


async def test_a_killed_server_is_gone_for_its_clients(launch: Launch) -> None:
    child = launch()
    async with dial(child.ws()) as call:
        await call.begin()
        await call.say(silence(1.0))
        child.process.kill()
        assert await call.end() == 1006
    assert child.process.wait(10) == -signal.SIGKILL


async def test_the_system_gives_up_a_client_that_takes_nothing(launch: Launch) -> None:
    child = launch("--idle-timeout-s=0", "--max-messages-per-window=0", STUB_UNACKNOWLEDGED_S="1")
    deaf = await asyncio.to_thread(Deaf, child.address, PATH, f"X-API-Key: {KEY}")
    await until(lambda: child.used == 1)
    large = json.dumps({"type": "ping", "payload": "x" * 60_000})
    for _ in range(20):  # echoed, it is more than fits on the way, and less than may wait
        await asyncio.to_thread(deaf.send, large)
    await until(lambda: child.used == 0, within_s=30)
    deaf.socket.close()


def test_an_engine_that_cannot_be_started_ends_the_server_with_its_reason(launch: Launch) -> None:
    child = launch(STUB_REFUSAL="there is no vLLM here: do this and that")
    assert child.process.wait(20) == 1
    assert (
        child.log.read_text().splitlines()[-1] == "python -m servers.voxtral: there is no vLLM here: do this and that"
    )


@pytest.mark.parametrize("key", ["", " , "])
def test_without_a_key_it_does_not_start(tmp_path: Path, key: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "servers.voxtral", "--host=127.0.0.1", "--port=0", "--model=tiny"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(server_process.ROOT), "VOXTRAL_API_KEY": key},
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert "VOXTRAL_API_KEY" in done.stderr.splitlines()[-1]
