"""Trains the checkpoint of `--model=tiny` on a CPU: `python -m servers.fastconformer.tiny.train --out FILE.nemo`.

Speaks its own training data (samples/lessons), learns with CTC alone at first, then with the transducer loss too, and
writes the file again at every look (evaluate.py), so that a training that is cut short leaves a model.
"""

from __future__ import annotations

import argparse
import logging
import math
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from samples.encoding import SAMPLE_RATE_HZ
from samples.lessons import data, exam
from samples.lessons.batches import Batch, Drawer
from servers.common.tiny import descent
from servers.fastconformer.tiny import evaluate
from servers.fastconformer.tiny.hearing import Hearing
from servers.fastconformer.tiny.loss import transducer_loss
from servers.fastconformer.tiny.network import CONTEXTS, WIDTH, network

PEAK_RATE: Final = 2e-3
CTC_ONLY: Final = 0.2
"""Share of the training without the transducer: from the start it would learn the texts and not the sound."""

SHORT_ONLY: Final = 0.06
SHORTEST: Final = 0.3
"""For that share of the training only this share of the clips, the shortest: few words, so each is soon found."""

WIDE_ONLY: Final = 0.16
"""Share of the training with the largest look-ahead alone; later batches draw theirs."""

HEARING: Final = 1.0
HEARING_UNTIL: Final = 0.6
"""Share of the training in which the encoder is also asked which word it is in (hearing.py)."""

CTC_SHARE: Final = 0.3
"""Of the loss, once the transducer learns too."""

FAST_EMIT: Final = 0.005
FAST_EMIT_FROM: Final = 0.5
JOINED_SHARE: Final = 0.35
JOINED_FROM: Final = 0.15
BATCH_S: Final = 40.0
"""Seconds of audio in a batch."""

LOOKS: Final = ("known sentences", "new sentences", "new paragraphs")


@dataclass(frozen=True, kw_only=True)
class Extent:
    """How much is spoken and learned: ends after `steps` or `minutes`, whichever is first."""

    amount: data.Amount
    steps: int
    minutes: float
    look_every: int
    every: int
    """At a look only every so many-th test clip is read."""


def train(extent: Extent, *, out: Path, cache: Path, seed: int) -> None:
    """Trains a network and leaves it in `out`."""
    began_s = time.monotonic()
    pack = data.packed(data.ordered(extent.amount, seed=seed), cache)
    hours = len(pack.pcm) / SAMPLE_RATE_HZ / 3600
    print(f"{len(pack.orders)} clips, {hours:.1f} h, spoken in {time.monotonic() - began_s:.0f} s", flush=True)
    named = exam.splits(every=extent.every)
    torch.manual_seed(seed)
    random.seed(seed)  # NeMo's encoder draws each batch's look-ahead from it
    with tempfile.TemporaryDirectory() as folder:
        model = network(Path(folder))
        learn(model, Drawer(pack, seed=seed), {name: named[name] for name in LOOKS}, extent, out)


def learn(model: Any, drawer: Drawer, looks: dict[str, list[exam.Said]], extent: Extent, out: Path) -> None:
    """Follows the losses down; looks and saves every `look_every` steps and at the end."""
    ear = Hearing(WIDTH)
    learning = nn.ModuleList([model, ear])
    optimizer = torch.optim.AdamW(descent.groups(learning), betas=(0.9, 0.98))
    began_s, looked_s, step, done = time.monotonic(), 0.0, 0, 0.0
    seen: list[tuple[float, float, float]] = []
    while done < 1:
        model.train()
        model.encoder.att_context_probs = [1.0, 0.0, 0.0, 0.0] if done < WIDE_ONLY else [0.25] * len(CONTEXTS)
        for group in optimizer.param_groups:
            group["lr"] = PEAK_RATE * descent.rate(done)
        batch = drawer.draw(
            audio_s=BATCH_S,
            joined_share=JOINED_SHARE if done >= JOINED_FROM else 0.0,
            shortest=SHORTEST if done < SHORT_ONLY else 1.0,
        )
        found = losses(
            model, ear, batch, with_transducer=done >= CTC_ONLY, fast_emit=FAST_EMIT if done >= FAST_EMIT_FROM else 0.0
        )
        optimizer.zero_grad(set_to_none=True)
        found.together(hearing=HEARING if done < HEARING_UNTIL else 0.0).backward()
        nn.utils.clip_grad_norm_(learning.parameters(), 1.0)
        optimizer.step()
        seen.append(found.numbers())
        step += 1
        minutes = (time.monotonic() - began_s - looked_s) / 60
        done = max(step / extent.steps, minutes / extent.minutes)
        if step % 50 == 0 or done >= 1:
            hearing, ctc, transducer = np.mean(seen[-50:], 0)
            told = f"hearing {hearing:.2f}, ctc {ctc:.2f}, rnnt {transducer:.2f}"
            print(f"step {step} ({minutes:.1f} min): {told}", flush=True)
        if step % extent.look_every == 0 or done >= 1:
            asked_s = time.monotonic()
            save(model, out)
            look(model, looks, decoder="ctc" if done < CTC_ONLY else "rnnt")
            looked_s += time.monotonic() - asked_s


@dataclass(frozen=True)
class Losses:
    """Means over a batch: of hearing per frame, of the others per word piece."""

    hearing: Tensor
    ctc: Tensor
    transducer: Tensor | None

    def together(self, *, hearing: float) -> Tensor:
        """What is followed down; `hearing` is the first lesson's weight."""
        if self.transducer is None:
            return self.ctc + hearing * self.hearing
        return CTC_SHARE * self.ctc + (1 - CTC_SHARE) * self.transducer + hearing * self.hearing

    def numbers(self) -> tuple[float, float, float]:
        transducer = math.nan if self.transducer is None else self.transducer.item()
        return self.hearing.item(), self.ctc.item(), transducer


def losses(model: Any, ear: Hearing, batch: Batch, *, with_transducer: bool, fast_emit: float) -> Losses:
    """One pass through the encoder and whatever stands on it."""
    pieces = [model.tokenizer.text_to_ids(" ".join(words)) for words in batch.texts]
    sizes = torch.tensor([len(row) for row in pieces])
    targets = torch.zeros(len(pieces), max(1, int(sizes.max())), dtype=torch.int64)
    for at, row in enumerate(pieces):
        targets[at, : len(row)] = torch.tensor(row, dtype=torch.int64)
    with torch.no_grad():
        mel, mel_sizes = model.preprocessor(
            input_signal=torch.from_numpy(batch.audio), length=torch.from_numpy(batch.sizes)
        )
        mel = model.spec_augmentation(input_spec=mel, length=mel_sizes)
    encoded, frames = model.encoder(audio_signal=mel, length=mel_sizes)
    weight = sizes.sum().clamp(min=1)
    log_probs = model.ctc_decoder(encoder_output=encoded).transpose(0, 1)
    blank = log_probs.shape[-1] - 1
    ctc = nn.functional.ctc_loss(log_probs, targets, frames, sizes, blank=blank, reduction="sum", zero_infinity=True)
    transducer = None
    if with_transducer:
        decoded, _, _ = model.decoder(targets=targets, target_length=sizes)
        joint = model.joint(encoder_outputs=encoded, decoder_outputs=decoded)
        transducer = transducer_loss(joint, targets, frames, sizes, blank=blank, fast_emit=fast_emit).sum() / weight
    return Losses(ear(encoded, frames, batch), ctc / weight, transducer)


def look(model: Any, looks: dict[str, list[exam.Said]], *, decoder: evaluate.Decoder) -> None:
    """Prints the word error rates of the moment."""
    for line in evaluate.table(model, looks, decoder=decoder):
        print(line, flush=True)


def save(model: Any, out: Path) -> None:
    """Whole or not at all: others may read `out` meanwhile."""
    model.eval()
    model.encoder.set_default_att_context_size(CONTEXTS[0])
    written = out.with_name(f".{out.name}")
    model.save_to(str(written))
    written.replace(out)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m servers.fastconformer.tiny.train", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the .nemo file to write")
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--minutes", type=float, default=math.inf, help="longest training; cut short, weights differ")
    parser.add_argument("--cache", type=Path, help="folder that keeps the spoken clips; default: a temporary one")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--look-every", type=int, default=600, help="steps between two looks")
    asked = parser.parse_args(argv)
    torch.set_num_threads(asked.threads)
    logging.getLogger("nemo_logger").setLevel(logging.ERROR)
    extent = Extent(
        amount=data.Amount(), steps=asked.steps, minutes=asked.minutes, look_every=asked.look_every, every=3
    )
    with tempfile.TemporaryDirectory() as folder:
        train(extent, out=asked.out, cache=asked.cache or Path(folder), seed=asked.seed)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
