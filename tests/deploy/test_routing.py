"""Many replicas behind HAProxy: what a death, a drain, a full and a frozen replica cost, with real sessions."""

from __future__ import annotations

import asyncio
import io
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError

from tests.deploy.routing_callers import Callers
from tests.deploy.routing_proxy import Proxy, named, needs_haproxy, proxy, until
from yapbench import process
from yapbench.process import Server
from yapbench.schema import Outcome

pytestmark = [needs_haproxy, pytest.mark.slow]

SESSIONS = 60
DRAIN_S = 30.0


@pytest.fixture(scope="module")
def callers() -> Callers:
    return Callers()


StartReplicas = Callable[..., list[Server]]


@pytest.fixture(scope="module")
def start_replicas(callers: Callers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartReplicas]:
    """Call it with their number and settings; they start side by side, unless earlier tests left some."""
    folder = tmp_path_factory.mktemp("replicas")
    given: dict[str, Any] = {"script": callers.write_script(folder), "drain_timeout_s": DRAIN_S}
    with ExitStack() as running, ThreadPoolExecutor() as pool:
        made: list[tuple[Server, dict[str, Any]]] = []

        def start(count: int, **settings: Any) -> list[Server]:
            found = [server for server, its in made if its == settings and server.alive() and server.ready()][:count]
            logs = [folder / f"{len(made) + number}.log" for number in range(count - len(found))]
            for server in pool.map(lambda log: process.launch("echo", settings=given | settings, log_path=log), logs):
                made.append((running.enter_context(server), settings))
                found.append(server)
            return found

        yield start


@pytest.fixture
def three(start_replicas: StartReplicas, tmp_path: Path) -> Iterator[tuple[Proxy, list[Server]]]:
    """Three replicas of one server, and the proxy before them."""
    replicas = start_replicas(3)
    with proxy("echo", named("echo", replicas), tmp_path / "proxy") as running:
        yield running, replicas


def clip() -> bytes:
    """A megabyte for POST /raw: far more than the proxy can keep for a second try."""
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(250_000, dtype="<f4"))
    return buffer.getvalue()


def end(replica: Server, number: signal.Signals) -> None:
    assert replica.pid is not None
    os.kill(replica.pid, number)


async def test_a_death_costs_the_sessions_of_that_replica_and_no_other(
    three: tuple[Proxy, list[Server]], callers: Callers
) -> None:
    running, replicas = three
    async with callers.calling(running.url, SESSIONS, who="early") as calls:
        assert set(running.sessions().values()) == {SESSIONS // 3}  # the fewest connections
        end(replicas[0], signal.SIGKILL)
        # At once: the proxy has not noticed yet, and to it the dead replica looks the least busy.
        later = await callers.call(running.url, 12, who="later")
    early = calls.result()
    lost = {name for name, one in early.items() if one.outcome is not Outcome.OK}
    assert lost == {name for name in early if running.replica_of(name) == "echo-1"} and len(lost) == SESSIONS // 3
    assert {(early[name].outcome, early[name].status) for name in lost} == {(Outcome.SERVER_DIED, 1006)}
    assert callers.heard_right({name: one for name, one in early.items() if name not in lost})
    assert callers.heard_right(later)
    running.wait_for_states(r1="DOWN", r2="UP", r3="UP")


async def test_a_drain_costs_no_session(three: tuple[Proxy, list[Server]], callers: Callers) -> None:
    running, replicas = three
    async with callers.calling(running.url, SESSIONS, who="early") as calls:
        end(replicas[1], signal.SIGTERM)
        later = await callers.call(running.url, 12, who="later")  # begun before the proxy has noticed
    early = calls.result()
    assert callers.heard_right(early) and callers.heard_right(later)
    assert Counter(running.replica_of(name) for name in early)["echo-2"] == SESSIONS // 3
    assert {running.replica_of(name) for name in later} == {"echo-1", "echo-3"}
    supervised = replicas[1].supervised
    assert supervised is not None and supervised.wait(DRAIN_S) and supervised.exit_code == 0


async def test_a_replica_that_is_full_is_passed_over(start_replicas: StartReplicas, tmp_path: Path) -> None:
    """Full behind the proxy's back: to it the replica looks empty, and its refusal is repeated elsewhere."""
    replicas = start_replicas(2, seats=2)
    with proxy("echo", named("echo", replicas), tmp_path / "proxy") as running:
        ws = [f"ws{url.removeprefix('http')}/ws" for url in (running.url, replicas[0].url)]
        async with connect(ws[1]), connect(ws[1]), connect(ws[0]) as third, connect(ws[0]) as fourth:
            await third.send('{"op": "flush"}')
            assert "final" in str(await third.recv())
            assert running.sessions() == {"echo-1": 0, "echo-2": 2}
            full = await asyncio.to_thread(httpx.get, f"{running.url}/ws", headers=UPGRADE)
            assert (full.status_code, full.json()["error"]["code"]) == (503, "at_capacity")
            assert full.headers["Retry-After"] == "1"
            await fourth.close()


UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


async def test_replicas_with_different_seats_are_filled_alike(start_replicas: StartReplicas, tmp_path: Path) -> None:
    small, large = start_replicas(1, seats=2)[0], start_replicas(1, seats=6)[0]
    addresses = named("echo", [small, large])
    weighted = {"echo-1": f"{addresses['echo-1']} weight 2", "echo-2": f"{addresses['echo-2']} weight 6"}
    with proxy("echo", weighted, tmp_path / "proxy") as running:
        async with AsyncExitStack() as sessions:
            for _ in range(8):
                await sessions.enter_async_context(connect(f"ws{running.url.removeprefix('http')}/ws"))
            assert running.sessions() == {"echo-1": 2, "echo-2": 6}
        until(lambda: len(running.rows()) == 8, running.rows)
        assert {row["retries"] for row in running.rows()} == {"0"}  # nobody was refused on the way


async def test_a_frozen_replica_is_given_up_with_its_sessions(start_replicas: StartReplicas, tmp_path: Path) -> None:
    replicas, quick = start_replicas(2), {"CHECK_INTERVAL": "200ms", "CHECK_TIMEOUT": "1s"}
    with proxy("echo", named("echo", replicas), tmp_path / "proxy", **quick) as running:
        url = f"ws{running.url.removeprefix('http')}/ws"
        async with connect(url) as frozen, connect(url) as other:
            end(replicas[0], signal.SIGSTOP)
            with pytest.raises(ConnectionClosedError):
                await frozen.recv()
            await other.send('{"op": "flush"}')
            assert "final" in str(await other.recv())
            end(replicas[0], signal.SIGCONT)
            running.wait_for_states(r1="UP", r2="UP")


async def test_a_replica_is_added_and_another_taken_out_with_sessions_running(
    start_replicas: StartReplicas, tmp_path: Path
) -> None:
    replicas = start_replicas(2)
    with proxy("echo", named("echo", replicas[:1]), tmp_path / "proxy") as running:
        url = f"ws{running.url.removeprefix('http')}/ws"
        async with connect(url) as old:
            running.offer(named("echo", replicas))
            running.reload()
            until(lambda: running.states() == {"echo-1": "UP", "echo-2": "UP"}, running.states)
            assert running.say("set server echo/echo-1 state drain") == ""
            async with connect(url) as new:
                assert running.sessions() == {"echo-1": 0, "echo-2": 1}  # the old process keeps the old session
                for session in (old, new):
                    await session.send('{"op": "flush"}')
                    assert "final" in str(await session.recv())
    assert not running.supervised.processes()


def test_requests_are_repeated_where_a_replica_is_dead(three: tuple[Proxy, list[Server]]) -> None:
    """Of a megabyte too: nothing of it has left when the connection fails."""
    running, replicas = three
    end(replicas[2], signal.SIGKILL)
    with httpx.Client() as client:
        found = [client.post(f"{running.url}/raw", content=clip()).status_code for _ in range(12)]
    assert found == [200] * 12
    assert {row["replica"] for row in running.rows()} == {"echo-1", "echo-2"}


def test_whoever_hangs_up_is_withdrawn_from_the_replica(start_replicas: StartReplicas, tmp_path: Path) -> None:
    (replica,) = start_replicas(1, never_final_rate=1.0)
    with proxy("echo", named("echo", [replica]), tmp_path / "proxy") as running:
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{running.url}/raw", content=clip(), timeout=0.3)
        until(lambda: "status=499" in replica.log_tail(), replica.log_tail)
