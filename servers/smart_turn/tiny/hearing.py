"""The first lesson: the convolutions learn to tell how loud each band of each frame is.

Whether a turn is complete says one bit a clip, too little to form a spectrum from samples in minutes; the log-mel
spectrum says forty numbers a frame. Knows no labels. What is learned beside the network is thrown away.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from servers.smart_turn.lengths import SAMPLE_RATE_HZ
from servers.smart_turn.model_v2_network import Endpointing

BANDS: Final = 40
LOWEST_HZ, HIGHEST_HZ = 50.0, 7600.0
FLOOR: Final = 1e-4
"""Added to each band's power, of which the clip's mean is 1: what lies 40 dB below does not matter."""


class Hearing(nn.Module):  # type: ignore[misc]  # torch is not there where types are checked
    """A linear ear on the network's projected frames."""

    def __init__(self, network: Endpointing) -> None:
        super().__init__()
        encoder = network.wav2vec2
        self.layers, self.projection = encoder.feature_extractor.conv_layers, encoder.feature_projection
        self.ear = nn.Linear(self.projection.projection.out_features, BANDS)
        self.width, self.stride = network.lengths.receptive, network.lengths.stride
        self.register_buffer("bands", torch.from_numpy(mel_bands(self.width)))

    def forward(self, waves: Tensor) -> Tensor:
        """Mean square error of the heard spectrum in clips `waves` (batch, samples) without padding."""
        hidden = waves[:, None]
        for layer in self.layers:
            hidden = layer(hidden)
        hidden = self.projection.projection(self.projection.layer_norm(hidden.transpose(1, 2)))
        return functional.mse_loss(self.ear(hidden), self.spectrum(waves))

    def spectrum(self, waves: Tensor) -> Tensor:
        """Log-mel frames (batch, frames, BANDS), under the very windows that the convolutions look through."""
        frames = waves.unfold(1, self.width, self.stride) * torch.hann_window(self.width)
        power = torch.fft.rfft(frames).abs().square() @ self.bands.T
        power = power / power.mean((1, 2), keepdim=True)
        return (torch.log(power + FLOOR) + 4.0) / 3.0  # about zero mean, unit variance


def mel_bands(width: int) -> NDArray[np.float32]:
    """Triangles evenly spaced on the mel scale, shape (BANDS, width // 2 + 1)."""
    mels = np.linspace(np.log1p(LOWEST_HZ / 700), np.log1p(HIGHEST_HZ / 700), BANDS + 2)
    low, middle, high = (700 * np.expm1(mels[at : BANDS + at])[:, None] for at in range(3))
    hz = np.arange(width // 2 + 1) * SAMPLE_RATE_HZ / width
    triangles = np.minimum((hz - low) / (middle - low), (high - hz) / (high - middle))
    return np.asarray(np.maximum(0, triangles), np.float32)
