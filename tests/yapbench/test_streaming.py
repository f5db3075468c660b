"""Frames leave when a microphone would have them, whatever the socket does."""

from __future__ import annotations

import asyncio
import math
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from yapbench.clients import CODECS
from yapbench.clients.framing import encode
from yapbench.errors import UsageError
from yapbench.pacing.streaming import Delivery, Speech, StreamOptions
from yapbench.pacing.timer import Pacer

MS = 1_000_000
PCM = CODECS["echo_pcm"]


class Sink:
    """Where frames go, with the time. While `full`, it keeps them in a buffer as a transport does."""

    def __init__(self) -> None:
        self.taken: list[tuple[int, bytes]] = []
        self.full = False
        self.delivery: Delivery | None = None

    def write(self, frame: bytes) -> None:
        self.taken.append((time.monotonic_ns(), frame))
        if self.full and self.delivery is not None:
            self.delivery.pause()

    def drain(self) -> None:
        self.full = False
        assert self.delivery is not None
        self.delivery.resume()


def speech(count: int) -> Speech:
    return Speech(tuple(f"{number}".encode() for number in range(count)), b"silence", count - 1, binary=True)


def deliver(sink: Sink, pacer: Pacer, frames: Speech, options: StreamOptions, t0_ns: int) -> asyncio.Event:
    done = asyncio.Event()
    finish = done.set if options.eos == "commit" else None
    sink.delivery = Delivery(pacer, frames, options, t0_ns=t0_ns, write=sink.write, finish=finish)
    sink.delivery.start()
    return done


@pytest.mark.parametrize("pace", [1.0, 10.0])
async def test_no_frame_leaves_before_its_last_sample_is_spoken(pace: float) -> None:
    sink, pacer, options = Sink(), Pacer(), StreamOptions(frame_ms=5, pace=pace)
    t0_ns = time.monotonic_ns() + 3 * MS
    async with asyncio.timeout(10):
        await deliver(sink, pacer, speech(20), options, t0_ns).wait()
    pacer.close()
    assert sink.delivery is not None
    due_ns = [t0_ns + (number + 1) * 5 * MS / pace for number in range(20)]
    assert [frame for _, frame in sink.taken] == [f"{number}".encode() for number in range(20)]
    assert all(at_ns >= due for (at_ns, _), due in zip(sink.taken, due_ns, strict=True))
    late_ns = sink.delivery.lateness_ns()
    assert [at for at, _ in sink.taken] <= [math.ceil(due + late) for due, late in zip(due_ns, late_ns, strict=True)]
    assert min(late_ns) >= 0


async def test_the_end_follows_the_last_frame_and_is_owed_from_its_due_time() -> None:
    sink, pacer, options = Sink(), Pacer(), StreamOptions(frame_ms=5)
    t0_ns = time.monotonic_ns()
    async with asyncio.timeout(10):
        await deliver(sink, pacer, speech(3), options, t0_ns).wait()
    await asyncio.sleep(0)
    delivery = sink.delivery
    assert delivery is not None
    assert delivery.ended
    assert delivery.owed_ns == t0_ns + 15 * MS
    assert (delivery.sent_end_ns or 0) >= sink.taken[-1][0]
    await pacer.until(t0_ns + 40 * MS)
    assert len(sink.taken) == 3
    pacer.close()


async def test_a_socket_that_is_full_makes_frames_late_but_loses_none() -> None:
    sink, pacer, options = Sink(), Pacer(), StreamOptions(frame_ms=5)
    t0_ns = time.monotonic_ns()
    sink.full = True
    done = deliver(sink, pacer, speech(8), options, t0_ns)
    await pacer.until(t0_ns + 32 * MS)
    assert len(sink.taken) == 1  # the first lies in the buffer, the others wait behind it
    assert sink.delivery is not None
    assert sink.delivery.handed_over == 0
    sink.drain()
    async with asyncio.timeout(10):
        await done.wait()
    pacer.close()
    assert [frame for _, frame in sink.taken] == [f"{number}".encode() for number in range(8)]
    late_ns = sink.delivery.lateness_ns()
    assert late_ns[0] >= 27 * MS
    assert len(late_ns) == 8


async def test_silence_goes_on_until_it_is_stopped() -> None:
    sink, pacer = Sink(), Pacer()
    options = StreamOptions(frame_ms=2, eos="silence")
    t0_ns = time.monotonic_ns()
    deliver(sink, pacer, speech(2), options, t0_ns)
    await pacer.until(t0_ns + 20 * MS)
    delivery = sink.delivery
    assert delivery is not None
    delivery.stop()
    count = len(sink.taken)
    assert [frame for _, frame in sink.taken] == [b"0", b"1", *[b"silence"] * (count - 2)]
    assert count > 3
    assert len(delivery.lateness_ns()) == count
    assert (delivery.sent_end_ns or 0) < t0_ns + 20 * MS
    await pacer.until(t0_ns + 30 * MS)
    assert len(sink.taken) == count
    pacer.close()


async def test_as_fast_as_accepted_is_not_real_time_and_has_no_lateness() -> None:
    sink, pacer = Sink(), Pacer()
    async with asyncio.timeout(10):
        await deliver(sink, pacer, speech(500), StreamOptions(frame_ms=80, pace=0), time.monotonic_ns()).wait()
    pacer.close()
    assert len(sink.taken) == 500
    assert sink.delivery is not None
    assert sink.delivery.lateness_ns() == ()


times = st.integers(0, 2**50)


@given(t0_ns=times, number=st.integers(0, 10**6), frame_ms=st.integers(1, 500), pace=st.sampled_from([0.5, 1, 3, 10]))
def test_due_times_are_causal_and_do_not_drift(t0_ns: int, number: int, frame_ms: int, pace: float) -> None:
    due_ns = StreamOptions(frame_ms=frame_ms, pace=pace).due_ns(t0_ns, number)
    spoken_ns = (number + 1) * frame_ms * MS / pace
    assert 0 <= due_ns - t0_ns - spoken_ns < 1.01


@given(
    t0_ns=times, late_ns=st.integers(-(10**9), 10**12), options=st.builds(StreamOptions, pace=st.sampled_from([1, 7]))
)
def test_a_server_that_is_ready_late_moves_the_start_by_whole_frames(
    t0_ns: int, late_ns: int, options: StreamOptions
) -> None:
    moved_ns = options.not_before(t0_ns, t0_ns + late_ns)
    assert moved_ns >= max(t0_ns, t0_ns + late_ns)
    assert (moved_ns - t0_ns) % options.step_ns == 0
    assert moved_ns - max(t0_ns, t0_ns + late_ns) < options.step_ns


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"frame_ms": 0}, "frame_ms is 0"),
        ({"pace": -1}, "pace is -1"),
        ({"pace": float("nan")}, "pace is nan"),
        ({"eos": "commmit"}, "did you mean 'commit'"),
        ({"phases": "same"}, "unknown phases"),
        ({"eos": "silence", "pace": 0}, "no end to silence"),
        ({"retries": -1}, "retries is -1"),
    ],
)
def test_options_that_cannot_be_run_are_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        StreamOptions(**values)


@given(count=st.integers(0, 5000), frame_ms=st.sampled_from([10, 20, 80]), end_s=st.none() | st.floats(0, 0.4))
def test_the_frames_hold_all_audio_up_to_the_end_of_speech(count: int, frame_ms: int, end_s: float | None) -> None:
    audio = np.linspace(-1, 1, count, dtype=np.float32)
    size = frame_ms * 16
    end = count if end_s is None else min(count, round(end_s * 16_000))
    found = encode(PCM, StreamOptions(frame_ms=frame_ms), audio, speech_end_s=end_s)
    sent = np.frombuffer(b"".join(found.frames), dtype="<i2")
    assert len(found.frames) == found.last + 1 == max(1, math.ceil(end / size - 1e-9))
    assert np.array_equal(sent[:end], np.rint(audio[:end] * 32767).astype("<i2"))
    whole = encode(PCM, StreamOptions(frame_ms=frame_ms, eos="silence"), audio, speech_end_s=end_s)
    assert whole.last == found.last
    assert len(whole.frames) == max(1, math.ceil(count / size))


def test_frames_of_half_a_sample_are_refused() -> None:
    with pytest.raises(UsageError, match="no whole number of samples"):
        encode(PCM, StreamOptions(frame_ms=10.01), np.zeros(100, dtype=np.float32), speech_end_s=None)
