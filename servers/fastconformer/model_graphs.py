"""A computation at a few fixed numbers of rows, recorded once for each, so that a step costs one launch and not the
fifteen hundred small kernels of an encoder. Live rows are packed into the smallest size that holds them.

Unverified until run on CUDA: no machine with a GPU has run `cuda_graph` yet. Packing and padding are tested without.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

Compute = Callable[..., tuple[Any, ...]]
Record = Callable[[Callable[[], tuple[Any, ...]]], tuple[Callable[[], None], tuple[Any, ...]]]
"""Runs a call once and makes it repeatable: -> what repeats it, and the tensors that each repetition writes anew."""

WARM_UP_CALLS = 3


class FixedBatches:
    """`compute` with rows padded to one of `sizes`; a batch larger than the largest one runs as it is."""

    def __init__(
        self, compute: Compute, sizes: Sequence[int], record: Record, *, idle: Sequence[Any], row_dims: Sequence[int]
    ) -> None:
        """`idle`: the inputs of one row that nobody is in; rows are dimension 0 of every input. `row_dims`: which
        dimension they are of each output."""
        self._compute = compute
        self._graphs = {size: _Graph(compute, size, record, idle, row_dims) for size in sorted(sizes)}

    @property
    def sizes(self) -> list[int]:
        """Ascending."""
        return list(self._graphs)

    def __call__(self, *inputs: Any) -> tuple[Any, ...]:
        """The outputs for the rows of `inputs`; they hold until the next call."""
        rows = len(inputs[0])
        size = next((size for size in self._graphs if size >= rows), None)
        return self._compute(*inputs) if size is None else self._graphs[size].run(inputs, rows)


class _Graph:
    def __init__(
        self, compute: Compute, size: int, record: Record, idle: Sequence[Any], row_dims: Sequence[int]
    ) -> None:
        self._idle, self._row_dims = tuple(idle), row_dims
        self._inputs = tuple(part.repeat_interleave(size, dim=0) for part in idle)
        self._replay, self._outputs = record(lambda: compute(*self._inputs))

    def run(self, inputs: Sequence[Any], rows: int) -> tuple[Any, ...]:
        for place, given, idle in zip(self._inputs, inputs, self._idle, strict=True):
            place[:rows].copy_(given)
            place[rows:].copy_(idle)
        self._replay()
        return tuple(output.narrow(dim, 0, rows) for output, dim in zip(self._outputs, self._row_dims, strict=True))


def cuda_graph(call: Callable[[], tuple[Any, ...]]) -> tuple[Callable[[], None], tuple[Any, ...]]:
    """A Record for CUDA: warmed on a stream of its own, as capturing asks for, then captured."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM_UP_CALLS):
            call()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        outputs = call()
    return graph.replay, outputs
