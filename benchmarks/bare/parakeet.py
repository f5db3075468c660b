"""The bare Parakeet model: NeMo's own batched calls without a server: mel, encoder and greedy label-looping search.

A call is what every server of this model must at least do for a batch of chunks: tokens on the CPU; no times, no
confidences, no text, no queue. Clips longer than the server gives its model at once are cut evenly. A batch holds clips
of like length, as the server's batches do, and what pads the shorter ones is not counted as audio.

Started by `python -m yapbench.benchgpu` beside each server setting; by hand:
`python benchmarks/bare/parakeet.py --model=random --device=cuda --clips=clips.npz --batch-sizes=1,16,64`.
questions.py says what it is asked. Unverified until run on CUDA.
"""

# isort: skip_file
from __future__ import annotations

from servers.common.threads import pin_blas_threads

pin_blas_threads()  # as the server does

import argparse
import logging
import math
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a file, only this folder is on it

from benchmarks.bare import questions
from benchmarks.bare.questions import Model
from servers.common.interfaces import Audio
from servers.common.settings import load
from servers.parakeet.settings import Settings

NAMES = ("model", "device", "precision", "threads")
RATE_HZ = 16_000
LEAST_SAMPLES = RATE_HZ
"""The server gives shorter chunks silence, too."""


class Bare:
    """NeMo's model as loaded by the server, on its device, in its precision, with its search."""

    def __init__(self, settings: Settings) -> None:
        """Raises StartupRefused."""
        import torch

        from servers.common.model_nemo import choose_device
        from servers.parakeet.model_load import build, choose_dtype, load_model

        torch.set_num_threads(settings.threads or len(os.sched_getaffinity(0)))
        log = logging.getLogger(__name__)
        self._torch, self.device = torch, choose_device(settings.device, variable="DEVICE", log=log)
        self.dtype = choose_dtype(settings.precision, self.device)
        self._model = load_model(settings, self.device)
        build(self._model, settings, self.device, self.dtype)  # sets up the model's precision and search
        self._search = self._model.decoding.decoding.decoding_computer

    def call(self, chunks: Sequence[Audio]) -> list[list[int]]:
        """The tokens of each chunk, float32 at 16 kHz of shape (n,)."""
        torch = self._torch
        lengths = [max(len(chunk), LEAST_SAMPLES) for chunk in chunks]
        signal = np.zeros((len(chunks), max(lengths)), np.float32)
        for row, chunk in zip(signal, chunks, strict=True):
            row[: len(chunk)] = chunk
        with torch.inference_mode():
            mel, frames = self._model.preprocessor(
                input_signal=torch.from_numpy(signal).to(self.device),
                length=torch.tensor(lengths, device=self.device),
            )
            encoded, counts = self._model.encoder(audio_signal=mel.to(self.dtype), length=frames)
            found, _ = self._search(x=encoded.transpose(1, 2), out_len=counts, prev_batched_state=None)
            together = torch.cat([found.current_lengths.unsqueeze(1), found.transcript], dim=1).tolist()
        return [row[1 : 1 + row[0]] for row in together]


class Loop:
    """Batches of the clips, one after another, nothing between the calls."""

    def __init__(self, bare: Bare, clips: Sequence[Audio], *, longest_s: float) -> None:
        pieces = [piece for clip in clips for piece in cut(clip, longest_s=longest_s)]
        self._bare, self._pieces = bare, sorted(pieces, key=len)
        self._batches: dict[int, Iterator[list[Audio]]] = {}

    def measure(self, size: int, *, seconds: float) -> dict[str, Any]:
        """{"batch_size", "items", "seconds", "call_ms": [...], "worth", "unit"}; an item is worth a chunk's seconds."""
        if size not in self._batches:
            self._batches[size] = questions.batches(self._pieces, size)
            questions.warm_up(lambda: self._bare.call(self._pieces[-size:]))  # the longest
        batches, audio_s = self._batches[size], 0.0

        def call() -> None:
            nonlocal audio_s
            chunks = next(batches)
            self._bare.call(chunks)
            audio_s += sum(map(len, chunks)) / RATE_HZ

        call()  # what was released is taken again
        audio_s = 0.0
        call_ms, spent_s = questions.timed_calls(call, seconds=seconds)
        items = size * len(call_ms)
        found = {"batch_size": size, "items": items, "seconds": spent_s, "call_ms": call_ms}
        return found | {"worth": audio_s / items, "unit": " audio s/s"}


def cut(clip: Audio, *, longest_s: float) -> list[Audio]:
    """The clip in as few pieces of like length as are at most `longest_s` long."""
    return np.array_split(clip, max(1, math.ceil(len(clip) / RATE_HZ / longest_s)))


def prepare(flags: argparse.Namespace, clips: list[Audio]) -> Model:
    """Raises SettingsError or StartupRefused."""
    settings = load(Settings, questions.words_of(flags, NAMES))
    bare = Bare(settings)
    facts = {"device": str(bare.device), "dtype": str(bare.dtype), **questions.torch_facts(bare.device)}
    loop = Loop(bare, clips, longest_s=settings.max_audio_s)
    return Model(loop.measure, questions.release_of(bare.device), facts)


def main() -> int:
    flags = questions.read_flags(NAMES, doc=__doc__)
    return questions.answer(flags, lambda clips: prepare(flags, clips))


if __name__ == "__main__":
    sys.exit(main())
