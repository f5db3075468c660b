"""Batches with what they ask for, and one of them through the network: how far it is from that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from samples.lessons import data
from samples.lessons.batches import Drawer
from samples.lessons.frames import NOT_ASKED
from servers.common.tiny import word_states
from servers.kyutai.tiny import pieces, targets
from servers.kyutai.tiny.network import Learning
from servers.kyutai.tiny.streams import Streams, joined

BATCH_S: Final = 40.0
"""Seconds of clips in a batch; pauses come on top."""
JOINED_SHARE: Final = 0.2
MISHEARD: Final = 0.15
"""Share of the tokens that come in otherwise than they were written, so that the sound counts more than the text."""


@dataclass(frozen=True)
class Lesson:
    """A batch with its targets: `states` (batch, T), `tokens` (batch, T + 1), `pauses` (batch, T + 1, heads)."""

    audio: Tensor
    states: Tensor
    tokens: Tensor
    pauses: Tensor

    @classmethod
    def of(cls, streams: Streams, spelling: Tokenizer) -> Lesson:
        """What `streams` ask for."""
        rows = list(zip(streams.words, streams.spans, strict=True))
        spelled = [[spelling.encode(word).ids for word in words] for words, _ in rows]
        count = streams.frames
        return cls(
            torch.from_numpy(streams.audio),
            torch.from_numpy(np.stack([word_states.states(words, spans, count) for words, spans in rows])),
            torch.from_numpy(
                np.stack([targets.tokens(said, spans, count) for said, (_, spans) in zip(spelled, rows, strict=True)])
            ),
            torch.from_numpy(np.stack([targets.pauses(spans, count) for _, spans in rows])),
        )

    def told(self) -> Tensor:
        """The tokens that go in, (batch, T + 1): the start, then those before, some of them others than they were."""
        told = torch.cat([torch.full((len(self.tokens), 1), targets.START), self.tokens[:, :-1]], 1)
        wrong = torch.where(torch.rand(told.shape) < 0.5, torch.randint(targets.START, told.shape), targets.PAD)
        misheard = torch.rand(told.shape) < MISHEARD
        misheard[:, 0] = False
        return torch.where(misheard, wrong, told)


class Lessons:
    """Batches of a pack as lessons; the same seed gives the same ones."""

    def __init__(self, pack: data.Pack, *, seed: int) -> None:
        self.spelling = pieces.tokenizer()
        self._drawer = Drawer(pack, seed=seed)
        self._rng = np.random.default_rng(seed)

    def draw(self, *, shortest: float = 1.0) -> Lesson:
        batch = self._drawer.draw(audio_s=BATCH_S, joined_share=JOINED_SHARE, shortest=shortest)
        return Lesson.of(joined(batch, self._rng), self.spelling)


@dataclass(frozen=True)
class Losses:
    """Cross entropies: hearing per frame, writing per token, pauses per question."""

    hearing: Tensor
    writing: Tensor
    pauses: Tensor

    def numbers(self) -> tuple[float, float, float]:
        return self.hearing.item(), self.writing.item(), self.pauses.item()


def by_latents(learning: Learning, lesson: Lesson, *, noise: float) -> Losses:
    """Before there are codes: the latents go in, with noise of that share of their spread as codes would bring."""
    latents = learning.latents(lesson.audio)
    hearing = nn.functional.cross_entropy(learning.ear(latents).flatten(0, 1), lesson.states.flatten())
    heard = learning.squeezed(latents)
    heard = heard + noise * heard.detach().std() * torch.randn_like(heard)
    return Losses(hearing, *_answers(learning, lesson, *learning.written_by(heard, lesson.told())))


def by_codes(learning: Learning, lesson: Lesson) -> Losses:
    """With Mimi's codes, which stay as they are."""
    with torch.no_grad():
        latents = learning.latents(lesson.audio).transpose(1, 2)
        codes = learning.model.codec_model.quantizer.encode(latents).permute(1, 2, 0)
    return Losses(torch.zeros(()), *_answers(learning, lesson, *learning.written_from(codes, lesson.told())))


def _answers(learning: Learning, lesson: Lesson, hidden: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
    writing = nn.functional.cross_entropy(logits.flatten(0, 1), lesson.tokens.flatten())
    asked = torch.einsum("btd,hcd->bthc", hidden, learning.pauses)
    pauses = nn.functional.cross_entropy(asked.flatten(0, 2), lesson.pauses.flatten(), ignore_index=NOT_ASKED)
    return writing, pauses
