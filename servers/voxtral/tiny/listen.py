"""Reads whole clips with the tiny model as a stream would be read: prompt, then one token for each step of 80 ms.

The rules are vLLM's (model_executor/models/voxtral_realtime.py) and mistral_common's (tokens/tokenizers/audio.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import DynamicCache

from servers.voxtral.tiny import checkpoint, tekken
from servers.voxtral.tiny.network import conditions, engine_mels, mels, network
from servers.voxtral.tiny.streams import FRAME

RIGHT_PAD: Final = 11
"""Steps behind the last sound, beside the delay's: a word that is still being written gets out."""
Audio = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Heard:
    """What the steps behind the prompt gave, and their text."""

    tokens: tuple[int, ...]
    text: str

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(self.text.split())


class Reader:
    """A checkpoint, ready to read 16 kHz clips with any delay."""

    def __init__(self, model: Any, vocabulary: dict[str, Any]) -> None:
        self.model = model.eval()
        self.model.set_attn_implementation("sdpa")
        self._vocabulary = vocabulary

    @classmethod
    def of(cls, folder: Path) -> Reader:
        """The one in `folder`, its weights in float32."""
        size, _, vocabulary = checkpoint.read(folder)
        model = network(size)
        model.load_state_dict(checkpoint.states(folder, list(model.state_dict())))
        return cls(model, vocabulary)

    def read(self, clips: Sequence[Audio], *, delay: int, batch: int = 48, as_the_engine: bool = False) -> list[Heard]:
        """What is heard in each clip, `delay` in steps; clips of like length are read together."""
        order = sorted(range(len(clips)), key=lambda at: len(clips[at]))
        found: list[Any] = [None] * len(clips)
        for begin in range(0, len(order), batch):
            chosen = order[begin : begin + batch]
            audio = padded([clips[at] for at in chosen], delay=delay)
            prompt = tekken.LEFT_PAD + delay + 1
            tokens = self._steps(engine_mels(audio, prompt=prompt) if as_the_engine else mels(audio), delay=delay)
            for row, at in zip(tokens.tolist(), chosen, strict=True):
                steps = -(-len(clips[at]) // FRAME) + RIGHT_PAD
                found[at] = Heard(tuple(row[:steps]), tekken.text_of(row[:steps], self._vocabulary))
        return found

    @torch.inference_mode()  # type: ignore[untyped-decorator]  # torch is not there where types are checked
    def _steps(self, mel: Tensor, *, delay: int) -> Tensor:
        """The likeliest tokens of the steps behind the prompt, (batch, steps), for `mel` (batch, 128, 8 x T)."""
        inner = self.model.model
        sound = inner.get_audio_features(input_features=mel, use_cache=False).pooler_output
        told = torch.full((len(mel), tekken.LEFT_PAD + delay + 1), tekken.STREAMING_PAD)
        told[:, 0] = tekken.BOS
        condition = conditions(self.model, torch.tensor([delay]))
        cache = DynamicCache(config=self.model.config.text_config)
        tokens = []
        begin = 0
        while begin < sound.shape[1]:
            end = begin + told.shape[1]
            given = inner.get_input_embeddings()(told) + sound[:, begin:end]
            hidden = inner.language_model(
                inputs_embeds=given, t_cond=condition, past_key_values=cache, use_cache=True
            ).last_hidden_state
            told = self.model.lm_head(hidden[:, -1:]).argmax(-1)
            tokens.append(told)
            begin = end
        return torch.cat(tokens, 1)


def padded(clips: Sequence[Audio], *, delay: int) -> Tensor:
    """`clips` with the silence that the engine puts around them, (batch, T x FRAME)."""
    frames = -(-max(map(len, clips)) // FRAME)
    audio = torch.zeros(len(clips), (tekken.LEFT_PAD + frames + delay + RIGHT_PAD) * FRAME)
    for row, clip in zip(audio, clips, strict=True):
        row[tekken.LEFT_PAD * FRAME :][: len(clip)] = torch.from_numpy(np.ascontiguousarray(clip))
    return audio
