"""The FastConformer wire against a server that says each message of its contract, and some that it may not."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from websockets.sync.server import ServerConnection

from tests.contract.conftest import Calls
from tests.contract.test_stream_faults import server_that
from yapbench import clients
from yapbench.clients.codec import Heard
from yapbench.errors import UsageError
from yapbench.pacing.streaming import StreamOptions
from yapbench.schema import Outcome

pytestmark = pytest.mark.slow

TEXTS = ("close", "close the", "close the door")


def said(op: str, text: str = "", sid: str = "r-1", **more: Any) -> str:
    return json.dumps({"op": op, "sid": sid, "text": text, "final": op == "final", "ts": 1_790_000_000_000} | more)


def error(code: str, sid: str | None = "r-1") -> str:
    return json.dumps({"op": "error", "sid": sid, "code": code, "message": "no seat is free"})


class Scripted:
    """Speaks the contract: an interim for each third of a second of audio, after `close` the last, the final, 1000."""

    def __init__(self) -> None:
        self.texts: list[dict[str, Any]] = []
        """What came as text."""
        self.audio = b""

    def __call__(self, connection: ServerConnection) -> None:
        self.texts.append(json.loads(connection.recv()))
        shown = 0
        for message in connection:
            if isinstance(message, str):
                self.texts.append(json.loads(message))
                break
            self.audio += message
            if shown < 2 and len(self.audio) >= (shown + 1) * 10_000:
                connection.send(said("interim", TEXTS[shown]))
                shown += 1
        connection.send(said("interim", TEXTS[2]))
        connection.send(said("final", TEXTS[2]))
        connection.close(1000)


async def test_an_utterance_is_an_init_its_frames_and_a_close(calls: Calls) -> None:
    scripted = Scripted()
    with server_that(scripted) as url:
        exchange = await calls.make("fastconformer", url, seconds=1.0)
    assert scripted.texts == [{"op": "init", "sid": "r-1", "sr": 16_000}, {"op": "close", "sid": "r-1"}]
    assert len(scripted.audio) == 32_000  # a second of PCM16, and none of it twice
    assert (exchange.outcome, exchange.error, exchange.status) == (Outcome.OK, None, None)
    assert [(event.kind, event.text) for event in exchange.events] == [
        *(("partial", text) for text in TEXTS),
        ("final", TEXTS[2]),
    ]


@contextmanager
def answering(*messages: str | bytes, code: int = 1000, reason: str = "") -> Iterator[str]:
    """A server that says this once it has the init, and closes."""

    def behave(connection: ServerConnection) -> None:
        connection.recv()
        for message in messages:
            connection.send(message)
        connection.close(code, reason)

    with server_that(behave) as url:
        yield url


ENDS: list[tuple[str, Callable[[], Any], Outcome, int | None, str]] = [
    ("full", lambda: answering(error("at_capacity")), Outcome.REJECTED, None, "at_capacity: no seat is free"),
    ("full, no sid", lambda: answering(error("at_capacity", None)), Outcome.REJECTED, None, "at_capacity: "),
    ("full, closed", lambda: answering(code=1013), Outcome.REJECTED, 1013, "closed with 1013"),
    ("the model failed", lambda: answering(error("inference_failed")), Outcome.SERVER_ERROR, None, "inference_failed"),
    ("shutting down", lambda: answering(error("draining")), Outcome.REJECTED, None, "draining"),
    ("idle, said", lambda: answering(error("idle_timeout"), code=4000), Outcome.DEADLINE, None, "idle_timeout"),
    ("odd bytes", lambda: answering(error("bad_input")), Outcome.BAD_REQUEST, None, "bad_input"),
    ("bad init", lambda: answering(code=1002, reason="sr"), Outcome.BAD_REQUEST, 1002, "sr"),
    ("idle", lambda: answering(code=4000, reason="idle"), Outcome.DEADLINE, 4000, "idle"),
    ("no final", lambda: answering(said("interim", "a")), Outcome.NO_FINAL, 1000, "closed with 1000"),
    ("another's text", lambda: answering(said("interim", "a", "r-2")), Outcome.WRONG_RESULT, None, "is for 'r-2'"),
    ("another's error", lambda: answering(error("x", "r-2")), Outcome.WRONG_RESULT, None, "is for 'r-2'"),
    ("no such op", lambda: answering(said("word", "a")), Outcome.PROTOCOL, None, "cannot be read ('word')"),
    ("no text", lambda: answering(said("interim", text=None)), Outcome.PROTOCOL, None, "with text None"),  # type: ignore[arg-type]
    ("interim that is final", lambda: answering(said("interim", final=True)), Outcome.PROTOCOL, None, "final True"),
    ("binary", lambda: answering(said("interim").encode()), Outcome.PROTOCOL, None, "no binary answers"),
]


@pytest.mark.parametrize(("behave", "outcome", "status", "words"), [one[1:] for one in ENDS], ids=[e[0] for e in ENDS])
async def test_each_other_end_has_its_outcome(
    calls: Calls, behave: Callable[[], Any], outcome: Outcome, status: int | None, words: str
) -> None:
    with behave() as url:
        exchange = await calls.make("fastconformer", url, seconds=0.6, pace=1, timeout_s=2.0)
    assert (exchange.outcome, exchange.status) == (outcome, status)
    assert words in (exchange.error or "")


async def test_a_final_before_our_close_does_not_end_it_well(calls: Calls) -> None:
    with answering(said("final", "a")) as url:
        exchange = await calls.make("fastconformer", url, seconds=0.6, pace=1)
    assert (exchange.outcome, [event.kind for event in exchange.events]) == (Outcome.NO_FINAL, ["final", "closed"])


async def test_the_key_goes_with_the_upgrade_and_nowhere_else(calls: Calls) -> None:
    seen: list[Any] = []
    scripted = Scripted()

    def behave(connection: ServerConnection) -> None:
        assert connection.request is not None
        seen.append((connection.request.path, connection.request.headers["Authorization"]))
        scripted(connection)

    with server_that(behave) as url:
        environment = {"ASR_API_KEY": "hidden"}
        exchange = await calls.make("fastconformer", url, seconds=0.4, environment=environment)
    assert exchange.outcome is Outcome.OK
    assert seen == [("/", "Key hidden")] and "hidden" not in json.dumps(scripted.texts)


async def test_many_at_once_are_told_apart_by_their_sid() -> None:
    mine = clients.CODECS["fastconformer"].reader("r-1")
    assert mine.read(said("interim", "a"), ended=False) == Heard("partial", "a")
    other = mine.read(said("final", "a", "r-2"), ended=True)
    assert (other.kind, other.outcome) == ("final", Outcome.WRONG_RESULT)


@pytest.mark.parametrize("eos", ["commit", "silence"])
def test_only_we_can_end_an_utterance(eos: Any) -> None:
    if eos == "silence":
        with pytest.raises(UsageError, match="client 'fastconformer': its server ends an utterance only when"):
            clients.build("fastconformer", "http://h", timeout_s=1, stream=StreamOptions(eos=eos))
    clients.require_end("echo_pcm", StreamOptions(eos=eos))


async def test_what_the_server_takes_time_for_is_seen(calls: Calls) -> None:
    def slow(connection: ServerConnection) -> None:
        for message in connection:
            if isinstance(message, str) and json.loads(message)["op"] == "close":
                time.sleep(0.3)
                connection.send(said("final", "a"))
                return

    with server_that(slow) as url:
        exchange = await calls.make("fastconformer", url, seconds=0.4)
    assert exchange.outcome is Outcome.OK
    assert 0.3e9 <= exchange.ended_ns - (exchange.owed_ns or 0) < 2e9
