"""How long after a word's end the tiny checkpoint has written it: what streaming users wait for.

Counts audio only, not computing: a frame can be used when the last sample of its chunk is there. Needs flite.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from samples.lessons import texts
from samples.lessons.data import VOICES
from samples.lessons.exam import Said, spoken
from samples.pool import Split
from servers.fastconformer.tiny.evaluate import FRAME_MS, TINY, hypotheses, load
from servers.fastconformer.tiny.network import CONTEXTS


@dataclass(frozen=True, slots=True)
class Delay:
    """Of the words of all clips that were read without an error, in ms."""

    words: int
    median_ms: float
    p95_ms: float


def delay(model: Any, said: Sequence[Said], *, context: Sequence[int]) -> Delay:
    """From a word's end in the sound to the end of the chunk whose frame brought its last piece."""
    found: list[float] = []
    for one, hypothesis in zip(said, hypotheses(model, [one.audio for one in said], context=context), strict=True):
        if tuple(hypothesis.text.split()) == one.words:
            written_s = [chunk_end_s(frame, look_ahead=context[1]) for frame in last_frames(model, hypothesis)]
            found += [1000 * (at_s - end_s) for at_s, (_, end_s) in zip(written_s, one.spans_s, strict=True)]
    return Delay(len(found), float(np.median(found)), float(np.percentile(found, 95)))


def chunk_end_s(frame: int, *, look_ahead: int) -> float:
    """When the audio is there that an encoder frame waits for: chunks are look_ahead + 1 frames."""
    size = look_ahead + 1
    return (frame // size + 1) * size * FRAME_MS / 1000


def last_frames(model: Any, hypothesis: Any) -> list[int]:
    """The frame of each word's last piece."""
    pieces = model.tokenizer.ids_to_tokens(hypothesis.y_sequence.tolist())
    frames: list[int] = []
    for piece, frame in zip(pieces, hypothesis.timestamp, strict=True):
        if piece.startswith("▁") or not frames:
            frames.append(int(frame))
        else:
            frames[-1] = int(frame)
    return frames


def table(model: Any, said: Sequence[Said]) -> Iterable[str]:
    """Lines of Markdown: one for each look-ahead."""
    yield "| look-ahead | words | median | 95 % |"
    yield "| --- | --- | --- | --- |"
    for context in sorted(CONTEXTS):
        found = delay(model, said, context=context)
        yield f"| {context[1] * FRAME_MS} ms | {found.words} | {found.median_ms:.0f} ms | {found.p95_ms:.0f} ms |"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m servers.fastconformer.tiny.delay", description=__doc__)
    parser.add_argument("file", type=Path, nargs="?", default=TINY)
    torch.set_num_threads(1)
    logging.getLogger("nemo_logger").setLevel(logging.ERROR)
    model = load(parser.parse_args(argv).file)
    for line in table(model, spoken(texts.known(Split.TRAIN), VOICES, turns=2)):
        print(line, flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
