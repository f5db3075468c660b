"""The Parakeet wire against a server that says each message of its contract, and some that it may not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.sync.server import ServerConnection

from tests.contract.conftest import Calls
from tests.contract.test_stream_faults import server_that
from yapbench import clients
from yapbench.clients.codec import Heard
from yapbench.clients.interface import Exchange
from yapbench.schema import Outcome

QUEUED = json.dumps({"status": "queued"})
FLUSHED = json.dumps({"status": "flushed"})
FLUSH = {"type": "flush"}


def said(text: str, start: float = 0.0, /, **more: Any) -> str:
    words = [0.9] * len(text.split())
    row = {"text": text, "confidence": 0.9, "words": words, "start": start, "end": start + 1, "closed_by": "flush"}
    return json.dumps(row | more)


def error(code: str, **more: Any) -> str:
    return json.dumps({"error": "something", "code": code} | more)


async def talk(calls: Calls, url: str, **options: Any) -> Exchange:
    """One call, hung up before the server is told to go."""
    exchange = await calls.make("parakeet", url, **options)
    await asyncio.sleep(0.03)
    return exchange


class Scripted:
    """Speaks the contract: a chunk is closed by a pause while audio comes, another by the flush."""

    def __init__(self) -> None:
        self.texts: list[dict[str, Any]] = []
        """What came as text."""
        self.audio = b""

    def __call__(self, connection: ServerConnection) -> None:
        paused = False
        for message in connection:
            if isinstance(message, str):
                self.texts.append(json.loads(message))
                for row in (QUEUED, said("and here", 0.7), FLUSHED):
                    connection.send(row)
                continue
            self.audio += message
            if not paused and len(self.audio) >= 16_000:
                paused = True
                for row in (QUEUED, json.dumps({"partial": "here"}), said("here it is", closed_by="silence")):
                    connection.send(row)


@pytest.mark.slow
async def test_an_utterance_is_its_frames_and_a_flush(calls: Calls) -> None:
    scripted = Scripted()
    with server_that(scripted) as url:
        exchange = await talk(calls, url, seconds=1.0)
    assert scripted.texts == [FLUSH]
    assert len(scripted.audio) == 32_000  # a second of PCM16, and none of it twice
    assert (exchange.outcome, exchange.error, exchange.status) == (Outcome.OK, None, None)
    assert [(event.kind, event.text) for event in exchange.events] == [
        ("queued", None),
        ("partial", "here"),
        ("partial", "here it is"),
        ("queued", None),
        ("partial", "here it is and here"),
        ("final", "here it is and here"),
    ]


@contextmanager
def answering(*messages: str | bytes, code: int = 1000, reason: str = "") -> Iterator[str]:
    """A server that says this once it has the flush, and closes."""

    def behave(connection: ServerConnection) -> None:
        while isinstance(connection.recv(), bytes):
            pass
        for message in messages:
            connection.send(message)
        connection.close(code, reason)

    with server_that(behave) as url:
        yield url


Ends = tuple[str, Callable[[], Any], Outcome, int | None, str]
ENDS: list[Ends] = [
    ("no speech", lambda: answering(FLUSHED), Outcome.OK, None, ""),
    ("no seat", lambda: answering(error("at_capacity"), code=1013), Outcome.REJECTED, None, "at_capacity: something"),
    ("no seat, closed", lambda: answering(code=1013), Outcome.REJECTED, 1013, "closed with 1013"),
    (
        "queue full",
        lambda: answering(QUEUED, error("at_capacity", start=0, end=1), FLUSHED),
        Outcome.REJECTED,
        None,
        "at_capacity",
    ),
    ("draining", lambda: answering(error("draining"), code=1012), Outcome.REJECTED, None, "draining"),
    ("the model failed", lambda: answering(QUEUED, error("inference_failed")), Outcome.SERVER_ERROR, None, "inference"),
    ("too long", lambda: answering(QUEUED, error("deadline_exceeded")), Outcome.DEADLINE, None, "deadline_exceeded"),
    ("idle, said", lambda: answering(error("idle_timeout"), code=4000), Outcome.DEADLINE, None, "idle_timeout"),
    ("idle", lambda: answering(code=4000, reason="idle"), Outcome.DEADLINE, 4000, "idle"),
    ("odd bytes", lambda: answering(error("bad_input", field="audio")), Outcome.BAD_REQUEST, None, "bad_input"),
    ("1011", lambda: answering(QUEUED, code=1011), Outcome.SERVER_ERROR, 1011, "closed with 1011"),
    ("closed early", lambda: answering(QUEUED, said("a")), Outcome.NO_FINAL, 1000, "closed with 1000"),
    ("never announced", lambda: answering(said("a"), FLUSHED), Outcome.WRONG_RESULT, None, "only 0 were announced"),
    (
        "one too many",
        lambda: answering(QUEUED, said("a"), said("b")),
        Outcome.WRONG_RESULT,
        None,
        "result 2, and only 1",
    ),
    ("one lost", lambda: answering(QUEUED, QUEUED, said("a"), FLUSHED), Outcome.WRONG_RESULT, None, "2 chunks were"),
    (
        "out of order",
        lambda: answering(QUEUED, QUEUED, said("b", 3.5), said("a", 1.0), FLUSHED),
        Outcome.WRONG_RESULT,
        None,
        "the chunk from 1 s was answered after the one from 3.5 s",
    ),
    ("garbage", lambda: answering("{"), Outcome.PROTOCOL, None, "cannot be read"),
    ("another status", lambda: answering(json.dumps({"status": "ready"})), Outcome.PROTOCOL, None, "status 'ready'"),
    ("no text", lambda: answering(QUEUED, said("a", text=None)), Outcome.PROTOCOL, None, "text None"),
    ("too sure", lambda: answering(QUEUED, said("a", confidence=1.5)), Outcome.PROTOCOL, None, "confidences 1.5"),
    ("words of words", lambda: answering(QUEUED, said("a", words=["a"])), Outcome.PROTOCOL, None, "['a']"),
    ("no code", lambda: answering(json.dumps({"error": "x"})), Outcome.PROTOCOL, None, "cannot be read ('code')"),
    ("binary", lambda: answering(said("a").encode()), Outcome.PROTOCOL, None, "no binary answers"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("behave", "outcome", "status", "words"), [one[1:] for one in ENDS], ids=[e[0] for e in ENDS])
async def test_each_other_end_has_its_outcome(
    calls: Calls, behave: Callable[[], Any], outcome: Outcome, status: int | None, words: str
) -> None:
    with behave() as url:
        exchange = await talk(calls, url, seconds=0.3, timeout_s=2.0)
    assert (exchange.outcome, exchange.status) == (outcome, status)
    assert words in (exchange.error or "")


@pytest.mark.slow
async def test_a_server_that_never_says_that_all_is_answered_owes_it(calls: Calls) -> None:
    def behave(connection: ServerConnection) -> None:
        while isinstance(connection.recv(), bytes):
            pass
        connection.send(QUEUED)
        for _ in connection:  # it reads on and says nothing more
            pass

    with server_that(behave) as url:
        exchange = await talk(calls, url, seconds=0.3, timeout_s=0.4)
    assert (exchange.outcome, "but the server is there" in (exchange.error or "")) == (Outcome.NO_FINAL, True)


@pytest.mark.slow
async def test_where_the_server_finds_the_end_it_is_the_chunk_that_silence_closed_after_the_speech(
    calls: Calls,
) -> None:
    def behave(connection: ServerConnection) -> None:
        heard = 0
        for message in connection:
            assert isinstance(message, bytes)
            heard += len(message)
            if heard == 6_400:
                connection.send(QUEUED)  # a pause within the speech: its result comes after the end of it
            if heard == 12_800:
                for row in (said("one", 0.0, closed_by="silence"), QUEUED, said("two", 0.2, closed_by="length")):
                    connection.send(row)
            if heard == 19_200:
                for row in (QUEUED, said("three", 0.4, closed_by="silence")):
                    connection.send(row)

    with server_that(behave) as url:
        exchange = await talk(calls, url, seconds=0.36, speech_end_s=0.36, eos="silence")
    assert exchange.outcome is Outcome.OK
    assert [event.text for event in exchange.events if event.text] == ["one", "one two", "one two three"]
    assert [event.kind for event in exchange.events][-1] == "final"


@pytest.mark.slow
async def test_the_key_goes_with_the_upgrade_and_nowhere_else(calls: Calls) -> None:
    seen: list[Any] = []
    scripted = Scripted()

    def behave(connection: ServerConnection) -> None:
        assert connection.request is not None
        seen.append((connection.request.path, connection.request.headers["Authorization"]))
        scripted(connection)

    with server_that(behave) as url:
        environment = {"PARAKEET_API_KEY": "hidden"}
        exchange = await talk(calls, url, seconds=0.4, environment=environment)
    assert exchange.outcome is Outcome.OK
    assert seen == [("/ws", "Key hidden")] and "hidden" not in json.dumps(scripted.texts)


def test_a_flush_that_was_answered_before_ours_ends_nothing() -> None:
    reader = clients.CODECS["parakeet"].reader("r-1")
    assert reader.read(FLUSHED, ended=False) == Heard("final", "", None)
    assert reader.read(FLUSHED, ended=True).outcome is Outcome.OK


@given(st.lists(st.sampled_from(["", "a", "b c"]), max_size=6), st.integers(0, 6), st.integers(0, 6))
def test_all_texts_are_there_in_their_order_and_as_many_as_were_announced(
    texts: list[str], announced: int, at: int
) -> None:
    """Announced before they are answered, in any interleaving; whatever is one too many or missing is no success."""
    reader = clients.CODECS["parakeet"].reader("r-1")
    for _ in range(announced):
        reader.read(QUEUED, ended=False)
    found = [reader.read(said(text, number), ended=number >= at).outcome for number, text in enumerate(texts)]
    assert found == [None if number < announced else Outcome.WRONG_RESULT for number in range(len(texts))]
    last = reader.read(FLUSHED, ended=True)
    assert last.text == " ".join(filter(None, texts))
    assert last.outcome is (Outcome.OK if announced == len(texts) else Outcome.WRONG_RESULT)
