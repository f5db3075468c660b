"""Trains the checkpoint of `--model=tiny` on a CPU: `python -m servers.kyutai.tiny.train --out FOLDER`.

Mimi's encoder and the language model learn together on latents that never become codes; then the codebooks are set
by k-means (codebooks.py) and the language model learns on with the codes. Writes the checkpoint again at every look.
"""

from __future__ import annotations

import argparse
import copy
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import nn
from transformers.utils.logging import disable_progress_bar

from samples.lessons import data, exam
from servers.common.tiny import descent
from servers.kyutai.tiny import codebooks, evaluate, files
from servers.kyutai.tiny.lesson import Lessons, Losses, by_codes, by_latents
from servers.kyutai.tiny.network import Learning

PEAK_RATE: Final = 2e-3
CODES_RATE: Final = 7e-4
LATER_RATE: Final = 5e-4
"""For a checkpoint that has learned with its codes before."""
SHORT_ONLY, SHORTEST = 0.1, 0.3
"""For the first share of the training only the second share of the clips, the shortest."""
HEARING, PAUSES = 0.5, 0.2
"""What the losses beside that of the text count."""
NOISE: Final = 0.15
LOOKS: Final = ("known sentences", "new sentences")
LOOK_AT: Final = 5
"""Every so many-th of these clips."""


@dataclass(frozen=True, kw_only=True)
class Extent:
    """How much is learned."""

    steps: int
    code_steps: int
    look_every: int
    settle_batches: int
    """The codebooks are set by the latents of so many; at a look on the way by a third of that."""


def train(
    extent: Extent,
    lessons: Lessons,
    looks: dict[str, list[exam.Said]],
    *,
    out: Path,
    seed: int,
    older: Path | None = None,
) -> None:
    """Trains a network and leaves its checkpoint in the folder `out`; at a look it reads `looks`.

    One that begins as the checkpoint `older` learns with its codes only.
    """
    torch.manual_seed(seed)
    learning = Learning()
    if older is None:
        learn_codes(learning, extent, lessons, looks, out)
    else:
        files.read(learning, older)
    learning.model.codec_model.requires_grad_(False)
    follow(
        learning,
        lambda _: by_codes(learning, lessons.draw()),
        extent.code_steps,
        peak=CODES_RATE if older is None else LATER_RATE,
        look=lambda: look(learning, lessons.spelling, looks, out),
        every=extent.look_every,
    )


def learn_codes(
    learning: Learning, extent: Extent, lessons: Lessons, looks: dict[str, list[exam.Said]], out: Path
) -> None:
    """The way to codes that mean something: everything learns on latents, then the codebooks are set."""
    learning.equalise(lessons.draw().audio)

    def heard_with_codes() -> None:
        made = copy.deepcopy(learning)
        settle(made, lessons, extent.settle_batches // 3)
        look(made, lessons.spelling, looks, out)

    def by_noise(done: float) -> Losses:
        drawn = lessons.draw(shortest=SHORTEST if done < SHORT_ONLY else 1.0)
        return by_latents(learning, drawn, noise=NOISE * min(1.0, 4 * done))

    follow(learning, by_noise, extent.steps, peak=PEAK_RATE, look=heard_with_codes, every=extent.look_every)
    settle(learning, lessons, extent.settle_batches)


def settle(learning: Learning, lessons: Lessons, batches: int) -> None:
    """Sets the codebooks by the latents of so many batches."""
    with torch.no_grad():
        latents = torch.cat([learning.latents(lessons.draw().audio).flatten(0, 1) for _ in range(batches)])
    left = codebooks.settle(learning, latents)
    print(f"codes leave out {100 * left:.1f} % of the latents' power", flush=True)


def follow(
    learning: Learning,
    lesson: Callable[[float], Losses],
    steps: int,
    *,
    peak: float,
    look: Callable[[], None],
    every: int,
) -> None:
    """Follows the losses of `lesson`, which is told the share that is over, down; looks on the way and at the end."""
    optimizer = torch.optim.AdamW(descent.groups(learning), betas=(0.9, 0.98))
    began_s, looked_s = time.monotonic(), 0.0
    seen: list[tuple[float, float, float]] = []
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = peak * descent.rate(step / steps)
        found = lesson(step / steps)
        optimizer.zero_grad(set_to_none=True)
        (found.writing + HEARING * found.hearing + PAUSES * found.pauses).backward()
        nn.utils.clip_grad_norm_(learning.parameters(), 1.0)
        optimizer.step()
        seen.append(found.numbers())
        if (step + 1) % 50 == 0 or step + 1 == steps:
            hearing, writing, pauses = np.mean(seen[-50:], 0)
            minutes = (time.monotonic() - began_s - looked_s) / 60
            told = f"hearing {hearing:.3f}, writing {writing:.3f}, pauses {pauses:.3f}"
            print(f"step {step + 1} ({minutes:.1f} min, {time.process_time() / 60:.1f} of CPU): {told}", flush=True)
        if (step + 1) % every == 0 or step + 1 == steps:
            asked_s = time.monotonic()
            look()
            looked_s += time.monotonic() - asked_s


def look(learning: Learning, tokenizer: Tokenizer, looks: dict[str, list[exam.Said]], out: Path) -> None:
    """Saves, and prints the word error rates of the moment."""
    files.write(learning, tokenizer, out)
    for line in evaluate.table(evaluate.reader(out), looks):
        print(line, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m servers.kyutai.tiny.train", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    parser.add_argument("--steps", type=int, default=3800, help="on latents")
    parser.add_argument("--code-steps", type=int, default=500, help="on codes")
    parser.add_argument("--warm-start", type=Path, help="a checkpoint's folder: it learns on, with its codes only")
    parser.add_argument("--cache", type=Path, help="folder that keeps the spoken clips; default: a temporary one")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--look-every", type=int, default=600, help="steps between two looks")
    asked = parser.parse_args(argv)
    disable_progress_bar()
    torch.set_num_threads(asked.threads)
    extent = Extent(steps=asked.steps, code_steps=asked.code_steps, look_every=asked.look_every, settle_batches=60)
    with tempfile.TemporaryDirectory() as folder:
        pack = data.packed(data.ordered(data.Amount(), seed=asked.seed), asked.cache or Path(folder))
    looks = {name: said for name, said in exam.splits(every=LOOK_AT).items() if name in LOOKS}
    train(extent, Lessons(pack, seed=asked.seed), looks, out=asked.out, seed=asked.seed, older=asked.warm_start)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
