"""Smart Turn v2 as its authors run it: transformers' feature extractor and Wav2Vec2, every clip padded to 16 s."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

from servers.common.interfaces import Audio
from servers.smart_turn.weights import CONFIG, PUBLISHED_CONFIG, WEIGHTS

PUBLISHED: dict[str, Any] = json.loads(PUBLISHED_CONFIG.read_text(encoding="utf-8"))
SMALL: dict[str, Any] = PUBLISHED | {
    "conv_dim": [16] * 7,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}
RATE_HZ = 16_000


def speech(seed: int, seconds: float) -> Audio:
    """Syllables of a gliding tone, noise and a little offset: neither zero mean nor unit variance."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(max(1, int(seconds * RATE_HZ))) / RATE_HZ
    phase = 2 * np.pi * np.cumsum(120 * (1 + 0.3 * np.sin(2 * np.pi * rng.uniform(0.2, 2) * time_s))) / RATE_HZ
    voice = sum(np.sin(k * phase + rng.uniform(0, 6)) / k for k in range(1, 12))
    syllables = np.clip(np.sin(2 * np.pi * rng.uniform(1, 6) * time_s) + 0.3, 0, 1)
    sound = rng.uniform(0.02, 0.2) * voice * syllables + 0.005 * rng.standard_normal(len(time_s)) + 0.01
    samples: Audio = sound.astype(np.float32)
    return samples


class Reference(nn.Module):  # type: ignore[misc]
    """Random weights, larger than training's first ones, so that answers depend on the audio."""

    def __init__(self, config: Mapping[str, Any], *, seed: int = 5) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.config = dict(config)
        size = config["hidden_size"]
        self.wav2vec2 = Wav2Vec2Model(Wav2Vec2Config(**config))
        self.pool_attention = nn.Sequential(nn.Linear(size, 256), nn.Tanh(), nn.Linear(256, 1))
        head = [nn.Linear(size, 256), nn.LayerNorm(256), nn.GELU(), nn.Dropout(0.1)]
        self.classifier = nn.Sequential(*head, nn.Linear(256, 64), nn.GELU(), nn.Linear(64, 1))
        self._extract = Wav2Vec2FeatureExtractor(return_attention_mask=True)
        with torch.no_grad():
            for name, weight in self.named_parameters():
                if weight.dim() > 1 and "original" not in name:
                    weight.normal_(0, weight[0].numel() ** -0.5)
            self.classifier[-1].weight.mul_(4)
        self.eval()

    def ask(self, clip: Audio) -> float:
        """The probability of one clip."""
        inputs = self._extract(
            clip, sampling_rate=RATE_HZ, padding="max_length", truncation=True, max_length=16 * RATE_HZ,
            return_attention_mask=True, return_tensors="pt",
        )  # fmt: skip
        with torch.no_grad():
            values = inputs["input_values"].to(self.classifier[0].weight.dtype)
            return float(self._score(values, inputs["attention_mask"]))

    def rounded(self, dtype: torch.dtype) -> Reference:
        """The same weights, everything in `dtype`, as transformers itself computes it."""
        rounded: Reference = copy.deepcopy(self).to(dtype)
        return rounded

    def _score(self, values: Tensor, mask: Tensor) -> Tensor:
        hidden = self.wav2vec2(values, attention_mask=mask)[0]
        ratio = mask.shape[1] / hidden.shape[1]
        kept = mask[:, (torch.arange(hidden.shape[1]) * ratio).long()].bool()
        scores = self.pool_attention(hidden) + (1.0 - kept[..., None].to(hidden.dtype)) * -1e9
        return torch.sigmoid(self.classifier((hidden * scores.softmax(dim=1)).sum(dim=1)))

    def save(self, folder: Path) -> Path:
        """A checkpoint folder in Hugging Face format."""
        (folder / CONFIG).write_text(json.dumps(self.config))
        save_file(self.weights(), folder / WEIGHTS)
        return folder

    def weights(self) -> dict[str, Tensor]:
        return {name: value.contiguous() for name, value in self.state_dict().items()}
