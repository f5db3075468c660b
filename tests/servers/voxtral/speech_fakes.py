"""An engine in this process that hears marked speech, as exactly or as badly as a test wants, and whom to tell."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from servers.common.metrics import Metrics
from servers.voxtral.faults import WireFault
from servers.voxtral.interfaces import Delta, Done, EngineGone, EngineRefused, Utterance
from servers.voxtral.settings import STEP_BYTES, Settings
from servers.voxtral.speech import Hearing
from tests.servers.voxtral.marked_speech import STEP_SAMPLES, Ear, word

LOOK_AHEAD_SAMPLES = 40
PAD_STEPS = 11


@dataclass(frozen=True)
class Mark:
    """A word that the engine is about to say: in its request's `step` (from 1), which is `padded` behind the audio."""

    number: int
    step: int
    request: int
    is_padded: bool


@dataclass
class FakeEngine:
    """vLLM's rules of steps and padding (see scripted_request.py), with no clock and no socket."""

    delay_steps: int = 5
    says: Callable[[Mark], str] = lambda mark: word(mark.number)
    piece_chars: int = 0
    max_steps: int | None = None
    blank_from: int | None = None
    stall_at: int | None = None
    refuse_at: int | None = None
    gone_at: int | None = None
    only_request: int | None = None
    """The faults above are this request's, counted from 1."""
    begin_refused: bool = False
    begin_gone: bool = False
    begin_waits: asyncio.Event | None = None
    finish_waits: asyncio.Event | None = None
    available: bool = True
    requests: list[FakeRequest] = field(default_factory=list)
    most_open: int = 0

    @property
    def open(self) -> list[FakeRequest]:
        return [request for request in self.requests if not request.is_aborted]

    async def begin(self) -> FakeRequest:
        if self.begin_waits is not None:
            await self.begin_waits.wait()
        await asyncio.sleep(0)
        if self.begin_gone:
            raise EngineGone("not there")
        if self.begin_refused:
            raise EngineRefused("processing_error", "Traceback: secret words of vLLM")
        self.requests.append(FakeRequest(self, len(self.requests) + 1))
        self.most_open = max(self.most_open, len(self.open))
        return self.requests[-1]


class FakeRequest:
    """interfaces.Request."""

    def __init__(self, engine: FakeEngine, number: int) -> None:
        self._engine, self._number = engine, number
        self._ear, self._marks = Ear(), list[tuple[int, int]]()
        self._rest, self._text = "", list[str]()
        self.steps, self.largest = 0, 0
        self.is_finished = False
        self.aborts = 0
        self._more = asyncio.Event()

    async def send(self, pcm: bytes) -> None:
        assert pcm and len(pcm) % 2 == 0 and not self.is_finished
        self.largest = max(self.largest, len(pcm))
        self._marks += [(number, -(-end // STEP_SAMPLES)) for number, end in self._ear.feed(pcm)]
        self._more.set()
        await asyncio.sleep(0)

    async def finish(self) -> None:
        assert not self.is_finished
        self.is_finished = True
        self._more.set()

    async def abort(self) -> None:
        self.aborts += 1
        self._more.set()

    @property
    def is_aborted(self) -> bool:
        return self.aborts > 0

    async def events(self) -> AsyncIterator[Delta | Done]:
        while not self._is_complete:
            if self.is_finished and self._engine.finish_waits is not None:
                await self._engine.finish_waits.wait()
            if self.steps >= self._due:
                self._more.clear()
                await self._more.wait()
                continue
            if self._is_now("stall_at"):
                await asyncio.Event().wait()
            if self._is_now("refuse_at"):
                raise EngineRefused("processing_error", "Traceback: secret words of vLLM")
            if self.is_aborted or self._is_now("gone_at"):
                raise EngineGone("closed")
            self.steps += 1
            text = self._said()
            self._text.append(text)
            yield Delta(text)
        usage = {"prompt_tokens": 38, "completion_tokens": self.steps, "total_tokens": 38 + self.steps}
        yield Done("".join(self._text), usage)

    @property
    def _is_complete(self) -> bool:
        limit = self._engine.max_steps
        return (limit is not None and self.steps >= limit) or (self.is_finished and self.steps >= self._due)

    @property
    def _due(self) -> int:
        steps = (self._ear.samples - LOOK_AHEAD_SAMPLES) // STEP_SAMPLES
        return steps + PAD_STEPS if self.is_finished else max(0, steps - self._engine.delay_steps)

    def _said(self) -> str:
        while self._marks and self._marks[0][1] <= self.steps:
            number, step = self._marks.pop(0)
            is_padded = step + self._engine.delay_steps > self._ear.samples // STEP_SAMPLES
            self._rest += self._engine.says(Mark(number, step, self._number, is_padded))
        if (blank := self._engine.blank_from) is not None and self._is_mine and self.steps > blank:
            self._rest = ""
        size = self._engine.piece_chars or len(self._rest)
        said, self._rest = self._rest[:size], self._rest[size:]
        return said

    @property
    def _is_mine(self) -> bool:
        return self._engine.only_request in (None, self._number)

    def _is_now(self, fault: str) -> bool:
        return self._is_mine and getattr(self._engine, fault) == self.steps


class Notes:
    """interfaces.Listener: everything in its order."""

    def __init__(self) -> None:
        self.deltas: list[str] = []
        self.done: tuple[str, Mapping[str, Any]] | None = None
        self.fault: WireFault | None = None
        self.notices: list[tuple[str, Mapping[str, Any]]] = []
        self.ended = asyncio.Event()

    def heard(self, delta: str) -> None:
        assert not self.ended.is_set()
        self.deltas.append(delta)

    def finished(self, text: str, usage: Mapping[str, Any]) -> None:
        assert not self.ended.is_set()
        self.done = (text, usage)
        self.ended.set()

    def failed(self, fault: WireFault) -> None:
        assert not self.ended.is_set()
        self.fault = fault
        self.ended.set()

    def noticed(self, kind: str, details: Mapping[str, Any]) -> None:
        assert not self.ended.is_set()
        self.notices.append((kind, details))

    @property
    def text(self) -> str:
        """What was told, which is what `done` says as well."""
        assert self.done is not None, self.fault
        assert self.done[0] == "".join(self.deltas)
        return self.done[0]


def settings_of(**knobs: Any) -> Settings:
    """Small segments; the backlog refuses before it drops."""
    given = {
        "transcription_delay_ms": 400,
        "segment_s": 8.0,
        "segment_max_s": 12.0,
        "inbound_queue_max": 50,
        "rut_s": 0,
        "api_key": "secret",
        **knobs,
    }
    return Settings(**given)


def hearing_of(engine: Any, **knobs: Any) -> tuple[Hearing, Metrics]:
    metrics = Metrics("voxtral")
    return Hearing(settings_of(**knobs), engine, metrics), metrics


def messages(pcm: bytes, size: int = STEP_BYTES) -> Iterator[bytes]:
    for at in range(0, len(pcm), size):
        yield pcm[at : at + size]


async def feed(utterance: Utterance, pcm: bytes, size: int = STEP_BYTES) -> None:
    """As fast as it is taken."""
    for message in messages(pcm, size):
        while True:
            try:
                utterance.feed(message)
                break
            except WireFault:
                await asyncio.sleep(0)


async def say(hearing: Hearing, pcm: bytes, size: int = STEP_BYTES) -> Notes:
    """A whole utterance, to its end."""
    notes = Notes()
    utterance = hearing(notes)
    await feed(utterance, pcm, size)
    utterance.finish()
    await asyncio.wait_for(notes.ended.wait(), 20)
    await hearing.close()
    return notes


def count(metrics: Metrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(f"voxtral_{name}_total", labels) or 0.0
