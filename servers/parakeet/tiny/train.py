"""Trains the checkpoint of `--model=tiny` on a CPU: `python -m servers.parakeet.tiny.train --warm-start OLD --out NEW`.

Starts from a tiny streaming checkpoint, speaks its own training data (samples/lessons) and writes the file again at
every look (evaluate.py), so that a training that is cut short leaves a model.
"""

from __future__ import annotations

import argparse
import logging
import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from samples.encoding import SAMPLE_RATE_HZ
from samples.lessons import data, exam
from samples.lessons.batches import Drawer
from servers.common.tiny import descent
from servers.parakeet.tiny import evaluate
from servers.parakeet.tiny.hearing import Hearing
from servers.parakeet.tiny.lesson import losses
from servers.parakeet.tiny.network import DURATIONS, WIDTH, network

HEARING: Final = 0.5
"""Weight of the lesson beside the text (hearing.py)."""

REGAINING: Final = 0.2
"""Weight of the paths on which a piece has lasted no time: what to do when it was thought too short."""

JOINED_SHARE: Final = 0.35
BATCH_S: Final = 40.0
"""Seconds of audio in a batch."""

LOOKS: Final = ("known sentences", "new sentences", "new paragraphs", "new sentences, 12 joined")


@dataclass(frozen=True, kw_only=True)
class Extent:
    """How much is spoken and learned: ends after `steps` or `minutes`, whichever is first."""

    amount: data.Amount
    steps: int
    minutes: float
    peak_rate: float
    look_every: int
    every: int
    """At a look only every so many-th test clip is read."""


def train(extent: Extent, *, older: Path, out: Path, cache: Path, seed: int) -> None:
    """Trains a network from the checkpoint `older` and leaves it in `out`."""
    began_s = time.monotonic()
    pack = data.packed(data.ordered(extent.amount, seed=seed), cache)
    hours = len(pack.pcm) / SAMPLE_RATE_HZ / 3600
    print(f"{len(pack.orders)} clips, {hours:.1f} h, spoken in {time.monotonic() - began_s:.0f} s", flush=True)
    named = exam.splits(every=extent.every)
    torch.manual_seed(seed)
    with tempfile.TemporaryDirectory() as folder:
        model = network(older, Path(folder))
        learn(model, Drawer(pack, seed=seed), {name: named[name] for name in LOOKS if name in named}, extent, out)


def learn(model: Any, drawer: Drawer, looks: dict[str, list[exam.Said]], extent: Extent, out: Path) -> None:
    """Follows the losses down; looks and saves every `look_every` steps and at the end."""
    ear = Hearing(WIDTH, most=max(DURATIONS))
    learning = nn.ModuleList([model, ear])
    optimizer = torch.optim.AdamW(descent.groups(learning), betas=(0.9, 0.98))
    began_s, looked_s, step, done = time.monotonic(), 0.0, 0, 0.0
    seen: list[tuple[float, float, float]] = []
    while done < 1:
        model.train()
        for group in optimizer.param_groups:
            group["lr"] = extent.peak_rate * descent.rate(done)
        hearing, tdt, regaining = losses(model, ear, drawer.draw(audio_s=BATCH_S, joined_share=JOINED_SHARE))
        optimizer.zero_grad(set_to_none=True)
        (tdt + HEARING * hearing + REGAINING * regaining).backward()
        nn.utils.clip_grad_norm_(learning.parameters(), 1.0)
        optimizer.step()
        seen.append((hearing.item(), tdt.item(), regaining.item()))
        step += 1
        minutes = (time.monotonic() - began_s - looked_s) / 60
        done = max(step / extent.steps, minutes / extent.minutes)
        if step % 50 == 0 or done >= 1:
            used = f"{minutes:.1f} min, {time.process_time() / 60:.1f} of CPU"
            told = "hearing {:.2f}, tdt {:.2f}, regaining {:.2f}".format(*np.mean(seen[-50:], 0))
            print(f"step {step} ({used}): {told}", flush=True)
        if step % extent.look_every == 0 or done >= 1:
            asked_s = time.monotonic()
            save(model, out)
            for line in evaluate.table(evaluate.timed(model), looks):
                print(line, flush=True)
            looked_s += time.monotonic() - asked_s


def save(model: Any, out: Path) -> None:
    """Whole or not at all: others may read `out` meanwhile."""
    written = out.with_name(f".{out.name}")
    model.eval().save_to(str(written))
    written.replace(out)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m servers.parakeet.tiny.train", description=__doc__)
    parser.add_argument(
        "--warm-start",
        type=Path,
        required=True,
        help="a streaming .nemo to start from, or an --out",
    )
    parser.add_argument("--out", type=Path, required=True, help="the .nemo file to write")
    parser.add_argument("--steps", type=int, default=1300)
    parser.add_argument("--minutes", type=float, default=math.inf, help="longest training; cut short, weights differ")
    parser.add_argument("--peak-rate", type=float, default=2e-3, help="highest learning rate")
    parser.add_argument("--cache", type=Path, help="folder that keeps the spoken clips; default: a temporary one")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--look-every", type=int, default=260, help="steps between two looks")
    asked = parser.parse_args(argv)
    torch.set_num_threads(asked.threads)
    logging.getLogger("nemo_logger").setLevel(logging.ERROR)
    extent = Extent(
        amount=data.Amount(),
        steps=asked.steps,
        minutes=asked.minutes,
        peak_rate=asked.peak_rate,
        look_every=asked.look_every,
        every=3,
    )
    with tempfile.TemporaryDirectory() as folder:
        train(extent, older=asked.warm_start, out=asked.out, cache=asked.cache or Path(folder), seed=asked.seed)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
