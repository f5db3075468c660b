"""What the engine adds to the model: a step of Kyutai STT against transformers' bare modules at the same batch.

    python benchmarks/kyutai_step.py [--cells=tiny:1,tiny:16,middle:4] [--rounds=20] [--scattered]

Engine and bare modules (benchmarks/bare/kyutai.py) take turns on the same audio in one process and one thread: ratios
are of neighbours, in CPU time, so that a machine which others use disturbs them less. Bar: at most 1.10. `middle` has
Mimi's published size and a language model of a tenth of the published one's. --scattered: the engine's rows are every
other one of its seats, so that they are gathered. Prints lines for people and, last, JSON. Runs in the environment
`torch`; started in another, it hands itself over. About two minutes on a quiet machine.
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
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(CHECKOUT))  # run as a file, only this folder is on it

from servers.common.interfaces import Frame
from servers.common.settings import load
from servers.kyutai import weights
from servers.kyutai.settings import FRAME_SAMPLES, Settings

BAR = 1.10
CELLS = "tiny:1,tiny:16,middle:4"
STEPS_A_ROUND = 5
MIDDLE: Final = {"hidden_size": 768, "num_attention_heads": 12, "num_key_value_heads": 12, "head_dim": 64}
MIDDLE_LAYERS: Final = {"num_hidden_layers": 10, "ffn_dim": 4096}
_T_95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 8: 2.365, 10: 2.262, 12: 2.201, 15: 2.145, 20: 2.093}
"""Student's t for a two-sided 95 % interval of so many values; in between the wider one."""


def options(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", default=CELLS, help="model:batch, in this order; models: tiny, middle, random")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--lm-dtype", default="float32")
    parser.add_argument("--scattered", action="store_true")
    found = parser.parse_args(words)
    found.cells = [(model, int(rows)) for model, _, rows in (cell.partition(":") for cell in found.cells.split(","))]
    if found.rounds < 2 or any(rows < 1 for _, rows in found.cells):
        parser.error("--rounds from 2, batches from 1")
    return found


def middle_config() -> Path:
    """The published configuration with a smaller language model, in a file."""
    config = json.loads(weights.PUBLISHED_CONFIG.read_text(encoding="utf-8"))
    path = Path(tempfile.mkdtemp()) / "middle.json"
    path.write_text(json.dumps(config | MIDDLE | MIDDLE_LAYERS), encoding="utf-8")
    return path


def mean_ratio(pairs: Sequence[tuple[float, float]]) -> tuple[float, float, float]:
    """Geometric mean of ours over theirs, round by round, with its 95 % interval."""
    logs = [math.log(ours / theirs) for ours, theirs in pairs]
    t = next(value for n, value in reversed(_T_95.items()) if n <= len(logs))
    centre, half = statistics.fmean(logs), t * statistics.stdev(logs) / math.sqrt(len(logs))
    return math.exp(centre), math.exp(centre - half), math.exp(centre + half)


def cpu_s(step: Callable[[], object]) -> float:
    """CPU seconds of a call, of all threads."""
    began_s = time.process_time()
    step()
    return time.process_time() - began_s


class Sides:
    """Engine and bare modules on the same endless noise; both begin anew together, which is not measured."""

    def __init__(self, asked: argparse.Namespace, model: str, rows: int) -> None:
        from benchmarks.bare.kyutai import Bare
        from servers.kyutai.model.load import open_listener

        name = "random" if model == "middle" else model
        flags = [f"--model={name}", "--device=cpu", f"--lm-dtype={asked.lm_dtype}"]
        self._stride = 2 if asked.scattered else 1
        self._engine = open_listener(load(Settings, [*flags, f"--seats={rows * self._stride}"]))
        self._bare, self._rows = Bare(load(Settings, flags)), rows
        noise = np.random.default_rng(0).standard_normal((97, rows, FRAME_SAMPLES)) * 0.1
        self._audio: NDArray[np.float32] = noise.astype(np.float32)
        self._ours = self._theirs = 0

    def begin(self) -> None:
        """New streams on both sides, with a few frames behind them."""
        self._step_bare, self._ours, self._theirs = self._bare.stepper(self._rows), 0, 0
        for _ in range(3):
            self.step_engine()
            self.step_bare()

    def step_engine(self) -> None:
        audio, first = self._audio[self._ours % len(self._audio)], self._ours == 0
        self._engine.step([Frame(self._stride * row, each, first=first) for row, each in enumerate(audio)])
        self._ours += 1

    def step_bare(self) -> None:
        self._step_bare(self._audio[self._theirs % len(self._audio)])
        self._theirs += 1


def compare(asked: argparse.Namespace, model: str, rows: int) -> dict[str, Any]:
    """One cell: rounds of engine steps and bare steps in turn, the first one of a round alternating."""
    from benchmarks.bare.kyutai import STREAM_STEPS

    sides, pairs = Sides(asked, model, rows), list[tuple[float, float]]()
    rounds_a_stream = (STREAM_STEPS - 3) // STEPS_A_ROUND
    for number in range(asked.rounds):
        if number % rounds_a_stream == 0:
            sides.begin()
        order = (sides.step_engine, sides.step_bare) if number % 2 == 0 else (sides.step_bare, sides.step_engine)
        spent = {step: sum(cpu_s(step) for _ in range(STEPS_A_ROUND)) / STEPS_A_ROUND for step in order}
        pairs.append((spent[sides.step_engine], spent[sides.step_bare]))
    value, low, high = mean_ratio(pairs)
    ours, theirs = (1e3 * statistics.median(each) for each in zip(*pairs, strict=True))
    met = "met" if high <= BAR else "MISSED" if low > BAR else "not told apart from the bar"
    words = f"{value:.3f} ({low:.3f}-{high:.3f}, n={len(pairs)}), at most {BAR}: {met}"
    print(f"{model} B={rows}: engine {ours:.1f} ms, bare {theirs:.1f} ms; {words}", flush=True)
    rounds_ms = [[round(1e3 * each, 3) for each in pair] for pair in pairs]
    return {"model": model, "rows": rows, "ratio": [value, low, high], "rounds_ms": rounds_ms}


def main() -> int:
    """0 also when a bar is missed: machines differ and are shared."""
    asked = options()
    if importlib.util.find_spec("torch") is None:
        from yapbench import envs
        from yapbench.errors import UsageError

        try:
            python = envs.interpreter("torch")
        except UsageError as missing:
            print(missing, file=sys.stderr)
            return missing.exit_code
        os.execve(python, [str(python), __file__, *sys.argv[1:]], {**os.environ, "PYTHONPATH": str(CHECKOUT)})
    published, cells = weights.PUBLISHED_CONFIG, []
    for model, rows in asked.cells:
        weights.PUBLISHED_CONFIG = middle_config() if model == "middle" else published  # type: ignore[misc]
        cells.append(compare(asked, model, rows))
        weights.PUBLISHED_CONFIG = published  # type: ignore[misc]
    print(json.dumps({"scattered": asked.scattered, "cells": cells}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
