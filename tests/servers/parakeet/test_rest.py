"""POST /transcribe against a running server with a model that hears tones as words."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from servers.common.interfaces import Audio
from tests.servers.parakeet.conftest import Start, file_of
from tests.servers.parakeet.fake import POISON, WORD_S, say, silence, text_of
from tests.waiting import until

MANY = tuple(range(50))


def form(audio: Audio, **options: Any) -> dict[str, Any]:
    return {"files": {"file": ("a.wav", file_of(audio, **options))}}


def with_pauses(*numbers: int, every: int = 7) -> Audio:
    """Half a second of silence after each so many words."""
    groups = [numbers[at : at + every] for at in range(0, len(numbers), every)]
    return np.concatenate([part for group in groups for part in (say(*group), silence(0.5))])


def starts(answer: dict[str, Any]) -> list[float]:
    return [word["start"] for word in answer["timestamps"]["words"]]


def test_a_file_and_what_it_says(start: Start) -> None:
    assert start().post("/transcribe", **form(say(1, 2, 3))).json() == {"text": "w1 w2 w3"}


@pytest.mark.parametrize("kind", ["audio/wav", "audio/x-wav; rate=16000", "application/octet-stream", "video/mp4"])
def test_a_bare_body(start: Start, kind: str) -> None:
    answer = start().post(
        "/transcribe?include_timestamps=1", content=file_of(say(4, 5)), headers={"content-type": kind}
    )
    assert answer.json()["text"] == "w4 w5"
    assert starts(answer.json()) == [0.0, 0.3]


def test_timestamps_when_asked_for(start: Start) -> None:
    found = start().post("/transcribe", data={"include_timestamps": "true"}, **form(say(7))).json()
    span = {"text": "w7", "start": 0.0, "end": 0.2}
    assert found["timestamps"] == {"words": [{**span, "confidence": 0.9}], "segments": [span], "chars": [span]}


def test_silence_is_answered_with_nothing_said(start: Start) -> None:
    found = start().post("/transcribe", data={"include_timestamps": "yes"}, **form(silence(2))).json()
    assert found == {"text": "", "timestamps": {"words": [], "segments": [], "chars": []}}


@pytest.mark.parametrize(("kind", "rate_hz"), [("MP3", 16_000), ("FLAC", 48_000), ("OGG", 22_050), ("AIFF", 8_000)])
def test_formats_rates_and_channels(start: Start, kind: str, rate_hz: int) -> None:
    import soxr

    audio = soxr.resample(np.concatenate([silence(0.2), say(1, 30, 60)]), 16_000, rate_hz).astype(np.float32)
    found = start().post("/transcribe", **form(np.stack([audio, audio], axis=1), rate_hz=rate_hz, kind=kind))
    assert found.json() == {"text": text_of(1, 30, 60)}


@pytest.mark.parametrize("audio", [say(*MANY), with_pauses(*MANY)], ids=["without a pause", "with pauses"])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_a_long_file_comes_back_whole(start: Start, audio: Audio, batch_size: int) -> None:
    """Cut into pieces of 5 s at most; words and their times are those of the file."""
    server = start(max_audio_s=5, batch_size=batch_size)
    found = server.post("/transcribe", data={"include_timestamps": "1"}, **form(audio)).json()
    assert found["text"] == text_of(*MANY)
    expected = 0.3 * np.arange(50) + (0.5 * (np.arange(50) // 7) if len(audio) > len(say(*MANY)) else 0)
    assert np.allclose(starts(found), expected, atol=0.011)
    assert " ".join(segment["text"] for segment in found["timestamps"]["segments"]) == found["text"]
    assert [char["text"] for char in found["timestamps"]["chars"]] == found["text"].split()
    assert 3 < server.model.longest_s <= 5


def test_a_long_mp3(start: Start) -> None:
    audio = np.concatenate([with_pauses(*MANY, every=20), say(*MANY)])
    found = start(max_audio_s=10).post("/transcribe", **form(audio, kind="MP3"))
    assert found.json()["text"] == text_of(*MANY, *MANY)


def test_pauses_are_cut_at_where_there_are_any(start: Start) -> None:
    """Then no audio is heard twice: the pieces are as long as the file."""
    server = start(max_audio_s=5)
    server.post("/transcribe", **form(with_pauses(*MANY)))
    metrics = server.get("/metrics").text
    seconds = float(next(line for line in metrics.splitlines() if line.startswith("parakeet_audio_seconds_total"))[29:])
    assert seconds == pytest.approx(len(with_pauses(*MANY)) / 16_000)


def test_an_uncut_file_must_fit_the_model(start: Start) -> None:
    server, words = start(max_audio_s=7), {"should_chunk": "false"}
    assert server.post("/transcribe", data=words, **form(say(*range(20)))).status_code == 200
    answer = server.post("/transcribe", data=words, **form(say(*MANY)))
    assert answer.status_code == 413
    error = answer.json()["error"]
    assert (error["field"], error["limit"]) == ("file", 7)
    assert "MAX_AUDIO_DURATION" in error["message"]


@pytest.mark.parametrize(
    ("data", "field", "limit"),
    [
        ({"include_timestamps": "maybe"}, "include_timestamps", "true or false"),
        ({"include_timestamp": "true"}, "include_timestamp", "include_timestamps"),
        ({"shouldchunk": "true"}, "shouldchunk", "should_chunk"),
    ],
)
def test_words_that_mean_nothing(start: Start, data: dict[str, str], field: str, limit: str) -> None:
    answer = start().post("/transcribe", data=data, **form(say(1)))
    assert answer.status_code == 400
    assert (answer.json()["error"]["field"], answer.json()["error"]["limit"]) == (field, limit)


def test_other_fields_are_no_reason_to_refuse(start: Start) -> None:
    assert start().post("/transcribe", data={"speaker": "me"}, **form(say(1))).json() == {"text": "w1"}


async def test_many_at_once_get_their_own(start: Start) -> None:
    server = start(batch_size=8, window_ms=20, idle_gap_ms=5)
    async with httpx.AsyncClient(timeout=30) as client:
        asked = [client.post(f"{server.url}/transcribe", **form(say(number, number + 1))) for number in range(24)]
        answers = await asyncio.gather(*asked)
    assert [answer.json()["text"] for answer in answers] == [text_of(n, n + 1) for n in range(24)]
    assert max(server.model.batches) > 1


@pytest.mark.slow
async def test_a_long_file_keeps_a_short_one_waiting_for_a_batch_at_most(start: Start) -> None:
    """Of its many pieces two are in line at any time."""
    server = start(max_audio_s=2, batch_size=2, delay_s=0.05)
    async with httpx.AsyncClient(timeout=60) as client:
        long = asyncio.create_task(client.post(f"{server.url}/transcribe", **form(with_pauses(*MANY, every=4))))
        await until(lambda: len(server.model.batches) > 1)
        before = len(server.model.batches)
        assert (await client.post(f"{server.url}/transcribe", **form(say(3)))).json() == {"text": "w3"}
        assert len(server.model.batches) - before <= 4
        assert (await long).json()["text"] == text_of(*MANY)


async def test_a_client_that_hangs_up_withdraws_its_pieces(start: Start) -> None:
    server = start(max_audio_s=2, batch_size=2)
    server.model.gate.clear()
    async with httpx.AsyncClient() as client:
        asked = asyncio.create_task(client.post(f"{server.url}/transcribe", **form(say(*MANY)), timeout=60))
        await asyncio.to_thread(server.model.entered.wait, 10)
        await until(lambda: server.model.taken + server.status()["queue_depth"] == 2)  # as many as fit a batch
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
    await until(lambda: server.status()["cancelled"] == 2)
    server.model.gate.set()
    await until(lambda: server.status()["in_flight"] == 0)
    assert sum(server.model.batches) <= 3
    assert server.post("/transcribe", **form(say(1))).json() == {"text": "w1"}


def test_a_bad_piece_fails_its_file_and_withdraws_the_rest(start: Start) -> None:
    server = start(max_audio_s=2, batch_size=1)
    answer = server.post("/transcribe", **form(with_pauses(1, 2, POISON, *range(50), every=3)))
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "inference_failed")
    assert sum(server.model.batches) < 6
    assert server.status()["queue_depth"] == 0


def test_the_trace_tells_a_requests_way(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    server = start(trace_path=path)
    server.post("/transcribe", headers={"X-Request-ID": "mine"}, **form(say(1)))
    server.server.should_exit = True
    rows: list[dict[str, Any]] = []
    while "closed" not in [row["event"] for row in rows]:
        rows = [json.loads(line) for line in path.read_text().splitlines()]
    mine = [row for row in rows if row.get("request_id") == "mine"]
    assert [row["event"] for row in mine] == ["received", "queued", "step_start", "step_end", "sent"]
    assert [row["at_s"] for row in mine] == sorted(row["at_s"] for row in mine)


def test_word_times_are_those_of_the_file(start: Start) -> None:
    """Also for the first word behind a cut without a pause."""
    found = start(max_audio_s=2).post("/transcribe", data={"include_timestamps": "1"}, **form(say(*range(30)))).json()
    words = found["timestamps"]["words"]
    assert [word["text"] for word in words] == text_of(*range(30)).split()
    assert all(word["end"] - word["start"] == pytest.approx(WORD_S, abs=0.041) for word in words)
