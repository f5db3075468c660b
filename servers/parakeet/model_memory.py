"""How many chunks the device's memory holds at once, learnt from the calls that ran out of it. Knows no model."""

from __future__ import annotations

import logging
from typing import Final

_log = logging.getLogger("servers.parakeet")
PROOFS: Final = 32
"""Full calls that must succeed before twice as many chunks are tried again: another process may have held the memory
for a while, and a try that fails costs about one call, so at most one of 33."""


class Room:
    """The largest batch, halved when memory runs out and doubled again when it has proved enough."""

    def __init__(self, most: int) -> None:
        self.most, self.largest_batch, self.out_of_memory = most, most, 0
        self._proofs = 0

    def ran_out(self, rows: int) -> bool:
        """A call of `rows` chunks found no memory: whether a smaller one may be tried."""
        self.out_of_memory += 1
        self._proofs = 0
        if rows == 1:
            _log.error("out of memory on the device with a single chunk")
            return False
        self.largest_batch = max(1, rows // 2)
        _log.warning("out of memory on the device: at most %d chunks a call from here on", self.largest_batch)
        return True

    def sufficed(self, rows: int) -> None:
        """A call of `rows` chunks succeeded."""
        if rows < self.largest_batch or self.largest_batch == self.most:
            return
        self._proofs += 1
        if self._proofs == PROOFS:
            self.largest_batch, self._proofs = min(self.most, 2 * self.largest_batch), 0
            _log.info("%d calls had memory enough: %d chunks a call are tried again", PROOFS, self.largest_batch)
