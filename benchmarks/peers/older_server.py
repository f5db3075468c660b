"""Our own server as older ones batched: the window is always waited out, and v2 computes every clip at 16 s.

`--short`: without the 16 s, so that the window alone differs.
"""

from __future__ import annotations

import sys

from benchmarks.peers.models import WINDOW_MS, Asked, build, build_v2, read_arguments
from benchmarks.peers.ours import run
from servers.common.interfaces import TurnDetector


def build_older(asked: Asked) -> TurnDetector:
    """The model, at 16 s where it has a choice."""
    if asked.is_v2 and "--short" not in asked.extra:
        return build_v2(asked, pad_to_16_s=True)
    return build(asked)


if __name__ == "__main__":
    given = read_arguments()
    sys.exit(run(given, lambda: build_older(given), f"--window-ms={WINDOW_MS:g}", "--idle-gap-ms=0"))
