"""Kyutai STT alone: transformers' own modules step by step on a fixed batch of streams in step, without a server.

Mimi's encoder with its streaming caches, the language model with a static cache, the likeliest token to the CPU: what
every streaming server of this model must at least do, as one would write it with the library. Rows begin together and
end together, so that nothing is gathered, masked or told apart; after STREAM_STEPS they begin anew, as a server's do.

Started by `python -m yapbench.benchgpu` beside each server setting; by hand:
`python benchmarks/bare/kyutai.py --model=random --device=cuda --clips=clips.npz --batch-sizes=1,64,400`.
questions.py says what it is asked. Unverified until run on CUDA.
"""

# isort: skip_file
from __future__ import annotations

from servers.common.threads import pin_blas_threads

pin_blas_threads()  # as the server does

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a file, only this folder is on it

from benchmarks.bare import questions
from benchmarks.bare.questions import Model
from servers.common.interfaces import Audio
from servers.common.settings import load
from servers.kyutai.settings import FRAME_S, FRAME_SAMPLES, SAMPLE_RATE_HZ, Settings

NAMES = ("model", "device", "lm_dtype", "codec_dtype", "threads")
CLIPS_HZ = 16_000
STREAM_STEPS = 125
"""Ten seconds: about what an utterance lasts."""


class Bare:
    """transformers' model as loaded by the server, on its device, in its precision."""

    def __init__(self, settings: Settings) -> None:
        """Raises StartupRefused."""
        import torch

        from servers.kyutai.model.load import choose_device, choose_dtype, load_model

        torch.set_num_threads(settings.threads)
        self._torch, self.device = torch, choose_device(settings.device)
        self.dtype = choose_dtype(settings.lm_dtype, self.device, flag="lm-dtype")
        self._codec_dtype = choose_dtype(settings.codec_dtype, self.device, flag="codec-dtype")
        self._model = load_model(settings).to(self.device)
        self._model.model.to(self.dtype)
        self._model.lm_head.to(self.dtype)
        self._model.codec_model.encoder.to(self._codec_dtype)
        self._model.codec_model.quantizer.float()
        config = self._model.config
        self._codebooks, self._pad_code = config.num_codebooks, config.audio_bos_token_id
        self._start_token = config.vocab_size - 1

    def stepper(self, rows: int) -> Callable[[NDArray[np.float32]], list[int]]:
        """New streams: a function that takes their next 80 ms, (rows, 1920), and gives their next tokens.

        As the server, it steps over the start before it hears anything.
        """
        torch, mimi = self._torch, self._model.codec_model
        from transformers import StaticCache

        heard: dict[str, Any] = {"encoder_past_key_values": None, "padding_cache": None}
        cache = StaticCache(config=self._model.config, max_cache_len=STREAM_STEPS + 1)
        codes = torch.full((rows, self._codebooks), self._pad_code, device=self.device)
        tokens = self._next(torch.full((rows,), self._start_token, device=self.device), codes, cache)

        def step(samples: NDArray[np.float32]) -> list[int]:
            nonlocal tokens
            with torch.inference_mode():
                pcm = torch.from_numpy(samples).to(self.device, self._codec_dtype).unsqueeze(1)
                latents = mimi.encoder(
                    pcm,
                    past_key_values=heard["encoder_past_key_values"],
                    padding_cache=heard["padding_cache"],
                    use_streaming=True,
                )
                heard.update(
                    encoder_past_key_values=latents.past_key_values,
                    padding_cache=latents.padding_cache,
                )
                found = mimi.quantizer.encode(latents.latents.float(), self._codebooks)
                tokens = self._next(tokens, found[:, :, 0].transpose(0, 1), cache)
                numbers: list[int] = tokens.tolist()
                return numbers

        return step

    def _next(self, tokens: Any, codes: Any, cache: Any) -> Any:
        """Tokens (rows,) and codes (rows, codebooks) -> the likeliest next tokens."""
        with self._torch.inference_mode():
            ids = self._torch.cat([tokens.unsqueeze(1), codes], dim=1).unsqueeze(1)
            hidden = self._model.model(input_ids=ids, past_key_values=cache, use_cache=True).last_hidden_state
            scores = self._model.lm_head(hidden[:, 0])
            return scores[:, : self._start_token].argmax(dim=1)


class Loop:
    """Streams of a batch, step after step, nothing between the calls."""

    def __init__(self, bare: Bare, clips: Sequence[Audio]) -> None:
        self._bare = bare
        self._audio = soxr.resample(np.concatenate(clips), CLIPS_HZ, SAMPLE_RATE_HZ).astype(np.float32)
        self._calls: dict[int, Callable[[], object]] = {}

    def measure(self, size: int, *, seconds: float) -> dict[str, Any]:
        """{"batch_size", "items", "seconds", "call_ms": [...], "worth", "unit"}; an item is 80 ms of a stream."""
        if size not in self._calls:
            self._calls[size] = self._call(size)
            questions.warm_up(self._calls[size])
        call = self._calls[size]
        call()  # what was released is taken again
        call_ms, spent_s = questions.timed_calls(call, seconds=seconds)
        found = {"batch_size": size, "items": size * len(call_ms), "seconds": spent_s, "call_ms": call_ms}
        return found | {"worth": FRAME_S, "unit": " audio s/s"}

    def _call(self, size: int) -> Callable[[], object]:
        """One step of `size` streams that go through the clips, each from another place, round and round."""
        step, done = self._bare.stepper(size), 0
        starts = [row * len(self._audio) // size for row in range(size)]

        def call() -> object:
            nonlocal step, done
            if done and done % STREAM_STEPS == 0:
                step = self._bare.stepper(size)
            at = (np.add(starts, done * FRAME_SAMPLES)[:, None] + np.arange(FRAME_SAMPLES)) % len(self._audio)
            done += 1
            return step(self._audio[at])

        return call


def prepare(flags: argparse.Namespace, clips: list[Audio]) -> Model:
    """Raises SettingsError or StartupRefused."""
    bare = Bare(load(Settings, questions.words_of(flags, NAMES)))
    facts = {"device": str(bare.device), "dtype": str(bare.dtype), **questions.torch_facts(bare.device)}
    return Model(Loop(bare, clips).measure, questions.release_of(bare.device), facts)


def main() -> int:
    flags = questions.read_flags(NAMES, doc=__doc__)
    return questions.answer(flags, lambda clips: prepare(flags, clips))


if __name__ == "__main__":
    sys.exit(main())
