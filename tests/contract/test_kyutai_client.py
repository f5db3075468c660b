"""Both Kyutai wires message by message: what is sent, and what each answer means, also those that are not allowed."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.server import ServerConnection

from tests.contract.conftest import Calls, sound
from tests.contract.kyutai_server import Seats, running
from yapbench import clients
from yapbench.clients.codec import Heard, Message
from yapbench.clients.framing import encode
from yapbench.errors import UsageError
from yapbench.pacing.streaming import StreamOptions
from yapbench.schema import Outcome

NATIVE, JSON = clients.CODECS["kyutai"], clients.CODECS["kyutai_json"]
every_wire = pytest.mark.parametrize("wire", ["kyutai", "kyutai_json"])


def m(kind: str, **row: Any) -> bytes:
    packed: bytes = msgpack.packb({"type": kind, **row})
    return packed


def j(kind: str, **row: Any) -> str:
    return json.dumps({"type": kind, **row})


def word(text: str, start_s: float) -> list[Message]:
    return [m("Word", text=text, start_time=start_s), m("EndWord", stop_time=start_s + 0.24)]


def read(wire: str, *messages: Message) -> list[Heard]:
    """One utterance that we have ended."""
    reader = clients.CODECS[wire].reader("r-1")
    return [reader.read(message, ended=True) for message in messages]


def test_native_audio_is_32_bit_floats_as_the_older_clients_pack_them() -> None:
    audio = sound(0.08, rate_hz=24_000)
    message = NATIVE.encode(audio)
    assert isinstance(message, bytes) and len(message) == 9619  # 1920 items of 5 bytes, and 19
    row = msgpack.unpackb(message)
    assert list(row) == ["type", "pcm"] and row["type"] == "Audio"
    assert np.array_equal(np.asarray(row["pcm"], np.float32), audio)


def test_json_audio_is_16_bit_in_base64() -> None:
    audio = sound(0.08, rate_hz=24_000)
    message = JSON.encode(audio)
    assert isinstance(message, str)
    samples = np.frombuffer(base64.b64decode(json.loads(message)["audio"]), "<i2")
    assert np.abs(samples / 32767 - audio).max() <= 0.5 / 32767 + 1e-6


def test_what_is_said_beside_audio() -> None:
    assert [msgpack.unpackb(one) for one in NATIVE.end("r-1")] == [{"type": "Flush"}]
    assert (NATIVE.opening("r-1"), [json.loads(one) for one in JSON.opening("r-1")]) == ((), [{"type": "StartSTT"}])
    assert [json.loads(one) for one in JSON.end("r-1")] == [{"type": "Flush"}]


@every_wire
def test_keys_of_the_server_and_of_a_proxy_have_headers_of_their_own(wire: str) -> None:
    headers = clients.CODECS[wire].headers
    assert headers(key="k", bearer="") == {"kyutai-api-key": "k"}
    assert headers(key="k", bearer="b") == {"kyutai-api-key": "k", "Authorization": "Bearer b"}
    assert headers(key="", bearer="") == {}


@every_wire
def test_frames_of_80_ms_are_1920_samples_and_all_of_the_audio(wire: str) -> None:
    codec, audio = clients.CODECS[wire], sound(1.0, rate_hz=24_000)
    speech = encode(codec, StreamOptions(frame_ms=80), audio, speech_end_s=None)
    row = msgpack.unpackb if speech.binary else json.loads
    heard = [row(frame) for frame in speech.frames]
    lengths = {len(one["pcm"]) if speech.binary else len(base64.b64decode(one["audio"])) // 2 for one in heard}
    assert (len(speech.frames), lengths, speech.binary) == (13, {1920}, wire == "kyutai")


def test_words_are_added_up_and_keep_their_times() -> None:
    step = m("Step", step_idx=7, prs=[0.5, 0.25], buffered_pcm=1920)
    found = read("kyutai", m("Ready"), step, *word("hello", 0.24), *word("there", 0.8), m("Final", text="hello there"))
    assert [(one.kind, one.text) for one in found] == [
        ("ready", None),
        ("step", None),
        ("partial", "hello"),
        ("end_word", None),
        ("partial", "hello there"),
        ("end_word", None),
        ("final", "hello there"),
    ]
    assert [one.outcome for one in found] == [None] * 6 + [Outcome.OK]
    data = [json.loads(one.data or "") for one in found]
    assert (data[1]["prs"], data[1]["step_idx"]) == ([0.5, 0.25], 7)
    assert (data[4]["start_time"], data[5]["stop_time"]) == (0.8, pytest.approx(1.04))


def test_a_marker_and_silence_are_an_end_that_keeps_the_stream() -> None:
    codec = clients.CODECS["kyutai_marker"]
    marker, silence = (msgpack.unpackb(one) for one in codec.end("r-1"))
    assert (marker["type"], len(silence["pcm"]), any(silence["pcm"])) == ("Marker", 76_800, False)
    ours, other = m("Marker", id=marker["id"]), m("Marker", id=marker["id"] + 1)
    late = m("EndWord", stop_time=3.0)  # of the last word of the utterance before
    found = read("kyutai_marker", late, *word("hello", 4.0), other, m("Word", text="you", start_time=5.0), ours)
    kinds = ["end_word", "partial", "end_word", "marker", "partial", "final"]
    assert [(one.kind, one.outcome) for one in found] == [*((kind, None) for kind in kinds[:-1]), ("final", Outcome.OK)]
    assert found[-1].text == "hello you"


def test_the_json_wire_has_words_texts_and_a_final() -> None:
    said = [j("Ready"), j("Word", word="hello"), j("Partial", text="hello"), j("Final", text="hello")]
    assert [(one.kind, one.text, one.outcome) for one in read("kyutai_json", *said)] == [
        ("ready", None, None),
        ("word", None, None),
        ("partial", "hello", None),
        ("final", "hello", Outcome.OK),
    ]


def test_a_final_that_we_have_not_asked_for_ends_nothing_well() -> None:
    assert NATIVE.reader("r").read(m("Final", text=""), ended=False) == Heard("final", "", data=j("Final", text=""))
    assert JSON.reader("r").read(j("Final", text=""), ended=False) == Heard("final", "")


WRONG: list[tuple[str, str, list[Message], str]] = [
    ("another final", "kyutai", [*word("a", 0), m("Final", text="a b")], "the Final is 'a b', its words were 'a'"),
    ("a lost word", "kyutai_json", [m("Error", message="x"), j("Word", word="a"), j("Final", text="")], "after the"),
    ("no end", "kyutai", [m("Word", text="a", start_time=0.0), m("Final", text="a")], "1 words and 0 ends"),
    ("an end too many", "kyutai", [m("EndWord", stop_time=1.0)], "an EndWord at 1 s without its Word"),
    ("back in time", "kyutai", [*word("a", 2.0), *word("b", 1.0)], "the word at 1 s came after the one at 2 s"),
    (
        "ends before it begins",
        "kyutai",
        [m("Word", text="a", start_time=2.0), m("EndWord", stop_time=1.0)],
        "the word from 2 s ends at 1 s",
    ),
    ("two texts", "kyutai_json", [j("Word", word="a"), j("Final", text="b")], "the Final is 'b', its words were 'a'"),
]


@pytest.mark.parametrize(("wire", "messages", "words"), [one[1:] for one in WRONG], ids=[one[0] for one in WRONG])
def test_answers_that_contradict_each_other_are_no_success(wire: str, messages: list[Message], words: str) -> None:
    failed = [one for one in read(wire, *messages) if one.outcome is not None]
    assert failed[0].outcome in (Outcome.WRONG_RESULT, Outcome.SERVER_ERROR)
    assert words in (failed[0].error or "")


UNREADABLE: list[tuple[str, str, Message]] = [
    ("text on the native wire", "kyutai", j("Ready")),
    ("no MessagePack", "kyutai", b"\xc1"),
    ("cut short", "kyutai", m("Final", text="long")[:-2]),
    ("no map", "kyutai", msgpack.packb(["Ready"])),
    ("no type", "kyutai", msgpack.packb({"kind": "Ready"})),
    ("another type", "kyutai", m("Goodbye")),
    ("no text", "kyutai", m("Word", text=3, start_time=0.0)),
    ("no time", "kyutai", m("Word", text="a")),
    ("a time that is none", "kyutai", m("Word", text="a", start_time=float("nan"))),
    ("more than certain", "kyutai", m("Step", step_idx=0, prs=[1.5], buffered_pcm=0)),
    ("no prs", "kyutai", m("Step", step_idx=0, buffered_pcm=0)),
    ("less than nothing waits", "kyutai", m("Step", step_idx=0, prs=[], buffered_pcm=-1)),
    ("binary on the JSON wire", "kyutai_json", m("Ready")),
    ("no JSON", "kyutai_json", "{"),
    ("another type", "kyutai_json", j("Step")),
    ("no text", "kyutai_json", j("Partial")),
]


@pytest.mark.parametrize(("wire", "message"), [one[1:] for one in UNREADABLE], ids=[one[0] for one in UNREADABLE])
def test_what_the_wire_does_not_allow_cannot_be_read(wire: str, message: Message) -> None:
    with pytest.raises((ValueError, LookupError, TypeError, AttributeError)):
        read(wire, message)


@pytest.mark.parametrize("message", [m("Error", message="no free channels"), j("Error", message="no free channels")])
def test_no_seat_is_said_in_both_encodings_on_the_json_wire(message: Message) -> None:
    (found,) = read("kyutai_json", message)
    assert (found.kind, found.outcome, found.error) == ("at_capacity", Outcome.REJECTED, "no free channels")


@given(st.lists(st.sampled_from(["a", "b c", "d's"]), max_size=8), st.lists(st.floats(0, 100), min_size=8, max_size=8))
def test_every_word_is_in_the_text_in_its_order(words: list[str], at_s: list[float]) -> None:
    pairs = [word(text, start_s) for text, start_s in zip(words, sorted(at_s), strict=False)]
    found = read("kyutai", *(message for pair in pairs for message in pair), m("Final", text=" ".join(words)))
    partials = [one.text for one in found if one.kind == "partial"]
    assert partials == [" ".join(words[: number + 1]) for number in range(len(words))]
    assert (found[-1].outcome, found[-1].text) == (Outcome.OK, " ".join(words))


@every_wire
def test_only_we_can_end_an_utterance(wire: str) -> None:
    with pytest.raises(UsageError, match=f"client '{wire}': its server ends an utterance only when"):
        clients.build(wire, "http://h", timeout_s=1, stream=StreamOptions(eos="silence"))


CLOSES = [(1012, Outcome.REJECTED), (1013, Outcome.REJECTED), (1007, Outcome.BAD_REQUEST), (1009, Outcome.BAD_REQUEST)]
CLOSES += [(1011, Outcome.SERVER_ERROR), (4000, Outcome.DEADLINE), (1000, Outcome.NO_FINAL)]


@pytest.mark.slow
@every_wire
@pytest.mark.parametrize(("code", "outcome"), CLOSES)
async def test_an_error_is_what_the_close_behind_it_says(calls: Calls, wire: str, code: int, outcome: Outcome) -> None:
    class Closing(Seats):
        async def talk(self, connection: ServerConnection) -> None:
            row: dict[str, str] = {"type": "Error", "message": "something"}
            await connection.send(msgpack.packb(row) if wire == "kyutai" else json.dumps(row))
            await connection.close(code, "as it says")

    async with running(Closing()) as url:
        exchange = await calls.make(wire, url, seconds=0.4, pace=1)
    assert (exchange.outcome, exchange.status, exchange.error) == (outcome, code, "as it says")
    assert [event.kind for event in exchange.events] == ["error", "closed"]


@pytest.mark.slow
@every_wire
async def test_an_utterance_is_its_frames_and_a_flush(calls: Calls, wire: str) -> None:
    async with running(server := Seats()) as url:
        exchange = await calls.make(wire, url, seconds=1.2, frame_ms=80)
    opening = [] if wire == "kyutai" else [{"type": "StartSTT"}]
    assert (server.rows, server.heard) == ([*opening, {"type": "Flush"}], [28_800])
    assert (exchange.outcome, exchange.error, exchange.status) == (Outcome.OK, None, None)
    shown = [(event.kind, event.text) for event in exchange.events if event.kind in ("ready", "partial", "final")]
    assert shown == [("ready", None), ("partial", "one"), ("partial", "one two"), ("final", "one two")]
    steps = sum(event.kind == "step" for event in exchange.events)
    assert steps == (15 if wire == "kyutai" else 0)
