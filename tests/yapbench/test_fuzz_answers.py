"""What a hostile server answers the harness: every codec reads it, or refuses it by the errors that it declares.

The errors are those that clients/call.py turns into the outcome `protocol`.
"""

from __future__ import annotations

import json
from typing import Any

import msgpack
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from yapbench.clients import CODECS
from yapbench.clients.call import UNREADABLE
from yapbench.clients.codec import Heard
from yapbench.clients.echo_upload import EchoUpload
from yapbench.clients.smart_turn import SmartTurnClient, words_of
from yapbench.schema import Outcome

fuzz = settings(max_examples=60, deadline=None)
FIELDS = [
    "type",
    "op",
    "text",
    "error",
    "code",
    "message",
    "request_id",
    "sid",
    "final",
    "status",
    "partial",
    "words",
    "confidence",
    "start",
    "payload",
    "delta",
    "prs",
    "kind",
    "dropped_seconds",
    "reason_code",
    "start_time",
    "stop_time",
    "buffered_pcm",
    "word",
    "id",
    "closed_by",
]
KINDS = [
    "final",
    "partial",
    "interim",
    "error",
    "Word",
    "EndWord",
    "Final",
    "Step",
    "Error",
    "Partial",
    "Ready",
    "Marker",
    "transcription.delta",
    "status",
    "transcription.done",
    "overload_drop",
    "queued",
    "flushed",
    "ready",
    "r-1",
]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(KINDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=8),
    max_leaves=20,
)
HUGE = 10**400
DEEP = 100_000
EXAMPLES = [
    "[" * DEEP,
    json.dumps({"type": "status", "request_id": "r-1", "payload": {"kind": "overload_drop", "dropped_seconds": HUGE}}),
    json.dumps({"text": "a", "words": [0.5], "confidence": 0.5, "start": HUGE}),
    json.dumps({"text": "a", "words": [HUGE], "confidence": HUGE}),
    b"\x81" * DEEP,
    b"\xdf\xff\xff\xff\xff",
    msgpack.packb({"type": "Word", "text": "a", "start_time": msgpack.Timestamp(1)}),
    msgpack.packb({"type": "Word", "text": b"\xff", "start_time": 1.0}),
]


def check(wire: str, message: str | bytes, *, ended: bool) -> None:
    try:
        heard = CODECS[wire].reader("r-1").read(message, ended=ended)
    except UNREADABLE:
        return
    assert isinstance(heard, Heard)
    assert heard.outcome is None or isinstance(heard.outcome, Outcome)


@pytest.mark.parametrize("wire", sorted(CODECS))
@fuzz
@given(value=VALUES, ended=st.booleans())
def test_any_values_are_read_or_refused(wire: str, value: Any, ended: bool) -> None:
    check(wire, json.dumps(value), ended=ended)
    check(wire, msgpack.packb(value), ended=ended)


@pytest.mark.parametrize("wire", sorted(CODECS))
@pytest.mark.parametrize("message", EXAMPLES, ids=range(len(EXAMPLES)))
def test_what_no_number_and_no_depth_allows_is_refused(wire: str, message: str | bytes) -> None:
    check(wire, message, ended=True)


@pytest.mark.parametrize("client", [SmartTurnClient, EchoUpload])
@fuzz
@given(raw=st.binary(max_size=80) | VALUES.map(lambda value: json.dumps(value).encode()))
@example(raw=b"[" * DEEP)
@example(raw=json.dumps({"prediction": 1, "probability": HUGE, "metrics": {}}).encode())
@example(raw=json.dumps({"prediction": 1, "probability": 1, "metrics": {"inference_time": HUGE}}).encode())
@example(raw=b'{"text": "\\ud800"}')
@example(raw=b'{"error": {"code": "\\ud800", "message": NaN}}')
def test_any_body_of_an_answer_is_read_or_named(client: type[SmartTurnClient], raw: bytes) -> None:
    text, fault = client("http://127.0.0.1:9", timeout_s=1, environment={}).read(raw)
    assert text is None or text.encode()
    assert fault is None or fault.encode()
    assert words_of(raw).encode() is not None
