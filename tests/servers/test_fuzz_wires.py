"""Every parser of a server that sees bytes from outside: whatever comes is read, or refused by its declared error."""

from __future__ import annotations

import io
import json
import struct
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgpack
import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from starlette.requests import HTTPConnection, Request

from servers.common.audio import read_sample_rate
from servers.common.auth import KeyCheck
from servers.common.edge import accept_request_id
from servers.common.errors import ServerFault, Unauthorized
from servers.common.limits import declared_bytes
from servers.common.sockets import describe
from servers.common.sound_file import SoundFile
from servers.echo import protocol as echo
from servers.echo.wires import WIRES
from servers.fastconformer import protocol as fastconformer
from servers.fastconformer.intake import Intake
from servers.kyutai.live.codec import Sound
from servers.kyutai.live.json_codec import Json
from servers.kyutai.live.native import Native
from servers.kyutai.rest.audio_file import read_audio
from servers.parakeet.decoding.decoder import Limit, decode
from servers.parakeet.live import protocol as parakeet
from servers.parakeet.rest.openai_fields import read_options
from servers.parakeet.uploads.fields import Fields
from servers.parakeet.uploads.form import Form, read_boundary
from servers.smart_turn import protocol as smart_turn
from servers.voxtral.engine.scrape import EngineNumbers
from servers.voxtral.faults import WireFault
from servers.voxtral.session.envelope import Envelope

fuzz = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
KINDS = ["Audio", "Flush", "StartSTT", "OggOpus", "Init", "Marker", "init", "flush", "close", "audio", "start"]
KINDS += ["input_audio_buffer.append", "input_audio_buffer.commit", "session.update", "ping", "end", "cancel"]
FIELDS = ["type", "op", "sid", "sr", "audio", "pcm", "data", "id", "payload", "request_id", "final", "reason", "model"]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(KINDS)
)
VALUES = st.recursive(
    SCALARS | st.binary(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=5),
    max_leaves=12,
)
DEEP = 100_000
TEXTS = st.text(max_size=80) | VALUES.map(lambda value: json.dumps(value, default=repr))
HUGE = (
    b"",
    b"\xdd\xff\xff\xff\xff",
    b"\xdf\xff\xff\xff\xff",
    b"\xc6\xff\xff\xff\xff",
    b"\x82\xa4type\xa5Audio\xa3pcm\xdd\xff\xff\xff\xff\xca",
    b"\x82\xa4type\xa7OggOpus\xa4data\xdd\xff\xff\xff\xff",
    b"\x82\xa4type\xa5Audio\xa3pcm" + b"\x91" * DEEP,
    b"\x82\xa4type\xa5Audio\xa1x" + b"\x91" * DEEP,
    b"\x82\xa4type" + b"\x91" * DEEP,
)
"""MessagePack that claims more than there is, or is nested as deep as its length allows."""


def opened(read: Callable[[Any], Any]) -> Callable[[Any], None]:
    """The same, and what it has promised to decode later."""

    def whole(message: Any) -> None:
        request = read(message)
        if isinstance(request, Sound):
            for _ in request.slices():
                pass

    return whole


def read_envelope(text: str) -> object:
    return Envelope("s-1", model="org/model", max_append_s=1.0).read(text)


TEXT_PARSERS: dict[str, Callable[[str], object]] = {
    **{f"echo {path}": wire.read for path, wire in WIRES.items()},
    "fastconformer first": fastconformer.read_init,
    "fastconformer later": lambda text: fastconformer.read_operation(text, "sid"),
    "parakeet": parakeet.read_operation,
    "kyutai json": opened(Json().read),
    "kyutai native": opened(Native().read),
    "voxtral": read_envelope,
}
BINARY_PARSERS: dict[str, Callable[[bytes], object]] = {
    **{f"echo {path}": wire.read for path, wire in WIRES.items()},
    "fastconformer first": fastconformer.read_init,
    "kyutai json": opened(Json().read),
    "kyutai native": opened(Native().read),
    "smart_turn": smart_turn.parse,
    "echo npy": echo.check_npy,
    "echo form": echo.read_form,
}


@pytest.mark.parametrize("name", TEXT_PARSERS)
@fuzz
@given(text=TEXTS)
@example(text="[" * DEEP)
@example(text='{"a":' * DEEP)
@example(text="9" * 5000)
@example(text='{"type":"Audio","op":"audio","audio":"\u00e4\u00f6"}')
@example(text='{"type":"input_audio_buffer.append","payload":{"audio":"\u00e4"}}')
@example(text='{"type":"Audio","audio":"\\ud800"}')
@example(text='{"op":"init","sid":"\\ud800","sr":1e999}')
@example(text='{"type":"\\ud800","op":"\\ud800"}')
def test_any_text_is_read_or_refused(name: str, text: str) -> None:
    try:
        TEXT_PARSERS[name](text)
    except WireFault as fault:
        json.dumps(fault.payload())
    except ServerFault as fault:
        describe(fault).encode()  # nothing in it that could not be sent


@pytest.mark.parametrize("name", BINARY_PARSERS)
@fuzz
@given(data=st.binary(max_size=200) | VALUES.map(lambda value: bytes(msgpack.packb(value, default=repr))))
@example(data=b"[" * DEEP)
@example(data=b"\x82\xa4type\xa5Audio\xa3pcm\x92\xcb\x7f\xf0\0\0\0\0\0\0\xca\x7f\xc0\0\0")
@example(data=msgpack.packb({"type": msgpack.Timestamp(1), "id": msgpack.ExtType(5, b"x")}))
@example(data=msgpack.packb({"op": "audio", "audio": [1, {"a": "b"}]}))
def test_any_bytes_are_read_or_refused(name: str, data: bytes) -> None:
    with suppress(ServerFault):
        BINARY_PARSERS[name](data)


@pytest.mark.parametrize("data", HUGE, ids=range(len(HUGE)))
@pytest.mark.parametrize("name", BINARY_PARSERS)
def test_what_is_claimed_is_not_believed(name: str, data: bytes) -> None:
    tracemalloc.start()
    with suppress(ServerFault):
        BINARY_PARSERS[name](data)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 20 * (len(data) + 100_000)


NPY = io.BytesIO()
np.save(NPY, np.linspace(-1, 1, 40, dtype="<f4"))
MAPS = [
    msgpack.packb({"type": "Audio", "pcm": [0.25] * 20}, use_single_float=True),
    msgpack.packb({"type": "Marker", "id": 7}),
    msgpack.packb({"type": "OggOpus", "data": b"OggS" * 8}),
    NPY.getvalue(),
]


@pytest.mark.parametrize("name", ["kyutai native", "smart_turn", "echo /ws/msgpack"])
@fuzz
@given(whole=st.sampled_from(MAPS), at=st.integers(0, 200), put=st.binary(max_size=6), cut=st.integers(0, 6))
def test_damaged_messages_are_read_or_refused(name: str, whole: bytes, at: int, put: bytes, cut: int) -> None:
    at %= len(whole)
    with suppress(ServerFault):
        BINARY_PARSERS[name](whole[:at] + put + whole[at + cut :])


def sound(kind: str, samples: int = 400, channels: int = 1) -> bytes:
    file = io.BytesIO()
    wave = np.sin(np.linspace(0, 60, samples * channels, dtype=np.float32)).reshape(samples, channels)
    soundfile.write(file, wave, 16_000, format=kind)
    return file.getvalue()


def with_limit(data: bytes) -> None:
    decode(io.BytesIO(data), limit=Limit(60.0, "MAX"))


FILE_PARSERS: dict[str, Callable[[bytes], object]] = {
    "kyutai": lambda data: [*read_audio(io.BytesIO(data), limit_s=60)],
    "parakeet": with_limit,
}
FILES = {kind: sound(kind, channels=2) for kind in ("WAV", "FLAC", "OGG", "MP3", "AIFF", "W64", "CAF", "AU", "RF64")}


@pytest.mark.parametrize("name", FILE_PARSERS)
@settings(fuzz, max_examples=60)
@given(
    kind=st.sampled_from(sorted(FILES)),
    places=st.lists(st.tuples(st.integers(0, 120), st.binary(min_size=1, max_size=5)), max_size=4),
    kept=st.integers(0, 4000),
)
def test_damaged_files_are_read_or_refused(name: str, kind: str, places: list[tuple[int, bytes]], kept: int) -> None:
    data = bytearray(FILES[kind])
    for at, put in places:
        data[at : at + len(put)] = put
    with suppress(ServerFault):
        FILE_PARSERS[name](bytes(data[:kept]))


@fuzz
@given(data=st.binary(max_size=300))
def test_any_bytes_as_a_file_are_read_or_refused(data: bytes) -> None:
    for parse in FILE_PARSERS.values():
        with suppress(ServerFault):
            parse(data)
    with suppress(soundfile.LibsndfileError), SoundFile(io.BytesIO(b"RIFF" + data)) as file:
        for block in file.forward(1024):
            assert len(block)


@fuzz
@given(size=st.integers(0, 2**32 - 1), rate_hz=st.integers(0, 2**32 - 1), channels=st.integers(0, 65_535))
def test_what_a_wav_claims_is_not_believed(size: int, rate_hz: int, channels: int) -> None:
    head = b"RIFF" + struct.pack("<I", size) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, channels, rate_hz, 0, 2, 16)
    body = head + b"data" + struct.pack("<I", size) + bytes(64)
    for parse in FILE_PARSERS.values():
        with suppress(ServerFault):
            parse(body)
    with suppress(ServerFault):
        echo.read_form(b'--x\r\nA: b"\r\n\r\n' + body)


PIECES = st.lists(
    st.sampled_from(
        [
            b"--b\r\n",
            b"--b--\r\n",
            b"\r\n",
            b'Content-Disposition: form-data; name="file"; filename="a"\r\n',
            b"Content-Disposition: form-data; name*=utf-8''%ff\r\n",
            b'Content-Disposition: form-data; name="language"\r\n',
            b"X: " + b"y" * 5000 + b"\r\n",
            b"audio",
        ]
    )
    | st.binary(max_size=12),
    max_size=12,
)


@fuzz
@given(pieces=PIECES)
def test_any_form_is_read_or_refused(pieces: list[bytes]) -> None:
    with suppress(ServerFault):
        form = Form(b"b", file="file", sink=lambda portion: None)
        for piece in pieces:
            form.write(piece)
        form.check_complete()
        read_options(Fields(form.fields))


def test_one_header_of_a_part_is_not_kept_for_ever() -> None:
    form = Form(b"b", file="file", sink=lambda portion: None)
    form.write(b"--b\r\nX: ")
    with pytest.raises(ServerFault):
        form.write(b"y" * 10_000)


@fuzz
@given(kind=st.binary(max_size=80), name=st.text(max_size=40), value=st.text(max_size=40))
@example(kind=b"multipart/form-data; boundary=" + b"b" * 9000, name="language", value="\ud800")
def test_any_content_type_and_any_field_are_read_or_refused(kind: bytes, name: str, value: str) -> None:
    with suppress(ServerFault):
        Form(read_boundary(kind.decode("latin-1")), file="file", sink=lambda portion: None)
    with suppress(ServerFault):
        read_options(Fields([(name, value), ("language", value), ("temperature", value)]))


def scope(**headers: bytes) -> dict[str, Any]:
    return {
        "type": "http",
        "headers": [(name.replace("_", "-").encode(), value) for name, value in headers.items()],
        "query_string": b"",
    }


@fuzz
@given(value=st.binary(max_size=60), query=st.binary(max_size=60))
@example(value=b"9" * 5000, query=b"api_key=%ff%00%ed%a0%80&api_key")
@example(value=b"16000\r\nX: y", query=b"&&==%")
def test_any_header_and_any_query_are_read_or_refused(value: bytes, query: bytes) -> None:
    given_scope = scope(authorization=b"Bearer " + value, x_api_key=value, content_length=value)
    connection = HTTPConnection({**given_scope, "query_string": query})
    with suppress(ServerFault):
        read_sample_rate(value.decode("latin-1"))
    with pytest.raises(Unauthorized):
        KeyCheck(SecretStr("never guessed by a machine of any speed")).check(connection)
    with suppress(ServerFault):
        declared_bytes(Request({**given_scope, "method": "POST"}))
    assert accept_request_id(value.decode("latin-1")).isprintable()


@fuzz
@given(frames=st.lists(st.binary(max_size=60), max_size=8), rate_hz=st.integers(8000, 48_000))
def test_any_frames_of_sound_become_finite_samples(frames: list[bytes], rate_hz: int) -> None:
    intake, pcm = Intake(rate_hz), parakeet.Pcm()
    for frame in frames:
        for samples in (*intake.read(frame), *pcm.read(frame)):
            assert np.isfinite(samples).all()


@fuzz
@given(
    lines=st.lists(
        st.sampled_from(["# TYPE vllm:num_requests_running gauge", "vllm:num_requests_running{a=", 'vllm:x{a="b"} '])
        | st.text(max_size=30),
        max_size=6,
    )
)
@example(lines=["vllm:num_requests_running NaN", "vllm:num_requests_running{} 1e999 x"])
def test_any_metrics_of_an_engine_are_read_or_a_value_error(lines: list[str]) -> None:
    with suppress(ValueError):
        EngineNumbers().take("\n".join(lines))
