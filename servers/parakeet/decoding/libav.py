"""What FFmpeg's libraries know, through the package av (PyAV), where that is installed."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import numpy as np

from servers.common.interfaces import Audio
from servers.parakeet.decoding.readers import CONTAINERS, Block, NotMine, damaged

OPTIONS = {"format_whitelist": CONTAINERS, "protocol_whitelist": "none"}


@contextmanager
def open_av(file: IO[bytes]) -> Iterator[Iterator[Block]]:
    """Blocks of the first audio stream; raises NotMine."""
    av = importlib.import_module("av")
    try:
        container = av.open(file, mode="r", container_options=OPTIONS, metadata_errors="replace")
    except (av.FFmpegError, ValueError) as error:
        raise NotMine(_say(error)) from None
    with container:
        if not container.streams.audio:
            raise NotMine("no sound in it")
        yield _read(av, container)


def _read(av: Any, container: Any) -> Iterator[Block]:
    # Another sample format only: channels are averaged and rates changed as for all other files.
    to_float = av.AudioResampler(format="fltp")
    read_s = 0.0
    try:
        for frame in container.decode(audio=0):
            for converted in to_float.resample(frame):
                yield _block(converted)
                read_s += converted.samples / converted.sample_rate
        for converted in to_float.resample(None):
            yield _block(converted)
    except (av.FFmpegError, ValueError) as error:  # the second where the layout changes on the way
        raise damaged(_say(error), at_s=read_s) from None


def _block(frame: Any) -> Block:
    samples: Audio = np.ascontiguousarray(frame.to_ndarray().T, np.float32)
    return int(frame.sample_rate), samples


def _say(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).lower()
