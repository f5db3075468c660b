"""How well the tiny checkpoint reads, and when: word errors, exact sentences, start times and pauses by split.

`python -m servers.kyutai.tiny.evaluate [FOLDER]` prints the tables of CARD.md. Needs flite.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
import torch
from numpy.typing import NDArray
from transformers.utils.logging import disable_progress_bar

from samples.encoding import SAMPLE_RATE_HZ as CLIP_RATE_HZ
from samples.lessons import exam
from samples.lessons.exam import Said
from samples.lessons.frames import NOT_ASKED
from servers.common.tiny import stream_exam
from servers.kyutai.tiny import files, targets
from servers.kyutai.tiny.listen import Heard, listen
from servers.kyutai.tiny.streams import FRAME, RATE_HZ

Read = Callable[[Sequence[NDArray[np.float32]]], list[Heard]]


@dataclass(frozen=True, slots=True)
class Marks:
    """Of one split. `late_ms`: how far the starts of the words that were read right are from the sound."""

    clips: int
    exact: int
    words: int
    errors: int
    late_ms: NDArray[np.float64]

    @property
    def rate(self) -> float:
        return self.errors / self.words


def at_mimis_rate(said: Said, *, lead: int = 0) -> NDArray[np.float32]:
    """The clip at 24 kHz behind `lead` samples of silence."""
    audio = soxr.resample(said.audio, CLIP_RATE_HZ, RATE_HZ)
    return np.concatenate([np.zeros(lead, np.float32), audio])


def marked(said: Sequence[Said], heard: Sequence[Heard], *, leads: Sequence[int]) -> Marks:
    """What `heard` is worth."""
    late_ms = []
    for one, other, lead in zip(said, heard, leads, strict=True):
        for place, found in exam.matched(one.words, other.words):
            late_ms.append(1000 * (other.starts_s[found] - lead / RATE_HZ - one.spans_s[place][0]))
    errors = [exam.distance(one.words, other.words) for one, other in zip(said, heard, strict=True)]
    words = sum(len(one.words) for one in said)
    return Marks(len(said), errors.count(0), words, sum(errors), np.array(late_ms))


def leads_of(count: int, *, seed: int = 0) -> list[int]:
    """Silences of up to half a second, in samples at 24 kHz: anywhere beside the grid of frames."""
    return [int(lead) for lead in np.random.default_rng(seed).integers(0, RATE_HZ // 2, count)]


def table(read: Read, named: dict[str, list[Said]]) -> Iterable[str]:
    """Lines of Markdown: splits down; begun with the first sample, and begun anywhere."""
    yield "| clips | n | words | WER | exact | WER, begun anywhere | exact | start error, mean | 95 % |"
    yield "| --- " * 9 + "|"
    for name, said in named.items():
        cells = []
        for leads in ([0] * len(said), leads_of(len(said))):
            audio = [at_mimis_rate(one, lead=lead) for one, lead in zip(said, leads, strict=True)]
            marks = marked(said, read(audio), leads=leads)
            cells += [f"{100 * marks.rate:.1f}", f"{100 * marks.exact / marks.clips:.0f} %"]
        off = np.abs(marks.late_ms) if len(marks.late_ms) else np.zeros(1)
        cells += [f"{off.mean():.0f} ms", f"{np.percentile(off, 95):.0f} ms"]
        yield f"| {name} | {marks.clips} | {marks.words} | " + " | ".join(cells) + " |"


def pauses_table(read: Read, said: Sequence[Said]) -> Iterable[str]:
    """Lines of Markdown: how often a head's word is right, and how often a pause is noticed."""
    heard = read([at_mimis_rate(one) for one in said])
    asked, told = [], []
    for one, other in zip(said, heard, strict=True):
        frames = -(-len(at_mimis_rate(one)) // FRAME)
        asked.append(targets.pauses(np.array(one.spans_s), frames))
        told.append(other.pauses[: frames + 1] > 0.5)
    wanted, given = np.concatenate(asked), np.concatenate(told)
    yield "| pause of | steps in one | precision | recall | said while a word is spoken |"
    yield "| --- " * 5 + "|"
    speaking = np.concatenate([_speaking(one, len(rows)) for one, rows in zip(said, asked, strict=True)])
    for head, length_s in enumerate(targets.PAUSES_S):
        counts = wanted[:, head] != NOT_ASKED
        is_pause, says = wanted[counts, head] == targets.IN_PAUSE, given[counts, head]
        right = int((is_pause & says).sum())
        wrong = given[speaking, head].mean()
        yield (
            f"| {length_s:g} s | {is_pause.sum()} | {right / max(1, says.sum()):.2f} | "
            f"{right / is_pause.sum():.2f} | {100 * wrong:.1f} % |"
        )


def _speaking(said: Said, steps: int) -> NDArray[np.bool_]:
    """For each step whether a word is being spoken, 80 ms off its ends."""
    now_s = np.arange(steps) * targets.FRAME_S
    inside = [(now_s > begin_s + 0.08) & (now_s < end_s - 0.08) for begin_s, end_s in said.spans_s]
    return np.asarray(np.any(inside, axis=0), np.bool_)


def reader(folder: Path) -> Read:
    """Reads clips of 24 kHz audio with the checkpoint."""
    model, pieces, heads = files.load(folder)
    return lambda clips: listen(model, clips, pieces, heads=heads)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m servers.kyutai.tiny.evaluate", description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=files.CHECKPOINT)
    parser.add_argument("--every", type=int, default=1, help="only every so many-th clip")
    asked = parser.parse_args(argv)
    disable_progress_bar()
    torch.set_num_threads(1)
    read = reader(asked.folder)
    named = stream_exam.splits(every=asked.every)
    pauses, quiet = pauses_table(read, named[stream_exam.PAUSED]), stream_exam.quiet_table(read, rate_hz=RATE_HZ)
    for lines in (table(read, named), pauses, quiet):
        print()
        for line in lines:
            print(line, flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
