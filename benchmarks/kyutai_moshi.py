"""Streams a core carries: our engine against the streaming of Kyutai's own package `moshi`, same weights, same audio.

    python benchmarks/kyutai_moshi.py [--batches=1,4,16] [--frames=40] [--rounds=8]

The tiny checkpoint in both, float32, one thread, CPU time, in turns on the same frames; both get every stream's frame
in every step, as moshi's fixed batch wants it. A stream needs 12.5 frames a second. The tokens of both are compared:
moshi's ring forgets one of Mimi's keys earlier, so that a code may differ. Runs in the environment `bench`; started in
another, it hands itself over. Prints lines for people and, last, JSON.
"""

# isort: skip_file
from __future__ import annotations

from servers.common.threads import pin_blas_threads

pin_blas_threads()  # as the server does

import argparse
import importlib.util
import json
import math
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(CHECKOUT))  # run as a file, only this folder is on it

from servers.common.interfaces import Audio, Frame
from servers.common.settings import load
from servers.kyutai.settings import FRAME_S, FRAME_SAMPLES, SAMPLE_RATE_HZ, Settings

TARGET: Final = 1.0
Turn = Callable[[int], list[int]]
"""Steps all streams through the frame of this number; the token of each."""


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", default="1,4,16")
    parser.add_argument("--frames", type=int, default=40, help="of a round")
    parser.add_argument("--rounds", type=int, default=8)
    found = parser.parse_args()
    found.batches = [int(each) for each in found.batches.split(",")]
    if found.rounds < 2 or found.frames < 1 or min(found.batches) < 1:
        parser.error("--rounds from 2, --frames and --batches from 1")
    return found


def streams(count: int, frames: int) -> list[Audio]:
    """The project's samples one after another at 24 kHz; each stream begins elsewhere in them."""
    import soundfile
    import soxr

    files = sorted((CHECKOUT / "samples" / "audio" / "turns").glob("*.flac"))
    parts = [soxr.resample(*soundfile.read(path, dtype="float32"), SAMPLE_RATE_HZ) for path in files]
    joined = np.concatenate(parts).astype(np.float32)
    step = len(joined) // count
    return [
        np.take(joined, range(number * step, number * step + frames * FRAME_SAMPLES), mode="wrap")
        for number in range(count)
    ]


def ours(said: list[Audio]) -> Turn:
    """Our engine, every stream in a slot."""
    from servers.kyutai.model.load import open_listener

    flags = ["--model=tiny", "--device=cpu", "--lm-dtype=float32", f"--seats={len(said)}", "--threads=1"]
    listener = open_listener(load(Settings, flags))

    def turn(number: int) -> list[int]:
        at = number * FRAME_SAMPLES
        frames = [Frame(slot, audio[at : at + FRAME_SAMPLES], first=not number) for slot, audio in enumerate(said)]
        return [heard.token for heard in listener.step(frames)]

    return turn


def theirs(said: list[Audio]) -> Turn:
    """`mimi.encode` and `LMGen.step_with_extra_heads`, as moshi's own server for batches calls them; the first frame
    twice, as its run_inference.py does, which brings its tokens to where ours are."""
    import torch
    from moshi.models import LMGen
    from safetensors.torch import load_file
    from transformers import KyutaiSpeechToTextForConditionalGeneration

    from benchmarks.peers.moshi_models import models_of
    from servers.kyutai import weights

    folder = weights.find(load(Settings, ["--model=tiny", "--device=cpu"]))
    (heads,) = load_file(folder / "pause_heads.safetensors").values()
    model = KyutaiSpeechToTextForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    mimi, lm = models_of(model, heads)
    generator = LMGen(lm, use_sampling=False)
    mimi.streaming_forever(len(said))
    generator.streaming_forever(len(said))

    def turn(number: int) -> list[int]:
        at = number * FRAME_SAMPLES
        pcm = torch.from_numpy(np.stack([audio[at : at + FRAME_SAMPLES] for audio in said]))[:, None]
        with torch.inference_mode():
            codes = mimi.encode(pcm)
            if not number:
                generator.step_with_extra_heads(codes)
            tokens, pauses = generator.step_with_extra_heads(codes)
            torch.stack(pauses).tolist()
            return tokens[:, 0, 0].tolist()  # type: ignore[no-any-return]

    return turn


def compare(count: int, asked: argparse.Namespace) -> dict[str, Any]:
    """One batch size: rounds of both in turn, the other one first each time."""
    import torch

    torch.set_num_threads(1)
    said = streams(count, asked.frames * (asked.rounds + 1))
    turns = {"ours": ours(said), "moshi": theirs(said)}
    tokens: dict[str, list[list[int]]] = {name: [] for name in turns}
    rounds: list[dict[str, float]] = []
    for number in range(asked.rounds + 1):
        spent = {}
        for name in list(turns)[:: 1 if number % 2 else -1]:
            began_s = time.process_time()
            for frame in range(number * asked.frames, (number + 1) * asked.frames):
                tokens[name].append(turns[name](frame))
            spent[name] = (time.process_time() - began_s) / asked.frames
        rounds.append(spent)
    rounds = rounds[1:]  # the first one warms up
    logs = [math.log(each["moshi"] / each["ours"]) for each in rounds]
    ratio, error = math.exp(statistics.fmean(logs)), math.exp(statistics.stdev(logs) / math.sqrt(len(logs)))
    pairs = [pair for row in zip(*tokens.values(), strict=True) for pair in zip(*row, strict=True)]
    equal = sum(first == second for first, second in pairs) / len(pairs)
    carried = {name: count * FRAME_S / statistics.median(each[name] for each in rounds) for name in turns}
    met = "met" if ratio / error**2 >= TARGET else "MISSED" if ratio * error**2 < TARGET else "not told apart from it"
    print(
        f"{count} streams: ours {carried['ours']:.0f} a core, moshi {carried['moshi']:.0f}; {ratio:.2f} times as many "
        f"(x/ {error**2:.3f}, n={len(rounds)}), target {TARGET}: {met}; {100 * equal:.2f} % of the tokens are equal",
        flush=True,
    )
    return {"streams": count, "ratio": [ratio, error], "a_core": carried, "equal": equal, "rounds_s": rounds}


def main() -> int:
    """0 also when the target is missed: machines differ and are shared."""
    asked = options()
    if importlib.util.find_spec("moshi") is None:
        from yapbench import envs
        from yapbench.errors import UsageError

        try:
            python = envs.interpreter("bench")
        except UsageError as missing:
            print(missing, file=sys.stderr)
            return missing.exit_code
        os.execve(python, [str(python), __file__, *sys.argv[1:]], {**os.environ, "PYTHONPATH": str(CHECKOUT)})
    print(json.dumps({"cells": [compare(count, asked) for count in asked.batches]}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
