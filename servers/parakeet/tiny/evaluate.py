"""How well the tiny checkpoint reads, and how true its word times are: NeMo's own, against the synthesiser's.

`python -m servers.parakeet.tiny.evaluate [FILE]` prints the tables of CARD.md. Needs flite.
"""

from __future__ import annotations

import argparse
import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from nemo.collections.asr.models import ASRModel
from numpy.typing import NDArray
from omegaconf import OmegaConf, open_dict

from samples.lessons import texts
from samples.lessons.data import VOICES
from samples.lessons.exam import Said, Score, committed, joined, marked, matched, splits, spoken
from samples.lessons.frames import FRAME_S
from samples.pool import Split
from samples.sound import Samples

TINY: Final = Path(__file__).with_name("tiny.nemo")
PARTS: Final = 12


@dataclass(frozen=True, slots=True)
class Heard:
    """What the model writes: `words` and, of each, the seconds (words, 2) in which it says that it is spoken."""

    text: str
    words: tuple[str, ...]
    spans_s: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Times:
    """How far the times of `words` words are from the truth, in ms; those that were read right. NaN where none was."""

    words: int
    start_ms: float
    end_ms: float
    start_p95_ms: float
    end_p95_ms: float


def load(path: Path) -> ASRModel:
    """The checkpoint on the CPU, ready to be asked, with times."""
    return timed(ASRModel.restore_from(str(path), map_location="cpu"))


def timed(model: ASRModel) -> ASRModel:
    """`model`, made to say when."""
    decoding = OmegaConf.create(OmegaConf.to_container(model.cfg.decoding, resolve=True))
    with open_dict(decoding):
        decoding.compute_timestamps = True
    model.change_decoding_strategy(decoding, verbose=False)
    return model.eval()


def read(model: ASRModel, clips: Sequence[Samples], *, batch: int = 16) -> list[Heard]:
    """What `model` hears in each clip, 16 kHz of shape (n,)."""
    order = sorted(range(len(clips)), key=lambda at: len(clips[at]))
    found: dict[int, Heard] = {}
    for begin in range(0, len(order), batch):
        chosen = order[begin : begin + batch]
        sizes = torch.tensor([len(clips[at]) for at in chosen])
        audio = torch.zeros(len(chosen), int(sizes.max()))
        for row, at in enumerate(chosen):
            audio[row, : len(clips[at])] = torch.from_numpy(clips[at])
        with torch.inference_mode():
            encoded, lengths = model(input_signal=audio, input_signal_length=sizes)
            for row, at in enumerate(chosen):
                found[at] = heard(decoded(model, encoded[row : row + 1], lengths[row : row + 1]))
    return [found[at] for at in range(len(clips))]


def decoded(model: ASRModel, encoded: Any, lengths: Any) -> Any:
    """NeMo's hypothesis of one clip.

    One at a time: where several are decoded together on a CPU, NeMo 3.0.0 gives a piece the duration of a later frame
    when it is found before the pieces of other clips (tdt_label_looping.py overwrites `durations` for all of them).
    """
    (hypothesis,) = model.decoding.rnnt_decoder_predictions_tensor(
        encoder_output=encoded, encoded_lengths=lengths, return_hypotheses=True
    )
    return hypothesis


def heard(hypothesis: Any) -> Heard:
    """NeMo's words and offsets, in seconds."""
    words = hypothesis.timestamp["word"]
    spans = np.array([(word["start_offset"], word["end_offset"]) for word in words], np.float64).reshape(-1, 2)
    return Heard(hypothesis.text, tuple(word["word"] for word in words), spans * FRAME_S)


def score(said: Sequence[Said], answers: Sequence[Heard]) -> Score:
    """The word errors of the answers."""
    return marked(said, [answer.text for answer in answers])


def times(said: Sequence[Said], answers: Sequence[Heard]) -> Times:
    """How far begins and ends of the words that were read right are from the synthesiser's."""
    off = [
        np.abs(answer.spans_s[to] - one.spans_s[at])
        for one, answer in zip(said, answers, strict=True)
        for at, to in matched(one.words, answer.words)
    ]
    if not off:
        return Times(0, math.nan, math.nan, math.nan, math.nan)
    mean, p95 = 1000 * np.mean(off, 0), 1000 * np.percentile(off, 95, 0)
    return Times(len(off), float(mean[0]), float(mean[1]), float(p95[0]), float(p95[1]))


def exam(*, every: int = 1) -> dict[str, list[Said]]:
    """Every split, and known sentences joined to half a minute."""
    known = spoken(texts.known(Split.TRAIN), VOICES, turns=2, every=every)
    return splits(every=every) | {f"known sentences, {PARTS} joined": joined(known, parts=PARTS)}


def table(model: ASRModel, named: dict[str, list[Said]]) -> Iterable[str]:
    """Lines of Markdown, one for each split: WER in per cent, mean errors of the times and 95 % of them in ms."""
    yield "| clips | n | words | WER | words read right | start, mean | end, mean | start, 95 % | end, 95 % |"
    yield "| --- " * 9 + "|"
    for name, said in named.items():
        answers = read(model, [one.audio for one in said])
        marks, off = score(said, answers), times(said, answers)
        cells = f"{off.words} | {off.start_ms:.0f} | {off.end_ms:.0f} | {off.start_p95_ms:.0f} | {off.end_p95_ms:.0f}"
        yield f"| {name} | {len(said)} | {marks.words} | {100 * marks.rate:.1f} | {cells} |"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m servers.parakeet.tiny.evaluate", description=__doc__)
    parser.add_argument("file", type=Path, nargs="?", default=TINY)
    parser.add_argument("--every", type=int, default=1, help="only every so many-th clip")
    asked = parser.parse_args(argv)
    torch.set_num_threads(1)
    logging.getLogger("nemo_logger").setLevel(logging.ERROR)
    named = exam(every=asked.every)
    for split in Split:
        named |= {f"committed, {name}": said for name, said in committed(split).items()}
    for line in table(load(asked.file), named):
        print(line, flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
