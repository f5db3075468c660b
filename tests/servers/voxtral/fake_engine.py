"""An engine that is only there or not, and utterances that hear marked speech at once: the session without vLLM."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from servers.common.errors import StartupRefused
from servers.voxtral.faults import WireFault
from servers.voxtral.interfaces import Listener, Request
from tests.servers.voxtral.marked_speech import STEP_SAMPLES, Ear, word

ZEROS = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


class FakeEngine:
    """Its life is in the hands of the test; `lose` and `come` may be called from any thread."""

    def __init__(self, *, refusal: str = "", is_late: bool = False) -> None:
        self.available = False
        self.on_gone: Callable[[], None] = lambda: None
        self.stopped = 0
        self._refusal, self._is_late = refusal, is_late
        self._loop: asyncio.AbstractEventLoop | None = None

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        if self._refusal:
            raise StartupRefused(self._refusal)
        self.available = not self._is_late

    async def stop(self) -> None:
        self.stopped += 1
        self.available = False

    def facts(self) -> Mapping[str, Any]:
        return {"state": "ready" if self.available else "starting", "device": "fake"}

    async def begin(self) -> Request:
        raise NotImplementedError("the fake utterances ask no engine")

    def come(self) -> None:
        self._call(self._come)

    def lose(self) -> None:
        self._call(self._lose)

    def _come(self) -> None:
        self.available = True

    def _lose(self) -> None:
        self.available = False
        self.on_gone()

    def _call(self, what: Callable[[], None]) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(what)


class FakeUtterance:
    """One delta for each 80 ms, on the loop's next turn; `done` likewise, unless it is held back."""

    def __init__(self, hearing: FakeHearing, listener: Listener) -> None:
        self._hearing, self.listener, self.number = hearing, listener, hearing.begun
        self._ear, self._text = Ear(), list[str]()
        self._words: deque[tuple[int, int]] = deque()
        self._due = 0
        self.is_finished = False
        self.loop = asyncio.get_running_loop()

    @property
    def owes(self) -> bool:
        return self.is_finished or self._due > len(self._text)

    def feed(self, pcm: bytes) -> None:
        if self._hearing.full:
            raise self._hearing.full
        self._hearing.fed_bytes += len(pcm)
        self._words += self._ear.feed(pcm)
        self._due = self._ear.samples // STEP_SAMPLES
        self.loop.call_soon(self.step)

    def finish(self) -> None:
        self.is_finished = True
        self._due = -(-self._ear.samples // STEP_SAMPLES)
        self.loop.call_soon(self.step)

    def abort(self) -> None:
        self._hearing.aborted += 1
        self._hearing.living.discard(self)

    def step(self) -> None:
        if self not in self._hearing.living or self._hearing.is_mute:
            return
        while len(self._text) < self._due:
            heard = ""
            while self._words and self._words[0][1] <= (len(self._text) + 1) * STEP_SAMPLES:
                heard += word(self._words.popleft()[0])
            self._text.append(heard)
            self.listener.heard(heard)
        if self.is_finished and not self._hearing.holds_done:
            self._hearing.living.discard(self)
            usage = ZEROS | {"completion_tokens": len(self._text), "total_tokens": len(self._text)}
            self.listener.finished("".join(self._text), usage)


class FakeHearing:
    """Makes utterances. The switches may be changed from any thread; `release` and `fail` may be called from any."""

    def __init__(self) -> None:
        self.is_mute = self.holds_done = False
        self.full: WireFault | None = None
        """Raised at every feed."""
        self.begun = self.aborted = self.fed_bytes = 0
        self.living: set[FakeUtterance] = set()

    def __call__(self, listener: Listener) -> FakeUtterance:
        self.begun += 1
        utterance = FakeUtterance(self, listener)
        self.living.add(utterance)
        return utterance

    def release(self) -> None:
        """What was held back comes."""
        self.is_mute = self.holds_done = False
        for utterance in tuple(self.living):
            utterance.loop.call_soon_threadsafe(utterance.step)

    def fail(self, fault: WireFault) -> None:
        """The newest utterance fails."""
        newest = max(self.living, key=lambda one: one.number)
        self.living.discard(newest)
        newest.loop.call_soon_threadsafe(newest.listener.failed, fault)

    def notice(self, kind: str, details: Mapping[str, Any]) -> None:
        """Every utterance that runs tells a status."""
        for utterance in tuple(self.living):
            utterance.loop.call_soon_threadsafe(utterance.listener.noticed, kind, details)
