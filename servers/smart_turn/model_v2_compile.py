"""Faster functions for one shape of batch: compiled by torch.compile, or recorded as a CUDA graph.

Compiling uses no CUDA graphs, so that the function may be made in one thread and called in another. Graphs are
recorded by the thread that runs batches. Graphs: unverified until run on CUDA.
"""

from __future__ import annotations

import logging
import types
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from servers.smart_turn.lengths import Lengths
from servers.smart_turn.swap import BatchShape

_log = logging.getLogger("servers.smart_turn")
Run = Callable[[Tensor, Tensor], Tensor]
MAX_DIFFERENCE = 0.02
"""Between compiled and eager on a test batch. Rounding stays far below; a wrong kernel does not."""

WARM_UPS = 3


def compile_shape(network: Run, shape: BatchShape, device: torch.device, lengths: Lengths) -> Run:
    """A function for batches of `shape`, compiled, called and compared with eager. Raises what the compiler raises."""

    def run(waves: Tensor, counts: Tensor) -> Tensor:
        return network(waves, counts)

    # The compiler keeps its results by code object and gives up after a few for one: each shape gets its own.
    own: Any = types.FunctionType(
        run.__code__.replace(co_name=f"run_{shape[0]}x{shape[1]}"), run.__globals__, None, None, run.__closure__
    )
    compiled: Run = torch.compile(own, dynamic=False, fullgraph=True)
    waves, counts = example(shape, device, lengths)
    with torch.no_grad():
        expected = network(waves, counts)
        for _ in range(2):
            found = compiled(waves, counts)
        difference = float((found - expected).abs().max())
    if not difference <= MAX_DIFFERENCE:
        raise ValueError(f"compiled and eager differ by {difference:.3g} on a batch of {shape[0]} x {shape[1]}")
    return compiled


def example(shape: BatchShape, device: torch.device, lengths: Lengths) -> tuple[Tensor, Tensor]:
    """A batch of noise as `SmartTurnV2` would send it."""
    rows, samples = shape
    waves = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    real = samples if samples == lengths.full_samples else samples - lengths.layers[0][0]
    counts = torch.tensor([[lengths.frames(real), lengths.pooled(real)]]).clamp_(1, lengths.frames(samples))
    waves[:, real:] = 0
    return waves.to(device), counts.repeat(rows, 1).to(device)


class Graphs:
    """Records each function and shape once, then replays it. Of one thread only: the memory of a graph is shared."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._recorded: dict[tuple[int, tuple[int, ...]], tuple[Run, Any, Tensor, Tensor, Tensor]] = {}
        self.error = ""

    def __call__(self, run: Run, waves: Tensor, counts: Tensor) -> Tensor:
        """What `run` gives. After a failed recording graphs are given up and `run` is called itself."""
        if self.error:
            return run(waves, counts)
        key = (id(run), tuple(waves.shape))
        if key not in self._recorded:
            try:
                self._recorded[key] = self._record(run, waves, counts)
            except RuntimeError as error:  # what CUDA raises for a call that cannot be recorded
                self.error = str(error).splitlines()[0]
                self._recorded.clear()
                _log.warning("recording a CUDA graph failed, eager goes on: %s", self.error)
                return run(waves, counts)
        _, graph, own_waves, own_counts, out = self._recorded[key]
        own_waves.copy_(waves)
        own_counts.copy_(counts)
        graph.replay()
        return out

    def _record(self, run: Run, waves: Tensor, counts: Tensor) -> tuple[Run, Any, Tensor, Tensor, Tensor]:
        own_waves, own_counts = waves.clone(), counts.clone()
        side = torch.cuda.Stream(self._device)
        side.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(side):
            for _ in range(WARM_UPS):
                run(own_waves, own_counts)
        torch.cuda.current_stream(self._device).wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        # Other threads (the compiler's) go on allocating while this one records.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            out = run(own_waves, own_counts)
        return run, graph, own_waves, own_counts, out
