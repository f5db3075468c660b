"""What the ffmpeg program knows, where it is on the PATH. It gets the time of TIMEOUT_S and no longer."""

from __future__ import annotations

import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Final

import numpy as np

from servers.common.audio import SAMPLE_RATE_HZ
from servers.parakeet.decoding.readers import BLOCK_SAMPLES, CONTAINERS, Block, NotMine, damaged

TIMEOUT_S: Final = 300.0
_LOOK_S: Final = 0.2
_REASON_BYTES: Final = 300


@contextmanager
def open_ffmpeg(file: IO[bytes], *, program: str, abandoned: Callable[[], bool]) -> Iterator[Iterator[Block]]:
    """16 kHz mono, mixed and resampled by ffmpeg; raises NotMine. The process is gone when the context is left."""
    with tempfile.TemporaryFile() as said, _on_disk(file) as source:
        # By descriptor, not by pipe: an m4a may keep its index at the end.
        process = subprocess.Popen(
            [
                *(program, "-nostdin", "-v", "error", "-protocol_whitelist", "file", "-format_whitelist", CONTAINERS),
                *("-i", f"/dev/fd/{source.fileno()}", "-map", "0:a:0", "-vn", "-ac", "1", "-ar", str(SAMPLE_RATE_HZ)),
                *("-f", "f32le", "pipe:1"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            pass_fds=[source.fileno()],
        )
        watch = threading.Thread(target=_watch, args=[process, abandoned], daemon=True)
        watch.start()
        try:
            assert process.stdout is not None
            first = process.stdout.read(4 * BLOCK_SAMPLES)
            if not first and process.wait() != 0:
                raise NotMine(_reason(said) or "it ended without a word")
            yield _read(process, process.stdout, first, said)
        finally:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
            watch.join()


def _read(process: subprocess.Popen[bytes], out: IO[bytes], first: bytes, said: IO[bytes]) -> Iterator[Block]:
    read, portion = 0, first
    while portion:
        samples = np.frombuffer(portion[: len(portion) // 4 * 4], "<f4").astype(np.float32)
        read += len(samples)
        yield SAMPLE_RATE_HZ, samples[:, None]
        portion = out.read(4 * BLOCK_SAMPLES)
    if process.wait() != 0:
        raise damaged(_reason(said) or "ffmpeg did not come to an end", at_s=read / SAMPLE_RATE_HZ)


def _watch(process: subprocess.Popen[bytes], abandoned: Callable[[], bool]) -> None:
    left_s = TIMEOUT_S
    while left_s > 0 and not abandoned():
        try:
            process.wait(_LOOK_S)
        except subprocess.TimeoutExpired:
            left_s -= _LOOK_S
        else:
            return
    process.kill()


def _reason(said: IO[bytes]) -> str:
    said.seek(0)
    return said.read(_REASON_BYTES).decode("utf-8", "replace").strip().replace("\n", "; ")


@contextmanager
def _on_disk(file: IO[bytes]) -> Iterator[IO[bytes]]:
    """A file that has a descriptor, with the same content, at its beginning."""
    with tempfile.TemporaryFile() as copy:
        while portion := file.read(1 << 20):
            copy.write(portion)
        copy.seek(0)
        yield copy
