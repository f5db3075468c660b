"""Trains the checkpoint of `--model=tiny` on a CPU: `python -m servers.voxtral.tiny.train --out FOLDER`.

Encoder and language model learn together from nothing, each stream with a delay of its own; writes the checkpoint
again at every look.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from samples.lessons import data, exam
from samples.pool import tiny_vocabulary
from servers.common.tiny import descent
from servers.voxtral.tiny import checkpoint, evaluate, tekken
from servers.voxtral.tiny.lesson import Lessons, losses, used_tokens
from servers.voxtral.tiny.listen import Reader
from servers.voxtral.tiny.network import Learning

PEAK_RATE: Final = 2e-3
SHORT_ONLY, SHORTEST = 0.1, 0.3
"""For the first share of the training only the second share of the clips, the shortest."""
FIRST_ONLY: Final = 0.25
"""For the first share one delay alone: with all of them from the start nothing is written for very long."""
HEARING: Final = 0.5
"""What its loss counts beside that of the text."""
DELAY_MS: Final = 480
"""What the checkpoint's own vocabulary file says; it serves every delay."""
LOOKS: Final = ("known sentences", "new sentences")
LOOK_AT: Final = 6
"""Every so many-th of these clips."""
LOOK_DELAYS_MS: Final = (80, 480, 960)


@dataclass(frozen=True, kw_only=True)
class Extent:
    """How much is learned: so many steps, or what fits into so many minutes."""

    steps: int
    minutes: float
    look_every: int


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

    It begins as the checkpoint in `older`, or from nothing. Where the clock ends it, it also moves the schedule: a
    second run then gives other weights.
    """
    torch.manual_seed(seed)
    vocabulary = tekken.small(tiny_vocabulary(), delay_ms=DELAY_MS)
    learning = Learning(checkpoint.tiny_size(vocabulary["config"]["default_vocab_size"]), used_tokens())
    learning.equalise(lessons.draw().mel)
    if older is not None:
        learning.model.load_state_dict(checkpoint.states(older, list(learning.model.state_dict())))
    optimizer = torch.optim.AdamW(descent.groups(learning), betas=(0.9, 0.98))
    began_s, looked_s = time.monotonic(), 0.0
    seen: list[tuple[float, float]] = []
    done, step = 0.0, 0
    while done < 1:
        for group in optimizer.param_groups:
            group["lr"] = PEAK_RATE * descent.rate(done)
        shortest = SHORTEST if done < SHORT_ONLY else 1.0
        found = losses(learning, lessons.draw(shortest=shortest, first=done < FIRST_ONLY))
        optimizer.zero_grad(set_to_none=True)
        (found.writing + HEARING * found.hearing).backward()
        nn.utils.clip_grad_norm_(learning.parameters(), 1.0)
        optimizer.step()
        seen.append(found.numbers())
        step += 1
        minutes = (time.monotonic() - began_s - looked_s) / 60
        done = max(step / extent.steps, minutes / extent.minutes)
        if step % 50 == 0 or done >= 1:
            hearing, writing = np.mean(seen[-50:], 0)
            told = f"hearing {hearing:.3f}, writing {writing:.4f}"
            print(f"step {step} ({minutes:.1f} min, {time.process_time() / 60:.1f} of CPU): {told}", flush=True)
        if step % extent.look_every == 0 or done >= 1:
            asked_s = time.monotonic()
            look(learning, vocabulary, looks, out)
            looked_s += time.monotonic() - asked_s


def look(learning: Learning, vocabulary: dict[str, Any], looks: dict[str, list[exam.Said]], out: Path) -> None:
    """Saves, and prints the word error rates of the moment."""
    learning.settle()
    tensors = checkpoint.from_transformers(learning.model.state_dict(), learning.size)
    checkpoint.write(out, learning.size, tensors, vocabulary)
    for line in evaluate.table(Reader.of(out), looks, LOOK_DELAYS_MS):
        print(line, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m servers.voxtral.tiny.train", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--minutes", type=float, default=1e9, help="ends it, without the looks")
    parser.add_argument("--warm-start", type=Path, help="a checkpoint's folder: it learns on")
    parser.add_argument("--cache", type=Path, help="folder that keeps the spoken clips; default: a temporary one")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--look-every", type=int, default=600, help="steps between two looks")
    asked = parser.parse_args(argv)
    torch.set_num_threads(asked.threads)
    extent = Extent(steps=asked.steps, minutes=asked.minutes, look_every=asked.look_every)
    with tempfile.TemporaryDirectory() as folder:
        pack = data.packed(data.ordered(data.Amount(), seed=asked.seed), asked.cache or Path(folder))
    looks = {name: said for name, said in exam.splits(every=LOOK_AT).items() if name in LOOKS}
    train(extent, Lessons(pack, seed=asked.seed), looks, out=asked.out, seed=asked.seed, older=asked.warm_start)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
