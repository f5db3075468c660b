"""The network of Smart Turn v2: a Wav2Vec2 encoder, attention pooling, a small classifier.

Parameters are named as in the published checkpoint. The first GroupNorm counts the zeros up to 16 s without computing
them, so that a batch padded to its longest clip gives what the reference gives at 16 s. Knows no file and no device.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from servers.common.errors import StartupRefused
from servers.smart_turn.lengths import Lengths

POOLING = 256
CLASSIFIER = (256, 64)
EXPECTED = {
    "feat_extract_norm": "group",
    "feat_extract_activation": "gelu",
    "hidden_act": "gelu",
    "conv_bias": False,
    "do_stable_layer_norm": False,
    "add_adapter": False,
}
"""The one variant of Wav2Vec2 that this network is; a config that leaves one out means the same."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The sizes of a network, named as in config.json."""

    conv_dim: tuple[int, ...]
    conv_kernel: tuple[int, ...]
    conv_stride: tuple[int, ...]
    hidden_size: int
    intermediate_size: int
    num_attention_heads: int
    num_hidden_layers: int
    num_conv_pos_embeddings: int
    num_conv_pos_embedding_groups: int
    layer_norm_eps: float

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Shape:
        """The sizes in a config.json. Raises StartupRefused for another variant or a missing field."""
        for name, value in EXPECTED.items():
            if config.get(name, value) != value:
                raise StartupRefused(f"the model's {name} is {config[name]!r}: only {value!r} is served")
        missing = [field.name for field in fields(cls) if field.name not in config]
        if missing:
            raise StartupRefused(f"the model's config.json lacks {', '.join(missing)}: it is no Smart Turn v2 model")
        values: dict[str, Any] = {field.name: config[field.name] for field in fields(cls)}
        for name in ("conv_dim", "conv_kernel", "conv_stride"):
            values[name] = tuple(values[name])
        return cls(**values)


class Endpointing(nn.Module):  # type: ignore[misc]  # torch is not there where types are checked
    """Probability that each clip's speaker has finished."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.lengths = Lengths(shape.conv_kernel, shape.conv_stride)
        self.wav2vec2 = Encoder(shape, self.lengths)
        self.pool_attention = nn.Sequential(nn.Linear(shape.hidden_size, POOLING), nn.Tanh(), nn.Linear(POOLING, 1))
        wide, narrow = CLASSIFIER
        self.classifier = nn.Sequential(
            nn.Linear(shape.hidden_size, wide),
            nn.LayerNorm(wide),
            nn.GELU(),
            nn.Dropout(0.1),
            nn.Linear(wide, narrow),
            nn.GELU(),
            nn.Linear(narrow, 1),
        )

    def forward(self, waves: Tensor, counts: Tensor) -> Tensor:
        """Float32 probabilities, shape (batch,).

        `waves` (batch, samples) float32, normalised, zeros behind each clip; `counts` (batch, 2) int64: the frames
        attended to and pooled (lengths.py). A row with NaN gives NaN and touches no other row.
        """
        hidden = self.wav2vec2(waves, counts[:, :1]).float()  # the head is small: float32 always
        scores = self.pool_attention(hidden)
        pooled = torch.arange(hidden.shape[1], device=hidden.device) < counts[:, 1:]
        weights = functional.softmax(scores.masked_fill(~pooled[..., None], -1e9), dim=1)
        return torch.sigmoid(self.classifier((hidden * weights).sum(1)))[:, 0]

    def cast(self, dtype: torch.dtype) -> Endpointing:
        """Weights in `dtype`, but GroupNorm's and the head's in float32."""
        self.wav2vec2.to(dtype)
        self.wav2vec2.feature_extractor.conv_layers[0].layer_norm.float()
        return self


class Encoder(nn.Module):  # type: ignore[misc]
    """Wav2Vec2: convolutions, projection, transformer."""

    def __init__(self, shape: Shape, lengths: Lengths) -> None:
        super().__init__()
        self.feature_extractor = nn.Module()
        layers = [FirstConvolution(shape, lengths)]
        layers += [Convolution(shape, at) for at in range(1, len(shape.conv_dim))]
        self.feature_extractor.conv_layers = nn.ModuleList(layers)
        self.feature_projection = nn.Module()
        self.feature_projection.layer_norm = nn.LayerNorm(shape.conv_dim[-1], eps=shape.layer_norm_eps)
        self.feature_projection.projection = nn.Linear(shape.conv_dim[-1], shape.hidden_size)
        self.encoder = nn.Module()
        self.encoder.pos_conv_embed = Position(shape)
        self.encoder.layer_norm = nn.LayerNorm(shape.hidden_size, eps=shape.layer_norm_eps)
        self.encoder.layers = nn.ModuleList(Layer(shape) for _ in range(shape.num_hidden_layers))

    def forward(self, waves: Tensor, attended: Tensor) -> Tensor:
        """Hidden states (batch, frames, hidden_size); `attended` (batch, 1) frames are looked at."""
        hidden = waves[:, None]
        for convolution in self.feature_extractor.conv_layers:
            hidden = convolution(hidden)
        hidden = self.feature_projection.layer_norm(hidden.transpose(1, 2))
        hidden = self.feature_projection.projection(hidden)
        seen = torch.arange(hidden.shape[1], device=hidden.device) < attended
        hidden = hidden.masked_fill(~seen[..., None], 0.0)
        hidden = self.encoder.layer_norm(hidden + self.encoder.pos_conv_embed(hidden))
        for layer in self.encoder.layers:
            hidden = layer(hidden, seen[:, None, None])
        return hidden


class FirstConvolution(nn.Module):  # type: ignore[misc]
    """Convolution, then GroupNorm with one channel a group over the 16 s of the reference, whatever is computed."""

    def __init__(self, shape: Shape, lengths: Lengths) -> None:
        super().__init__()
        channels = shape.conv_dim[0]
        self.conv = nn.Conv1d(1, channels, shape.conv_kernel[0], shape.conv_stride[0], bias=False)
        self.layer_norm = nn.GroupNorm(channels, channels)
        self.full_frames = lengths.first_frames(lengths.full_samples)

    def forward(self, waves: Tensor) -> Tensor:
        dtype = self.conv.weight.dtype
        frames = self.conv(waves.to(dtype)).float()
        variance, mean = torch.var_mean(frames, -1, correction=0, keepdim=True)
        # The frames that were not computed are zeros: statistics of both parts together.
        share = frames.shape[-1] / self.full_frames
        variance = share * (variance + (1 - share) * mean.square())
        scale = self.layer_norm.weight[:, None] * torch.rsqrt(variance + self.layer_norm.eps)
        shift = self.layer_norm.bias[:, None] - share * mean * scale
        return functional.gelu((frames * scale + shift).to(dtype))


class Convolution(nn.Module):  # type: ignore[misc]
    """A later layer of the feature extractor: no norm."""

    def __init__(self, shape: Shape, at: int) -> None:
        super().__init__()
        before, after = shape.conv_dim[at - 1], shape.conv_dim[at]
        self.conv = nn.Conv1d(before, after, shape.conv_kernel[at], shape.conv_stride[at], bias=False)

    def forward(self, hidden: Tensor) -> Tensor:
        return functional.gelu(self.conv(hidden))


class Position(nn.Module):  # type: ignore[misc]
    """Relative position by a wide grouped convolution. Its weight norm is folded when a checkpoint is read."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        size, width = shape.hidden_size, shape.num_conv_pos_embeddings
        self.conv = nn.Conv1d(size, size, width, padding=width // 2, groups=shape.num_conv_pos_embedding_groups)

    def forward(self, hidden: Tensor) -> Tensor:
        wide = self.conv(hidden.transpose(1, 2))
        return functional.gelu(wide[..., : hidden.shape[1]]).transpose(1, 2)


class Layer(nn.Module):  # type: ignore[misc]
    """Transformer layer with its norms behind each part."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        size, eps = shape.hidden_size, shape.layer_norm_eps
        self.attention = Attention(size, shape.num_attention_heads)
        self.layer_norm = nn.LayerNorm(size, eps=eps)
        self.feed_forward = nn.Module()
        self.feed_forward.intermediate_dense = nn.Linear(size, shape.intermediate_size)
        self.feed_forward.output_dense = nn.Linear(shape.intermediate_size, size)
        self.final_layer_norm = nn.LayerNorm(size, eps=eps)

    def forward(self, hidden: Tensor, seen: Tensor) -> Tensor:
        hidden = self.layer_norm(hidden + self.attention(hidden, seen))
        inner = functional.gelu(self.feed_forward.intermediate_dense(hidden))
        return self.final_layer_norm(hidden + self.feed_forward.output_dense(inner))


class Attention(nn.Module):  # type: ignore[misc]
    """Multi-head self-attention; `seen` (batch, 1, 1, frames) says which frames may be looked at."""

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj = nn.Linear(size, size), nn.Linear(size, size)
        self.v_proj, self.out_proj = nn.Linear(size, size), nn.Linear(size, size)

    def forward(self, hidden: Tensor, seen: Tensor) -> Tensor:
        query, key, value = (
            projection(hidden).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=seen)
        return self.out_proj(mixed.transpose(1, 2).flatten(2))
