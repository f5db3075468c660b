"""Both Kyutai wires where there are too few seats, or something else is wrong: tried again as the contract says, and no
audio is lost.
"""

from __future__ import annotations

import asyncio
import random
import time

import pytest

from tests.contract.conftest import Calls, sound
from tests.contract.kyutai_server import FULL, Seats, running
from yapbench import catalog, clients
from yapbench.clients.interface import Exchange
from yapbench.clients.websocket import backoff_s
from yapbench.corpus import Utterance
from yapbench.schema import Outcome
from yapbench.verbs import speaking
from yapbench.verbs.options import Options
from yapbench.verbs.speaking import Spoken
from yapbench.verbs.target import Target

pytestmark = pytest.mark.slow

WIRES = ("kyutai", "kyutai_json")
RETRIES = clients.CODECS["kyutai"].retries
every_wire = pytest.mark.parametrize("wire", WIRES)


def texts(exchange: Exchange) -> list[str]:
    return [event.text for event in exchange.events if event.kind == "final" and event.text is not None]


def test_eight_tries_are_what_the_contract_allows() -> None:
    assert {clients.CODECS[wire].retries + 1 for wire in WIRES} == {8}
    waits = [backoff_s(attempt, random.Random(attempt)) for attempt in range(RETRIES)]
    least = [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert all(low <= wait <= low + 0.2 for low, wait in zip(least, waits, strict=True))


@every_wire
async def test_a_herd_of_two_hundred_on_eight_seats_is_served_to_the_last(calls: Calls, wire: str) -> None:
    """Half a second of audio each, as fast as it is taken; the seats stay eight."""
    async with running(server := Seats(8, slow_s=0.02)) as url:
        made = (
            calls.make(wire, url, seconds=0.8, frame_ms=80, pace=0, retries=RETRIES, request_id=f"r-{number}")
            for number in range(200)
        )
        found = await asyncio.gather(*made)
    assert [one.error for one in found if one.outcome is not Outcome.OK] == []
    assert {tuple(texts(one)) for one in found} == {("one",)}
    assert server.heard == [19_200] * 200  # every sample of everybody, once
    assert server.most_taken <= 8 < server.refused


@every_wire
async def test_no_seat_at_connect_is_heard_before_any_audio(calls: Calls, wire: str) -> None:
    async with running(server := Seats(0)) as url:
        exchange = await calls.make(wire, url)
    assert (exchange.outcome, exchange.error) == (Outcome.REJECTED, "no free channels")
    assert (exchange.sent_ns, server.upgrades, len(exchange.events)) == (None, 1, 1)  # nothing was tried again unasked
    assert exchange.events[0].kind == "at_capacity"


@every_wire
async def test_no_seat_after_ready_begins_the_utterance_again(calls: Calls, wire: str) -> None:
    """Twice the server takes half a second of audio and then has no seat: the third stream has all of it."""
    async with running(server := Seats(1, late_errors=2)) as url:
        exchange = await calls.make(wire, url, seconds=1.6, frame_ms=80, retries=RETRIES)
    assert (exchange.outcome, texts(exchange)) == (Outcome.OK, ["one two three"])
    assert server.heard == [38_400] and server.upgrades == 3
    kinds = [event.kind for event in exchange.events]
    assert kinds.count("at_capacity") == 2 and kinds.index("at_capacity") > kinds.index("ready")


@every_wire
async def test_tries_end_where_they_were_told_to(calls: Calls, wire: str) -> None:
    async with running(server := Seats(0)) as url:
        began_s = time.monotonic()
        exchange = await calls.make(wire, url, retries=2)
    assert (exchange.outcome, server.upgrades) == (Outcome.REJECTED, 3)
    assert [event.kind for event in exchange.events] == ["at_capacity"] * 3
    assert 0.6 <= time.monotonic() - began_s < 3.0


@every_wire
async def test_whoever_speaks_one_utterance_tries_again_unasked(wire: str) -> None:
    """`client`, `probe` and `verify`; a load, above, does as it is told."""
    utterance = Utterance(id="u", duration_s=0.8, samples=sound(0.8), sample_rate_hz=16_000)
    async with running(server := Seats(1, late_errors=2)) as url:
        place = Target(catalog.lookup("kyutai"), url, chosen=wire)

        def speak() -> Spoken:
            with speaking.speaker(place, Options(rtf=0.0)) as say:
                return say(utterance)

        found = await asyncio.to_thread(speak)
    assert (found.exchange.outcome, server.upgrades) == (Outcome.OK, 3)


@every_wire
async def test_a_wrong_key_is_final(calls: Calls, wire: str) -> None:
    async with running(server := Seats()) as url:
        server.key = "right"
        right = await calls.make(wire, url, environment={"KYUTAI_API_KEY": "right,second"})
        wrong = await calls.make(wire, url, retries=RETRIES, environment={"KYUTAI_API_KEY": "hidden"})
    assert right.outcome is Outcome.OK
    assert (wrong.outcome, wrong.status) == (Outcome.BAD_REQUEST, 401)
    assert server.unauthorized == 1 and "hidden" not in str(wrong)


@every_wire
async def test_a_server_that_dies_in_mid_sentence_fails_its_stream(calls: Calls, wire: str) -> None:
    async with running(server := Seats(dies_after_s=0.8)) as url:
        exchange = await calls.make(wire, url, seconds=1.6, frame_ms=80, pace=4, retries=RETRIES)
    assert (exchange.outcome, exchange.status, server.upgrades) == (Outcome.SERVER_DIED, 1006, 1)


@every_wire
async def test_a_server_that_is_slow_to_be_ready_is_spoken_to_after_half_a_second(calls: Calls, wire: str) -> None:
    """As the wire's older clients do; nothing of it is lost."""
    async with running(server := Seats(slow_s=0.9)) as url:
        exchange = await calls.make(wire, url, seconds=0.8, frame_ms=80)
    assert exchange.outcome is Outcome.OK and server.heard == [19_200]
    ready = next(event for event in exchange.events if event.kind == "ready")
    assert exchange.connected_ns is not None and exchange.sent_ns is not None
    assert 0.5e9 <= exchange.sent_ns - exchange.connected_ns < 0.85e9 <= ready.at_ns - exchange.connected_ns
    assert exchange.ended_ns - ready.at_ns >= 0.85e9  # and its Final is waited for


@every_wire
async def test_a_server_that_is_ready_at_once_is_not_waited_for(calls: Calls, wire: str) -> None:
    async with running(Seats()) as url:
        exchange = await calls.make(wire, url, seconds=0.8, frame_ms=80)
    assert exchange.outcome is Outcome.OK and exchange.connected_ns is not None and exchange.sent_ns is not None
    assert exchange.sent_ns - exchange.connected_ns < 0.4e9
    assert FULL["message"] not in str(exchange)
