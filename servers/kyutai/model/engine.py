"""The engine: many live streams, each in a slot, all of them in one step of Kyutai's speech-to-text model.

What comes out is what the model gives for the whole stream at once (transformers' offline `generate`), token for
token, wherever the streams of a step stand.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from servers.common.interfaces import Frame
from servers.kyutai.interfaces import Heard
from servers.kyutai.model.graphs import Graphs, Record
from servers.kyutai.model.pace import Pace
from servers.kyutai.model.rows import Rows
from servers.kyutai.model.step import Step
from servers.kyutai.settings import FRAME_S, FRAME_SAMPLES, SAMPLE_RATE_HZ

FOREVER: int = 1 << 30
"""Frames: a stream that has had so many attends to all that its rings hold."""


class Kyutai:
    """A Listener. Not thread-safe but for `text_of` and `step_s`: made, stepped and dropped in one thread."""

    sample_rate_hz = SAMPLE_RATE_HZ

    def __init__(
        self,
        step: Step,
        *,
        delay_tokens: int,
        padding_token: int,
        boundary_token: int,
        decode: Callable[[Sequence[int]], str],
        status: Mapping[str, Any],
        device: torch.device,
    ) -> None:
        """`step` has a row for every slot. `decode`: tokens to text. `status`: what /status shall say of the model."""
        self.slots = len(step.tokens)
        self.delay_steps = delay_tokens + (0 if step.lead else 1)
        self.flush_samples = (self.delay_steps + 2) * FRAME_SAMPLES
        """A word's last token has come by then, and a step behind it, which shows that it was the last."""
        self.padding_token, self.boundary_token = padding_token, boundary_token
        self.pause_heads = step.heads.count if step.heads else 0
        self._parts, self._decode, self._status, self._device = step, decode, dict(status), device
        self._rows, self._frames = Rows(self.slots), [0] * self.slots
        self._seeds, self._streams = [0] * self.slots, 0
        is_cuda = device.type == "cuda"
        self._pcm_in = torch.zeros(self.slots, FRAME_SAMPLES, pin_memory=is_cuda)
        self._numbers_in = torch.zeros(self.slots, 3, dtype=torch.long, pin_memory=is_cuda)
        """By row of a step: frames before it, whether a stream is in it, its seed."""
        self._pcm, self._numbers = self._pcm_in.to(device), self._numbers_in.to(device)
        self._samples: NDArray[np.float32] = self._pcm_in.numpy()
        self._row_numbers: NDArray[np.int64] = self._numbers_in.numpy()
        self._graphs: Graphs | None = None
        self._pace = Pace({1: FRAME_S})

    def samples_wanted(self, *, first: bool) -> int:
        return FRAME_SAMPLES

    def text_of(self, tokens: Sequence[int]) -> str:
        return self._decode(tokens)

    def step_s(self, streams: int) -> float:
        return self._pace.step_s(self._size(streams))

    def status(self) -> Mapping[str, Any]:
        rows = {"moved": self._rows.moved, "exchanges": self._rows.exchanges}
        graphs = self._graphs.sizes if self._graphs else []
        pace = {str(size): round(1e3 * self._pace.step_s(size), 3) for size in self._sizes()}
        return {**self._status, "cuda_graphs": graphs, "row_moves": rows, "step_ms": pace}

    def step(self, frames: Sequence[Frame]) -> list[Heard]:
        """What each frame brought. Raises ValueError for a slot that comes twice or holds no stream, and for more
        samples than a frame has, or fewer before the last."""
        self._check(frames)
        if not frames:
            return []
        began_s = time.perf_counter()
        with torch.inference_mode():
            if (pair := self._rows.plan([frame.slot for frame in frames])) is not None:
                self._parts.exchange(*pair)
                self._rows.exchange(*pair)
            for frame in frames:
                if frame.first:
                    self._begin(frame.slot)
            size, told = self._step_graph(frames) if self._graphs else self._step_exactly(frames)
        for frame in frames:
            self._frames[frame.slot] = 0 if frame.last else self._frames[frame.slot] + 1
            if frame.last:
                self._rows.release(frame.slot)
        self._pace.note(size, time.perf_counter() - began_s)
        return [Heard(int(row[0]), tuple(row[1:])) for row in told]

    def record(self, sizes: Sequence[int], record: Record) -> None:
        """From now on a step is one of so many rows, from the first row on. Raises whatever the runtime raises."""
        with torch.inference_mode():
            self._graphs = Graphs(self._compute_first, sizes, record)

    def measure(self, sizes: Sequence[int], *, enough_s: float) -> None:
        """Time steps of these sizes, ascending, as they are when every stream's rings are full, so that the first
        client does not wait for what a runtime does only once. No larger one follows a step that took `enough_s`."""
        measured: dict[int, float] = {}
        for size in self._graphs.sizes if self._graphs else sizes:
            spent_s = []
            for _ in range(3):
                began_s = time.perf_counter()
                self._row_numbers[:size] = FOREVER if self._graphs is None else 0, 0, 0
                with torch.inference_mode():
                    self._told(size, slice(0, size), FOREVER)
                spent_s.append(time.perf_counter() - began_s)
            measured[size] = min(spent_s)
            if measured[size] > enough_s:
                break
        self._pace = Pace(measured)

    def _begin(self, slot: int) -> None:
        """The stream before is over from here on, whether or not the step succeeds."""
        self._frames[slot] = 0
        self._streams += 1
        self._seeds[slot] = self._streams
        self._parts.forget(self._rows[slot], self._streams)

    def _check(self, frames: Sequence[Frame]) -> None:
        if len({frame.slot for frame in frames}) != len(frames):
            raise ValueError("a slot comes twice in one step")
        for frame in frames:
            size = len(frame.samples)
            if size > FRAME_SAMPLES or (size < FRAME_SAMPLES and not frame.last):
                raise ValueError(f"a frame of {size} samples, wanted are {FRAME_SAMPLES}")
            if not frame.first and not self._frames[frame.slot]:
                raise ValueError(f"no stream has begun in slot {frame.slot}")

    def _step_exactly(self, frames: Sequence[Frame]) -> tuple[int, list[list[float]]]:
        """Exactly the rows that are due, in their order."""
        order = sorted(range(len(frames)), key=lambda number: self._rows[frames[number].slot])
        rows = [self._rows[frames[number].slot] for number in order]
        for place, number in enumerate(order):
            self._put(place, frames[number])
        is_span = rows[-1] - rows[0] + 1 == len(rows)
        index = slice(rows[0], rows[-1] + 1) if is_span else torch.tensor(rows, device=self._device)
        values = self._told(len(frames), index, max(self._frames[frame.slot] for frame in frames))
        told: list[list[float]] = [[]] * len(frames)
        for place, number in enumerate(order):
            told[number] = values[place]
        return len(frames), told

    def _step_graph(self, frames: Sequence[Frame]) -> tuple[int, list[list[float]]]:
        """All rows up to a recorded size; those that nobody is in are left as they are."""
        assert self._graphs is not None
        size = self._size(max(self._rows[frame.slot] for frame in frames) + 1)
        self._row_numbers[:size] = 0
        for frame in frames:
            self._put(self._rows[frame.slot], frame)
        values = self._told(size, slice(0, size), FOREVER)
        return size, [values[self._rows[frame.slot]] for frame in frames]

    def _put(self, place: int, frame: Frame) -> None:
        """The inputs of one row; a short last frame ends in silence."""
        size = len(frame.samples)
        self._samples[place, :size] = frame.samples
        self._samples[place, size:] = 0.0
        self._row_numbers[place] = self._frames[frame.slot], 1, self._seeds[frame.slot]

    def _told(self, size: int, index: slice | Any, most_frames: int) -> list[list[float]]:
        """Inputs to the device, the step, what it tells to the host: the one copy that waits."""
        self._pcm[:size].copy_(self._pcm_in[:size], non_blocking=True)
        self._numbers[:size].copy_(self._numbers_in[:size], non_blocking=True)
        if self._graphs is not None:
            return self._graphs.run(size).tolist()  # type: ignore[no-any-return]
        numbers = self._numbers[:size]
        made = self._parts.compute(self._pcm[:size], numbers[:, 0], numbers[:, 2], index, None, most_frames)
        told: list[list[float]] = made.told.tolist()
        # Nothing has been changed up to here: a step that failed may be tried again, row by row.
        self._parts.commit(made, index, None)
        return told

    def _compute_first(self, size: int) -> Any:
        """What a graph holds: a step of the first rows, and what it changes in those that are active."""
        index, numbers = slice(0, size), self._numbers[:size]
        active = numbers[:, 1] > 0
        made = self._parts.compute(self._pcm[:size], numbers[:, 0], numbers[:, 2], index, active, FOREVER)
        self._parts.commit(made, index, active)
        return made.told

    def _size(self, rows: int) -> int:
        return self._graphs.size_for(rows) if self._graphs else rows

    def _sizes(self) -> list[int]:
        return self._graphs.sizes if self._graphs else sorted({1, self.slots})
