"""CPU time of Smart Turn v2 at the reference's 16 s against the short path, one clip, real size, random weights.

Interleaved, medians. Runs under the environment `torch`; says so and ends where it is not there.
"""

from __future__ import annotations

import importlib.util
import os
import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = 5
BARS = {8.0: 1.8, 4.0: 3.5, 2.0: 6.0}
"""Least ratio by length in seconds."""


def go_to_torch() -> None:
    """Become the same benchmark under the environment `torch`."""
    from yapbench import envs
    from yapbench.errors import UsageError

    try:
        python = envs.interpreter("torch")
    except UsageError as lack:
        print(lack)
        sys.exit(0)
    os.execve(python, [str(python), __file__], {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"})


def measure() -> None:
    import numpy as np
    import torch

    from servers.smart_turn.model_v2 import SmartTurnV2
    from servers.smart_turn.model_v2_load import random_network

    for dtype in (torch.float32, torch.bfloat16):
        options = {"device": torch.device("cpu"), "dtype": dtype}
        full = SmartTurnV2(random_network(), length_buckets_s=(), **options)
        short = SmartTurnV2(random_network(), **options)
        for seconds, bar in BARS.items():
            clip = np.random.default_rng(0).standard_normal(int(seconds * 16_000)).astype(np.float32)
            spent_s: dict[str, list[float]] = {"full": [], "short": []}
            for at in range(ROUNDS + 1):
                for name, detector in (("full", full), ("short", short)):
                    began_s = time.process_time()
                    detector.predict([clip])
                    if at:  # the first round warms up
                        spent_s[name].append(time.process_time() - began_s)
            full_ms, short_ms = (1000 * statistics.median(values) for values in spent_s.values())
            ratio = full_ms / short_ms
            verdict = f"bar {bar} {'met' if ratio >= bar else 'MISSED'}"
            print(f"{dtype} {seconds:g} s: {full_ms:.0f} / {short_ms:.0f} ms = {ratio:.2f}, {verdict}")


if __name__ == "__main__":
    if importlib.util.find_spec("torch") is None:
        go_to_torch()
    measure()
