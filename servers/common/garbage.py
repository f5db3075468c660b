"""Python's garbage collector around a model server: it walks every object, and NeMo alone brings 669,000.

A full collection of those holds the event loop up, a large import triggers many, and the interpreter's end one more:
5 s each, measured once on a machine whose memory was slow.
"""

from __future__ import annotations

import gc
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn


@contextmanager
def postponed() -> Iterator[None]:
    """No collection inside: for imports, which make objects that stay."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def settle() -> None:
    """What is there now stays: later collections look at newer objects only. For when everything is loaded and warm."""
    gc.collect()
    gc.freeze()


def leave(code: int) -> NoReturn:
    """Ends the process now, with nothing left to do: without taking every module apart, which here frees what the
    system frees anyway, and takes a second or, where memory is slow, a minute in which the port is closed and the
    process still there."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
