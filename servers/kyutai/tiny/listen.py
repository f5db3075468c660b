"""Reads whole clips with the tiny model at once, as a stream would be read: tokens, and the words and times they mean.

The rules are moshi-server's (rust/moshi-core/src/asr.rs): a word is what stands between boundaries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor
from transformers import DynamicCache

from servers.kyutai.tiny.network import CODEBOOKS, CODES
from servers.kyutai.tiny.streams import FRAME
from servers.kyutai.tiny.targets import BOUNDARY, DELAY, FRAME_S, PAD, START

AFTER: Final = DELAY + 6
"""Frames of silence behind a clip, so that its last word comes out."""
Audio = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Heard:
    """A clip's words, when each begins, in seconds, and the heads' probabilities of a pause, (steps, heads)."""

    words: tuple[str, ...]
    starts_s: tuple[float, ...]
    pauses: NDArray[np.float32]

    @property
    def text(self) -> str:
        return " ".join(self.words)


def by_codes(model: Any, audio: Tensor) -> Tensor:
    """What the codes of `audio` (batch, n) add up to at each step, (batch, T + 1, WIDTH)."""
    codes = model.codec_model.encode(audio[:, None]).audio_codes.transpose(1, 2)
    codes = torch.cat([torch.full((len(codes), 1, CODEBOOKS), CODES), codes], 1)
    embeddings = model.model.embed_tokens
    found: Tensor = embeddings.embed_tokens(codes + embeddings.audio_tokens_offsets[1:]).sum(2)
    return found


def listen(
    model: Any,
    clips: Sequence[Audio],
    pieces: Tokenizer,
    *,
    heads: Tensor,
    batch: int = 48,
) -> list[Heard]:
    """What is heard in each clip of 24 kHz audio; clips of like length are read together."""
    order = sorted(range(len(clips)), key=lambda at: len(clips[at]))
    found: list[Any] = [None] * len(clips)
    for begin in range(0, len(order), batch):
        chosen = order[begin : begin + batch]
        frames = -(-max(len(clips[at]) for at in chosen) // FRAME) + AFTER
        audio = torch.zeros(len(chosen), frames * FRAME)
        for row, at in enumerate(chosen):
            audio[row, : len(clips[at])] = torch.from_numpy(clips[at])
        tokens, pauses = _steps(model, audio, heads)
        for row, at in enumerate(chosen):
            found[at] = Heard(*words_of(tokens[row].tolist(), pieces), pauses[row])
    return found


@torch.inference_mode()  # type: ignore[untyped-decorator]  # torch is not there where types are checked
def _steps(model: Any, audio: Tensor, heads: Tensor) -> tuple[Tensor, NDArray[np.float32]]:
    """The likeliest token of each step, (batch, T + 1), and the heads' probabilities (batch, T + 1, heads)."""
    heard = by_codes(model, audio)
    cache = DynamicCache(config=model.config)
    token = torch.full((len(audio),), START)
    tokens, pauses = [], []
    for step in range(heard.shape[1]):
        given = heard[:, step] + model.model.embed_tokens.embed_tokens(token)
        hidden = model.model(inputs_embeds=given[:, None], past_key_values=cache, use_cache=True).last_hidden_state
        token = model.lm_head(hidden)[:, 0].argmax(1)
        tokens.append(token)
        pauses.append(torch.einsum("bd,hcd->bhc", hidden[:, 0], heads).softmax(-1)[..., 0])
    return torch.stack(tokens, 1), torch.stack(pauses, 1).numpy()


def words_of(tokens: Sequence[int], pieces: Tokenizer) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """The words that the tokens of the first, second... step mean, and when each begins, in seconds."""
    words: list[str] = []
    starts_s: list[float] = []
    said: list[int] = []
    begin_s = 0.0
    for step, token in enumerate([*tokens, PAD], start=1):
        if step < DELAY:
            continue
        if token not in (BOUNDARY, PAD):
            said.append(token)
        elif said:
            words += pieces.decode(said).split()
            starts_s += [begin_s] * (len(words) - len(starts_s))
            said = []
        if token == BOUNDARY:
            begin_s = (step - DELAY) * FRAME_S
    return tuple(words), tuple(starts_s)
