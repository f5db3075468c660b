"""Whole files by REST, against `echo`."""

from __future__ import annotations

import time

import pytest

from tests.contract.conftest import Echo, StartEcho, sound
from yapbench import clients
from yapbench.clients.interface import Exchange
from yapbench.corpus import Utterance
from yapbench.schema import Outcome


async def upload(url: str, *, timeout_s: float = 10.0, key: str = "") -> Exchange:
    client = clients.build("echo_upload", url, timeout_s=timeout_s, environment={"ECHO_KEY": key})
    try:
        body = client.prepare(Utterance(id="u", duration_s=1.0), sound(1.0))
        return await client.exchange(body, "r-1", intended_ns=time.monotonic_ns())
    finally:
        await client.close()


async def test_a_file_brings_its_text(echo: Echo) -> None:
    exchange = await upload(echo.url)
    assert (exchange.outcome, exchange.status, exchange.error) == (Outcome.OK, 200, None)
    [event] = exchange.events
    assert (event.kind, event.text) == ("final", "the quick brown fox jumps over the lazy dog")
    assert len(exchange.lateness_ns) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flag", "outcome"),
    [
        ("--wrong-rate=1", Outcome.WRONG_RESULT),
        ("--garbage-rate=1", Outcome.PROTOCOL),
        ("--error-rate=1", Outcome.SERVER_ERROR),
        ("--drop-rate=1", Outcome.SERVER_DIED),
        ("--never-final-rate=1", Outcome.TIMEOUT),
    ],
)
async def test_a_fault_has_its_outcome(start_echo: StartEcho, flag: str, outcome: Outcome) -> None:
    exchange = await upload(start_echo(flag).url, timeout_s=1.0)
    assert exchange.outcome is outcome
    assert exchange.error
    assert all(event.text is None or event.kind == "final" for event in exchange.events)


async def test_the_key_is_the_servers(start_echo: StartEcho) -> None:
    url = start_echo(environ={"ECHO_KEY": "k"}).url
    assert (await upload(url)).outcome is Outcome.BAD_REQUEST
    assert (await upload(url, key="k")).outcome is Outcome.OK
