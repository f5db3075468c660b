"""CPU cost of the Smart Turn features beside the reference's, alternated in one process; bar: at most 0.8.

Run from the repository: `python benchmarks/smart_turn_features.py`. Needs pipecat-ai with its dependencies.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable

from servers.common.threads import pin_blas_threads

pin_blas_threads()

import numpy as np
from pipecat.audio.turn.smart_turn._whisper_features import compute_whisper_log_mel_features

from servers.common.interfaces import Audio
from servers.smart_turn.features import N_FRAMES, N_MELS, N_SAMPLES, SAMPLE_RATE_HZ, LogMel

BAR = 0.8
LENGTHS_S = (0.2, 0.5, 1.0, 2.0, 4.0, 6.0, 8.0)


def cpu_ms(work: Callable[[], object]) -> float:
    started_s = time.thread_time()
    work()
    return (time.thread_time() - started_s) * 1000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    rounds = parser.parse_args().rounds
    log_mel, out = LogMel(), np.empty((N_MELS, N_FRAMES), np.float32)
    rng = np.random.default_rng(0)
    ratios = []
    print(f"{'audio':>6} {'reference':>10} {'ours':>8} {'ratio':>6}   CPU ms, medians of {rounds}")
    for length_s in LENGTHS_S:
        clip: Audio = rng.standard_normal(int(length_s * SAMPLE_RATE_HZ), np.float32) * np.float32(0.1)

        def reference(clip: Audio = clip) -> Audio:
            # The padding is the analyzer's work, so it is on this side's bill too.
            features: Audio = compute_whisper_log_mel_features(np.pad(clip, (N_SAMPLES - clip.size, 0)))
            return features

        def ours(clip: Audio = clip) -> None:
            log_mel(clip, out)

        ours()
        if not np.array_equal(out, reference()):
            print(f"{length_s} s: the features differ")
            return 1
        pairs = [(cpu_ms(reference), cpu_ms(ours)) for _ in range(rounds)]
        theirs_ms, ours_ms = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratios.append(ours_ms / theirs_ms)
        print(f"{length_s:5.1f}s {theirs_ms:10.2f} {ours_ms:8.2f} {ratios[-1]:6.2f}")
    print(f"worst {max(ratios):.2f}, mean {statistics.fmean(ratios):.2f}, bar {BAR}")
    return 0 if max(ratios) <= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
