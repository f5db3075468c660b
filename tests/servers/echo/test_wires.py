"""The three streaming wires say the same."""

from __future__ import annotations

import base64
import json

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from servers.common.errors import BadInput
from servers.echo.wires import WIRES, Json, Message, MessagePack, Pcm, Wire

ROW = {"type": "partial", "text": "grüezi", "request_id": "r", "utterance": 0, "audio_s": 0.3}


@given(audio=st.binary(max_size=200))
def test_audio_arrives_on_every_wire(audio: bytes) -> None:
    assert Pcm().read(audio) == audio
    assert Json().read(json.dumps({"op": "audio", "audio": base64.b64encode(audio).decode()})) == audio
    assert MessagePack().read(msgpack.packb({"op": "audio", "audio": audio})) == audio


@pytest.mark.parametrize("operation", ["start", "flush", "close"])
def test_operations_are_the_same_on_every_wire(operation: str) -> None:
    message = {"op": operation}
    assert {Pcm().read(json.dumps(message)), Json().read(json.dumps(message))} == {operation}
    assert MessagePack().read(msgpack.packb(message)) == operation


@pytest.mark.parametrize("wire", WIRES.values(), ids=list(WIRES))
def test_rows_come_back_and_garbage_does_not(wire: Wire) -> None:
    assert decode(wire.write(ROW)) == ROW
    with pytest.raises(ValueError, match=r".+"):
        decode(wire.garbage)


def decode(message: Message) -> object:
    return json.loads(message) if isinstance(message, str) else msgpack.unpackb(message)


@given(message=st.binary(max_size=40) | st.text(max_size=40))
def test_what_is_neither_audio_nor_an_operation_is_refused(message: Message) -> None:
    for wire in (Json(), MessagePack()):
        with pytest.raises(BadInput):
            wire.read(message)


@pytest.mark.parametrize("audio", [None, 3, "no base64!", "YQ", b"a"])
def test_audio_of_another_kind_is_refused(audio: object) -> None:
    if not isinstance(audio, bytes):
        with pytest.raises(BadInput):
            Json().read(json.dumps({"op": "audio", "audio": audio}))
        with pytest.raises(BadInput):
            MessagePack().read(msgpack.packb({"op": "audio", "audio": audio}))
    with pytest.raises(BadInput):
        Json().read(b"audio")
