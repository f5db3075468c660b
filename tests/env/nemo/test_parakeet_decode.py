"""Files that libsndfile does not read, through PyAV; the files are made by PyAV too."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from servers.common.errors import ServerFault, Unsupported
from servers.parakeet.decoding.decoder import Limit, decode

av = pytest.importorskip("av")
RATE_HZ, SECONDS = 44_100, 3
KINDS = [("mp4", "aac"), ("adts", "aac"), ("webm", "libopus"), ("matroska", "ac3"), ("mpegts", "mp2")]


def tones(rate_hz: int = RATE_HZ, channels: int = 2) -> Any:
    """A second of 500, 1000 and 2000 Hz each, shape (n, channels), the second channel silent."""
    time_s = np.arange(rate_hz) / rate_hz
    mono = np.concatenate([0.4 * np.sin(2 * np.pi * hz * time_s) for hz in (500, 1000, 2000)]).astype(np.float32)
    return np.stack([mono] + [0 * mono] * (channels - 1), axis=1)


def encode(kind: str, codec: str, audio: Any, rate_hz: int) -> bytes:
    written = io.BytesIO()
    with av.open(written, "w", format=kind) as container:
        stream = container.add_stream(codec, rate=rate_hz, layout="stereo" if audio.shape[1] == 2 else "mono")
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(audio.T), format="fltp", layout="stereo" if audio.shape[1] == 2 else "mono"
        )
        frame.sample_rate = rate_hz
        to_codec = av.AudioResampler(stream.codec_context.format, stream.codec_context.layout, rate_hz)
        fifo = av.AudioFifo()
        for ready in to_codec.resample(frame):
            fifo.write(ready)
        while (part := fifo.read(stream.codec_context.frame_size or 1024, partial=True)) is not None:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return written.getvalue()


def read(data: bytes, *, limit_s: float = 7200) -> Any:
    return decode(io.BytesIO(data), limit=Limit(limit_s, "MAX_FILE_DURATION"))


def pitches(audio: Any) -> list[int]:
    """Hz, of the middle of each second at 16 kHz."""
    middles = [audio[at + 4000 : at + 12_000] for at in (0, 16_000, 32_000)]
    return [round(int(np.abs(np.fft.rfft(middle)).argmax()) * 2 / 10) * 10 for middle in middles]


@pytest.mark.parametrize(("kind", "codec"), KINDS)
def test_formats(kind: str, codec: str) -> None:
    rate_hz = 48_000 if codec == "libopus" else RATE_HZ
    audio = read(encode(kind, codec, tones(rate_hz), rate_hz))
    assert audio.dtype == np.float32
    assert len(audio) == pytest.approx(SECONDS * 16_000, abs=3000)
    assert pitches(audio) == [500, 1000, 2000]
    assert 0.17 < np.abs(audio[4000:12_000]).max() < 0.23  # the mean of a tone of 0.4 and of silence


def test_an_m4a_with_its_index_at_the_end() -> None:
    """As telephones write it."""
    data = encode("mp4", "aac", tones(), RATE_HZ)
    assert data.find(b"moov") > data.find(b"mdat")
    assert pitches(read(data)) == [500, 1000, 2000]


def test_a_limit_is_kept_while_decoding() -> None:
    with pytest.raises(ServerFault, match="longer than 2 s") as caught:
        read(encode("mp4", "aac", tones(), RATE_HZ), limit_s=2)
    assert caught.value.status == 413


@pytest.mark.parametrize("data", [b"hello " * 500, b"\0\0\0\x20ftypM4A " + bytes(500), bytes(10_000)])
def test_not_audio(data: bytes) -> None:
    with pytest.raises(Unsupported, match=r"libsndfile: .*; PyAV: "):
        read(data)


def test_a_picture_has_no_sound() -> None:
    written = io.BytesIO()
    with av.open(written, "w", format="matroska") as container:
        stream = container.add_stream("mjpeg", rate=1)
        stream.width = stream.height = 16
        stream.pix_fmt = "yuvj420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")
        container.mux(stream.encode(frame.reformat(format="yuvj420p")))
        container.mux(stream.encode(None))
    with pytest.raises(Unsupported, match="no sound in it"):
        read(written.getvalue())


@pytest.mark.parametrize("kind", ["m3u8", "concat"])
def test_a_playlist_opens_no_file_of_the_server(tmp_path: Path, kind: str) -> None:
    """Else an upload could name any file or address, and the answer would tell what is in it."""
    secret = tmp_path / "secret.wav"
    soundfile.write(secret, tones()[:, 0], RATE_HZ)
    playlists = {
        "m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\nfile://{secret}\n#EXT-X-ENDLIST\n",
        "concat": f"ffconcat version 1.0\nfile '{secret}'\n",
    }
    with pytest.raises(Unsupported, match="not audio"):
        read(playlists[kind].encode())


def test_damage_is_refused_or_read_never_worse() -> None:
    whole, chance = encode("mp4", "aac", tones(), RATE_HZ), np.random.default_rng(0)
    for _ in range(60):
        data = bytearray(whole[: int(chance.integers(1, len(whole) + 1))])
        for at in chance.integers(0, len(data), 8):
            data[at] = int(chance.integers(256))
        try:
            found = read(bytes(data), limit_s=60)
        except ServerFault as fault:
            refused = fault.status
        else:
            refused = 415 if np.isfinite(found).all() and len(found) else 0
        assert refused in (400, 413, 415)
