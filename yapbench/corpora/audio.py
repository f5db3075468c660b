"""What an audio file holds, found by decoding it to its end: a header alone would let a damaged file through.

Knows no manifest: whoever asks puts the file and line in front of the reason.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import soundfile

SUFFIXES: Final = (".flac", ".wav", ".mp3", ".opus", ".ogg")
"""Of the files that are taken for audio where nothing else says so."""

_BLOCK_FRAMES: Final = 1 << 20
_SHORT_BY_S: Final = 0.1  # how far a lossy format's header may be off
_UNKNOWN_SIZE: Final = 0x7FFF0000  # what is written to a pipe has such a size in its header, or a greater one


class BadAudio(ValueError):
    """The file cannot be sent; the text says why, without its name."""


@dataclass(frozen=True)
class AudioFile:
    """What a file's header, or its decoded samples, say of it."""

    duration_s: float
    sample_rate_hz: int


def header(path: Path) -> AudioFile:
    """What the header says. Raises BadAudio for a file that is missing, no audio or empty."""
    if not path.is_file():
        raise BadAudio("no such file")
    try:
        info = soundfile.info(path)
    except (soundfile.SoundFileError, OSError) as error:
        raise BadAudio(f"cannot be decoded: {_reason(error)}") from error
    if info.frames <= 0:
        raise BadAudio("holds no audio: its length is 0")
    return AudioFile(info.frames / info.samplerate, info.samplerate)


def decode(path: Path) -> AudioFile:
    """What is found by decoding all of it. Raises BadAudio, also for a file that ends early or holds NaN.

    A file that has not changed since is not decoded again in this process: a sweep asks once for each trial.
    """
    if not path.is_file():
        raise BadAudio("no such file")
    status = path.stat()
    return _decoded(path, status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=100_000)
def _decoded(path: Path, _mtime_ns: int, _size: int) -> AudioFile:
    said = header(path)
    if missing := _missing_bytes(path):
        raise BadAudio(f"is cut short: {missing} bytes fewer than its header says")
    frames = 0
    try:
        with soundfile.SoundFile(path) as file:
            while len(block := file.read(_BLOCK_FRAMES, dtype="float32", always_2d=True)):
                if not np.isfinite(block).all():
                    raise BadAudio(f"holds samples that are not numbers, near {frames / said.sample_rate_hz:.1f} s")
                frames += len(block)
    except (soundfile.SoundFileError, OSError) as error:
        at_s = frames / said.sample_rate_hz
        raise BadAudio(f"cannot be decoded beyond {at_s:.1f} s: {_reason(error)}") from error
    found = AudioFile(frames / said.sample_rate_hz, said.sample_rate_hz)
    if found.duration_s < said.duration_s - _SHORT_BY_S or not frames:
        raise BadAudio(f"ends after {found.duration_s:.3f} s, its header says {said.duration_s:.3f} s")
    return found


def _missing_bytes(path: Path) -> int:
    """Of a WAV file that was not written or copied to its end: libsndfile takes what there is and says nothing."""
    with path.open("rb") as file:
        head = file.read(8)
    size = int.from_bytes(head[4:], "little")
    if not head.startswith(b"RIFF") or size >= _UNKNOWN_SIZE:
        return 0
    return max(0, size + 8 - path.stat().st_size - 1)  # some writers leave the padding byte out


def _reason(error: Exception) -> str:
    """libsndfile's own words, without the path that soundfile puts before them."""
    return str(getattr(error, "error_string", error)).strip().rstrip(".")
