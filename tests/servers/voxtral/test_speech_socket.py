"""Utterances over vLLM's own wire, with the scripted engine at its other end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from servers.voxtral.engine.pulse import Pulse
from servers.voxtral.engine.socket import VllmRequest
from tests.servers.voxtral.marked_speech import numbers_of, speech, text
from tests.servers.voxtral.scripted_vllm import Script, ScriptedVllm
from tests.servers.voxtral.speech_fakes import Notes, feed, hearing_of, say

pytestmark = pytest.mark.slow


@dataclass
class Wired:
    """interfaces.Engine without supervision."""

    url: str
    available: bool = True

    async def begin(self) -> VllmRequest:
        return await VllmRequest.begin(self.url, key="", model="m", pulse=Pulse())


@pytest.mark.parametrize("every_s", [0.3, 0.6])
async def test_long_utterances_side_by_side(every_s: float) -> None:
    async with ScriptedVllm(Script(slots=12, piece_chars=2)) as engine:
        hearing, _ = hearing_of(
            Wired(engine.url), segment_s=6, segment_max_s=8, max_connections=8, vllm_max_num_seqs=12
        )
        every = await asyncio.gather(*(say(hearing, speech(range(100), every_s=every_s)) for _ in range(8)))
        assert [notes.text for notes in every] == [text(range(100))] * 8
        assert engine.begun >= 8 * 4 and engine.seats.waiting == 0


FAULTS = [
    (Script(die_at=20), "engine_unavailable"),
    (Script(drop_at=20), "engine_unavailable"),
    (Script(error_at=20), "engine_error"),
    (Script(stall_at=20), "engine_stalled"),
    (Script(max_model_len=60), "truncated"),
]


@pytest.mark.parametrize(("script", "reason_code"), FAULTS, ids=lambda value: str(value))
async def test_faults(script: Script, reason_code: str) -> None:
    async with ScriptedVllm(script) as engine:
        hearing, _ = hearing_of(Wired(engine.url), engine_stall_s=0.3)
        notes = await say(hearing, speech(range(20)))
        assert notes.fault is not None and notes.fault.reason_code == reason_code
        assert numbers_of("".join(notes.deltas)) == list(range(len(numbers_of("".join(notes.deltas)))))


async def test_no_port_is_no_engine() -> None:
    hearing, _ = hearing_of(Wired("ws://127.0.0.1:9/v1/realtime"))
    notes = await say(hearing, speech(range(2)))
    assert notes.fault is not None and notes.fault.reason_code == "engine_unavailable"


async def test_an_engine_with_a_short_context_loses_nothing() -> None:
    async with ScriptedVllm(Script(max_model_len=200)) as engine:
        hearing, _ = hearing_of(Wired(engine.url), segment_s=1000, segment_max_s=1000)
        notes = await say(hearing, speech(range(150), every_s=0.4))
        assert notes.text == text(range(150)) and engine.begun > 3


async def test_two_hundred_given_up_leave_no_seat_taken() -> None:
    async with ScriptedVllm() as engine:
        hearing, _ = hearing_of(Wired(engine.url))
        for number in range(200):
            utterance = hearing(Notes())
            await feed(utterance, speech(range(number % 5 + 1)))
            for _ in range(number % 40):
                await asyncio.sleep(0)
            utterance.abort()
        await hearing.close()
        for _ in range(200):
            if not engine.connections:
                break
            await asyncio.sleep(0.01)
        assert not engine.connections and engine.seats.taken == 0
        assert asyncio.current_task() is not None
