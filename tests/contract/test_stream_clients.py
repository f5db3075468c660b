"""What every streaming wire must do, shown against `echo` speaking it; what needs no server, of all codecs."""

from __future__ import annotations

import asyncio
import json
import time
from itertools import pairwise

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contract.conftest import ECHO_WIRES, Calls, Echo, StartEcho, sound
from yapbench.clients import CODECS
from yapbench.clients.codec import Heard
from yapbench.schema import Outcome

every_wire = pytest.mark.parametrize("wire", ECHO_WIRES)
every_codec = pytest.mark.parametrize("wire", CODECS)
FINAL = "the quick brown fox jumps over the lazy dog"


@every_wire
async def test_an_utterance_comes_back_whole_and_in_order(wire: str, echo: Echo, calls: Calls) -> None:
    exchange = await calls.make(wire, echo.url, seconds=1.0)
    assert (exchange.outcome, exchange.error, exchange.status) == (Outcome.OK, None, None)
    kinds = [event.kind for event in exchange.events]
    assert kinds == [*["ready"] * CODECS[wire].waits_for_ready, *["partial"] * 3, "final"]
    texts = [event.text for event in exchange.events if event.kind != "ready"]
    assert texts == ["the", "the quick", "the quick brown", FINAL]
    assert json.loads(exchange.events[-1].data or "")["audio_s"] == pytest.approx(1.0)  # all frames have arrived
    assert exchange.ended_ns == exchange.events[-1].at_ns


@every_wire
async def test_stamps_come_in_order_and_no_frame_is_early(wire: str, echo: Echo, calls: Calls) -> None:
    asked_ns = time.monotonic_ns()
    exchange = await calls.make(wire, echo.url, seconds=0.6, pace=3)
    t0_ns, owed_ns = exchange.t0_ns or 0, exchange.owed_ns or 0
    frames = len(exchange.lateness_ns)
    assert frames == 15
    assert min(exchange.lateness_ns) >= 0
    assert owed_ns - t0_ns == 200_000_000
    stamps = [exchange.connect_start_ns, exchange.connected_ns, t0_ns, exchange.sent_ns, exchange.sent_end_ns]
    known = [asked_ns, *(stamp or 0 for stamp in stamps), exchange.ended_ns]
    assert all(earlier <= later for earlier, later in pairwise(known))
    assert (exchange.sent_ns or 0) >= t0_ns + 13_333_333
    assert all(earlier.at_ns <= later.at_ns for earlier, later in pairwise(exchange.events))


@every_wire
async def test_speech_ends_where_the_corpus_says(wire: str, echo: Echo, calls: Calls) -> None:
    exchange = await calls.make(wire, echo.url, seconds=1.0, speech_end_s=0.5)
    assert len(exchange.lateness_ns) == 13  # the thirteenth frame of 40 ms holds 0.5 s
    assert json.loads(exchange.events[-1].data or "")["audio_s"] == pytest.approx(0.52)


@every_wire
async def test_a_server_that_finds_the_end_itself_hears_silence_until_it_does(
    wire: str, echo: Echo, calls: Calls
) -> None:
    exchange = await calls.make(wire, echo.url, seconds=0.4, eos="silence")
    assert exchange.outcome is Outcome.OK
    assert exchange.events[-1].text == FINAL
    assert len(exchange.lateness_ns) >= 15  # ten of speech, five of the 200 ms that echo waits for


@every_wire
async def test_as_fast_as_accepted(wire: str, echo: Echo, calls: Calls) -> None:
    exchange = await calls.make(wire, echo.url, seconds=3.0, pace=0)
    assert (exchange.outcome, exchange.lateness_ns) == (Outcome.OK, ())
    assert exchange.owed_ns == exchange.sent_end_ns


@every_wire
async def test_many_at_once_get_their_own_answers(wire: str, echo: Echo, calls: Calls) -> None:
    found = await asyncio.gather(
        *(calls.make(wire, echo.url, seconds=0.4, request_id=f"r-{number}") for number in range(20))
    )
    assert {exchange.outcome for exchange in found} == {Outcome.OK}
    ids = [json.loads(exchange.events[-1].data or "")["request_id"] for exchange in found]
    assert ids == [f"r-{number}" for number in range(20)]


@every_wire
async def test_a_call_that_is_cancelled_leaves_nothing_behind(wire: str, echo: Echo, calls: Calls) -> None:
    call = asyncio.create_task(calls.make(wire, echo.url, seconds=20.0, pace=1))
    await wait_for_sessions(echo.url, 1)
    call.cancel()
    await wait_for_sessions(echo.url, 0)
    assert call.cancelled()


async def wait_for_sessions(url: str, count: int) -> None:
    """Until so many are running there."""
    async with asyncio.timeout(20), httpx.AsyncClient() as web:
        while True:
            if (await web.get(f"{url}/status")).json()["in_flight"] == count:
                return
            await asyncio.sleep(0.02)


async def test_each_wire_takes_the_servers_key(start_echo: StartEcho, calls: Calls) -> None:
    url = start_echo(environ={"ECHO_KEY": "secret"}).url
    without = await calls.on_every_wire(url, seconds=0.1)
    assert {(one.outcome, one.status) for one in without.values()} == {(Outcome.BAD_REQUEST, 401)}
    environment = {codec.key_variable: "secret, other" for codec in CODECS.values()}
    with_key = await calls.on_every_wire(url, seconds=0.1, environment=environment)
    assert {one.outcome for one in with_key.values()} == {Outcome.OK}


@every_codec
def test_every_frame_is_of_one_kind_and_deterministic(wire: str) -> None:
    codec = CODECS[wire]
    frames = [sound(0.02), np.zeros(320, dtype=np.float32), np.full(320, 9.0, dtype=np.float32)]
    encoded = [codec.encode(frame) for frame in frames]
    assert len({type(message) for message in encoded}) == 1
    assert encoded == [codec.encode(frame) for frame in frames]
    assert len(set(encoded)) == 3


json_like = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.text(max_size=9)
    | st.sampled_from(["final", "partial", "interim", "error"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "op", "text", "error", "code", "message", "request_id", "sid", "final"]),
            inner,
            max_size=6,
        )
    ),
    max_leaves=12,
)


@every_codec
@settings(max_examples=300)
@given(message=st.binary(max_size=60) | st.text(max_size=60) | json_like.map(json.dumps), ended=st.booleans())
def test_whatever_a_stranger_writes_is_read_or_refused(wire: str, message: str | bytes, ended: bool) -> None:
    try:
        heard = CODECS[wire].reader("r-1").read(message, ended=ended)
    except (ValueError, LookupError, TypeError, AttributeError):
        return
    assert isinstance(heard, Heard)
    assert heard.outcome is not Outcome.OK
