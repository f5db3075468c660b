"""The real kyutai server twice behind the proxy: refusals that come after the upgrade, which no proxy can repeat."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import msgpack
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.deploy.routing_proxy import Proxy, named, needs_haproxy, proxy, until
from yapbench import envs, process
from yapbench.process import Server

TORCH = envs.environment("torch")
pytestmark = [
    needs_haproxy,
    pytest.mark.slow,
    pytest.mark.skipif(not TORCH.is_complete(), reason="needs environment torch (yapbench install kyutai)"),
]

KEY = {"KYUTAI_API_KEY": "hidden-key"}
SETTINGS = {"model": "tiny", "device": "cpu", "seats": 1}


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    """Two, of one seat each."""
    logs = [tmp_path_factory.mktemp("kyutai") / "log" for _ in range(2)]

    def start(log: Path) -> Server:
        return process.launch("kyutai", settings=SETTINGS, log_path=log, secrets=KEY, ready_timeout_s=100)

    with ExitStack() as running, ThreadPoolExecutor() as pool:
        yield [running.enter_context(server) for server in pool.map(start, logs)]


@pytest.fixture
def running(replicas: list[Server], tmp_path: Path) -> Iterator[Proxy]:
    with proxy("kyutai", named("kyutai", replicas), tmp_path, kind="replicas_with_seats") as made:
        yield made


class Sessions(ExitStack):
    """Sessions that are open until the test ends."""

    def sit_down(self, server: Server | Proxy) -> str:
        """Open one more; returns the first thing that it is told."""
        url = f"ws{server.url.removeprefix('http')}/api/asr-streaming?auth_id=hidden-key"
        session = self.enter_context(connect(url))
        return str(msgpack.unpackb(session.recv())["type"])


def test_the_seats_of_all_replicas_are_one_room(running: Proxy) -> None:
    with Sessions() as later:
        with Sessions() as sessions:
            assert sessions.sit_down(running) == later.sit_down(running) == "Ready"
            # Before the proxy has noticed, a refusal is the server's own; from then on the proxy's, before the upgrade.
            running.wait_for_states(r1="NOLB", r2="NOLB")
            with pytest.raises(InvalidStatus) as refusal:
                sessions.sit_down(running)
            assert (refusal.value.response.status_code, refusal.value.response.headers["Retry-After"]) == (503, "1")
        until(lambda: sorted(running.states().values()) == ["NOLB", "UP"], running.states)  # one has left
        assert later.sit_down(running) == "Ready"
        assert running.sessions() == {"kyutai-1": 1, "kyutai-2": 1}


def test_a_refusal_after_the_upgrade_is_passed_on_and_the_next_try_lands_elsewhere(
    running: Proxy, replicas: list[Server]
) -> None:
    """The seat is taken behind the proxy's back."""
    running.wait_for_states(r1="UP", r2="UP")
    with Sessions() as sessions:
        assert sessions.sit_down(replicas[0]) == "Ready"
        said = sessions.sit_down(running)
        running.wait_for_states(r1="NOLB")
        if said == "Error":  # the proxy had not noticed yet: its clients try again
            said = sessions.sit_down(running)
        assert said == "Ready" and running.sessions()["kyutai-2"] == 1
    assert "hidden-key" not in running.log
