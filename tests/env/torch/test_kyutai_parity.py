"""Streams in slots, however they join, stall and leave, say what transformers' offline `generate` says of the whole."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from servers.common.interfaces import Frame
from servers.kyutai.model.engine import Kyutai
from servers.kyutai.settings import FRAME_SAMPLES
from tests.env.torch.kyutai_small import alone, engine_of, frames_of, made_up_audio, offline

STREAMS = 16
Said = tuple[list[int], list[list[int]]]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@functools.cache
def streams() -> list[Any]:
    """Of 5 to 24 frames; the last one of most is not whole."""
    rng = np.random.default_rng(5)
    sizes = rng.integers(5, 25, STREAMS)
    return [made_up_audio(int(size), seed=n, short_by=int(rng.integers(0, 1800))) for n, size in enumerate(sizes)]


@functools.cache
def expected() -> list[Said]:
    return [offline(audio) for audio in streams()]


class Schedule:
    """Streams join free slots in random order, stall, leave; abandoned ones of pure garbage go between them."""

    def __init__(self, engine: Kyutai, seed: int) -> None:
        self._engine, self._rng = engine, np.random.default_rng(seed)
        self._waiting = [(number, streams()[number]) for number in self._rng.permutation(STREAMS)]
        for number in range(3):
            at = int(self._rng.integers(0, len(self._waiting)))
            self._waiting.insert(at, (-1, made_up_audio(4 + number, seed=100 + seed) * 30))
        self._live: dict[int, tuple[int, Iterator[Frame]]] = {}
        self._codes: dict[int, list[int]] = {}
        self.said: list[Said] = [([], []) for _ in range(STREAMS)]
        self.batches: set[int] = set()
        self._watch()

    def run(self) -> list[Said]:
        while self._waiting or self._live:
            self._join()
            due = [slot for slot in self._live if self._rng.random() > 0.3]
            self._rng.shuffle(due)
            self._step(due)
        return self.said

    def _join(self) -> None:
        for slot in range(self._engine.slots):
            if slot not in self._live and self._waiting and self._rng.random() < 0.4:
                number, audio = self._waiting.pop()
                frames = frames_of(audio, slot)
                # An abandoned stream ends without a last frame.
                self._live[slot] = (number, iter(frames if number >= 0 else frames[:-1]))

    def _step(self, due: list[int]) -> None:
        frames = {slot: frame for slot in due if (frame := next(self._live[slot][1], None)) is not None}
        # What lies in the input of rows that nobody is in must not matter.
        self._engine._samples[:] = self._rng.standard_normal(self._engine._samples.shape) * 9
        heard = self._engine.step(list(frames.values()))
        self.batches.add(len(frames))
        for slot, one in zip(frames, heard, strict=True):
            if (number := self._live[slot][0]) >= 0:
                self.said[number][0].append(one.token)
                self.said[number][1].append(self._codes[self._engine._rows[slot]])
        self._live = {slot: each for slot, each in self._live.items() if slot not in due or slot in frames}

    def _watch(self) -> None:
        """Note each row's codes."""
        compute = self._engine._parts.compute

        def noted(pcm: Any, frames: Any, seeds: Any, index: Any, active: Any, most: int) -> Any:
            made = compute(pcm, frames, seeds, index, active, most)
            rows = range(index.start, index.stop) if isinstance(index, slice) else index.tolist()
            self._codes = dict(zip(rows, made.codes.tolist(), strict=True))
            return made

        vars(self._engine._parts)["compute"] = noted


def test_the_reference_says_different_things() -> None:
    """Else parity would prove little."""
    tokens = [token for said, _ in expected() for token in said]

    assert len(set(tokens)) > 30
    assert len({tuple(codes) for _, each in expected() for codes in each}) > 100


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(24))
def test_any_schedule_says_what_the_whole_streams_say(seed: int) -> None:
    schedule = Schedule(engine_of(f"--seats={4 + seed % 5}"), seed)

    assert schedule.run() == expected()
    assert len(schedule.batches) > 3


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(24, 32))
def test_recorded_batches_say_the_same(seed: int) -> None:
    """The rows, masks and idle rows that CUDA graphs have; here a repetition computes again instead of being played."""
    engine, repeats = engine_of(f"--seats={4 + seed % 5}"), list[int]()
    schedule = Schedule(engine, seed)
    engine.record([1, 3, engine.slots], again(repeats))

    assert schedule.run() == expected()
    assert {1, 3, engine.slots} <= set(repeats)


def again(repeats: list[int]) -> Any:
    """A Record that computes again."""

    def record(call: Any) -> Any:
        output = call()

        def repeat() -> None:
            repeats.append(len(output))
            output.copy_(call())

        return repeat, output

    return record


def test_moshis_timing_says_the_same_a_step_later() -> None:
    engine, audio = engine_of("--timing=moshi"), made_up_audio(30, seed=3)
    early = alone(engine_of(), audio)

    assert alone(engine, audio)[1:] == early[:-1]
    assert engine.delay_steps == engine_of().delay_steps + 1
    assert alone(engine, audio, slot=1)[1:] == early[:-1]  # and again, where another stream has been


def test_moshis_timing_in_company() -> None:
    engine, clips = engine_of("--timing=moshi", "--seats=6"), [made_up_audio(20 + n, seed=n) for n in range(3)]
    expected = [alone(engine, clip) for clip in clips]
    together: list[list[int]] = [[], [], []]
    pending = [frames_of(clip, slot) for slot, clip in zip((5, 0, 3), clips, strict=True)]
    while any(pending):
        rows = [(number, frames.pop(0)) for number, frames in enumerate(pending) if frames]
        for (number, _), heard in zip(rows, engine.step([frame for _, frame in rows]), strict=True):
            together[number].append(heard.token)

    assert together == expected


def test_a_short_last_frame_ends_in_silence() -> None:
    engine, audio = engine_of(), made_up_audio(5, seed=8, short_by=700)
    padded = np.concatenate([audio, np.zeros(700, np.float32)])

    assert alone(engine, audio) == alone(engine, padded, slot=2) == offline(padded)[0]
    assert len(padded) == 5 * FRAME_SAMPLES
