"""Trains the checkpoint of `--model=tiny` on a CPU: `python -m servers.smart_turn.tiny.train --out FOLDER`.

The network is the one that is served, on its short path. Ends by serving what it wrote to every split (evaluate.py).
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from samples.pool import Split
from servers.common.interfaces import Audio
from servers.smart_turn.lengths import SAMPLE_RATE_HZ, Lengths
from servers.smart_turn.model_v2 import normalise
from servers.smart_turn.model_v2_load import NORMS, POSITION, UNUSED, random_network
from servers.smart_turn.model_v2_network import Endpointing
from servers.smart_turn.tiny import data
from servers.smart_turn.tiny.evaluate import evaluate
from servers.smart_turn.tiny.hearing import Hearing
from servers.smart_turn.weights import CONFIG, PUBLISHED_CONFIG, WEIGHTS

SHAPE: Final[dict[str, Any]] = {
    "conv_dim": [16, 24, 32, 48, 64, 64, 64],
    "hidden_size": 96,
    "intermediate_size": 256,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_conv_pos_embeddings": 32,
    "num_conv_pos_embedding_groups": 4,
}
"""Where this network differs from the published one: kernels, strides, head and all else are the same."""

BATCH: Final = 32
HEARING_RATE: Final = 3e-3
TURN_RATE: Final = 1.5e-3
HEARD: Final = 16_000
"""Samples of a clip that the first lesson listens to."""

WARM_UP: Final = 0.05
"""Share of the training in which the learning rate rises."""

THREADS: Final = 2
Drawn = TypeVar("Drawn")


@dataclass(frozen=True, kw_only=True)
class Extent:
    """How much is spoken and learned."""

    hearing_steps: int = 350
    steps: int = 1000
    train_texts: int | None = None
    held_out_texts: int | None = None
    per_text: int = 6
    eval_per_text: int = 1


CHECK: Final = Extent(hearing_steps=50, steps=10, train_texts=12, held_out_texts=6, per_text=2)
"""Runs everything once in seconds: for a test."""


def train(*, extent: Extent, seed: int, minutes: float) -> tuple[Endpointing, dict[str, Any]]:
    """A trained network and how its training went. Ends after `extent.steps` or `minutes`, whichever is first."""
    torch.set_num_threads(THREADS)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    started_s = time.monotonic()
    spoken = data.texts(Split.TRAIN)[: extent.train_texts]
    pool = list(data.renditions(spoken, speakers=data.KNOWN, per_text=extent.per_text, rng=rng))
    print(f"{len(pool)} renditions of {len(spoken)} texts in {time.monotonic() - started_s:.0f} s", flush=True)

    network = random_network(config(), seed=seed).train()
    began_s = time.monotonic()
    ear = Hearing(network)
    first, second = rng.spawn(2)
    lesson = hearing_losses(ear, pool, first)
    heard = learn(ear, lesson, steps=extent.hearing_steps, peak=HEARING_RATE, minutes=minutes / 4)
    # From here on what it hears is settled: a step costs half, and the few labels go to the judging.
    ear.requires_grad_(False)
    left = minutes - (time.monotonic() - began_s) / 60
    judged = learn(network, turn_losses(network, pool, second), steps=extent.steps, peak=TURN_RATE, minutes=left)
    return network, {
        "renditions": len(pool),
        "speaking_s": round(began_s - started_s, 1),
        "training_s": round(time.monotonic() - began_s, 1),
        "hearing": heard,
        "turns": judged,
    }


def learn(module: nn.Module, losses: Iterator[Tensor], *, steps: int, peak: float, minutes: float) -> dict[str, float]:
    """Follows `losses` down for `steps` or `minutes`, whichever is first; says what the first and last ones were."""
    learning = [weight for weight in module.parameters() if weight.requires_grad]
    shrunk = [weight for weight in learning if weight.dim() > 1]
    others = [weight for weight in learning if weight.dim() <= 1]
    groups = [{"params": shrunk, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98))
    began_s, done = time.monotonic(), 0.0
    seen: list[float] = []
    while done < 1:
        for group in optimizer.param_groups:
            group["lr"] = peak * rate(done)
        loss = next(losses)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(learning, 1.0)
        optimizer.step()
        seen.append(loss.item())
        minutes_gone = (time.monotonic() - began_s) / 60
        done = max(len(seen) / steps, minutes_gone / minutes)
        if len(seen) % 50 == 0 or done >= 1:
            name = type(module).__name__
            print(f"{name} step {len(seen)}: loss {np.mean(seen[-50:]):.3f}, {minutes_gone:.1f} min", flush=True)
    edge = max(1, len(seen) // 8)
    first, last = (round(float(np.mean(part)), 4) for part in (seen[:edge], seen[-edge:]))
    return {"steps": len(seen), "first_loss": first, "last_loss": last}


def hearing_losses(ear: Hearing, pool: Sequence[data.Rendition], rng: np.random.Generator) -> Iterator[Tensor]:
    """Of the last HEARD samples of 16 clips at a time."""

    def draw() -> Tensor:
        clips = (clip for clip, _ in drawn(pool, HEARD / SAMPLE_RATE_HZ, rng) if len(clip) >= HEARD)
        return torch.from_numpy(np.stack([normalise(clip)[-HEARD:] for clip in islice(clips, BATCH // 2)]))

    for waves in ahead(draw):
        yield ear(waves)


def turn_losses(network: Endpointing, pool: Sequence[data.Rendition], rng: np.random.Generator) -> Iterator[Tensor]:
    """Cross entropy of BATCH clips of about one length, half of them complete."""

    def draw() -> tuple[Tensor, Tensor, Tensor]:
        pairs = list(islice(drawn(pool, data.draw_length_s(rng), rng), BATCH))
        labels = torch.tensor([float(is_complete) for _, is_complete in pairs])
        return (*stage([clip for clip, _ in pairs], network.lengths), labels)

    for waves, counts, labels in ahead(draw):
        yield functional.binary_cross_entropy(network(waves, counts).clamp(1e-6, 1 - 1e-6), labels)


def drawn(pool: Sequence[data.Rendition], length_s: float, rng: np.random.Generator) -> Iterator[tuple[Audio, bool]]:
    """Clips with their labels without end, complete and cut in turn."""
    for is_complete in cycle((True, False)):
        found = None
        while found is None:
            rendition = pool[int(rng.integers(len(pool)))]
            if rendition.is_whole or not is_complete:
                found = data.clip(rendition, is_complete=is_complete, length_s=length_s, rng=rng)
        yield found, is_complete


def ahead(draw: Callable[[], Drawn]) -> Iterator[Drawn]:
    """What `draw` gives, again and again, the next one made in a thread while the last one is learned from."""
    with ThreadPoolExecutor(1) as thread:
        drawing = thread.submit(draw)
        while True:
            made, drawing = drawing.result(), thread.submit(draw)
            yield made


def config() -> dict[str, Any]:
    """config.json of the small network."""
    published = json.loads(PUBLISHED_CONFIG.read_text(encoding="utf-8"))
    return {name: SHAPE.get(name, value) for name, value in published.items() if not name.startswith("_")}


def rate(done: float) -> float:
    """Factor of the learning rate when the share `done` of the training is over: up, then down a cosine."""
    if done < WARM_UP:
        return max(done, 1e-3) / WARM_UP
    return 0.5 + 0.5 * math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP))


def stage(clips: Sequence[Audio], lengths: Lengths) -> tuple[Tensor, Tensor]:
    """Normalised clips, zeros behind them, as the server stages them; and their frame counts."""
    sizes = [len(clip) for clip in clips]
    waves = np.zeros((len(clips), lengths.needed(max(sizes))), np.float32)
    for row, clip in enumerate(clips):
        waves[row, : len(clip)] = normalise(clip)
    counts = [(lengths.attended(size), lengths.pooled(size)) for size in sizes]
    return torch.from_numpy(waves), torch.tensor(counts)


def published_weights(network: Endpointing) -> dict[str, Tensor]:
    """Weights as the published checkpoint names them, in float16: reading widens them again."""
    weights = dict(network.state_dict())
    direction = weights.pop(f"{POSITION}.weight")
    length_name, direction_name = NORMS[-1]
    weights[f"{POSITION}.{length_name}"] = direction.norm(dim=(0, 1), keepdim=True)
    weights[f"{POSITION}.{direction_name}"] = direction
    for name in UNUSED:
        weights[name] = torch.zeros(SHAPE["hidden_size"])
    return {name: weights[name].half().contiguous() for name in sorted(weights)}


def save(network: Endpointing, folder: Path) -> None:
    """Writes the two files of a checkpoint in Hugging Face format."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).write_text(json.dumps(config(), indent=2) + "\n", encoding="utf-8")
    save_file(published_weights(network), folder / WEIGHTS, metadata={"format": "pt"})


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m servers.smart_turn.tiny.train", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the checkpoint and numbers.json")
    parser.add_argument("--minutes", type=float, default=60.0, help="longest training; cut short, weights differ")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--check", action="store_true", help="a few steps on a few sentences, to see that all runs")
    asked = parser.parse_args(argv)
    extent = CHECK if asked.check else Extent()
    network, course = train(extent=extent, seed=asked.seed, minutes=asked.minutes)
    save(network, asked.out)
    splits = evaluate(asked.out, texts=extent.held_out_texts, per_text=extent.eval_per_text, seed=asked.seed)
    numbers = {"seed": asked.seed, **course, "splits": splits}
    fragment = json.dumps(numbers, indent=2)
    (asked.out / "numbers.json").write_text(fragment + "\n", encoding="utf-8")
    print(fragment)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
