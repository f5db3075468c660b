"""The server as a process of its own: how it starts, is drained, is killed, and outlives no client that is dead."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests import server_process
from tests.raw_socket import Deaf
from tests.servers.kyutai.conftest import KEY, PATH, dial, packed_audio
from tests.servers.kyutai.fake import say, silence
from tests.waiting import until

pytestmark = pytest.mark.slow

STUB = str(Path(__file__).with_name("stub_server.py"))


class Child(server_process.Child):
    """With what the tests ask of it."""

    def ws(self, path: str = PATH) -> str:
        return f"ws://{self.address}{path}"

    @property
    def free(self) -> int:
        found: dict[str, Any] = httpx.get(f"http://{self.address}/health", timeout=30).json()
        return int(found["seats"]["free"])

    @property
    def resident_kib(self) -> int:
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") // 1024


Launch = Callable[..., Child]


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    """`launch("--seats=2", STUB_MS="50")`; the processes are gone after the test."""
    with server_process.launching(Child, tmp_path, STUB, "--device=cpu", KYUTAI_API_KEY=KEY) as launch:
        yield launch


async def test_a_killed_server_leaves_no_port_and_no_process(launch: Launch) -> None:
    child = launch("--seats=32", STUB_MS="20")
    begun = asyncio.Barrier(33)

    async def speak() -> int:
        async with dial(child.ws()) as call:
            await call.say(silence(20))
            await begun.wait()
            return await call.end()

    speaking = [asyncio.create_task(speak()) for _ in range(32)]
    await begun.wait()
    child.process.send_signal(signal.SIGKILL)
    assert await asyncio.gather(*speaking) == [1006] * 32
    assert child.process.wait(10) == -signal.SIGKILL
    assert not Path(f"/proc/{child.process.pid}").exists()
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", child.port))


async def test_a_draining_server_finishes_its_streams_and_takes_no_new_ones(launch: Launch) -> None:
    child = launch("--drain-timeout-s=30")
    async with dial(child.ws()) as call, dial(child.ws("/")) as late:
        await call.say(say("begun"))
        await call.hear_until("Step")
        child.process.send_signal(signal.SIGTERM)
        await until(lambda: httpx.get(f"http://{child.address}/ready").status_code == 503)
        with pytest.raises(InvalidStatus) as refusal:
            async with dial(child.ws()):
                pass
        assert refusal.value.response.status_code == 503
        await late.tell("Init")
        assert await late.end() == 1012
        assert late.rows[0]["type"] == "Error"
        await call.say(say("and ended"))
        assert await call.flush() == 1000
    assert call.final == "begun and ended"
    assert await asyncio.to_thread(child.process.wait, 20) == 0


async def test_draining_has_an_end(launch: Launch) -> None:
    child = launch("--drain-timeout-s=0.5")
    async with dial(child.ws()) as call:
        await call.hear()
        child.process.send_signal(signal.SIGTERM)
        assert await call.end() == 1012
    assert await asyncio.to_thread(child.process.wait, 20) == 0
    assert "Traceback" not in child.log.read_text()


async def test_100_megabytes_are_refused_before_they_are_here(launch: Launch) -> None:
    child = launch()
    before_kib = child.resident_kib
    async with dial(child.ws()) as call:
        with contextlib.suppress(ConnectionClosed):  # the answer may come before all is sent
            await call.ws.send(bytes(100_000_000))
        assert await call.end() == 1009
    assert child.resident_kib - before_kib < 20_000
    await until(lambda: child.free == 64)


async def test_the_system_gives_up_a_client_that_takes_nothing(launch: Launch) -> None:
    child = launch("--idle-timeout-s=0", "--seats=1", STUB_UNACKNOWLEDGED_S="1", STUB_HEADS="4000")
    deaf = await asyncio.to_thread(Deaf, child.address, PATH, f"kyutai-api-key: {KEY}")
    await until(lambda: child.free == 0)
    for _ in range(10):  # Steps of 20 kB, more than fit anywhere on the way
        await asyncio.to_thread(deaf.send, packed_audio(np.zeros(1920 * 50, np.float32)))
    await until(lambda: child.free == 1, within_s=30)
    deaf.socket.close()


async def test_a_log_keeps_the_words_and_the_key(launch: Launch) -> None:
    child = launch("--log-level=debug", KYUTAI_API_KEY="hush-hush")
    async with dial(child.ws(f"{PATH}?auth_id=hush-hush"), key=None) as call:
        await call.say(say("confidential"))
        await call.flush()
    async with dial(child.ws(), key="hush-hush") as call:
        await call.ws.send(b"nonsense")
        await call.end()
    child.process.terminate()
    assert await asyncio.to_thread(child.process.wait, 20) == 0
    text = child.log.read_text()
    assert "hush-hush" not in text and "confidential" not in text
    assert "no key is set" not in text


def refused(tmp_path: Path, *flags: str, **environment: str) -> str:
    """The last line of a server that does not start."""
    done = subprocess.run(
        [sys.executable, "-m", "servers.kyutai", "--host=127.0.0.1", "--port=0", "--model=tiny", *flags],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{tmp_path}{os.pathsep}{server_process.ROOT}", **environment},
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    return done.stderr.splitlines()[-1]


def test_without_a_key_it_does_not_start(tmp_path: Path) -> None:
    assert "KYUTAI_API_KEY" in refused(tmp_path)
    assert "KYUTAI_API_KEY" in refused(tmp_path, KYUTAI_API_KEY=" , ")


def test_without_its_runtime_it_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as util\n"
        "found = util.find_spec\n"
        "util.find_spec = lambda name, *more: None if name in ('torch', 'transformers') else found(name, *more)\n"
    )
    line = refused(tmp_path, KYUTAI_API_KEY=KEY)
    assert "torch and transformers" in line and "yapbench install kyutai" in line
