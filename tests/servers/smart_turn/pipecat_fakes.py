"""What stands around the analyzer in its tests: a server that is wrong in many ways, a bot that speaks, a fallback."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from aiohttp import web
from numpy.typing import NDArray

SPOKEN = np.random.default_rng(0).integers(-3000, 3000, 16_000, np.int16)
PLAIN = '{"prediction": 1, "probability": 0.75}'


@dataclass
class FakeServer:
    """Answers each path in its own wrong way and remembers what came."""

    url: str = ""
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.bodies.append(await request.read())
        self.headers.append(dict(request.headers))
        assert request.transport is not None
        self.ports.append(request.transport.get_extra_info("peername")[1])
        self.reached.set()
        what = request.match_info["what"]
        if what == "hang":
            await self._hang()
        if what == "close" or (what == "close-first" and len(self.bodies) == 1):
            request.transport.close()
        if what.isdigit():
            status, headers = int(what), dict(request.query)
            return web.Response(status=status, headers=headers, text='{"error": {"code": "some_fault"}}')
        return web.Response(text=ANSWERS.get(what, PLAIN), content_type="application/json")

    async def _hang(self) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            self.left.set()


ANSWERS = {
    "garbage": "<html>",
    "deep": "[" * 100_000,
    "binary": "\udcff".encode("utf-8", "surrogatepass").decode("latin-1"),
    "no-fields": "{}",
    "no-prediction": '{"probability": 0.5}',
    "list": "[0, 0.5]",
    "nan": '{"prediction": 0, "probability": NaN}',
    "too-sure": '{"prediction": 1, "probability": 1.5}',
    "text": '{"prediction": 1, "probability": "0.9"}',
    "null": '{"prediction": 1, "probability": null}',
    "maybe": '{"prediction": 2, "probability": 0.5}',
}


def hear(analyzer: Any, *, rate_hz: int = 16_000) -> Any:
    """SPOKEN in chunks, then the question."""
    analyzer.set_sample_rate(rate_hz)
    for chunk in SPOKEN.reshape(-1, 320):
        analyzer.append_audio(chunk.tobytes(), True)
    return analyzer.analyze_end_of_turn()


class Sure:
    """A fallback that always says the same."""

    def __init__(self, probability: object = 0.875, *, prediction: int = 1) -> None:
        self.answer = {"prediction": prediction, "probability": probability}
        self.asked: list[NDArray[np.float32]] = []

    def _predict_endpoint(self, audio_array: NDArray[np.float32]) -> dict[str, Any]:
        self.asked.append(audio_array)
        return self.answer
