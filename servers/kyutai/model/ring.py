"""Keys and values of every stream: a ring in each row, from which a stream's own last positions are attended to.

Nothing but a row's position says which of its columns count, so what lies in the others never matters, and a step
that failed after it wrote its columns can simply be run again.
"""

from __future__ import annotations

from typing import Any, Final

import torch

ALIGNED: Final = 8
"""Columns come in multiples of it: attention kernels want aligned masks and would copy others, once for each layer."""

Index = Any
"""Rows of a step: a slice where they follow one another (views, nothing is copied), else a tensor of their numbers."""


def rows_of(store: Any, index: Index, dim: int = 0) -> Any:
    """Rows of a step: a view for a slice, a copy for a tensor."""
    if isinstance(index, slice):
        return store.narrow(dim, index.start, index.stop - index.start)
    return store.index_select(dim, index)


def put_rows(store: Any, index: Index, rows: Any) -> None:
    """The other way round, along dimension 0."""
    if isinstance(index, slice):
        store[index].copy_(rows)
    else:
        store.index_copy_(0, index, rows)


class Ring:
    """Rings of all rows and layers. The column behind the last one is scratch: rows that idle in a step write there."""

    def __init__(
        self,
        *,
        layers: int,
        rows: int,
        heads: int,
        head_dim: int,
        window: int,
        width: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        """`window`: positions that one attends to, itself included; `width`: positions of a step."""
        self.window = window
        # A step overwrites nothing that its first position still attends to.
        self.capacity = -(-(window + width - 1) // ALIGNED) * ALIGNED
        self.store = torch.zeros(2, layers, rows, heads, self.capacity + 1, head_dim, dtype=dtype, device=device)
        """Shape (keys and values, layers, rows, heads, columns, head_dim)."""
        self.columns = torch.arange(self.capacity, device=device)
        self.heads = torch.arange(heads, device=device)

    @property
    def row_bytes(self) -> int:
        """What one stream takes."""
        return int(self.store[:, :, 0].numel() * self.store.element_size())

    def forget(self, row: int) -> None:
        """A masked column counts nothing, unless it holds what is no number."""
        self.store[:, :, row].zero_()

    def turn(self, index: Index, positions: Any, active: Any, reach: int) -> Turn:
        """For one step. `positions` (rows, width): of its new columns; `active` (rows,) bool, or None where all are;
        `reach`: columns from the first one on of which no position is beyond."""
        return Turn(self, index, positions, active, min(-(-reach // ALIGNED) * ALIGNED, self.capacity))


class Turn:
    """One step's sight of a ring: what transformers' layers take for `past_key_values`, and the mask to go with it."""

    def __init__(self, ring: Ring, index: Index, positions: Any, active: Any, reach: int) -> None:
        self._ring, self._index, self._reach = ring, index, reach
        column = positions % ring.capacity
        if active is not None:
            column = torch.where(active.unsqueeze(1), column, ring.capacity)
        self._column = column[:, None, :, None]
        newest = positions[:, -1:]
        held = newest - (newest - ring.columns[:reach]) % ring.capacity
        """Which position each column holds, (rows, reach); negative: none yet."""
        held, asking = held.unsqueeze(1), positions.unsqueeze(2)
        seen = (held >= 0) & (held <= asking) & (held > asking - ring.window)
        zero = torch.zeros((), dtype=ring.store.dtype, device=seen.device)
        self.mask = torch.where(seen, zero, -torch.inf).unsqueeze(1)
        """To be added to attention's scores: (rows, 1, width, reach)."""

    def update(self, key: Any, value: Any, layer: int, *_: Any, **__: Any) -> tuple[Any, Any]:
        """Put (rows, heads, width, head_dim) in their columns -> all that may be attended to, (rows, heads, reach,
        head_dim)."""
        store = self._ring.store[:, layer]
        return self._put(store[0], key), self._put(store[1], value)

    def _put(self, store: Any, new: Any) -> Any:
        if isinstance(self._index, slice):
            rows = rows_of(store, self._index)
            rows.scatter_(2, self._column.expand_as(new), new)
            return rows[:, :, : self._reach]
        store.index_put_((self._index[:, None, None], self._ring.heads[:, None], self._column[..., 0]), new)
        return store[:, :, : self._reach].index_select(0, self._index)
