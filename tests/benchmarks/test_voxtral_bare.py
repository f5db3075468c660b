"""What the gateway is measured against asks the engine for the same: every step of every utterance, and its end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from benchmarks.bare.voxtral import NAMES, Bare
from servers.common.settings import load
from servers.voxtral.settings import Settings
from tests.servers.voxtral.marked_speech import speech
from tests.servers.voxtral.scripted_vllm import Script, ScriptedVllm
from yapbench.benchgpu.declared import lookup

pytestmark = pytest.mark.slow

CLIP = np.frombuffer(speech(range(5)), "<i2").astype(np.float32) / 32768
"""Two seconds, 25 steps."""
STEP_S = 0.002


@pytest.fixture
def engine() -> Iterator[ScriptedVllm]:
    """In a loop of its own: the bare program runs one, too."""
    found = ScriptedVllm(Script(delay_steps=6, step_s=STEP_S))
    loop, stop, up = asyncio.new_event_loop(), asyncio.Event(), threading.Event()

    async def serve() -> None:
        async with found:
            up.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert up.wait(10)
    yield found
    loop.call_soon_threadsafe(stop.set)
    thread.join()
    loop.close()


def bare(engine: ScriptedVllm, *clips: np.ndarray) -> Bare:
    flags = [f"--engine-url={engine.url}", "--model=tiny", "--transcription-delay-ms=480"]
    return Bare(load(Settings, flags), clips)


def test_each_stream_says_whole_utterances_and_its_ends_are_the_calls(engine: ScriptedVllm) -> None:
    loop = bare(engine, CLIP)
    found = loop.measure(3, seconds=0.01)
    loop.release()
    assert (found["batch_size"], found["items"]) == (3, 25 * len(found["call_ms"]))
    assert (found["worth"], found["unit"]) == (0.08, " audio s/s")
    # What is left after the commit: the delay's six steps, and eleven.
    assert min(found["call_ms"]) >= 1000 * 17 * STEP_S
    assert engine.aborted == 0 and engine.seats.taken == 0


def test_it_goes_on_until_its_time_is_over_and_begins_again_when_asked_again(engine: ScriptedVllm) -> None:
    loop = bare(engine, CLIP, CLIP[:16_000], CLIP[:800])
    found = loop.measure(1, seconds=1.0)
    loop.release()
    assert found["seconds"] >= 1.0 and len(found["call_ms"]) >= 4
    assert loop.measure(2, seconds=0.01)["items"] > 0
    loop.release()


def test_every_flag_of_the_mode_is_one_that_it_takes() -> None:
    found = lookup("voxtral")
    assert found is not None and set(found.mode) <= set(NAMES)
