"""What a checkpoint that reads streams is asked: every split, minutes of speech, pauses between clips, and noise."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from samples.encoding import SAMPLE_RATE_HZ
from samples.lessons import exam
from samples.lessons.exam import Said
from samples.pool import Split

NOISES: Final = (0.0, 1e-4, 1e-3, 3e-3, 1e-2)
"""Of full scale; speech is at 0.05."""
MINUTE: Final = 25
"""So many sentences are about a minute."""
PAUSED: Final = "known sentences, 4 with pauses"


class Heard(Protocol):
    """What was heard in a clip."""

    @property
    def words(self) -> tuple[str, ...]: ...


def splits(*, every: int = 1) -> dict[str, list[Said]]:
    """All clips by name: the exam's and the committed ones, known sentences a minute each, and with pauses (PAUSED)."""
    named = exam.splits(every=every)
    for split in Split:
        named |= {f"committed, {name}": said for name, said in exam.committed(split).items()}
    known = named["known sentences"]
    named["known sentences, a minute each"] = exam.joined(known, parts=MINUTE)
    named[PAUSED] = _with_pauses(known)
    return named


def _with_pauses(said: Sequence[Said], *, parts: int = 4, seed: int = 0) -> list[Said]:
    """`parts` clips each with pauses of 0.2 to 5 s between them."""
    rng = np.random.default_rng(seed)
    found = []
    for at in range(0, len(said) - parts + 1, parts):
        row: list[Said] = []
        for one in said[at : at + parts]:
            gap = np.zeros(int(rng.uniform(0.2, 5) * SAMPLE_RATE_HZ), np.float32)
            row += [Said(gap, (), ()), one]
        found += exam.joined(row, parts=len(row))
    return found


def quiet_table(read: Callable[[Sequence[NDArray[np.float32]]], Sequence[Heard]], *, rate_hz: int) -> Iterable[str]:
    """Lines of Markdown: words written for half a minute of white noise of each loudness."""
    yield "| noise, root mean square | words in 30 s |"
    yield "| --- " * 2 + "|"
    noise = np.random.default_rng(0).standard_normal(30 * rate_hz)
    heard = read([np.asarray(loudness * noise, np.float32) for loudness in NOISES])
    for loudness, one in zip(NOISES, heard, strict=True):
        yield f"| {loudness:g} | {len(one.words)} |"
