"""Which of libsndfile, PyAV and the ffmpeg program reads a file: the first that knows it.

The last two are optional. They are told which formats they may take a file for: a playlist among them would make the
server open whatever file or address it names.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import IO, Final

import soundfile

from servers.common.errors import Unsupported
from servers.common.interfaces import Audio
from servers.common.sound_file import SoundFile

Block = tuple[int, Audio]
"""Sample rate in Hz, and samples of shape (n, channels), n >= 0."""
BLOCK_SAMPLES: Final = 1 << 14
"""Of all channels together: a header may claim a thousand of them. 64 kB: malloc keeps what is freed of such blocks,
while larger ones come from the system, and each of their pages costs a fault."""
CONTAINERS: Final = (
    "aac,ac3,aiff,amr,ape,asf,avi,caf,eac3,flac,flv,loas,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpeg,mpegts,ogg,"
    "tta,wav,w64,wv"
)
"""FFmpeg's names of what holds sound by itself."""


class NotMine(Exception):
    """This reader does not know the format; the text says why."""


@contextmanager
def open_blocks(file: IO[bytes], abandoned: Callable[[], bool]) -> Iterator[Iterator[Block]]:
    """The blocks of `file`; raises Unsupported when no reader knows it, and, while reading, when it is damaged."""
    reasons = []
    for name, reader in _readers(abandoned):
        file.seek(0)
        try:
            opened = reader(file)
            blocks = opened.__enter__()
        except NotMine as reason:
            reasons.append(f"{name}: {reason}")
            continue
        try:
            yield blocks
        finally:
            opened.__exit__(None, None, None)
        return
    raise Unsupported("not audio that this server can read: " + "; ".join(reasons), field="file", limit=_advice())


def _readers(
    abandoned: Callable[[], bool],
) -> Iterator[tuple[str, Callable[[IO[bytes]], AbstractContextManager[Iterator[Block]]]]]:
    yield "libsndfile", open_sndfile
    if importlib.util.find_spec("av") is not None:
        from servers.parakeet.decoding.libav import open_av

        yield "PyAV", open_av
    if program := shutil.which("ffmpeg"):
        from servers.parakeet.decoding.ffmpeg import open_ffmpeg

        yield "ffmpeg", lambda file: open_ffmpeg(file, program=program, abandoned=abandoned)


def _advice() -> str:
    readable = "wav, mp3, flac, ogg (libsndfile)"
    if importlib.util.find_spec("av") is not None or shutil.which("ffmpeg"):
        return f"{readable}; m4a, aac, webm, amr, wma (FFmpeg)"
    return f"{readable}; m4a, aac or webm would need the package av or the program ffmpeg on the server"


@contextmanager
def open_sndfile(file: IO[bytes]) -> Iterator[Iterator[Block]]:
    """What libsndfile knows, decoded as float32."""
    try:
        sound = SoundFile(file)
    except soundfile.LibsndfileError as error:
        raise NotMine(error.error_string.rstrip(".").lower()) from None
    with sound:
        yield _read_sndfile(sound)


def _read_sndfile(sound: SoundFile) -> Iterator[Block]:
    read = 0
    try:
        for block in sound.forward(BLOCK_SAMPLES):
            read += len(block)
            yield sound.samplerate, block
    except soundfile.LibsndfileError as error:
        raise damaged(error.error_string, at_s=read / sound.samplerate) from None


def damaged(reason: str, *, at_s: float) -> Unsupported:
    """What a decoder said in the midst of a file."""
    message = f"the audio is damaged after {at_s:.1f} s: {reason.strip().rstrip('.')}"
    return Unsupported(message, field="file", limit="a whole file")
