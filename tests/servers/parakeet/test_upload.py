"""Uploads as they come over the wire: any portions, any end, and a client that is refused hears why."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from servers.common.errors import BadInput
from servers.parakeet.uploads.fields import Fields
from servers.parakeet.uploads.form import FIELD_BYTES, Form, read_boundary
from servers.parakeet.uploads.receive import MEMORY_BYTES, Spool
from tests.servers.parakeet.conftest import Running, Start, file_of
from tests.servers.parakeet.fake import say, silence
from tests.waiting import until

AUDIO = {"content-type": "audio/wav"}
CONTENT = bytes(range(256)) * 2 + b"\r\n--border-\r\n--borde\r\n\r--"


def part(disposition: str, content: bytes) -> bytes:
    return b"--border\r\nContent-Disposition: form-data; " + disposition.encode() + b"\r\n\r\n" + content + b"\r\n"


FILE = part('name="file"; filename="a.wav"', CONTENT)
WORDS = part('name="include_timestamps"', b"true")
END = b"--border--\r\n"


def read(*portions: bytes) -> tuple[bytes, list[tuple[str, str]]]:
    got: list[bytes] = []
    form = Form(b"border", file="file", sink=got.append)
    for portion in portions:
        form.write(portion)
    form.check_complete()
    return b"".join(got), form.fields


@given(cuts=st.lists(st.integers(0, len(FILE + WORDS + END)), max_size=20))
def test_a_form_may_come_in_any_portions(cuts: list[int]) -> None:
    whole, edges = FILE + WORDS + END, sorted({0, *cuts, len(FILE + WORDS + END)})
    portions = [whole[begin:end] for begin, end in pairwise(edges)]
    assert read(*portions) == (CONTENT, [("include_timestamps", "true")])


@pytest.mark.parametrize(
    ("body", "said", "field"),
    [
        (WORDS + END, "no field 'file'; it has include_timestamps", "file"),
        (END, "no field 'file'; it has nothing", "file"),
        (part('name="audio"; filename="a.wav"', b"x") + END, "came in the field 'audio'", "audio"),
        (FILE + FILE + END, "one file at a time", "file"),
        (FILE, "ends before its last boundary", "body"),
        (b"no form at all", "damaged", "body"),
        (part("filename=x", b"") + END, "has no name", "Content-Disposition"),
        (part('name="x"', bytes(FIELD_BYTES + 1)) + END, "too long", "x"),
        (part('name="x"', b"") * 65 + END, "too many fields", "body"),
    ],
)
def test_forms_that_are_refused(body: bytes, said: str, field: str) -> None:
    with pytest.raises(BadInput, match=said) as caught:
        read(body)
    assert caught.value.field == field


def test_what_comes_behind_the_form_means_nothing() -> None:
    assert read(FILE + END, b"anything", b"--border") == (CONTENT, [])


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; x=y"])
def test_a_form_without_a_boundary(kind: str) -> None:
    with pytest.raises(BadInput, match="boundary"):
        read_boundary(kind)
    with pytest.raises(BadInput, match="Boundary length"):
        Form(b"x" * 10_000, file="file", sink=print)


@pytest.mark.parametrize(
    ("word", "meaning"),
    [
        ("true", True),
        ("1", True),
        ("Yes", True),
        ("on", True),
        ("FALSE", False),
        ("0", False),
        ("no", False),
        ("", True),
    ],
)
def test_words_for_yes_and_no(word: str, meaning: bool) -> None:
    assert Fields([("x", word)]).flag("x", default=True) is meaning
    with pytest.raises(BadInput, match="neither yes nor no"):
        Fields([("x", f"{word}?")]).flag("x", default=True)


def test_a_name_that_is_nearly_right_is_told_the_right_one() -> None:
    known = ("file", "include_timestamps", "should_chunk")
    Fields([("should_chunk", "1"), ("something_else", "1")]).check_names(known)
    with pytest.raises(BadInput, match="did you mean 'include_timestamps'"):
        Fields([("include_timestamp", "1")]).check_names(known)


@pytest.mark.parametrize("size", [1, MEMORY_BYTES, MEMORY_BYTES + 1, 3 * MEMORY_BYTES])
async def test_a_spool_keeps_every_byte(size: int) -> None:
    spool, content = Spool(), os.urandom(size)
    for at in range(0, size, 70_001):
        spool.add(content[at : at + 70_001])
        await spool.settle()
    await spool.settle(last=True)
    spool.file.seek(0)
    assert spool.file.read() == content
    assert spool.in_memory == (size <= MEMORY_BYTES)
    spool.file.close()


def zeros(megabytes: float, sent: list[int]) -> Iterator[bytes]:
    """A body that says how much of it was taken."""
    for _ in range(round(megabytes * 1e6 / 50_000)):
        sent.append(50_000)
        yield bytes(50_000)


@pytest.mark.parametrize("path", ["/transcribe", "/v1/audio/transcriptions"])
def test_half_a_gigabyte_in_chunks_is_refused(start: Start, path: str) -> None:
    """The client goes on sending; it hears why all the same."""
    sent: list[int] = []
    form = {"content-type": "multipart/form-data; boundary=border"}
    answer = start(max_upload_mb=1).post(path, content=opened(zeros(500, sent)), headers=form)
    assert answer.status_code == 413
    assert answer.json()["error"] == {
        "code": "too_large",
        "message": "the upload is larger than 1 MB (MAX_UPLOAD_MB)",
        "field": "body",
        "limit": 1_000_000,
    }


def opened(content: Iterator[bytes]) -> Iterator[bytes]:
    yield part('name="file"; filename="a.wav"', b"")[:-2]
    yield from content


def talk(server: Running, head: str, body: bytes = b"") -> socket.socket:
    """A request as bytes, of which the rest may never come."""
    host, port = server.address.split(":")
    client = socket.create_connection((host, int(port)), timeout=30)
    client.sendall(f"POST /transcribe HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n".encode() + body)
    return client


def answer_of(client: socket.socket) -> bytes:
    """All until the server closes."""
    with client:
        return b"".join(iter(lambda: client.recv(65_536), b""))


def test_a_declared_length_is_refused_before_a_byte_comes(start: Start) -> None:
    client = talk(start(max_upload_mb=1), "Content-Type: audio/wav\r\nContent-Length: 500000000")
    assert b" 413 " in client.recv(4096)
    client.close()


@pytest.mark.parametrize(("length", "status"), [("twelve", b" 400 "), ("-5", b" 400 ")])
def test_a_length_that_is_no_number(start: Start, length: str, status: bytes) -> None:
    assert status in answer_of(talk(start(), f"Content-Type: audio/wav\r\nContent-Length: {length}"))


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "application/x-www-form-urlencoded", ""])
def test_a_body_of_another_type(start: Start, kind: str) -> None:
    answer = start().post("/transcribe", content=b"{}", headers={"content-type": kind})
    assert (answer.status_code, answer.json()["error"]["field"]) == (415, "Content-Type")
    assert "multipart/form-data with a field 'file'" in answer.json()["error"]["limit"]


def test_openai_takes_forms_only(start: Start) -> None:
    answer = start().post("/v1/audio/transcriptions", content=b"x", headers=AUDIO)
    assert (answer.status_code, answer.json()["error"]["limit"]) == (415, "multipart/form-data with a field 'file'")


def test_a_slow_upload_is_ended(start: Start) -> None:
    server = start(upload_timeout_s=0.3)
    client = talk(server, "Content-Type: audio/wav\r\nContent-Length: 1000", b"RIFF")
    first = client.recv(4096)
    assert b" 408 " in first and b"body_timeout" in first and b"0.3 s" in first
    client.close()


def count_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_a_client_that_leaves_in_the_midst_leaves_nothing(start: Start) -> None:
    """No seat, no file, no memory: six megabytes have come, so they were on the disk."""
    server = start(max_requests=1)
    before = count_descriptors()
    client = talk(server, "Content-Type: audio/wav\r\nContent-Length: 90000000", bytes(6_000_000))
    await until(lambda: server.get("/metrics").text.find("parakeet_uploads 1.0") > 0)
    client.close()
    await until(lambda: server.get("/metrics").text.find("parakeet_uploads 0.0") > 0)
    await until(lambda: count_descriptors() <= before)
    assert server.post("/transcribe", content=file_of(say(1)), headers=AUDIO).json() == {"text": "w1"}


@pytest.mark.slow
def test_a_refused_client_may_linger_and_is_then_closed(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("servers.parakeet.uploads.refusal.LINGER_S", 0.3)
    client = talk(start(max_upload_mb=1), "Content-Type: audio/wav\r\nContent-Length: 500000000")
    began_s, all_of_it = time.monotonic(), answer_of(client)
    assert b"connection: close" in all_of_it and all_of_it.endswith(b"}}")
    assert time.monotonic() - began_s < 5


@pytest.mark.parametrize("key", [None, "wrong"])
def test_a_key_is_asked_for_before_anything_is_read(start: Start, key: str | None) -> None:
    server = start(api_key="right")
    head = f"Authorization: Bearer {key}\r\n" if key else ""
    client = talk(server, head + "Content-Type: audio/wav\r\nContent-Length: 1000000")
    assert b" 401 " in client.recv(4096)
    client.close()
    right: dict[str, Any] = {"content": file_of(say(1)), "headers": AUDIO}
    assert server.post("/transcribe?api_key=right", **right).json() == {"text": "w1"}


def test_large_uploads_go_through_the_disk(start: Start) -> None:
    """As a form, 10 MB: five minutes of 16 bits, almost all of it silence."""
    audio = np.concatenate([silence(155), say(1, 2), silence(155)])
    answer = start().post("/transcribe", files={"file": file_of(audio)})
    assert answer.json() == {"text": "w1 w2"}
