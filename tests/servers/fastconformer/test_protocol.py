"""What is read from a client and written to it, without a connection (refusals on the wire: test_refusals.py)."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servers.common.errors import BadInput, Overloaded
from servers.fastconformer.protocol import (
    MAX_TEXT,
    Init,
    NotInit,
    Sid,
    read_init,
    read_operation,
    write_error,
    write_final,
    write_interim,
)

SIDS = st.text(max_size=64) | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False)


@settings(deadline=None)
@given(sid=SIDS, rate_hz=st.integers(8_000, 48_000))
def test_an_init_says_the_name_and_the_rate(sid: Sid, rate_hz: int) -> None:
    assert read_init(json.dumps({"op": "init", "sid": sid, "sr": rate_hz, "lang": "en"})) == Init(sid, rate_hz)


def test_an_init_may_be_bare() -> None:
    assert read_init('{"op": "init"}') == Init(None, 16_000)
    assert read_init('{"op": "init", "sid": null, "sr": null}') == Init(None, 16_000)


@settings(deadline=None)
@given(message=st.text(max_size=60) | st.binary(max_size=60))
def test_anything_else_is_no_init(message: str | bytes) -> None:
    with pytest.raises(NotInit):
        read_init(message)


@settings(deadline=None)
@given(sid=SIDS)
def test_an_operation_may_name_the_stream(sid: Sid) -> None:
    assert read_operation('{"op": "flush"}', sid) == "flush"
    assert read_operation(json.dumps({"op": "close", "sid": sid}), sid) == "close"
    with pytest.raises(BadInput) as fault:
        read_operation(json.dumps({"op": "close", "sid": f"not {sid}"}), sid)
    assert fault.value.field == "sid"


def test_a_text_that_is_too_long_is_not_even_read() -> None:
    with pytest.raises(BadInput, match="too long"):
        read_operation("[" * (MAX_TEXT + 1), "a")


@settings(deadline=None)
@given(sid=SIDS, text=st.text(max_size=40))
def test_messages_are_json_that_gives_back_the_name(sid: Sid, text: str) -> None:
    interim, final = json.loads(write_interim(sid, text)), json.loads(write_final(sid, text))
    assert list(interim) == list(final) == ["op", "sid", "text", "final", "ts"]
    assert (interim["op"], interim["sid"], interim["text"], interim["final"]) == ("interim", sid, text, False)
    assert (final["op"], final["sid"], final["text"], final["final"]) == ("final", sid, text, True)


def test_an_error_names_the_field_and_the_limit() -> None:
    row = json.loads(write_error("a", Overloaded("no room", field="streams", limit=128)))
    assert row == {"op": "error", "sid": "a", "code": "at_capacity", "message": "streams: no room (128)"}
