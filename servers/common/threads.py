"""How a server process treats threads. Imports nothing heavy: it runs before numpy is loaded."""

from __future__ import annotations

import os
import sys

BLAS_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
SWITCH_INTERVAL_S = 0.0001


def pin_blas_threads() -> None:
    """One BLAS thread unless the environment says otherwise; only works before numpy loads.

    A BLAS pool beside N one-thread model sessions fights them for the same cores: twice the CPU time per item
    was measured with two threads on two cores.
    """
    for name in BLAS_VARIABLES:
        os.environ.setdefault(name, "1")


def lower_switch_interval() -> None:
    """Let a busy Python model thread give the event loop its turn after 0.1 ms instead of 5 ms.

    At Python's default a pure-Python model thread cost a 36 ms p99 round trip, at 0.1 ms 2 ms.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_S)
