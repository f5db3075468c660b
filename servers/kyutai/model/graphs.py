"""A step at a few fixed numbers of rows, recorded once for each, so that it costs one launch and not the thousands of
small kernels of a codec and a language model.

Unverified until run on CUDA: no machine with a GPU has run `cuda_graph` yet. What the graphs compute is tested without.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import torch

Record = Callable[[Callable[[], Any]], tuple[Callable[[], None], Any]]
"""Runs a call once and makes it repeatable: -> what repeats it, and the tensor that each repetition writes anew."""

WARM_UP_CALLS: Final = 3


class Graphs:
    """`compute` of the first 1, 2, ... rows, at each of `sizes`."""

    def __init__(self, compute: Callable[[int], Any], sizes: Sequence[int], record: Record) -> None:
        """The largest one first: the others then find their memory in the pool that it made."""
        found = {size: record(lambda size=size: compute(size)) for size in sorted(sizes, reverse=True)}  # type: ignore[misc]
        self._graphs = dict(sorted(found.items()))

    @property
    def sizes(self) -> list[int]:
        """Ascending."""
        return list(self._graphs)

    def size_for(self, rows: int) -> int:
        """The smallest one that holds so many rows; the largest where none does."""
        return next((size for size in self._graphs if size >= rows), self.sizes[-1])

    def run(self, size: int) -> Any:
        """Compute that many rows again -> what they brought, which holds until the next call."""
        replay, output = self._graphs[size]
        replay()
        return output


def cuda_graphs() -> Record:
    """A Record for CUDA; what it records shares one pool of memory, as no two graphs ever run at once."""
    pool = torch.cuda.graph_pool_handle()

    def record(call: Callable[[], Any]) -> tuple[Callable[[], None], Any]:
        # Warmed on a stream of its own, as capturing asks for.
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP_CALLS):
                call()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=pool):
            output = call()
        return graph.replay, output

    return record
