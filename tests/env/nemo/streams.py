"""Audio that is no speech but moves like it, and streams fed to an engine in any order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from servers.common.interfaces import Audio, Frame
from servers.fastconformer.heard import Heard
from servers.fastconformer.model import FastConformer


def made_up_audio(samples: int, *, seed: int) -> Audio:
    """Gliding tones and noise in syllables."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(samples) / 16_000
    pitch_hz = 120 + 80 * rng.random() + 40 * np.sin(2 * np.pi * (0.4 + rng.random()) * time_s)
    phase = 2 * np.pi * np.cumsum(pitch_hz) / 16_000
    voiced = sum(np.sin(k * phase) / k * (1 + np.sin(2 * np.pi * rng.random() * 3 * time_s)) for k in range(1, 12))
    syllables = np.clip(np.sin(2 * np.pi * (3 + rng.random()) * time_s + rng.random()), 0, None)
    noise = rng.standard_normal(samples) * 0.3 * np.clip(np.sin(2 * np.pi * 1.7 * time_s), 0, None)
    return np.asarray(0.05 * (voiced * syllables + noise), np.float32)


@dataclass
class Told:
    """What an engine said about one stream."""

    tokens: list[int] = field(default_factory=list)
    frames: list[int] = field(default_factory=list)
    text: str = ""

    def add(self, heard: Heard) -> None:
        self.tokens += heard.tokens
        self.frames += heard.frames
        self.text += heard.text


@dataclass
class Feed:
    """One stream on its way through a slot."""

    audio: Audio
    slot: int
    told: Told = field(default_factory=Told)
    position: int = 0
    ended: bool = False

    def next_frame(self, engine: FastConformer) -> Frame:
        """Its next whole frame, or its last one."""
        first = self.position == 0
        wanted = engine.samples_wanted(first=first)
        samples = self.audio[self.position : self.position + wanted]
        self.position += wanted
        self.ended = len(samples) < wanted
        return Frame(self.slot, samples, first=first, last=self.ended)


def alone(engine: FastConformer, audio: Audio, *, slot: int = 0) -> Told:
    """The stream with nobody beside it."""
    feed = Feed(audio, slot)
    while not feed.ended:
        feed.told.add(engine.step([feed.next_frame(engine)])[0])
    return feed.told


def scheduled(engine: FastConformer, streams: Sequence[Audio], *, seats: int, seed: int) -> list[Told]:
    """All streams, started, stalled and ended at random over `seats` slots that are used again and again."""
    rng = np.random.default_rng(seed)
    waiting = [int(index) for index in rng.permutation(len(streams))]
    told: list[Told] = [Told() for _ in streams]
    running: dict[int, Feed] = {}
    while waiting or running:
        for slot in range(seats):
            if slot not in running and waiting and rng.random() < 0.5:
                index = waiting.pop()
                running[slot] = Feed(streams[index], slot, told[index])
        ready = [feed for feed in running.values() if rng.random() < 0.7]
        rng.shuffle(ready)
        if ready:
            frames = [feed.next_frame(engine) for feed in ready]
            for feed, heard in zip(ready, engine.step(frames), strict=True):
                feed.told.add(heard)
        running = {slot: feed for slot, feed in running.items() if not feed.ended}
    return told
