"""Mimi's encoder for many streams at once, frame by frame: 80 ms of samples in, one code of each codebook out.

The same codes as the encoder gives for a whole stream: every convolution continues from what it kept of the last
frame, and the transformer from its ring.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers.models.mimi.modeling_mimi import MimiConv1d, MimiResnetBlock

from servers.common.errors import StartupRefused
from servers.kyutai.model.ring import Index, Ring, rows_of
from servers.kyutai.model.rvq import Quantizer
from servers.kyutai.settings import FRAME_SAMPLES, SAMPLE_RATE_HZ


class Codec:
    """The encoder and what every row's convolutions and transformer remember."""

    def __init__(self, mimi: Any, *, rows: int, codebooks: int, dtype: torch.dtype, device: torch.device) -> None:
        """`mimi`: transformers' MimiModel on `device`, its encoder in `dtype`, its codebooks in float32.

        Raises StartupRefused for one that does not stream in frames of 80 ms."""
        config, encoder = mimi.config, mimi.encoder
        found = (config.sampling_rate, config.frame_size, config.use_causal_conv, config.use_conv_shortcut)
        if found != (SAMPLE_RATE_HZ, FRAME_SAMPLES, True, False) or encoder.downsample is None:
            raise StartupRefused(f"the checkpoint's codec streams in a way that this server does not know: {found}")
        self._seanet, self._transformer, self._downsample = (
            encoder.encoder_seanet,
            encoder.encoder_transformer,
            encoder.downsample,
        )
        self._quantizer = Quantizer(mimi.quantizer, codebooks=codebooks)
        self.codebooks, self._dtype = codebooks, dtype
        self.width: int = config.latent_stride
        """Positions of the transformer in a frame."""
        self.ring = Ring(
            layers=config.num_hidden_layers,
            rows=rows,
            heads=config.num_key_value_heads,
            head_dim=config.head_dim,
            window=config.sliding_window,
            width=self.width,
            dtype=dtype,
            device=device,
        )
        self._offsets = torch.arange(self.width, device=device)
        names = encoder.encoder_seanet._conv1d_layer_names
        convolutions = [encoder.encoder_seanet.get_submodule(name) for name in names] + [self._downsample]
        self._shapes = [(each.in_channels, int(each.padding_total)) for each in convolutions]
        self._starts = [each.pad_mode == "replicate" for each in convolutions]
        self.kept = torch.zeros(rows, sum(a * b for a, b in self._shapes), dtype=dtype, device=device)
        """The last columns of every convolution's input, one after another, of each row."""

    def step(self, pcm: Any, frames: Any, index: Index, active: Any, reach: int) -> tuple[Any, Any]:
        """Samples (rows, 1920), float32, each row's `frames` before them (rows,) -> codes (rows, codebooks) and what
        the rows will keep of it. Changes nothing but the rows' columns in the ring that are due next."""
        kept = _Kept(rows_of(self.kept, index), self._shapes, self._starts, (frames == 0).view(-1, 1, 1))
        hidden = pcm.unsqueeze(1).to(self._dtype)
        for layer in self._seanet.layers:
            hidden = _residual(layer, hidden, kept) if isinstance(layer, MimiResnetBlock) else _run(layer, hidden, kept)
        positions = frames.unsqueeze(1) * self.width + self._offsets
        turn = self.ring.turn(index, positions, active, reach)
        hidden = hidden.transpose(1, 2)
        angles = self._transformer.rotary_emb(hidden, positions)
        for layer in self._transformer.layers:
            hidden = layer(hidden, attention_mask=turn.mask, past_key_values=turn, position_embeddings=angles)
        latents = _run(self._downsample, hidden.transpose(1, 2), kept)
        return self._quantizer.encode(latents[:, :, 0].float()), kept.together()


class _Kept:
    """What the convolutions of one step continue from, and what they leave."""

    def __init__(self, before: Any, shapes: list[tuple[int, int]], starts: list[bool], first: Any) -> None:
        parts = before.split([channels * width for channels, width in shapes], dim=1)
        self._before = [part.unflatten(1, shape) for part, shape in zip(parts, shapes, strict=True)]
        self._starts, self._first = starts, first
        self._after: list[Any] = [None] * len(shapes)

    def joined(self, hidden: Any, layer: int) -> Any:
        """A convolution's input with what lies before it: zeros, or the first column repeated, where a stream begins.

        The layer's rows are zero there already."""
        before = self._before[layer]
        width = before.shape[2]
        if not width:
            return hidden
        if self._starts[layer]:
            before = torch.where(self._first, hidden[..., :1], before)
        joined = torch.cat([before, hidden], dim=2)
        self._after[layer] = joined[..., -width:]
        return joined

    def together(self) -> Any:
        """(rows, values), as `Codec.kept` holds them."""
        return torch.cat([part.flatten(1) for part in self._after if part is not None], dim=1)


def _run(layer: Any, hidden: Any, kept: _Kept) -> Any:
    """A convolution goes on where it was; transformers' own call of it would also work out paddings for the offline
    case, in half a dozen small kernels each."""
    return layer.conv(kept.joined(hidden, layer.layer_idx)) if isinstance(layer, MimiConv1d) else layer(hidden)


def _residual(block: Any, hidden: Any, kept: _Kept) -> Any:
    inner = hidden
    for layer in block.block:
        inner = _run(layer, inner, kept)
    return hidden + inner
