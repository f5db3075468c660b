"""Closes our half of a client's TCP connection, as a crashing proxy does: the peer reads an end without a close frame.

No WebSocket server offers that, so the socket is looked up among the open files of this process. Linux only.
"""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path


def half_close(peer: tuple[str, int]) -> bool:
    """End what we send to `peer`; what it sends is still read. False: no such connection."""
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # closed meanwhile, no socket, or not connected
            if not str(entry.readlink()).startswith("socket:"):
                continue
            with socket.socket(fileno=os.dup(int(entry.name))) as copy:
                if copy.family in (socket.AF_INET, socket.AF_INET6) and copy.getpeername()[:2] == peer:
                    copy.shutdown(socket.SHUT_WR)
                    return True
    return False
