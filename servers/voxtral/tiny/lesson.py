"""Batches with what they ask for, and one of them through the network: how far it is from that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from samples.lessons import data
from samples.lessons.batches import Drawer
from samples.pool import tiny_vocabulary
from servers.common.tiny import word_states
from servers.voxtral.tiny import targets, tekken
from servers.voxtral.tiny.network import Learning, mels
from servers.voxtral.tiny.streams import FRAME, Stream, joined

BATCH_S: Final = 24.0
"""Seconds of clips in a batch; pauses come on top."""
JOINED_SHARE: Final = 0.2
MISHEARD: Final = 0.15
"""Share of the tokens that come in otherwise than they were written, so that the sound counts more than the text."""
DELAYS: Final = tuple(range(1, 16))
LONGEST_DELAY, LONGEST_SHARE = 30, 0.05
"""Those that the published model was trained with; all rows of a batch have the longest one, or none."""
FIRST_DELAY: Final = 6
"""Learned before all others."""
LEFT_PADS: Final = (4, 4, 4, tekken.LEFT_PAD)
"""Frames of silence before a stream: mostly fewer than the engine puts there, which costs less."""
BEHIND: Final = 6
"""Steps behind the last word that could be told."""


@dataclass(frozen=True)
class Lesson:
    """A batch with its targets, all (batch, T) but for `mel` (batch, 128, 8 x T) and `delays` (batch,)."""

    mel: Tensor
    states: Tensor
    tokens: Tensor
    delays: Tensor

    @classmethod
    def of(cls, streams: Sequence[Stream], delays: Sequence[int], *, left: int, exact: bool) -> Lesson:
        """What `streams` ask for. Not `exact`: their samples are rounded to bfloat16, as an engine may do."""
        spelled = tekken.spelling(tiny_vocabulary())
        steps = left + BEHIND + max(one.frames + delay for one, delay in zip(streams, delays, strict=True))
        audio = np.zeros((len(streams), steps * FRAME), np.float32)
        for row, one in zip(audio, streams, strict=True):
            row[left * FRAME :][: len(one.audio)] = one.audio
        heard = torch.from_numpy(audio)
        mel = mels(heard if exact else heard.bfloat16().float())
        tokens = [
            targets.tokens([spelled[word] for word in one.words], one.spans, left=left, delay=delay, steps=steps)
            for one, delay in zip(streams, delays, strict=True)
        ]
        states = [word_states.states(one.words, one.spans, steps, left=left) for one in streams]
        return cls(
            mel if exact else mel.bfloat16().float(),
            torch.from_numpy(np.stack(states)),
            torch.from_numpy(np.stack(tokens)),
            torch.tensor(delays),
        )

    def told(self, used: Tensor) -> Tensor:
        """The tokens that go in, (batch, T): the start, then those before, some of them others than they were."""
        told = torch.cat([torch.full((len(self.tokens), 1), targets.BOS), self.tokens[:, :-1]], 1)
        any_other = used[torch.randint(len(used), told.shape)]
        wrong = torch.where(torch.rand(told.shape) < 0.5, any_other, targets.PAD)
        misheard = torch.rand(told.shape) < MISHEARD
        misheard[:, 0] = False
        return torch.where(misheard, wrong, told)


def used_tokens() -> Tensor:
    """Every token that a lesson can hold, (tokens,), rising. The start is one of them: it must never come out."""
    spelled = tekken.spelling(tiny_vocabulary())
    return torch.tensor(
        sorted({targets.BOS, targets.PAD, targets.WORD, *(token for word in spelled.values() for token in word)})
    )


class Lessons:
    """Batches of a pack as lessons; the same seed gives the same ones."""

    def __init__(self, pack: data.Pack, *, seed: int) -> None:
        self._drawer = Drawer(pack, seed=seed)
        self._rng = np.random.default_rng(seed)

    def draw(self, *, shortest: float = 1.0, first: bool = False) -> Lesson:
        """One batch, out of the `shortest` share of the clips. `first`: with FIRST_DELAY alone."""
        rng = self._rng
        batch = self._drawer.draw(audio_s=BATCH_S, joined_share=JOINED_SHARE, shortest=shortest)
        streams = joined(batch, rng)
        delays = [int(delay) for delay in rng.choice(DELAYS, len(streams))]
        if rng.random() < LONGEST_SHARE:
            delays = [LONGEST_DELAY] * len(streams)
        if first:
            delays = [FIRST_DELAY] * len(streams)
        return Lesson.of(streams, delays, left=int(rng.choice(LEFT_PADS)), exact=bool(rng.random() < 0.5))


@dataclass(frozen=True)
class Losses:
    """Cross entropies: hearing per step, writing per token."""

    hearing: Tensor
    writing: Tensor

    def numbers(self) -> tuple[float, float]:
        return self.hearing.item(), self.writing.item()


def losses(learning: Learning, lesson: Lesson) -> Losses:
    """How far `learning` is from what `lesson` asks for."""
    heard, logits = learning(lesson.mel, lesson.told(learning.used), lesson.delays)
    hearing = nn.functional.cross_entropy(heard.flatten(0, 1), lesson.states.flatten())
    asked = torch.searchsorted(learning.used, lesson.tokens.contiguous())
    return Losses(hearing, nn.functional.cross_entropy(logits.flatten(0, 1), asked.flatten()))
