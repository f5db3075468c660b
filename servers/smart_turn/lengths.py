"""How many frames a clip has in Smart Turn v2, and how few samples give the same answer as its 16 s.

The reference pads every clip to 16 s. Zeros stay zeros through the first convolution, so its padded statistics can be
told from the real frames, and every later frame that counts lies within a few frames of the clip's end. Pure
arithmetic; knows no model runtime.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise

import numpy as np

SAMPLE_RATE_HZ = 16_000
FULL_SAMPLES = 16 * SAMPLE_RATE_HZ
"""What the reference pads to."""


class Lengths:
    """The frame counts of one convolution stack; `kernels` and `strides` of its layers, first to last."""

    def __init__(self, kernels: Sequence[int], strides: Sequence[int], *, full_samples: int = FULL_SAMPLES) -> None:
        self.layers = tuple(zip(kernels, strides, strict=True))
        self.full_samples = full_samples
        self.full_frames = self.frames(full_samples)
        self.stride = int(np.prod(strides))
        self.receptive = 1
        for kernel, stride in reversed(self.layers):
            self.receptive = (self.receptive - 1) * stride + kernel

    def frames(self, samples: int) -> int:
        """Frames of the stack; of fewer than `receptive` samples what the reference's formula says: 0 or less."""
        for kernel, stride in self.layers:
            samples = (samples - kernel) // stride + 1
        return samples

    def first_frames(self, samples: int) -> int:
        """Frames of the first convolution, over which its GroupNorm takes statistics."""
        kernel, stride = self.layers[0]
        return (samples - kernel) // stride + 1

    def attended(self, samples: int) -> int:
        """Frames that attention may look at, for a clip of `samples`."""
        count = self.frames(samples)
        # The reference marks frame count - 1 as the last one: for a clip of less than one frame (25 ms) that index
        # counts from the end, and the padding is attended to.
        return count if count >= 1 else self.full_frames + count

    def pooled(self, samples: int) -> int:
        """Frames that the pooling averages over: the reference spreads its mask of samples over them, in float32."""
        return bisect_left(self._starts, samples)

    def needed(self, samples: int) -> int:
        """Fewest samples, clip and zeros behind it, that give the answer of the reference's `full_samples`."""
        if self.frames(samples) < 1:
            return self.full_samples
        last_pooled = self.receptive + self.stride * (self.pooled(samples) - 1)
        return min(self.full_samples, max(last_pooled, samples + self.layers[0][0]))

    @cached_property
    def _starts(self) -> list[int]:
        step = np.float32(self.full_samples / self.full_frames)
        starts = (np.arange(self.full_frames, dtype=np.float32) * step).astype(np.int64)
        return [int(start) for start in starts]


class Buckets:
    """Few padded lengths instead of many: each compiled shape, graph and memory plan serves a range of clips."""

    def __init__(self, lengths: Lengths, seconds: Sequence[float]) -> None:
        """`seconds`, ascending, are the longest clips of the buckets; the full length is always the last bucket."""
        nominal = [int(s * SAMPLE_RATE_HZ) for s in seconds if s * SAMPLE_RATE_HZ < lengths.full_samples]
        self._lengths, self._nominal = lengths, nominal
        self.samples = (*(lengths.needed(n) for n in nominal), lengths.full_samples)
        if any(low > high for low, high in pairwise(self.samples)):
            raise ValueError(f"buckets must be ascending and longer than one frame, not {list(seconds)} s")

    def choose(self, longest: int, shortest: int) -> int:
        """Samples to pad a batch to, given its longest and its shortest clip."""
        if self._lengths.frames(shortest) < 1:
            return self._lengths.full_samples
        return self.samples[bisect_left(self._nominal, longest)]
