"""The engine: chunks of audio through NeMo's mel, encoder and label-looping search, as tensors and in batches.

A chunk comes out as if it were alone: what pads it is masked in every layer. Batches are split by length
(model_batches.py), halved when memory runs out (model_memory.py) and spelt out by model_words.py.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch

from servers.common.audio import SAMPLE_RATE_HZ
from servers.common.interfaces import Audio
from servers.parakeet.model_batches import CallCost, split
from servers.parakeet.model_memory import Room
from servers.parakeet.model_score import Scorer
from servers.parakeet.model_words import Speller, Token
from servers.parakeet.transcript import Transcript

LEAST_SAMPLES: Final = SAMPLE_RATE_HZ
"""A shorter chunk gets silence on both sides, as NeMo's `transcribe` gives it (and as the mel needs, whose mean and
deviation are over two frames at least); its times are then those of the chunk as it came."""


class Parakeet:
    """A Transcriber. Not thread-safe: made, used and dropped in one thread."""

    def __init__(
        self,
        model: Any,
        *,
        computer: Any,
        scorer: Scorer,
        speller: Speller,
        cost: CallCost,
        batch_size: int,
        dtype: torch.dtype,
        device: torch.device,
        status: Mapping[str, Any],
    ) -> None:
        """`model`: NeMo's, in eval mode, on `device`, its encoder, decoder and joint in `dtype`. `computer`: its search
        (`decoding_computer`). `batch_size`: most chunks in one call of the model."""
        self._model, self._computer, self._scorer, self._speller = model, computer, scorer, speller
        self._cost = cost
        self._dtype, self._device, self._status = dtype, device, dict(status)
        self._room = Room(batch_size)

    def status(self) -> Mapping[str, Any]:
        room = self._room
        return {**self._status, "largest_batch": room.largest_batch, "out_of_memory": room.out_of_memory}

    def transcribe(self, batch: Sequence[Audio]) -> list[Transcript]:
        """As Transcriber says. Raises ValueError for a chunk that is empty, not float32 of shape (n,), or not finite,
        and torch.cuda.OutOfMemoryError when memory does not hold even a single chunk."""
        for chunk in batch:
            _check(chunk)
        found: dict[int, Transcript] = {}
        lengths_s = [len(chunk) / SAMPLE_RATE_HZ for chunk in batch]
        waiting = deque(split(lengths_s, self._cost, most=self._room.largest_batch))
        while waiting:
            group = waiting.popleft()
            if len(group) > self._room.largest_batch:  # memory has run out meanwhile
                most = self._room.largest_batch
                waiting.extendleft([group[at : at + most] for at in range(0, len(group), most)][::-1])
                continue
            transcripts = self._try([batch[index] for index in group])
            if transcripts is None:
                waiting.appendleft(group)
            else:
                found.update(zip(group, transcripts, strict=True))
        return [found[index] for index in range(len(batch))]

    def warm(self, *, rows: int, seconds: float) -> None:
        """One call of this size, so that no chunk waits for what a runtime does only once."""
        self.transcribe([np.zeros(max(1, round(seconds * SAMPLE_RATE_HZ)), np.float32)] * rows)

    def _try(self, chunks: Sequence[Audio]) -> list[Transcript] | None:
        """None where memory ran out and fewer chunks may fit."""
        try:
            tokens = self.search(chunks)
        except torch.cuda.OutOfMemoryError:
            if not self._room.ran_out(len(chunks)):
                raise
        else:
            self._room.sufficed(len(chunks))
            return [self._spell(each, chunk) for each, chunk in zip(tokens, chunks, strict=True)]
        # Here the failed call's tensors are no longer held by the exception's frames.
        self._computer.reset_cuda_graphs_state()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        return None

    def _spell(self, tokens: Sequence[Token], chunk: Audio) -> Transcript:
        before = silence_before(chunk)
        if not before:
            return self._speller.transcript(tokens)
        return self._speller.transcript(tokens, before_s=before / SAMPLE_RATE_HZ, length_s=len(chunk) / SAMPLE_RATE_HZ)

    def search(self, chunks: Sequence[Audio]) -> list[list[Token]]:
        """The tokens of each chunk, all in one call of the model."""
        lengths = [max(len(chunk), LEAST_SAMPLES) for chunk in chunks]
        signal = np.zeros((len(chunks), max(lengths)), np.float32)
        for row, chunk in zip(signal, chunks, strict=True):
            before = silence_before(chunk)
            row[before : before + len(chunk)] = chunk
        with torch.inference_mode():
            mel, frames = self._model.preprocessor(
                input_signal=torch.from_numpy(signal).to(self._device),
                length=torch.tensor(lengths, device=self._device),
            )
            encoded, counts = self._model.encoder(audio_signal=mel.to(self._dtype), length=frames)
            hypotheses, _ = self._computer(x=encoded.transpose(1, 2), out_len=counts, prev_batched_state=None)
            return self._scorer.score(encoded, hypotheses)


def silence_before(chunk: Audio) -> int:
    """Samples of silence that a short chunk gets at its beginning."""
    return max(0, LEAST_SAMPLES - len(chunk)) // 2


def _check(chunk: Audio) -> None:
    if chunk.dtype != np.float32 or chunk.ndim != 1 or not len(chunk):
        raise ValueError(f"a chunk is float32 of shape (n,), n >= 1, not {chunk.dtype} of shape {chunk.shape}")
    if not np.isfinite(chunk).all():
        raise ValueError("a chunk holds a sample that is not finite")
