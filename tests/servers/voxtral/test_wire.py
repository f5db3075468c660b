"""The envelope: what a client's frames mean, how each wrong one is refused, and what goes out."""

from __future__ import annotations

import base64
import contextlib
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from servers.voxtral.faults import WireFault
from servers.voxtral.session.envelope import Envelope
from servers.voxtral.session.fields import PING_LENGTH
from servers.voxtral.session.messages import Append, Cancel, End, Finish, Message, Ping, Start, Update

MODEL = "org/model"
APPEND, COMMIT = "input_audio_buffer.append", "input_audio_buffer.commit"


def envelope() -> Envelope:
    return Envelope("s-1", model=MODEL, max_append_s=1.0)


def read(kind: Any, payload: Any = None, **more: Any) -> Message:
    return envelope().read(json.dumps({"type": kind, "payload": payload, **more}))


def refused(text: str) -> WireFault:
    with pytest.raises(WireFault) as caught:
        envelope().read(text)
    return caught.value


def base64_of(pcm: bytes) -> str:
    return base64.b64encode(pcm).decode()


@pytest.mark.parametrize(
    ("kind", "payload", "message"),
    [
        ("session.update", {"model": MODEL}, Update("r")),
        ("session.update", {"model": MODEL, "language": None}, Update("r")),
        ("session.update", None, Update("r")),
        (COMMIT, {"final": False}, Start("r")),
        (COMMIT, {}, Start("r")),
        (COMMIT, {"final": True}, Finish("r")),
        (APPEND, {"audio": base64_of(b"\x01\x02"), "seq": 7}, Append("r", b"\x01\x02")),
        (APPEND, {"audio": base64_of(bytes(32_000))}, Append("r", bytes(32_000))),
        ("cancel", {"reason": "stop"}, Cancel("r", "stop")),
        ("cancel", None, Cancel("r", "client")),
        ("ping", {"n": 1, "t": 0.5}, Ping("r", {"n": 1, "t": 0.5})),
        ("ping", [1, "ä"], Ping("r", [1, "ä"])),
        ("ping", None, Ping("r", {})),
        ("end", "whatever", End("r")),
    ],
)
def test_every_message(kind: str, payload: Any, message: Message) -> None:
    assert read(kind, payload, request_id="r", session_id="s-2", extra="ignored") == message


def test_only_the_type_is_needed() -> None:
    assert envelope().read('{"type":"end"}') == End(None)
    assert envelope().read('{"type":"input_audio_buffer.commit"}') == Start(None)


@pytest.mark.parametrize(
    ("text", "code", "reason", "field"),
    [
        ("", "invalid_message", "not_json", None),
        ("{", "invalid_message", "not_json", None),
        ("[" * 100_000, "invalid_message", "not_json", None),
        ('{"type":"ping","payload":NaN}', "invalid_message", "not_json", None),
        ('{"type":"ping","payload":1e999}', "invalid_message", "not_json", None),
        ('{"type":"ping","payload":' + "9" * 5000 + "}", "invalid_message", "not_json", None),
        ("[]", "invalid_message", "not_an_object", None),
        ('"hey"', "invalid_message", "not_an_object", None),
        ("{}", "invalid_message", "missing_type", "type"),
        ('{"type":"hello"}', "invalid_message", "unknown_type", "type"),
        ('{"type":["ping"]}', "invalid_message", "unknown_type", "type"),
        ('{"type":"end","request_id":7}', "invalid_message", "invalid_id", "request_id"),
        ('{"type":"end","request_id":""}', "invalid_message", "invalid_id", "request_id"),
        ('{"type":"end","session_id":"' + "x" * 129 + '"}', "invalid_message", "invalid_id", "session_id"),
        ('{"type":"cancel","payload":[]}', "invalid_payload", "wrong_type", "payload"),
        ('{"type":"cancel","payload":{"reason":7}}', "invalid_payload", "wrong_type", "reason"),
        ('{"type":"input_audio_buffer.commit","payload":{"final":1}}', "invalid_payload", "wrong_type", "final"),
        ('{"type":"input_audio_buffer.commit","payload":{"final":null}}', "invalid_payload", "wrong_type", "final"),
        ('{"type":"session.update","payload":{"model":"other"}}', "invalid_payload", "unsupported_model", "model"),
        ('{"type":"session.update","payload":{"model":7}}', "invalid_payload", "unsupported_model", "model"),
        ('{"type":"session.update","payload":{"delay":80}}', "invalid_payload", "unsupported_field", "delay"),
        ('{"type":"session.update","payload":{"session":{}}}', "invalid_payload", "unsupported_field", "session"),
    ],
)
def test_what_is_refused_is_named(text: str, code: str, reason: str, field: str | None) -> None:
    fault = refused(text)
    assert (fault.code, fault.reason_code, fault.details.get("field")) == (code, reason, field)
    assert fault.closes is None
    assert len(json.dumps(fault.payload())) < 1000


@pytest.mark.parametrize(
    ("audio", "reason"),
    [
        (None, "invalid_audio"),
        (7, "invalid_audio"),
        ("", "invalid_audio"),
        ("AAAA\n", "invalid_audio"),
        ("AA-_", "invalid_audio"),
        ("AAA", "invalid_audio"),
        ("AA==AA==", "invalid_audio"),
        ("ÄÄÄÄ", "invalid_audio"),
        (base64_of(b"\x01"), "invalid_audio"),
        (base64_of(bytes(2561)), "invalid_audio"),
        (base64_of(bytes(32_002)), "audio_too_long"),
        (base64_of(bytes(64_000)), "audio_too_long"),
    ],
)
def test_audio_that_is_none(audio: Any, reason: str) -> None:
    fault = refused(json.dumps({"type": APPEND, "payload": {"audio": audio}}))
    assert (fault.code, fault.reason_code, fault.details["field"]) == ("invalid_payload", reason, "audio")
    assert "limit" in fault.details
    assert len(json.dumps(fault.payload())) < 500


def test_a_message_beyond_any_audio_is_not_even_parsed() -> None:
    fault = refused("[" + "[]," * 100_000 + "0]")
    assert (fault.code, fault.reason_code, fault.details["field"]) == ("invalid_payload", "message_too_long", "message")
    assert fault.details["value"] > fault.details["limit"] > 2 * 42_667


def test_a_ping_is_small() -> None:
    fault = refused(json.dumps({"type": "ping", "payload": "x" * PING_LENGTH}))
    assert fault.reason_code == "payload_too_large"


def test_a_fault_belongs_to_the_message_that_it_answers() -> None:
    mine = envelope()
    texts = {'{"type":"end","request_id":"r"}': "r", '{"type":"x","request_id":"q"}': "q", "{": None}
    for text, asked_by in texts.items():
        with contextlib.suppress(WireFault):
            mine.read(text)
        assert mine.asked_by == asked_by


def test_the_session_has_our_name_until_the_client_gives_one() -> None:
    mine = envelope()
    mine.read('{"type":"end"}')
    before = mine.write("pong", None, {})
    mine.read('{"type":"end","session_id":"sön"}')
    after = mine.write("pong", "r\n1", {"a": [1, "ü"]})
    assert before == '{"type":"pong","session_id":"s-1","request_id":null,"payload":{}}'
    assert json.loads(after) == {"type": "pong", "session_id": "sön", "request_id": "r\n1", "payload": {"a": [1, "ü"]}}


@given(text=st.text() | st.from_regex(r'\{"type": ?"(ping|cancel|end)", ?"payload": ?.{0,20}\}', fullmatch=True))
def test_any_text_is_a_message_or_a_fault(text: str) -> None:
    mine = envelope()
    try:
        message = mine.read(text)
    except WireFault as fault:
        json.loads(mine.write("error", mine.asked_by, fault.payload()))
    else:
        assert isinstance(message, Message)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(kind=st.sampled_from([APPEND, COMMIT, "session.update", "cancel", "ping"]) | values, payload=values, id_=values)
@example(kind="ping", payload="\ud800", id_="\ud800")
def test_any_object_is_a_message_or_a_fault(kind: Any, payload: Any, id_: Any) -> None:
    mine = envelope()
    try:
        message = mine.read(json.dumps({"type": kind, "request_id": id_, "payload": payload}))
    except WireFault as fault:
        mine.write("error", mine.asked_by, fault.payload()).encode()
    else:
        if isinstance(message, Ping):
            echo = json.loads(mine.write("pong", message.request_id, message.payload))
            assert echo["payload"] == ({} if payload is None else payload)


@given(pcm=st.binary(min_size=2, max_size=300).map(lambda data: data[: len(data) // 2 * 2]))
def test_audio_comes_as_it_was_sent(pcm: bytes) -> None:
    assert read(APPEND, {"audio": base64_of(pcm)}) == Append(None, pcm)
