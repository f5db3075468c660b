"""A file that libsndfile knows, read forward only, block by block. Only servers that take files import it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import IO

import numpy as np
import soundfile

from servers.common.interfaces import Audio


class SoundFile(soundfile.SoundFile):  # type: ignore[misc]  # the package has no types
    """Never seeks: soundfile seeks after each block to where it is, and an MP3 comes back changed."""

    def __init__(self, file: IO[bytes]) -> None:
        """Raises soundfile.LibsndfileError for what libsndfile does not know."""
        super().__init__(_Within(file))

    def seekable(self) -> bool:
        return False

    def forward(self, block_samples: int) -> Iterator[Audio]:
        """float32 of shape (n, channels) each, n * channels at most `block_samples`, and n at least 1.

        Raises soundfile.LibsndfileError for damaged data.
        """
        while True:
            block = np.empty((max(1, block_samples // self.channels), self.channels), np.float32)
            count = self.buffer_read_into(block, "float32")
            if not count:
                return
            yield block[:count]


class _Within:
    """A file for libsndfile, which a damaged header may send to a place before the beginning: it stays where it is.

    An exception in its callback could reach nobody, and would stand for the position 0.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self.tell, self.read, self.readinto = file.tell, file.read, file.readinto  # type: ignore[attr-defined]
        self._seek = file.seek

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        try:
            return self._seek(offset, whence)
        except (ValueError, OSError):  # of bytes, of a file
            return self.tell()
