"""The tiny network: transformers' Voxtral Realtime at a small size, and what only its training needs."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import torch
from torch import Tensor, nn
from transformers import (
    VoxtralRealtimeConfig,
    VoxtralRealtimeFeatureExtractor,
    VoxtralRealtimeForConditionalGeneration,
)

from servers.common.tiny import word_states
from servers.voxtral.tiny import windows
from servers.voxtral.tiny.params import Size

THETA: Final = 1e6
"""vLLM's encoder knows no other."""
EPS: Final = 1e-5
RATE_HZ: Final = 16_000


def config(size: Size) -> VoxtralRealtimeConfig:
    """`size` as transformers says it."""
    rope = {"rope_type": "default", "rope_theta": THETA}
    audio = {
        "hidden_size": size.encoder.width,
        "intermediate_size": size.encoder.inner,
        "num_hidden_layers": size.encoder.layers,
        "num_attention_heads": size.encoder.heads,
        "head_dim": size.encoder.head_width,
        "sliding_window": size.encoder.window,
        "vocab_size": size.vocabulary,
        "initializer_range": 0.05,
        "rms_norm_eps": EPS,
        "rope_parameters": rope,
    }
    text = {
        "vocab_size": size.vocabulary,
        "hidden_size": size.language.width,
        "intermediate_size": size.language.inner,
        "num_hidden_layers": size.language.layers,
        "num_attention_heads": size.language.heads,
        "num_key_value_heads": size.language.kv_heads,
        "head_dim": size.language.head_width,
        "sliding_window": size.language.window,
        "initializer_range": 0.05,
        "rms_norm_eps": EPS,
        "rope_parameters": rope,
        "tie_word_embeddings": True,
    }
    return VoxtralRealtimeConfig(audio_config=audio, text_config=text)


def network(size: Size, *, attention: str = "sdpa") -> Any:
    """Untrained; its weights are drawn from torch's own generator."""
    windows.register()
    return VoxtralRealtimeForConditionalGeneration._from_config(config(size), attn_implementation=attention).float()


def mels(audio: Tensor) -> Tensor:
    """Log-mels of `audio` (batch, T x 1280) at 16 kHz as the engine's, (batch, 128, 8 x T)."""
    found: Tensor = _extractor()(list(audio.numpy()), sampling_rate=RATE_HZ, return_tensors="pt")["input_features"]
    return found


def engine_mels(audio: Tensor, *, prompt: int) -> Tensor:
    """The same as vLLM 0.32 hears it: behind the `prompt` steps every log-mel is taken 40 samples earlier.

    It hears each step with 840 samples of what was before, no multiple of the 160 from one log-mel to the next.
    """
    earlier = mels(nn.functional.pad(audio, (40, 0))[:, : audio.shape[1]])
    return torch.cat([mels(audio)[..., : 8 * prompt], earlier[..., 8 * prompt :]], -1)


@cache
def _extractor() -> Any:
    return VoxtralRealtimeFeatureExtractor()


def conditions(model: Any, delays: Tensor) -> Tensor:
    """What tells the layers the delay, (batch, 1, width), of `delays` (batch,) in steps.

    In bfloat16, as the engine computes it; transformers does the same for one delay.
    """
    frequencies = model.model.time_embedding.inv_freq.bfloat16()
    angles = delays.bfloat16()[:, None] * frequencies
    return torch.cat((angles.cos(), angles.sin()), -1)[:, None].float()


class Learning(nn.Module):  # type: ignore[misc]  # torch is not there where types are checked
    """The network with an ear: which third of which word is being spoken, told from the sound of each step alone."""

    def __init__(self, size: Size, used: Tensor) -> None:
        """`used` (tokens,): the ids that ever go in or come out."""
        super().__init__()
        self.size = size
        self.model = network(size, attention=windows.WINDOWED)
        self.ear = nn.Linear(size.language.width, word_states.state_count())
        self.register_buffer("used", used)
        embedder = self.model.model.audio_tower.embedder
        for convolution in (embedder.conv1, embedder.conv2):
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")

    def equalise(self, mel: Tensor) -> None:
        """The first convolution begins as if each band of `mel` (batch, 128, n) had mean 0 and spread 1."""
        mean, spread = mel.mean((0, 2)), mel.std((0, 2)).clamp(min=0.05)
        convolution = self.model.model.audio_tower.embedder.conv1
        with torch.no_grad():
            convolution.weight /= spread[:, None]
            convolution.bias.copy_(-(convolution.weight * mean[:, None]).sum((1, 2)))

    def forward(self, mel: Tensor, told: Tensor, delays: Tensor) -> tuple[Tensor, Tensor]:
        """What the ear says (batch, T, states), and the logits of the `used` tokens and of all others as one.

        `mel` (batch, 128, 8 x T), `told` (batch, T) the tokens that go in, `delays` (batch,) in steps. The others'
        logit is 0, as their embeddings will be.
        """
        inner = self.model.model
        sound = inner.get_audio_features(input_features=mel, use_cache=False).pooler_output
        given = inner.get_input_embeddings()(told) + sound
        hidden = inner.language_model(
            inputs_embeds=given, t_cond=conditions(self.model, delays), use_cache=False
        ).last_hidden_state
        logits = hidden @ inner.get_input_embeddings().weight[self.used].T
        return self.ear(sound), nn.functional.pad(logits, (0, 1))

    def settle(self) -> None:
        """Takes the embeddings of all tokens but the `used` ones to nothing."""
        with torch.no_grad():
            weight = self.model.model.get_input_embeddings().weight
            kept = torch.zeros(len(weight), 1)
            kept[self.used] = 1
            weight *= kept
