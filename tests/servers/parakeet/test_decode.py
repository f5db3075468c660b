"""Files of any kind become the same 16 kHz; what is no sound, too much or damaged is refused with its reason."""

from __future__ import annotations

import asyncio
import io
import stat
import struct
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from servers.common.errors import BadInput, ServerFault, TooLarge, Unsupported
from servers.common.interfaces import Audio
from servers.parakeet.decoding.decoder import MEMORY_SAMPLES, Abandoned, Decoder, Limit, decode, mix
from tests.servers.parakeet.conftest import file_of
from tests.servers.parakeet.fake import heard, say, silence, text_of

HOURS = Limit(7200, "MAX_FILE_DURATION")
KINDS = [
    ("WAV", "PCM_16"), ("WAV", "PCM_24"), ("WAV", "FLOAT"), ("WAV", "ULAW"), ("WAV", "IMA_ADPCM"), ("FLAC", "PCM_16"),
    ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", None), ("AIFF", "PCM_16"), ("CAF", "PCM_16"), ("AU", "PCM_16"),
]  # fmt: skip


@pytest.fixture(autouse=True)
def only_libsndfile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever else this machine has for reading sound."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)


def read(data: bytes, limit: Limit = HOURS) -> Audio:
    return decode(io.BytesIO(data), limit=limit)


def wav(
    data: bytes, *, declared: int, channels: int = 1, rate_hz: int = 16_000, kind: int = 1, bits: int = 16
) -> bytes:
    """A WAV whose header says `declared` bytes of samples, whatever follows."""
    frame = channels * 2
    form = struct.pack("<IHHIIHH", 16, 1, channels, rate_hz, rate_hz * frame, frame, 16)
    return b"RIFF" + struct.pack("<I", 0xFFFFFFFF) + b"WAVEfmt " + form + b"data" + struct.pack("<I", declared) + data


@pytest.mark.parametrize(("kind", "subtype"), KINDS)
def test_formats(kind: str, subtype: str | None) -> None:
    audio = np.concatenate([silence(0.3), say(1, 50, 100)])
    rate_hz = 48_000 if subtype == "OPUS" else 16_000
    data = file_of(soxr.resample(audio, 16_000, rate_hz), rate_hz=rate_hz, kind=kind, subtype=subtype)
    assert heard(read(data)).text == text_of(1, 50, 100)


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 22_050, 44_100, 47_999, 96_000, 192_000])
def test_rates(rate_hz: int) -> None:
    """In blocks as if at once, and as long."""
    audio = soxr.resample(np.concatenate([silence(0.3), say(*range(40))]), 16_000, rate_hz).astype(np.float32)
    found = read(file_of(audio, rate_hz=rate_hz, subtype="FLOAT"))
    expected = soxr.resample(audio, rate_hz, 16_000, quality="HQ")
    assert len(found) == len(expected)
    assert np.allclose(found, expected, atol=1e-5)
    assert heard(found).text == text_of(*range(40))


def test_reading_in_blocks_changes_nothing() -> None:
    """soundfile's own blocks do change an MP3: it seeks between them."""
    path = Path(__file__).parents[3] / "samples/audio/long.mp3"
    whole, rate_hz = soundfile.read(path, dtype="float32")
    assert np.allclose(read(path.read_bytes()), soxr.resample(whole, rate_hz, 16_000), atol=1e-5)


def test_channels_are_averaged() -> None:
    left, right = say(1), say(2)
    found = read(file_of(np.stack([left, right], axis=1), subtype="FLOAT"))
    assert np.allclose(found, (left + right) / 2, atol=1e-6)


def test_long_audio_is_not_kept_in_memory() -> None:
    audio = np.random.default_rng(0).standard_normal(MEMORY_SAMPLES + 5).astype(np.float32) * 0.1
    found = read(file_of(audio, subtype="FLOAT"))
    assert isinstance(found, np.memmap)
    assert np.array_equal(found, audio)


@pytest.mark.parametrize("declared", [2 * 3600 * 32_000, 0xFFFFFFFF, 0x7FFFFFFF])
def test_a_header_of_two_hours_on_a_kilobyte(declared: int) -> None:
    """As recorders write that stream: what is there is taken, and nothing is made ready for the rest."""
    assert len(read(wav(b"\1\0" * 500, declared=declared))) == 500


def test_a_flac_that_claims_two_hours() -> None:
    data = bytearray(file_of(say(1, 2, 3), kind="FLAC"))
    data[21:26] = bytes([data[21] & 0xF0, *struct.pack(">I", 2 * 3600 * 16_000)])  # total samples, 36 bits
    assert heard(read(bytes(data))).text == text_of(1, 2, 3)
    with pytest.raises(Unsupported, match="damaged after"):
        read(bytes(data[:1024]))


def test_a_thousand_channels_take_no_more_memory_than_one() -> None:
    assert len(read(wav(b"\1\0" * 1024 * 7, declared=1 << 31, channels=1024))) == 7


@pytest.mark.parametrize("kind", ["WAV", "MP3", "OGG"])
def test_what_ends_early_is_taken_as_far_as_it_goes(kind: str) -> None:
    whole = file_of(np.concatenate([say(*range(20)), silence(3)]), kind=kind)
    assert heard(read(whole[: len(whole) * 3 // 4])).text.startswith(text_of(0, 1, 2, 3))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("channels", [1, 2])
def test_no_numbers(bad: float, channels: int) -> None:
    audio = np.zeros((70_000, channels), np.float32)
    audio[-1, -1] = bad
    with pytest.raises(BadInput, match="NaN or Inf") as caught:
        read(file_of(audio, subtype="FLOAT"))
    assert caught.value.field == "file"


def test_infinities_that_cancel_out_are_no_silence() -> None:
    with pytest.raises(BadInput):
        mix(np.array([[np.inf, -np.inf]], np.float32))


@pytest.mark.parametrize(
    "data", [wav(b"", declared=0), file_of(np.zeros(0, np.float32)), file_of(np.zeros(0, np.float32), kind="AIFF")]
)
def test_no_samples(data: bytes) -> None:
    with pytest.raises(BadInput, match="no audio"):
        read(data)


@pytest.mark.parametrize("rate_hz", [4_000, 7_999, 192_001, 400_000])
def test_rates_that_are_refused(rate_hz: int) -> None:
    with pytest.raises(BadInput, match=f"{rate_hz} Hz") as caught:
        read(wav(b"\1\0" * 50, declared=100, rate_hz=rate_hz))
    assert caught.value.limit == "8000..192000 Hz"


@pytest.mark.parametrize(
    "data", [b"hello", b"x" * 100_000, b"<html></html>", b"RIFF....WAVE", b"ID3\4", b"OggS" * 50, b"fLaC", b"\xff\xfb"]
)
def test_not_audio(data: bytes) -> None:
    with pytest.raises(Unsupported, match="not audio that this server can read: libsndfile: ") as caught:
        read(data)
    assert "ffmpeg" in str(caught.value.limit)


def test_too_long_is_found_while_decoding() -> None:
    """Of a quarter of an hour in a few kilobytes only the first ten seconds are decoded."""
    file = io.BytesIO(file_of(silence(900), kind="FLAC"))
    with pytest.raises(TooLarge, match=r"longer than 10 s \(MAX_FILE_DURATION\)") as caught:
        decode(file, limit=Limit(10, "MAX_FILE_DURATION"))
    assert (caught.value.field, caught.value.limit) == ("file", 10)
    assert 0 < file.tell() < len(file.getvalue()) / 2


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 44_100])
def test_exactly_as_long_as_allowed(rate_hz: int) -> None:
    data = file_of(np.zeros(3 * rate_hz, np.float32), rate_hz=rate_hz)
    assert len(read(data, Limit(3, "X"))) == 48_000
    with pytest.raises(TooLarge):
        read(data, Limit(2.999, "X"))


@given(data=st.data(), kind=st.sampled_from(["WAV", "FLAC", "OGG", "MP3", "AIFF", "CAF"]))
@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_files_are_refused_or_read_never_worse(data: st.DataObject, kind: str) -> None:
    content = bytearray(file_of(say(1, 2), kind=kind))
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, min(len(content), 300) - 1) | st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    found: Audio | ServerFault
    try:
        found = read(bytes(content), Limit(60, "X"))
    except ServerFault as fault:
        found = fault
    if isinstance(found, ServerFault):
        assert found.status in (400, 413, 415)
    else:
        assert found.dtype == np.float32 and found.ndim == 1 and np.isfinite(found).all()


def program(folder: Path, text: str) -> None:
    """An ffmpeg that does what `text`, of a shell, says."""
    path = folder / "ffmpeg"
    path.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{text}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_ffmpeg_reads_what_libsndfile_does_not(tmp_path: Path) -> None:
    """It is given the file itself, and its floats at 16 kHz are taken."""
    (tmp_path / "sound").write_bytes(say(7, 8).tobytes())
    program(tmp_path, f'while [ "$1" != -i ]; do shift; done\ngrep -q m4a "$2" && cat {tmp_path}/sound')
    assert heard(read(b"some m4a")).text == text_of(7, 8)


def test_ffmpegs_reason_is_told(tmp_path: Path) -> None:
    program(tmp_path, "echo 'pipe:0: no such thing' >&2; exit 1")
    with pytest.raises(Unsupported, match=r"libsndfile: format not recognised; ffmpeg: pipe:0: no such thing"):
        read(b"some m4a")


def test_ffmpeg_that_fails_on_the_way(tmp_path: Path) -> None:
    program(tmp_path, "head -c 400000 /dev/zero; echo broken >&2; exit 1")
    with pytest.raises(Unsupported, match=r"damaged after 6.\d s: broken"):
        read(b"some m4a")


def test_ffmpeg_is_ended_when_nobody_waits(tmp_path: Path) -> None:
    program(tmp_path, "exec sleep 60")
    gone = threading.Event()
    threading.Timer(0.3, gone.set).start()
    began_s = time.monotonic()
    with pytest.raises((Abandoned, Unsupported)):
        decode(io.BytesIO(b"some m4a"), limit=HOURS, abandoned=gone.is_set)
    assert time.monotonic() - began_s < 10


async def test_a_cancelled_decoder_has_let_go_of_its_file() -> None:
    """Else the file's descriptor could be another's by the time a thread reads from it."""
    file, decoder = io.BytesIO(file_of(silence(1200), kind="FLAC")), Decoder()
    work = asyncio.create_task(decoder.decode(file, in_memory=True, limit=HOURS))
    await asyncio.sleep(0.05)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    at = file.tell()
    await asyncio.sleep(0.1)
    assert file.tell() == at < len(file.getvalue())


async def test_large_files_do_not_keep_small_ones_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    decoder, small = Decoder(), file_of(say(1))
    large = [io.BytesIO(file_of(silence(600), kind="FLAC")) for _ in range(3)]
    slow = [asyncio.create_task(decoder.decode(file, in_memory=False, limit=HOURS)) for file in large]
    await asyncio.sleep(0)
    found = await decoder.decode(io.BytesIO(small), in_memory=True, limit=HOURS)
    assert heard(found).text == "w1"
    assert not slow[2].done()
    for each in slow:
        each.cancel()
    await asyncio.gather(*slow, return_exceptions=True)
