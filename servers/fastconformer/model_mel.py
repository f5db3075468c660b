"""Log-mel frames of many streams at once, each chunk from that chunk's samples and a little of what came before.

The same numbers as NeMo's `FilterbankFeatures` gives for the whole stream (frame i is centred on sample
160 i, and what lies outside the stream is zero), because every frame sees the same samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from servers.common.errors import StartupRefused

WARM_FRAMES: Final = 7
"""The first chunk of a stream has so many frames less than the later ones; it is computed as if they were there."""


class Mel:
    """The front end of one model. `featurizer` is NeMo's own: its window, filter bank and guards are used."""

    def __init__(self, featurizer: Any, *, chunk_frames: int, device: torch.device) -> None:
        """Raises StartupRefused for features that depend on the whole utterance."""
        if featurizer.normalize not in (None, False, "NA", ""):
            normalized = f"the model normalises its features over the whole utterance ({featurizer.normalize})"
            raise StartupRefused(f"{normalized}: it is no streaming model")
        if featurizer.exact_pad or featurizer.frame_splicing != 1 or featurizer.preemph is None or not featurizer.log:
            raise StartupRefused("the model's preprocessor has settings that this server does not know")
        self._hop, self._fft, self._window_length = featurizer.hop_length, featurizer.n_fft, featurizer.win_length
        self._preemphasis, self._power = featurizer.preemph, featurizer.mag_power
        self._guard, self._clamps = featurizer.log_zero_guard_value, featurizer.log_zero_guard_type == "clamp"
        self._window = featurizer.window.to(device=device, dtype=torch.float32)
        self._filters = featurizer.fb.to(device=device, dtype=torch.float32)
        self._device = device
        self.chunk_frames = chunk_frames
        # The window is shorter than the transform and stands in its middle: what lies beside it is never looked at.
        self._margin = (self._fft - self._window_length) // 2
        self._ahead: int = self._window_length // 2 - self._hop
        """Samples behind a chunk's last hop that its last frame needs."""
        self.kept_samples: int = self._window_length + 1 - self._hop
        """Samples of a stream that its next chunk needs again: half a window each way, and one for pre-emphasis."""
        self.width: int = chunk_frames * self._hop + self.kept_samples
        """Samples from which the frames of one chunk are made."""

    def samples_wanted(self, *, first: bool) -> int:
        """New samples for a whole chunk. A frame is final half a window after its centre."""
        frames = self.chunk_frames - WARM_FRAMES if first else self.chunk_frames
        return int(frames * self._hop + (self._ahead if first else 0))

    def frames_at_end(self, new_samples: int, *, first: bool) -> int:
        """Frames that a stream still has when it ends with so many samples after its last chunk: n // 160 in all."""
        return int((new_samples + (0 if first else self._ahead)) // self._hop)

    def compute(self, windows: NDArray[np.float32], lengths: Sequence[int]) -> Any:
        """Windows of shape (rows, width), of which `lengths` samples are the stream's and the rest lies after its end.

        -> tensor of shape (rows, mel bins, chunk_frames), float32, on the model's device.
        """
        samples = torch.from_numpy(windows)
        if self._device.type == "cuda":
            samples = samples.pin_memory().to(self._device, non_blocking=True)
        emphasised = samples[:, 1:] - self._preemphasis * samples[:, :-1]
        if any(length < self.width for length in lengths):
            # The sample after the last one would be -0.97 of it; in the whole stream's features it is zero.
            ends = torch.tensor(lengths, device=self._device).unsqueeze(1)
            emphasised *= torch.arange(1, self.width, device=self._device).unsqueeze(0) < ends
        spectrum = torch.stft(
            torch.nn.functional.pad(emphasised, (self._margin, self._margin)),
            n_fft=self._fft,
            hop_length=self._hop,
            win_length=self._window_length,
            window=self._window,
            center=False,
            return_complex=True,
        )
        power = spectrum.real.square() + spectrum.imag.square()
        if self._power != 2.0:
            power = power.pow(self._power / 2)
        mel = torch.matmul(self._filters, power)
        return torch.log(mel.clamp(min=self._guard) if self._clamps else mel + self._guard)
