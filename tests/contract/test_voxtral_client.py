"""The Voxtral wire message by message: what is sent, and what each answer means, also those that are not allowed."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.contract.conftest import Calls, sound
from tests.contract.voxtral_server import Gateway, delta, done, error, running, said, saying
from yapbench import clients
from yapbench.clients.codec import Heard
from yapbench.clients.framing import encode
from yapbench.clients.session import Session
from yapbench.corpus import Utterance
from yapbench.errors import UsageError
from yapbench.pacing.streaming import StreamOptions
from yapbench.schema import Outcome

CODEC = clients.CODECS["voxtral"]
WIRES = ("voxtral", "voxtral_eager")
UPDATED = said("session.updated", {"model": "m"}, None)


def read(*messages: str | bytes, ended: bool = True) -> list[Heard]:
    """One utterance that we have ended."""
    reader = CODEC.reader("r-1")
    return [reader.read(message, ended=ended) for message in messages]


def enveloped(kind: str, **payload: Any) -> dict[str, Any]:
    return {"type": kind, "session_id": "r-1", "request_id": "r-1", "payload": payload}


def test_a_session_is_updated_and_an_utterance_begun_and_ended() -> None:
    started = enveloped("input_audio_buffer.commit", final=False)
    assert [json.loads(one) for one in CODEC.opening("r-1")] == [enveloped("session.update"), started]
    assert [json.loads(one) for one in CODEC.resume("r-1")] == [started]
    assert [json.loads(one) for one in CODEC.end("r-1")] == [enveloped("input_audio_buffer.commit", final=True)]


def test_audio_is_pcm16_in_base64_80_ms_each_and_none_is_lost() -> None:
    audio = sound(1.0)
    speech = encode(CODEC, StreamOptions(frame_ms=80), audio, speech_end_s=None)
    rows = [json.loads(frame) for frame in speech.frames]
    pieces = [base64.b64decode(row["payload"]["audio"], validate=True) for row in rows]
    assert ({row["type"] for row in rows}, speech.binary) == ({"input_audio_buffer.append"}, False)
    assert {len(piece) for piece in pieces} == {2560} and len(pieces) == 13
    heard = np.frombuffer(b"".join(pieces), "<i2")[: len(audio)]
    assert np.abs(heard / 32767 - audio).max() <= 0.5 / 32767 + 1e-6


def test_keys_of_the_server_and_of_a_proxy_have_headers_of_their_own() -> None:
    assert CODEC.headers(key="k", bearer="") == {"X-API-Key": "k"}
    assert CODEC.headers(key="k", bearer="b") == {"X-API-Key": "k", "Authorization": "Bearer b"}
    assert CODEC.headers(key="", bearer="") == {}


def test_deltas_are_added_up_and_empty_ones_are_steps() -> None:
    found = read(delta(""), delta(" hel"), delta("lo"), delta(""), delta(" "), delta("there"), done(" hello there"))
    assert [(one.kind, one.text, one.outcome) for one in found] == [
        ("step", None, None),
        ("partial", "hel", None),
        ("partial", "hello", None),
        ("step", None, None),
        ("step", None, None),
        ("partial", "hello there", None),
        ("final", "hello there", Outcome.OK),
    ]


def test_what_changes_no_text_has_kinds_of_its_own() -> None:
    created = said("session.created", {"id": "s", "created": 1}, None)
    messages = [created, UPDATED, said("pong", {"n": 1}), said("session_end", {"reason": "end"}, None)]
    messages.append(said("status", {"kind": "something"}, None))
    assert [one.kind for one in read(*messages)] == ["created", "ready", "pong", "session_end", "status"]
    assert not any(one.outcome or one.text for one in read(*messages))


@given(st.lists(st.text(alphabet="ab cä", max_size=6), max_size=12))
def test_the_text_is_that_of_all_deltas_whatever_their_cuts(pieces: list[str]) -> None:
    *found, last = read(*map(delta, pieces), done("".join(pieces)))
    partials = [one.text for one in found if one.kind == "partial"]
    assert (last.outcome, last.text) == (Outcome.OK, "".join(pieces).strip())
    assert partials[-1:] in ([], [last.text]) and len(found) == len(pieces)


DROPPED = said("status", {"kind": "overload_drop", "dropped_seconds": 1.5})
ENDS: list[tuple[str, list[str], Outcome, str]] = [
    ("another text", [delta(" a"), done(" a b")], Outcome.WRONG_RESULT, "the done is 'a b', its deltas were 'a'"),
    ("audio was dropped", [DROPPED, DROPPED, done("")], Outcome.WRONG_RESULT, "3 s of the audio were dropped"),
    ("for another", [said("transcription.delta", {"delta": "a"}, "r-2")], Outcome.WRONG_RESULT, "is for 'r-2'"),
    ("cancelled", [said("cancelled", {"reason": "barge_in"})], Outcome.NO_FINAL, "not by us: barge_in"),
    ("no key", [error("authentication_failed", "invalid_api_key")], Outcome.BAD_REQUEST, "authentication_failed"),
    ("full", [error("server_at_capacity", "max_connections")], Outcome.REJECTED, "max_connections: as it says"),
    ("queue full", [UPDATED, error("server_at_capacity", "inbound_queue_full")], Outcome.REJECTED, "inbound_queue"),
    ("too many", [error("rate_limited", "message_rate_limited")], Outcome.BAD_REQUEST, "message_rate_limited"),
    ("not started", [error("invalid_message", "not_started", "r-1")], Outcome.BAD_REQUEST, "not_started"),
    ("bad audio", [error("invalid_payload", "invalid_audio")], Outcome.BAD_REQUEST, "invalid_audio"),
    ("starting", [error("internal_error", "engine_unavailable")], Outcome.REJECTED, "engine_unavailable"),
    ("gone", [UPDATED, error("internal_error", "engine_unavailable")], Outcome.SERVER_ERROR, "engine_unavailable"),
    ("stalled", [UPDATED, error("internal_error", "engine_stalled", "r-1")], Outcome.SERVER_ERROR, "engine_stalled"),
]


@pytest.mark.parametrize(("messages", "outcome", "words"), [one[1:] for one in ENDS], ids=[one[0] for one in ENDS])
def test_each_other_end_has_its_outcome(messages: list[str], outcome: Outcome, words: str) -> None:
    *before, last = read(*messages)
    assert last.outcome is outcome and words in (last.error or "")
    assert (last.kind == "at_capacity") == (outcome is Outcome.REJECTED)
    assert not any(one.outcome for one in before)


def test_a_done_that_we_have_not_asked_for_is_no_success() -> None:
    (found,) = read(done(""), ended=False)
    assert (found.outcome, found.error) == (Outcome.WRONG_RESULT, "a done that nobody has asked for")


UNREADABLE: list[tuple[str, str | bytes]] = [
    ("binary", delta("a").encode()),
    ("no JSON", "{"),
    ("no object", "[]"),
    ("no type", json.dumps({"request_id": None, "payload": {}})),
    ("no envelope", json.dumps({"type": "transcription.delta", "delta": "a"})),
    ("another type", said("transcription.word", {"word": "a"})),
    ("a payload that is none", json.dumps({"type": "pong", "request_id": None, "payload": "a"})),
    ("no delta", said("transcription.delta")),
    ("a delta that is no text", said("transcription.delta", {"delta": 3})),
    ("no text", said("transcription.done", {"usage": {}})),
    ("an error without its reason", said("error", {"code": "internal_error", "message": "x"})),
    ("a drop of nothing", said("status", {"kind": "overload_drop"})),
]


@pytest.mark.parametrize("message", [one[1] for one in UNREADABLE], ids=[one[0] for one in UNREADABLE])
def test_what_the_wire_does_not_allow_cannot_be_read(message: str | bytes) -> None:
    with pytest.raises((ValueError, LookupError, TypeError, AttributeError)):
        read(message)


def test_only_we_can_end_an_utterance() -> None:
    with pytest.raises(UsageError, match="client 'voxtral': its server ends an utterance only when"):
        clients.build("voxtral", "http://h", timeout_s=1, stream=StreamOptions(eos="silence"))


@pytest.mark.parametrize("wire", WIRES)
async def test_an_utterance_is_its_frames_between_two_commits(calls: Calls, wire: str) -> None:
    async with running(gateway := Gateway()) as url:
        keys = {"VOXTRAL_API_KEY": "k, other"}
        exchange = await calls.make(wire, url, seconds=1.2, frame_ms=80, environment=keys)
    assert (exchange.outcome, exchange.error, gateway.heard) == (Outcome.OK, None, [15 * 2560])
    assert [row["type"] for row in gateway.rows] == ["session.update", *["input_audio_buffer.commit"] * 2]
    assert gateway.headers[0]["x-api-key"] == "k"
    shown = [(event.kind, event.text) for event in exchange.events if event.kind in ("partial", "final")]
    assert shown == [("partial", "one"), ("partial", "one two"), ("final", "one two")]
    assert sum(event.kind in ("step", "partial") for event in exchange.events) == 15


async def test_audio_waits_for_the_session_and_the_eager_do_not(calls: Calls) -> None:
    for wire, waits in (("voxtral", True), ("voxtral_eager", False)):
        async with running(Gateway(ready_s=0.4)) as url:
            exchange = await calls.make(wire, url, seconds=0.8, frame_ms=80, pace=0)
        assert exchange.outcome is Outcome.OK
        (ready,) = [event for event in exchange.events if event.kind == "ready"]
        assert ((exchange.sent_ns or 0) >= ready.at_ns) is waits


CLOSES = [(4001, Outcome.BAD_REQUEST), (4002, Outcome.REJECTED), (1013, Outcome.REJECTED), (1012, Outcome.REJECTED)]
CLOSES += [(4000, Outcome.DEADLINE), (4003, Outcome.DEADLINE), (1000, Outcome.NO_FINAL), (1009, Outcome.BAD_REQUEST)]
CLOSES += [(1011, Outcome.SERVER_ERROR)]


@pytest.mark.parametrize(("code", "outcome"), CLOSES)
async def test_each_close_code_has_its_outcome(calls: Calls, code: int, outcome: Outcome) -> None:
    async with saying(delta(" a"), said("session_end", {"reason": "x"}, None), code=code) as url:
        exchange = await calls.make("voxtral", url, seconds=0.4, pace=1)
    assert (exchange.outcome, exchange.status, exchange.error) == (outcome, code, "as it says")
    assert [event.kind for event in exchange.events] == ["ready", "partial", "session_end", "closed"]


async def test_a_refusal_is_heard_before_any_audio(calls: Calls) -> None:
    refusals = [(error("authentication_failed", "invalid_api_key"), 4001, Outcome.BAD_REQUEST)]
    refusals.append((error("server_at_capacity", "max_connections"), 4002, Outcome.REJECTED))
    refusals.append((error("internal_error", "engine_unavailable"), 1013, Outcome.REJECTED))
    for message, code, outcome in refusals:
        async with saying(message, code=code, ready=False) as url:
            exchange = await calls.make("voxtral", url, seconds=0.4, pace=1)
        assert (exchange.outcome, exchange.sent_ns) == (outcome, None)


async def test_a_conversation_has_a_transcript_for_each_utterance(calls: Calls) -> None:
    options = StreamOptions(pace=10)
    given: dict[str, Any] = {"request_id": "r-1", "timeout_s": 5, "environment": {}, "options": options}
    async with (
        running(gateway := Gateway()) as url,
        Session(CODEC, url, pacer=calls.pacer, **given) as session,
    ):
        assert await session.open() is None
        texts = []
        for seconds in (0.96, 1.44, 0.48):
            payload = session.prepare(Utterance(id="u", duration_s=seconds), sound(seconds))
            exchange = await session.say(payload, intended_ns=time.monotonic_ns())
            assert exchange.outcome is Outcome.OK, exchange.error
            texts.append(exchange.events[-1].text)
    assert texts == ["one two", "one two three", "one"]
    assert gateway.heard == [12 * 2560, 18 * 2560, 6 * 2560]
