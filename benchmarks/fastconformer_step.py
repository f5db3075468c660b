"""What the engine adds to the model: a step of FastConformer against NeMo's bare modules at the same batch.

    python benchmarks/fastconformer_step.py [--cells=random:1,random:4,random:16,tiny:64] [--rounds=20] [--minutes=10]

Engine and bare modules (benchmarks/bare/fastconformer.py) take turns on the same audio in one process and one thread:
ratios are of neighbours, in CPU time, so that a machine which others use disturbs them less. Bar: at most 1.10. Then
one stream of `--minutes`: its last minute against its first, at most 1.10 too. Prints lines for people and, last, JSON.
Runs in the environment `nemo`; started in another, it hands itself over. About four minutes on a quiet machine.
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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(CHECKOUT))  # run as a file, only this folder is on it

from servers.common.interfaces import Audio, Frame
from servers.common.settings import load
from servers.fastconformer.settings import Settings

RATE_HZ = 16_000
BAR = 1.10
CELLS = "random:1,random:4,random:16,tiny:64"
STEPS_A_ROUND = 3
_T_95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 8: 2.365, 10: 2.262, 12: 2.201, 15: 2.145, 20: 2.093}
"""Student's t for a two-sided 95 % interval of so many values; in between the wider one."""


@dataclass(frozen=True)
class Ratio:
    """Geometric mean of paired ratios with its 95 % interval."""

    value: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, pairs: Sequence[tuple[float, float]]) -> Ratio:
        """Of (ours, theirs), round by round. Raises ValueError for fewer than two rounds."""
        logs = [math.log(ours / theirs) for ours, theirs in pairs]
        if len(logs) < 2:
            raise ValueError("an interval needs two rounds")
        centre = statistics.fmean(logs)
        t = next((value for n, value in reversed(_T_95.items()) if n <= len(logs)))
        half = t * statistics.stdev(logs) / math.sqrt(len(logs))
        return cls(math.exp(centre), math.exp(centre - half), math.exp(centre + half), len(logs))

    @property
    def words(self) -> str:
        met = "met" if self.high <= BAR else "MISSED" if self.low > BAR else "not told apart from the bar"
        return f"{self.value:.3f} ({self.low:.3f}-{self.high:.3f}, n={self.n}), at most {BAR}: {met}"


def options(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", default=CELLS, help="model:batch, in this order")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=10.0, help="of the long stream; 0: none")
    parser.add_argument("--look-ahead-ms", default="80")
    parser.add_argument("--decoder", default="rnnt")
    found = parser.parse_args(words)
    found.cells = [(model, int(rows)) for model, _, rows in (cell.partition(":") for cell in found.cells.split(","))]
    if found.rounds < 2 or found.minutes < 0 or any(rows < 1 for _, rows in found.cells):
        parser.error("--rounds from 2, --minutes from 0, batches from 1")
    return found


def audio_of(seconds: float) -> Audio:
    """The project's samples one after another, as often as it takes."""
    import soundfile

    files = sorted((CHECKOUT / "samples" / "audio" / "turns").glob("*.flac"))
    joined = np.concatenate([soundfile.read(path, dtype="float32")[0] for path in files])
    return np.resize(joined, int(seconds * RATE_HZ)).astype(np.float32)


def cpu_s(step: Callable[[], object]) -> float:
    """CPU seconds of one call, of all threads."""
    began_s = time.process_time()
    step()
    return time.process_time() - began_s


class Rows:
    """The same audio for both sides: each row somewhere else in it, on and on."""

    def __init__(self, audio: Audio, rows: int) -> None:
        self._audio, self._at = audio, np.array([row * len(audio) // rows for row in range(rows)])

    def take(self, samples: int) -> NDArray[np.float32]:
        """The next samples of each row, (rows, samples)."""
        found = self._audio[(self._at[:, None] + np.arange(samples)) % len(self._audio)]
        self._at += samples
        return found


def settings_of(asked: argparse.Namespace, model: str, rows: int) -> Settings:
    flags = [f"--model={model}", "--device=cpu", f"--max-batch={rows}", f"--decoder={asked.decoder}"]
    return load(Settings, [*flags, f"--look-ahead-ms={asked.look_ahead_ms}"])


def compare(asked: argparse.Namespace, model: str, rows: int) -> dict[str, Any]:
    """One cell: rounds of engine steps and bare steps in turn, the first one of a round alternating."""
    from benchmarks.bare.fastconformer import Bare
    from servers.fastconformer.model_load import open_recognizer

    settings, audio = settings_of(asked, model, rows), audio_of(60)
    engine, bare = open_recognizer(settings), Bare(settings)
    ours, theirs = Rows(audio, rows), Rows(audio, rows)
    bare_step, chunk = bare.stepper(rows), bare.chunk_samples
    began = False

    def step_ours() -> None:
        nonlocal began
        samples = ours.take(engine.samples_wanted(first=not began))
        engine.step([Frame(slot, row, first=not began) for slot, row in enumerate(samples)])
        began = True

    def step_theirs() -> None:
        bare_step(theirs.take(chunk))

    for _ in range(5):
        step_ours()
        step_theirs()
    pairs, each = [], []
    for number in range(asked.rounds):
        order = (step_ours, step_theirs) if number % 2 == 0 else (step_theirs, step_ours)
        spent = {step: sum(cpu_s(step) for _ in range(STEPS_A_ROUND)) / STEPS_A_ROUND for step in order}
        pairs.append((spent[step_ours], spent[step_theirs]))
        each.append([round(1e3 * value, 3) for value in pairs[-1]])
    found = Ratio.of(pairs)
    medians = [statistics.median(values) for values in zip(*each, strict=True)]
    print(f"{model} B={rows}: engine {medians[0]:.1f} ms, bare {medians[1]:.1f} ms; {found.words}", flush=True)
    return {"model": model, "rows": rows, "ratio": [found.value, found.low, found.high], "rounds_ms": each}


def long_stream(asked: argparse.Namespace, model: str) -> dict[str, Any]:
    """CPU ms of each step of one long stream: its last minute (or tenth) against its first."""
    from servers.fastconformer.model_load import open_recognizer

    engine = open_recognizer(settings_of(asked, model, 1))
    source, total = Rows(audio_of(60), 1), int(asked.minutes * 60 * RATE_HZ)
    sent, spent_ms = 0, list[float]()
    while sent < total:
        (samples,) = source.take(engine.samples_wanted(first=sent == 0))
        frame = Frame(0, samples, first=sent == 0)
        spent_ms.append(1e3 * cpu_s(lambda frame=frame: engine.step([frame])))  # type: ignore[misc]
        sent += len(samples)
    return {"model": model, "minutes": asked.minutes, **ends_of(spent_ms, asked.minutes)}


def ends_of(spent_ms: Sequence[float], minutes: float) -> dict[str, float]:
    """Medians of the first and last minute, or tenth where the stream is shorter, and their ratio.

    The very first step is left out: it begins the stream and has fewer frames.
    """
    rest = spent_ms[1:]
    count = max(1, int(len(rest) / max(minutes, 10.0)))
    first, last = statistics.median(rest[:count]), statistics.median(rest[-count:])
    return {"first_ms": round(first, 3), "last_ms": round(last, 3), "ratio": round(last / first, 4)}


def main() -> int:
    """0 also when a bar is missed: machines differ and are shared."""
    asked = options()
    if importlib.util.find_spec("nemo") is None:
        from yapbench import envs
        from yapbench.errors import UsageError

        try:
            python = envs.interpreter("nemo")
        except UsageError as missing:
            print(missing, file=sys.stderr)
            return missing.exit_code
        variables = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
        os.execve(python, [str(python), __file__, *sys.argv[1:]], variables)
    found: dict[str, Any] = {"cells": [compare(asked, model, rows) for model, rows in asked.cells]}
    if asked.minutes:
        found["long"] = long_stream(asked, asked.cells[-1][0])
        words = f"{found['long']['first_ms']:.2f} ms, then {found['long']['last_ms']:.2f} ms"
        met = "met" if found["long"]["ratio"] <= BAR else "MISSED"
        print(f"a stream of {asked.minutes:g} minutes: {words} a step: {found['long']['ratio']:.3f}, {met}")
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
