"""POST of a whole file, on a real socket."""

from __future__ import annotations

import asyncio
import io
import socket
import time
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
import soxr

from servers.common.interfaces import Audio
from tests.servers.kyutai.conftest import KEY, PATH, Running, Start, dial, noise
from tests.servers.kyutai.fake import POISON, begins_s, say, silence
from tests.waiting import until

pytestmark = pytest.mark.slow
TEXT = "hello to all of you"


def encoded(audio: Audio, *, format: str = "WAV", rate_hz: int = 24_000, subtype: str | None = None) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, audio, rate_hz, format=format, subtype=subtype)
    return file.getvalue()


def words_of(rows: list[dict[str, Any]]) -> str:
    return " ".join(row["text"] for row in rows if row["type"] == "Word")


@pytest.mark.parametrize("format", ["WAV", "FLAC"])
def test_a_file_is_answered_as_moshi_server_does(server: Running, format: str) -> None:
    answer = server.post(encoded(say(TEXT, after=0), format=format))
    assert answer.status_code == 200
    rows = answer.json()
    assert [list(row) for row in rows] == [["type", "text", "start_time"], ["type", "stop_time"]] * 5
    assert [row["type"] for row in rows] == ["Word", "EndWord"] * 5
    assert words_of(rows) == TEXT
    assert [row["start_time"] for row in rows[::2]] == pytest.approx(begins_s(TEXT, after=0))
    assert server.free == 4


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 44_100, 48_000])
def test_other_rates_are_resampled(server: Running, rate_hz: int) -> None:
    # Each letter lasts five frames, so that most of them hold nothing else.
    audio = np.concatenate([np.repeat(say("ab").reshape(-1, 1920), 5, axis=0).reshape(-1)])
    resampled = soxr.resample(audio, 24_000, rate_hz).astype(np.float32)
    answer = server.post(encoded(resampled, rate_hz=rate_hz, subtype="FLOAT"))
    assert answer.status_code == 200
    assert "aaa" in words_of(answer.json()) and "bbb" in words_of(answer.json())


def test_channels_are_averaged(server: Running) -> None:
    audio = say(TEXT)
    assert words_of(server.post(encoded(np.stack([audio, 0.5 * audio], 1))).json()) == TEXT


def test_a_file_that_ends_early_is_heard_as_far_as_it_goes(server: Running) -> None:
    data = encoded(say(TEXT))
    heard = words_of(server.post(data[: len(data) // 2]).json())
    assert len(heard) >= len("hello to") and TEXT.startswith(heard)


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"", 400, "body"),
        (b"no audio at all" * 100, 415, "body"),
        (encoded(silence(0)), 400, "body"),
        (encoded(silence(1), rate_hz=4_000), 400, "body"),
        (encoded(np.array([0.1, np.nan, 0.1], np.float32), subtype="FLOAT"), 400, "body"),
    ],
)
def test_what_is_no_audio_is_refused(server: Running, body: bytes, status: int, field: str) -> None:
    answer = server.post(body)
    assert (answer.status_code, answer.json()["error"]["field"]) == (status, field)
    assert server.free == 4


def test_a_key_is_asked_for_before_the_body(server: Running) -> None:
    for headers, query in (({}, ""), ({"kyutai-api-key": "wrong"}, ""), ({}, "?auth_id=wrong")):
        answer = httpx.post(f"http://{server.address}{PATH}{query}", content=b"x", headers=headers)
        assert answer.status_code == 401
    answer = httpx.post(f"http://{server.address}{PATH}?auth_id={KEY}", content=encoded(say("hey")))
    assert words_of(answer.json()) == "hey"


def test_files_have_limits(start: Start) -> None:
    server = start(max_file_s=2.0, max_upload_mb=1.0)
    assert server.post(encoded(silence(25))).status_code == 200
    long = server.post(encoded(silence(26)))
    assert (long.status_code, long.json()["error"]["limit"]) == (413, "2 s")
    large = server.post(bytes(1_000_001))
    assert (large.status_code, large.json()["error"]["limit"]) == (413, "1 MB")

    def chunks() -> Any:
        yield from [bytes(100_000)] * 11

    assert server.post(chunks()).status_code == 413
    assert server.free == 4


def test_a_large_file_goes_through_the_disk(server: Running) -> None:
    audio = np.concatenate([say("begin"), noise(30.0), say("end")])
    body = encoded(audio, subtype="DOUBLE")
    assert len(body) > 4_000_000
    assert words_of(server.post(body).json()) == "begin end"


async def test_a_file_waits_for_a_seat_and_then_gets_it(start: Start) -> None:
    server = start(seats=1, post_wait_s=20)
    async with dial(server) as call:
        await call.hear()
        asked = asyncio.create_task(asyncio.to_thread(server.post, encoded(say(TEXT))))
        await asyncio.sleep(0.3)
        assert not asked.done()
        assert await call.flush() == 1000
    assert words_of((await asked).json()) == TEXT


async def test_a_file_that_finds_no_seat_in_time_is_refused(start: Start) -> None:
    server = start(seats=1, post_wait_s=0.2)
    async with dial(server) as call:
        await call.hear()
        answer = await asyncio.to_thread(server.post, encoded(say(TEXT)))
        assert answer.status_code == 503 and "no free channels" in answer.json()["error"]["message"]
        assert int(answer.headers["Retry-After"]) >= 1


def test_a_failed_step_is_a_failure_and_no_transcript(server: Running) -> None:
    answer = server.post(encoded(np.full(1920, POISON, np.float32), subtype="FLOAT"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "inference_failed")
    assert server.free == 4


async def test_a_client_that_hangs_up_gives_its_seat_back(start: Start) -> None:
    server = start(seats=1)
    server.listener.gate.clear()
    body = encoded(say(TEXT))
    with socket.create_connection(server.place) as client:
        head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nkyutai-api-key: {KEY}\r\nContent-Length: {len(body)}\r\n\r\n"
        client.sendall(head.encode() + body)
        await until(lambda: server.free == 0)
    await asyncio.sleep(0.1)
    server.listener.gate.set()
    await until(lambda: server.free == 1)
    assert server.listener.frames_seen <= 2


async def test_files_and_streams_do_not_disturb_each_other(server: Running) -> None:
    texts = ["first file", "second file", "third"]
    answers = [asyncio.create_task(asyncio.to_thread(server.post, encoded(say(text)))) for text in texts]
    async with dial(server) as call:
        await call.say(say(TEXT))
        assert await call.flush() == 1000
    assert call.final == TEXT
    assert [words_of((await answer).json()) for answer in answers] == texts


def test_a_body_that_stops_coming_holds_no_seat(server: Running) -> None:
    with socket.create_connection(server.place) as client:
        head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nkyutai-api-key: {KEY}\r\nContent-Length: 1000\r\n\r\nRIFF"
        client.sendall(head.encode())
        time.sleep(0.1)
        assert server.free == 4
