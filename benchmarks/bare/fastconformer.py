"""FastConformer alone: NeMo's own modules step by step on a fixed batch of endless streams, without a server.

Mel of the chunk, `encoder.cache_aware_stream_step`, the label-looping decoder (or the CTC head), tokens to the CPU:
what every streaming server of this model must at least do. Rows begin together and never end, so that nothing is
gathered, scattered or told apart. A chunk's outermost mel frames see silence beyond it: the cost is that of a real
stream, the text is not.

Started by `python -m yapbench.benchgpu` beside each server setting; by hand:
`python benchmarks/bare/fastconformer.py --model=random --device=cuda --clips=clips.npz --batch-sizes=1,64,256`.
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
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a file, only this folder is on it

from benchmarks.bare import questions
from benchmarks.bare.questions import Model
from servers.common.interfaces import Audio
from servers.common.settings import load
from servers.fastconformer.settings import FRAME_MS, Settings

NAMES = ("model", "device", "dtype", "look_ahead_ms", "decoder", "threads")
RATE_HZ = 16_000
HISTORY = 9
"""Mel frames before a chunk that the subsampling needs."""
DROPPED = 2
"""Encoder frames that come of them alone."""
HOP = 160


class Bare:
    """NeMo's model as loaded by the server, on its device, in its precision, at its look-ahead."""

    def __init__(self, settings: Settings) -> None:
        """Raises StartupRefused."""
        import torch

        from servers.fastconformer.model_load import DTYPES, choose_context, choose_device, load_model

        torch.set_num_threads(settings.threads)
        self._torch, self.settings, self.device = torch, settings, choose_device(settings.device)
        self._model = load_model(settings, self.device)
        self._dtype = DTYPES[settings.dtype]
        for part in ("encoder", "decoder", "joint", "ctc_decoder"):
            getattr(self._model, part).to(self._dtype)
        context = choose_context(self._model.encoder, settings)
        self._model.encoder.set_default_att_context_size(list(context))
        self._model.preprocessor.featurizer.dither = 0.0
        self.look_ahead_ms = context[1] * FRAME_MS
        self.chunk_ms = (context[1] + 1) * FRAME_MS
        self._frames = (context[1] + 1) * FRAME_MS // 10

    @property
    def chunk_samples(self) -> int:
        """Audio of one row of one step."""
        return self._frames * HOP

    def stepper(self, rows: int) -> Callable[[NDArray[np.float32]], list[list[int]]]:
        """New streams: a function that takes their next chunks, (rows, chunk_samples), and gives their new tokens."""
        torch, encoder = self._torch, self._model.encoder
        state = list(encoder.get_initial_cache_state(batch_size=rows, dtype=self._dtype, device=self.device))
        lengths = torch.full((rows,), HISTORY + self._frames, device=self.device)
        sizes = torch.full((rows,), self.chunk_samples, device=self.device)
        kept = torch.zeros(rows, encoder._feat_in, HISTORY, device=self.device)
        decode = self._ctc() if self.settings.decoder == "ctc" else self._rnnt()

        def step(samples: NDArray[np.float32]) -> list[list[int]]:
            nonlocal kept
            with torch.inference_mode():
                signal = torch.from_numpy(samples).to(self.device)
                mel, _ = self._model.preprocessor(input_signal=signal, length=sizes)
                joined = torch.cat([kept, mel[:, :, : self._frames]], dim=2)
                kept = joined[:, :, -HISTORY:]
                encoded, counts, *state[:] = encoder.cache_aware_stream_step(
                    processed_signal=joined.to(self._dtype),
                    processed_signal_length=lengths,
                    cache_last_channel=state[0],
                    cache_last_time=state[1],
                    cache_last_channel_len=state[2],
                    keep_all_outputs=True,
                    drop_extra_pre_encoded=DROPPED,
                )
                return decode(encoded, counts)

        return step

    def _rnnt(self) -> Callable[[Any, Any], list[list[int]]]:
        computer, state = self._model.decoding.decoding.decoding_computer, None

        def decode(encoded: Any, counts: Any) -> list[list[int]]:
            nonlocal state
            found, state = computer(x=encoded.transpose(1, 2), out_len=counts, prev_batched_state=state)
            together = self._torch.cat([found.current_lengths.unsqueeze(1), found.transcript], dim=1).tolist()
            return [row[1 : 1 + row[0]] for row in together]

        return decode

    def _ctc(self) -> Callable[[Any, Any], list[list[int]]]:
        head = self._model.ctc_decoder
        blank = head.num_classes_with_blank - 1

        def decode(encoded: Any, counts: Any) -> list[list[int]]:
            best = head(encoder_output=encoded).argmax(dim=-1).tolist()
            return [[token for token in row if token != blank] for row in best]

        return decode


class Loop:
    """Streams of a batch, step after step, nothing between the calls."""

    def __init__(self, bare: Bare, clips: Sequence[Audio]) -> None:
        self._bare, self._audio = bare, np.concatenate(clips)
        self._calls: dict[int, Callable[[], object]] = {}

    def measure(self, size: int, *, seconds: float) -> dict[str, Any]:
        """{"batch_size", "items", "seconds", "call_ms": [...], "worth", "unit"}; an item is a chunk of a stream."""
        if size not in self._calls:
            self._calls[size] = self._call(size)
            questions.warm_up(self._calls[size])
        call = self._calls[size]
        call()  # what was released is taken again
        call_ms, spent_s = questions.timed_calls(call, seconds=seconds)
        found = {"batch_size": size, "items": size * len(call_ms), "seconds": spent_s, "call_ms": call_ms}
        return found | {"worth": self._bare.chunk_ms / 1e3, "unit": " audio s/s"}

    def _call(self, size: int) -> Callable[[], object]:
        """One step of `size` streams that go through the clips, each from another place, round and round."""
        step, wanted, position = self._bare.stepper(size), self._bare.chunk_samples, 0
        starts = [row * len(self._audio) // size for row in range(size)]

        def call() -> object:
            nonlocal position
            at = (np.add(starts, position)[:, None] + np.arange(wanted)) % len(self._audio)
            position += wanted
            return step(self._audio[at])

        return call


def prepare(flags: argparse.Namespace, clips: list[Audio]) -> Model:
    """Raises SettingsError or StartupRefused."""
    bare = Bare(load(Settings, questions.words_of(flags, NAMES)))
    facts = {
        "device": str(bare.device),
        "dtype": bare.settings.dtype,
        "decoder": bare.settings.decoder,
        "look_ahead_ms": bare.look_ahead_ms,
        **questions.torch_facts(bare.device),
    }
    return Model(Loop(bare, clips).measure, questions.release_of(bare.device), facts)


def main() -> int:
    flags = questions.read_flags(NAMES, doc=__doc__)
    return questions.answer(flags, lambda clips: prepare(flags, clips))


if __name__ == "__main__":
    sys.exit(main())
