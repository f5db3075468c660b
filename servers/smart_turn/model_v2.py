"""Smart Turn v2 on PyTorch: clips in, probabilities out.

Preprocessing is the reference's; lengths are padded to few buckets instead of 16 s (lengths.py), which gives the same
answer. Which function runs a shape is asked of the record once per batch (swap.py).
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from servers.common.errors import StartupRefused
from servers.common.interfaces import Audio
from servers.smart_turn.lengths import SAMPLE_RATE_HZ, Buckets
from servers.smart_turn.model_v2_compile import Graphs, compile_shape
from servers.smart_turn.model_v2_network import Endpointing
from servers.smart_turn.swap import BatchShape, Swap

MAX_SECS = 16.0
Run = Callable[[Tensor, Tensor], Tensor]
"""Waves (rows, samples) and frame counts (rows, 2) on the device -> probabilities (rows,)."""

FINE_S = tuple(float(s) for s in range(1, 17))
"""Length buckets without compiling: a shape costs nothing, padding does."""

COARSE_S = (2.0, 4.0, 8.0, 16.0)
"""Length buckets where each shape is compiled or recorded."""


def choose_device(asked: str) -> torch.device:
    """The device that `auto`, `cpu`, `cuda` or `cuda:N` means here. Raises StartupRefused when it is not there."""
    if asked == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    device = torch.device("cuda:0" if asked == "cuda" else asked)
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device.type == "cuda" and device.index >= count:
        found = f"{count} CUDA devices" if count else "no CUDA device"
        raise StartupRefused(f"--device={asked}: PyTorch {torch.__version__} sees {found} here (nvidia-smi says more)")
    return device


def choose_dtype(asked: str | None, device: torch.device) -> torch.dtype:
    """bfloat16 on a GPU, float32 on a CPU, unless asked otherwise."""
    name = asked or ("bfloat16" if device.type == "cuda" else "float32")
    return {"bfloat16": torch.bfloat16, "float32": torch.float32}[name]


class SmartTurnV2:
    """A TurnDetector that threads may share: one set of weights, staging memory for each thread."""

    def __init__(
        self,
        network: Endpointing,
        *,
        device: torch.device,
        dtype: torch.dtype,
        batch_buckets: Sequence[int] = (1,),
        max_secs: float = MAX_SECS,
        torch_compile: bool = False,
        cuda_graphs: bool = False,
        length_buckets_s: Sequence[float] | None = None,
        split_lengths: bool | None = None,
        compile_run: Callable[[BatchShape], Run] | None = None,
    ) -> None:
        """`length_buckets_s`: lengths that batches are padded to, 16 s always among them; default: FINE_S or COARSE_S.
        `split_lengths`: rows of different length buckets in calls of their own, which saves padding; default: on a
        CPU, where a larger batch saves nothing. `compile_run` stands in for torch.compile in tests."""
        if device.type == "cuda" and dtype == torch.float32:
            torch.backends.cudnn.allow_tf32 = False  # else "float32" convolutions have ten bits of mantissa
        self._network = network.eval().requires_grad_(False).cast(dtype).to(device)
        self._device, self._keep = device, int(max_secs * SAMPLE_RATE_HZ)
        self._lengths = network.lengths
        fixed = torch_compile or cuda_graphs or compile_run is not None
        self._batch_buckets = tuple(batch_buckets) if fixed else ()
        if length_buckets_s is None:
            length_buckets_s = (*(s for s in (COARSE_S if fixed else FINE_S) if s < max_secs), max_secs)
        self._buckets = Buckets(self._lengths, length_buckets_s)
        self._split = device.type == "cpu" if split_lengths is None else split_lengths
        self._staging = threading.local()
        self._graphs = Graphs(device) if cuda_graphs else None
        if torch_compile and compile_run is None:
            compile_run = self._compile
        self.swap: Swap[Run] = Swap(self._network, shapes=self._shapes(), compile_shape=compile_run)

    def predict(self, batch: Sequence[Audio]) -> list[float]:
        """Probabilities that each speaker has finished; clips are 16 kHz, shape (n,), any mix of lengths."""
        clips = [normalise(clip[-self._keep :]) for clip in batch]
        groups: dict[int, list[int]] = defaultdict(list)
        for row, clip in enumerate(clips):
            groups[self._buckets.choose(len(clip), len(clip)) if self._split else 0].append(row)
        results = [0.0] * len(clips)
        record = self.swap.record  # once: a swap during this batch is for the next one
        for rows in groups.values():
            samples = self._samples([clips[row] for row in rows])
            padded = next((size for size in self._batch_buckets if size >= len(rows)), len(rows)), samples
            run = record.compiled.get(padded, record.eager)
            # Eager takes any number of rows; only what is compiled or recorded needs its own.
            shape = padded if self._graphs or padded in record.compiled else (len(rows), samples)
            found = self._run(run, [clips[row] for row in rows], shape)
            for row, probability in zip(rows, found, strict=True):
                results[row] = probability
        return results

    def warm(self) -> None:
        """With CUDA graphs: record every shape now, in the thread that will run them."""
        rng = np.random.default_rng(0)
        for size, samples in self._shapes() if self._graphs else ():
            clip = rng.standard_normal(samples, np.float32)[: self._keep]
            self._run(self.swap.record.eager, [normalise(clip)] * size, (size, samples))

    def _samples(self, clips: Sequence[Audio]) -> int:
        sizes = [len(clip) for clip in clips]
        return self._buckets.choose(max(sizes), min(sizes))

    def _shapes(self) -> list[BatchShape]:
        """Rows first: the shapes of single clips, the commonest, are compiled before all others."""
        longest = self._buckets.choose(self._keep, self._keep)
        lengths = dict.fromkeys(samples for samples in self._buckets.samples if samples <= longest)
        return [(size, samples) for size in self._batch_buckets for samples in lengths]

    def _run(self, run: Run, clips: Sequence[Audio], shape: BatchShape) -> list[float]:
        waves, counts = self._stage(clips, shape)
        with torch.no_grad():
            waves = waves.to(self._device, non_blocking=True)
            counts = counts.to(self._device, non_blocking=True)
            found = self._graphs(run, waves, counts) if self._graphs else run(waves, counts)
        # The one wait for the device: after it the staging memory may be written again.
        answer: list[float] = found.tolist()
        return answer[: len(clips)]

    def _stage(self, clips: Sequence[Audio], shape: BatchShape) -> tuple[Tensor, Tensor]:
        """Clips with zeros behind them in host memory of this thread, pinned where there is a GPU."""
        rows, samples = shape
        local: Any = self._staging
        if getattr(local, "room", 0) < rows * samples:
            pinned = self._device.type == "cuda"
            local.room = rows * samples
            local.waves = torch.empty(local.room, dtype=torch.float32, pin_memory=pinned)
        if getattr(local, "rows", 0) < rows:
            local.rows = rows
            local.counts = torch.empty((rows, 2), dtype=torch.int64, pin_memory=self._device.type == "cuda")
        waves, counts = local.waves[: rows * samples].view(rows, samples), local.counts[:rows]
        waves_np, counts_np = waves.numpy(), counts.numpy()
        for row, clip in enumerate(clips):
            waves_np[row, : len(clip)] = clip
            waves_np[row, len(clip) :] = 0
            counts_np[row] = self._lengths.attended(len(clip)), self._lengths.pooled(len(clip))
        waves_np[len(clips) :] = 0
        counts_np[len(clips) :] = 1  # rows that only fill a bucket still need one frame to look at
        return waves, counts

    def _compile(self, shape: BatchShape) -> Run:
        return compile_shape(self._network, shape, self._device, self._lengths)


def normalise(clip: Audio) -> Audio:
    """Zero mean and unit variance over the real samples, to the bit as the reference's feature extractor does."""
    normal: Audio = (clip - clip.mean()) / np.sqrt(clip.var() + 1e-7)
    return normal
