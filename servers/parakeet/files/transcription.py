"""One file's way through the model: cut where needed, its pieces asked for a few at a time, their texts joined."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

import numpy as np

from servers.common.audio import SAMPLE_RATE_HZ
from servers.common.errors import Draining, Overloaded
from servers.common.interfaces import Audio
from servers.parakeet.desk import Desk
from servers.parakeet.files.cutting import Piece, Search, cut, find_pause, search
from servers.parakeet.files.stitching import Overlap, concatenate, seam
from servers.parakeet.interfaces import WINDOW_SAMPLES
from servers.parakeet.settings import Settings
from servers.parakeet.transcript import Transcript

HEARD_WINDOWS: Final = 64
"""Given to the detector at once: two seconds, a few milliseconds of its time; live sessions wait behind it."""
RETRY_S: Final = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """A file's audio, 16 kHz of shape (n,), and whose it is. `received_s`: when its last byte came (monotonic)."""

    audio: Audio
    request_id: str
    received_s: float

    @property
    def seconds(self) -> float:
        return len(self.audio) / SAMPLE_RATE_HZ


class FileTranscriber:
    """Asks the desk for what a file says. As many pieces of a file are under way as fit one batch: the model is kept
    busy, and whoever comes next waits for one batch of it at most."""

    def __init__(self, settings: Settings, desk: Desk) -> None:
        self._desk = desk
        self._longest = int(settings.max_audio_s * SAMPLE_RATE_HZ)
        self._threshold = settings.vad_threshold
        self._patience_s = settings.processing_timeout_s
        self._at_once = max(2, settings.batch_size)

    async def transcribe(self, recording: Recording) -> Transcript:
        """All of it, with the file's times. Raises what the desk raises; cancelled or failed, it withdraws the rest."""
        if len(recording.audio) <= self._longest:
            return await self._ask(recording, Piece(0, len(recording.audio)))
        async with aclosing(self.parts(recording)) as parts:
            return concatenate([part async for part in parts])

    async def parts(self, recording: Recording) -> AsyncGenerator[Transcript, None]:
        """The same in order, each part as soon as nothing that follows can change it. To be closed (aclosing)."""
        asked: deque[tuple[Piece, asyncio.Task[Transcript]]] = deque()
        held: Transcript | None = None
        try:
            async with aclosing(self._pieces(recording)) as pieces:
                async for piece in pieces:
                    asked.append((piece, asyncio.create_task(self._ask(recording, piece))))
                    while len(asked) >= self._at_once or (asked and asked[0][1].done()):
                        ready, held = _settle(held, *await _next(asked))
                        if ready is not None:
                            yield ready
            while asked:
                ready, held = _settle(held, *await _next(asked))
                if ready is not None:
                    yield ready
            assert held is not None
            yield held
        finally:
            tasks = [task for _, task in asked]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _pieces(self, recording: Recording) -> AsyncGenerator[Piece, None]:
        start, overlap, total = 0, 0, len(recording.audio)
        while (looked := search(start, total, longest=self._longest)) is not None:
            pause = await self._find_pause(recording.audio, looked)
            piece, start, overlap = cut(start, looked, pause, longest=self._longest, overlap=overlap)
            yield piece
        yield Piece(start, total, overlap)

    async def _find_pause(self, audio: Audio, looked: Search) -> int | None:
        state, heard = self._desk.new_stream(), []
        for at in range(looked.start, looked.end, HEARD_WINDOWS * WINDOW_SAMPLES):
            block = np.array(audio[at : min(at + HEARD_WINDOWS * WINDOW_SAMPLES, looked.end)])
            state, probabilities = await self._desk.hear(state, block)
            heard.append(probabilities)
        return find_pause(looked, np.concatenate(heard), threshold=self._threshold)

    async def _ask(self, recording: Recording, piece: Piece) -> Transcript:
        """With the file's times. A full queue refuses a file that begins; one that is half done waits for room."""
        patient_until_s = asyncio.get_running_loop().time() + self._patience_s
        samples = recording.audio[piece.start : piece.end]
        if isinstance(samples, np.memmap):  # the model is given memory, not a file; short audio is in memory already
            samples = np.array(samples)
        while True:
            try:
                answer = await self._desk.transcribe(
                    samples, request_id=recording.request_id, received_s=recording.received_s
                )
            except Draining:
                raise
            except Overloaded:
                if not piece.start or asyncio.get_running_loop().time() > patient_until_s:
                    raise
                await asyncio.sleep(RETRY_S)
            else:
                return answer.value.shifted(piece.start / SAMPLE_RATE_HZ) if piece.start else answer.value


async def _next(asked: deque[tuple[Piece, asyncio.Task[Transcript]]]) -> tuple[Piece, Transcript]:
    """Of the oldest piece; it stays among those to be withdrawn until it is answered."""
    piece, task = asked[0]
    heard = await task
    asked.popleft()
    return piece, heard


def _settle(held: Transcript | None, piece: Piece, heard: Transcript) -> tuple[Transcript | None, Transcript]:
    """What is now final, and what the next piece may still change."""
    if held is None or not piece.overlap:
        return held, heard
    start_s = piece.start / SAMPLE_RATE_HZ
    return seam(held, heard, Overlap(start_s, start_s + piece.overlap / SAMPLE_RATE_HZ))
