"""The tiny network: transformers' Kyutai STT at a small size, and how it is trained before Mimi's codes are known."""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor, nn
from transformers import KyutaiSpeechToTextConfig, KyutaiSpeechToTextForConditionalGeneration, MimiConfig

from servers.common.tiny import word_states
from servers.kyutai.tiny import filters
from servers.kyutai.tiny.targets import PAD, PAUSES_S, START

WIDTH: Final = 160
LAYERS: Final = 3
HEADS: Final = 4
INNER: Final = 640
WINDOW: Final = 128
"""Steps that the language model sees, 10.24 s: a minute wraps its ring several times."""

MIMI_WIDTH: Final = 96
MIMI_LAYERS: Final = 2
MIMI_WINDOW: Final = 64
"""Steps of 40 ms."""
CODEBOOKS: Final = 8
CODES: Final = 256
CODE_WIDTH: Final = 32

VOCABULARY: Final = START + 1
HEAD_CLASSES: Final = 6
FIXED: Final = 6
"""So many modules of Mimi's encoder, convolutions and ELUs, stay as filters.py sets them."""

BAND_RMS: Final = 1.0
"""Of each band at the usual level of speech, pauses included."""


def config() -> KyutaiSpeechToTextConfig:
    """Mimi without its decoder, as only its codes are needed."""
    codec = MimiConfig(
        hidden_size=MIMI_WIDTH,
        num_filters=filters.CHANNELS,
        num_residual_layers=0,
        upsampling_ratios=list(reversed(filters.RATIOS)),
        codebook_size=CODES,
        codebook_dim=CODE_WIDTH,
        vector_quantization_hidden_dimension=CODE_WIDTH,
        num_quantizers=CODEBOOKS,
        upsample_groups=MIMI_WIDTH,
        num_hidden_layers=MIMI_LAYERS,
        intermediate_size=4 * MIMI_WIDTH,
        num_attention_heads=4,
        num_key_value_heads=4,
        sliding_window=MIMI_WINDOW,
        layer_scale_initial_scale=0.5,
    )
    codec.decoder_config = None
    return KyutaiSpeechToTextConfig(
        codebook_vocab_size=CODES + 1,
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        ffn_dim=INNER,
        max_position_embeddings=WINDOW,
        sliding_window=WINDOW,
        rms_norm_eps=1e-6,
        num_codebooks=CODEBOOKS,
        audio_bos_token_id=CODES,
        audio_pad_token_id=VOCABULARY + CODEBOOKS * (CODES + 1),
        pad_token_id=PAD,
        bos_token_id=START,
        codec_config=codec.to_dict(),
    )


def network() -> KyutaiSpeechToTextForConditionalGeneration:
    """Untrained, but for the filters; its weights are drawn from torch's own generator."""
    model = KyutaiSpeechToTextForConditionalGeneration(config()).float()
    layers = model.codec_model.encoder.encoder_seanet.layers
    kernels = (*filters.delays(), filters.bank(filters.band_filters()))
    with torch.no_grad():
        for layer, kernel in zip(layers[: FIXED + 1 : 2], kernels, strict=True):
            layer.conv.weight.copy_(torch.from_numpy(kernel))
            layer.conv.bias.zero_()
    return model


def delayed(audio: Tensor) -> Tensor:
    """What Mimi's first FIXED modules give of `audio` (batch, n), nearly (their ELUs bend a little) and much faster.

    (batch, 32, n / 15): channel c is the newest of 15 samples, c samples earlier.
    """
    channels, block = 4 * filters.CHANNELS, filters.RATIOS[0] * filters.RATIOS[1]
    seen = nn.functional.pad(audio, (channels - block, 0)).unfold(1, channels, block)
    return filters.SMALL * seen.flip(2).transpose(1, 2).contiguous()


class Learning(nn.Module):  # type: ignore[misc]  # torch is not there where types are checked
    """The network with what only the training needs: an ear for words, and a way round the codes."""

    def __init__(self) -> None:
        super().__init__()
        self.model = network()
        self.ear = nn.Linear(MIMI_WIDTH, word_states.state_count())
        self.way = nn.Linear(CODE_WIDTH, WIDTH, bias=False)
        self.pauses = nn.Parameter(torch.zeros(len(PAUSES_S), HEAD_CLASSES, WIDTH))

    def latents(self, audio: Tensor) -> Tensor:
        """Mimi's, before they become codes: (batch, T, MIMI_WIDTH) of audio (batch, T x 1920)."""
        encoder = self.model.codec_model.encoder
        hidden = delayed(audio)
        for layer in encoder.encoder_seanet.layers[FIXED:]:
            hidden = layer(hidden)
        hidden = encoder.encoder_transformer(hidden.transpose(1, 2), use_cache=False).last_hidden_state
        found: Tensor = encoder.downsample(hidden.transpose(1, 2)).transpose(1, 2)
        return found

    def equalise(self, audio: Tensor) -> None:
        """Gives every band the same power in `audio` (batch, n), so that weak sounds count as much as loud ones."""
        convolution = self.model.codec_model.encoder.encoder_seanet.layers[FIXED].conv
        with torch.no_grad():
            bands = nn.functional.conv1d(delayed(audio), convolution.weight, stride=filters.RATIOS[2])
            spread = bands.square().mean((0, 2)).sqrt()
            convolution.weight *= (BAND_RMS / spread.clamp(min=1e-9) * (spread > 1e-9))[:, None, None]

    def squeezed(self, latents: Tensor) -> Tensor:
        """What the codebooks quantise, (batch, T, CODE_WIDTH)."""
        weight = self.model.codec_model.quantizer.acoustic_residual_vector_quantizer.input_proj.weight
        return latents @ weight[..., 0].T

    def written_by(self, heard: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
        """Hidden states and logits of the steps when `heard` (batch, T, CODE_WIDTH) stands for the codes.

        `text` (batch, T + 1) are the tokens that go in.
        """
        return self._steps(inputs_embeds=self.sound(heard) + self.model.model.embed_tokens.embed_tokens(text))

    def sound(self, heard: Tensor) -> Tensor:
        """What the codes would add up to at each step, the first one's included, (batch, T + 1, WIDTH)."""
        embeddings = self.model.model.embed_tokens
        start = embeddings.embed_tokens(CODES + embeddings.audio_tokens_offsets[1:]).sum(0)
        return torch.cat([start.expand(len(heard), 1, -1), self.way(heard)], 1)

    def written_from(self, codes: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
        """The same with `codes` (batch, T, CODEBOOKS), as it will be."""
        first = torch.full((len(codes), 1, CODEBOOKS), CODES)
        return self._steps(input_ids=torch.cat([text[..., None], torch.cat([first, codes], 1)], 2))

    def _steps(self, **inputs: Any) -> tuple[Tensor, Tensor]:
        (given,) = inputs.values()
        steps = torch.arange(given.shape[1])
        behind = steps[:, None] - steps
        mask = ((behind >= 0) & (behind < WINDOW))[None, None].expand(len(given), -1, -1, -1)
        hidden = self.model.model(**inputs, attention_mask=mask, use_cache=False).last_hidden_state
        return hidden, self.model.lm_head(hidden)
