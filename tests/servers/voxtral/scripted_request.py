"""One request of the scripted engine: seats, steps of 80 ms, the words of marked speech, faults at their step."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from tests.servers.voxtral.marked_speech import STEP_SAMPLES, Ear, word

if TYPE_CHECKING:
    from tests.servers.voxtral.scripted_vllm import ScriptedVllm

LOOK_AHEAD_SAMPLES: Final = 40
"""2.5 ms, tekken.json's."""
PROMPT_TOKENS: Final = 33
"""One BOS and 32 of silence; the delay's come on top."""
PAD_STEPS: Final = 11
"""After the last audio, beside the delay's."""


class _Failed(Exception):
    """The request is over, its connection is not."""


class Seats:
    """So many requests at once, the others in the order of their coming."""

    def __init__(self, slots: int) -> None:
        self._slots = asyncio.Semaphore(slots)
        self.taken = self.waiting = 0

    async def __aenter__(self) -> None:
        self.waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self.waiting -= 1
        self.taken += 1

    async def __aexit__(self, *_: object) -> None:
        self.taken -= 1
        self._slots.release()


class Hearing:
    """From a commit to its `transcription.done`."""

    def __init__(
        self,
        engine: ScriptedVllm,
        number: int,
        audio: asyncio.Queue[bytes | None],
        socket: ServerConnection,
        say: Callable[..., Awaitable[None]],
    ) -> None:
        self._engine, self._number, self._audio, self._socket, self._say = engine, number, audio, socket, say
        self._script = engine.script
        self._ear = Ear()
        self._words: deque[tuple[int, int]] = deque()
        """(number, step in which it ends)."""
        self._rest = ""
        self._text: list[str] = []
        self._steps = 0
        self._next_s = 0.0

    async def run(self) -> None:
        """Answers until the end; a client that went away ends it too."""
        try:
            async with self._engine.seats:
                await self._answer()
        except (ConnectionClosed, _Failed):
            return
        self._engine.ended += 1

    async def _answer(self) -> None:
        limit = self._script.max_model_len - PROMPT_TOKENS - self._script.delay_steps
        pcm: bytes | None = b""
        while pcm is not None and self._steps < limit:
            pcm = await self._audio.get()
            for number, end in self._ear.feed(pcm or b""):
                self._words.append((number, -(-end // STEP_SAMPLES) - 1))
            for _ in range(self._steps, min(self._due(is_final=pcm is None), limit)):
                await self._step()
            await asyncio.sleep(0)
        used = PROMPT_TOKENS + self._script.delay_steps if self._steps else 0
        usage = {"prompt_tokens": used, "completion_tokens": self._steps, "total_tokens": used + self._steps}
        nothing = {"prompt_tokens_details": None, "completion_tokens_details": None}
        await self._say("transcription.done", text="".join(self._text), usage=usage | nothing)
        while not self._audio.empty():  # what came too late is thrown away
            self._audio.get_nowait()

    def _due(self, *, is_final: bool) -> int:
        """Steps that the audio so far is enough for."""
        heard = self._ear.samples
        if is_final:
            return (heard - LOOK_AHEAD_SAMPLES) // STEP_SAMPLES + PAD_STEPS if heard else 0
        return max(0, (heard - LOOK_AHEAD_SAMPLES) // STEP_SAMPLES - self._script.delay_steps)

    async def _step(self) -> None:
        await self._pace()
        await self._fail_where_scripted()
        delta = self._said()
        blank_from = self._script.fault("blank_from", self._number)
        if blank_from is not None and self._steps >= blank_from:
            delta = ""
        self._steps += 1
        self._engine.steps += 1
        self._text.append(delta)
        await self._say("transcription.delta", delta=delta)

    async def _pace(self) -> None:
        if self._script.step_s:
            now_s = asyncio.get_running_loop().time()
            self._next_s = max(self._next_s, now_s) + self._script.step_s
            await asyncio.sleep(self._next_s - now_s)

    def _said(self) -> str:
        """What this step brings: the words that end in it, or as much of them as a step may say."""
        while self._words and self._words[0][1] <= self._steps:
            self._rest += word(self._words.popleft()[0])
        size = self._script.piece_chars or len(self._rest)
        said, self._rest = self._rest[:size], self._rest[size:]
        return said

    async def _fail_where_scripted(self) -> None:
        if self._is_now("error_at"):
            await self._say("error", error="EngineCore encountered an issue.", code="processing_error")
            raise _Failed
        if self._is_now("drop_at"):
            await self._socket.close(1012)
            raise _Failed
        if self._is_now("die_at"):
            self._engine.fall()
        if self._is_now("die_at") or self._is_now("stall_at"):
            await asyncio.Event().wait()  # until its connection is gone

    def _is_now(self, fault: str) -> bool:
        return self._script.fault(fault, self._number) == self._steps
