"""How well the tiny checkpoint reads: word errors and exact clips by split and delay, and where nobody speaks.

`python -m servers.voxtral.tiny.evaluate [FOLDER]` prints the tables of CARD.md. Needs flite.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch

from samples.encoding import SAMPLE_RATE_HZ
from samples.lessons import exam
from samples.lessons.exam import Said
from servers.common.tiny import stream_exam
from servers.voxtral.tiny.checkpoint import CHECKPOINT
from servers.voxtral.tiny.listen import Audio, Reader

DELAYS_MS: Final = (80, 240, 400, 480, 960, 2400)
QUIET_DELAY: Final = 6
"""Steps of 80 ms with which noise is read."""


def begun_anywhere(said: Sequence[Said], *, seed: int = 0) -> list[Audio]:
    """The clips behind up to half a second of silence: anywhere beside the grid of frames."""
    leads = np.random.default_rng(seed).integers(0, SAMPLE_RATE_HZ // 2, len(said))
    return [np.concatenate([np.zeros(lead, np.float32), one.audio]) for one, lead in zip(said, leads, strict=True)]


def errors(reader: Reader, said: Sequence[Said], *, delay_ms: int) -> tuple[float, float]:
    """Word error rate, and the share of the clips without an error; each clip begun anywhere."""
    heard = reader.read(begun_anywhere(said), delay=delay_ms // 80)
    found = [exam.distance(one.words, other.words) for one, other in zip(said, heard, strict=True)]
    return sum(found) / sum(len(one.words) for one in said), found.count(0) / len(found)


def table(reader: Reader, named: dict[str, list[Said]], delays_ms: Sequence[int]) -> Iterable[str]:
    """Lines of Markdown: splits down, delays across; word error rate and exact clips in per cent."""
    yield "| clips | n | words | " + " | ".join(f"{delay_ms} ms" for delay_ms in delays_ms) + " |"
    yield "| --- " * (3 + len(delays_ms)) + "|"
    for name, said in named.items():
        cells = []
        for delay_ms in delays_ms:
            rate, exact = errors(reader, said, delay_ms=delay_ms)
            cells.append(f"{100 * rate:.1f} ({100 * exact:.0f})")
        yield f"| {name} | {len(said)} | {sum(len(one.words) for one in said)} | " + " | ".join(cells) + " |"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m servers.voxtral.tiny.evaluate", description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=CHECKPOINT)
    parser.add_argument("--every", type=int, default=1, help="only every so many-th clip")
    asked = parser.parse_args(argv)
    torch.set_num_threads(1)
    reader = Reader.of(asked.folder)
    named = stream_exam.splits(every=asked.every)
    quiet = stream_exam.quiet_table(lambda clips: reader.read(clips, delay=QUIET_DELAY), rate_hz=SAMPLE_RATE_HZ)
    for lines in (table(reader, named, DELAYS_MS), quiet):
        print()
        for line in lines:
            print(line, flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
