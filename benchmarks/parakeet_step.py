"""What the engine adds to the model: a batch of Parakeet against NeMo's bare modules, and against its `transcribe`.

    python benchmarks/parakeet_step.py [--cells=tiny:1,tiny:16,middle:16] [--rounds=20] [--seconds=6]

The bare call is mel, encoder and greedy search of the padded batch, without durations, times or text; `transcribe` is
asked for hypotheses with times and word confidences, as the server gives them. All three take turns on the same chunks
in one process and one thread: ratios are of neighbours, in CPU time, so that a machine which others use disturbs them
less. Bar: the engine's throughput is at least 0.90 of the bare call's. `middle` has random weights, 17 layers of 256.
Prints lines for people and, last, JSON. Runs in the environment `nemo`; started in another, it hands itself over.
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

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(CHECKOUT))  # run as a file, only this folder is on it

from servers.common.interfaces import Audio
from servers.common.settings import load
from servers.parakeet.settings import Settings

RATE_HZ: Final = 16_000
BAR: Final = 0.90
CELLS: Final = "tiny:1,tiny:16,middle:16"
MIDDLE: Final = {
    "encoder": {"n_layers": 17, "d_model": 256, "n_heads": 4},
    "model_defaults": {"enc_hidden": 256, "pred_hidden": 320, "joint_hidden": 320},
    "decoder": {"prednet": {"pred_hidden": 320, "pred_rnn_layers": 1}},
    "joint": {"jointnet": {"joint_hidden": 320}},
}
CONFIDENCE: Final = {
    "preserve_word_confidence": True,
    "exclude_blank": True,
    "aggregation": "mean",
    "method_cfg": {"name": "max_prob", "alpha": 1.0},
}


def options(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", default=CELLS, help="model:batch, in this order; tiny, middle or random")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=6.0, help="of each chunk, 0.8 to 1.2 times so many")
    found = parser.parse_args(words)
    found.cells = [(model, int(rows)) for model, _, rows in (cell.partition(":") for cell in found.cells.split(","))]
    if found.rounds < 2 or found.seconds <= 0 or any(rows < 1 for _, rows in found.cells):
        parser.error("--rounds from 2, --seconds above 0, batches from 1")
    return found


def chunks_of(rows: int, seconds: float) -> list[Audio]:
    """The project's samples one after another, cut into chunks of nearly one length."""
    import soundfile

    files = sorted((CHECKOUT / "samples" / "audio" / "turns").glob("*.flac"))
    joined = np.concatenate([soundfile.read(path, dtype="float32")[0] for path in files]).astype(np.float32)
    rng = np.random.default_rng(0)
    lengths = [round(seconds * RATE_HZ * share) for share in rng.uniform(0.8, 1.2, rows)]
    starts = rng.integers(0, len(joined), rows)
    return [
        np.take(joined, range(start, start + length), mode="wrap")
        for start, length in zip(starts, lengths, strict=True)
    ]


def model_of(name: str, settings: Settings) -> Any:
    """NeMo's model of a cell, in eval mode on the CPU."""
    import torch
    from omegaconf import OmegaConf

    from servers.parakeet.model_load import load_model
    from servers.parakeet.model_random import lifelike_model
    from servers.parakeet.weights import PUBLISHED_CONFIG

    if name != "middle":
        return load_model(settings, torch.device("cpu"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "middle.yaml"
        OmegaConf.save(OmegaConf.merge(OmegaConf.load(PUBLISHED_CONFIG), OmegaConf.create(MIDDLE)), path)
        return lifelike_model(config=path)


def bare_of(model: Any) -> Callable[[Sequence[Audio]], object]:
    """The least that a batched call must do."""
    import torch

    computer = model.decoding.decoding.decoding_computer

    def call(chunks: Sequence[Audio]) -> object:
        lengths = [len(chunk) for chunk in chunks]
        signal = np.zeros((len(chunks), max(lengths)), np.float32)
        for row, chunk in zip(signal, chunks, strict=True):
            row[: len(chunk)] = chunk
        with torch.inference_mode():
            mel, frames = model.preprocessor(input_signal=torch.from_numpy(signal), length=torch.tensor(lengths))
            encoded, counts = model.encoder(audio_signal=mel, length=frames)
            found, _ = computer(x=encoded.transpose(1, 2), out_len=counts, prev_batched_state=None)
            return found.current_lengths.tolist()

    return call


def transcribe_of(model: Any) -> Callable[[Sequence[Audio]], object]:
    """NeMo's own verb. It leaves the model in train mode and needs another search: each call puts both back."""
    from omegaconf import OmegaConf, open_dict

    from servers.common.model_nemo import quiet

    bare, config = model.decoding, model.cfg.decoding
    asked = OmegaConf.create(OmegaConf.to_container(config, resolve=True))
    with open_dict(asked), quiet():
        asked.compute_timestamps, asked.confidence_cfg = True, CONFIDENCE
        model.change_decoding_strategy(asked, verbose=False)
    timed, timed_config = model.decoding, model.cfg.decoding
    model.decoding, model.cfg.decoding = bare, config

    def call(chunks: Sequence[Audio]) -> object:
        model.decoding, model.cfg.decoding = timed, timed_config
        found = model.transcribe(
            list(chunks), batch_size=len(chunks), timestamps=True, return_hypotheses=True, verbose=False
        )
        model.decoding, model.cfg.decoding = bare, config
        model.eval()
        return found

    return call


def cpu_s(call: Callable[[], object]) -> float:
    """CPU seconds of one call, of all threads."""
    began_s = time.process_time()
    call()
    return time.process_time() - began_s


def mean_ratio(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Geometric mean of a / b and its standard error as a factor."""
    logs = [math.log(a / b) for a, b in pairs]
    return math.exp(statistics.fmean(logs)), math.exp(statistics.stdev(logs) / math.sqrt(len(logs)))


def compare(asked: argparse.Namespace, name: str, rows: int) -> dict[str, Any]:
    """One cell: rounds of the three calls in turn, another one first each time."""
    import torch

    from servers.parakeet.model_load import build

    torch.set_num_threads(1)
    model_flag = "random" if name == "random" else "tiny"
    flags = ["--device=cpu", "--precision=fp32", f"--model={model_flag}", f"--batch-size={rows}"]
    settings = load(Settings, flags)
    model = model_of(name, settings)
    engine = build(model, settings, torch.device("cpu"), torch.float32)
    chunks = chunks_of(rows, asked.seconds)
    calls = {"engine": engine.transcribe, "bare": bare_of(model), "transcribe": transcribe_of(model)}
    for call in calls.values():
        call(chunks)
    rounds = []
    for number in range(asked.rounds):
        order = [*calls][number % 3 :] + [*calls][: number % 3]
        rounds.append({key: cpu_s(lambda key=key: calls[key](chunks)) for key in order})  # type: ignore[misc]
    medians = {key: 1e3 * statistics.median(each[key] for each in rounds) for key in calls}
    share, error = mean_ratio([(each["bare"], each["engine"]) for each in rounds])
    gain, _ = mean_ratio([(each["transcribe"], each["engine"]) for each in rounds])
    met = "met" if share / error**2 >= BAR else "MISSED" if share * error**2 < BAR else "not told apart from the bar"
    print(
        f"{name} B={rows}: engine {medians['engine']:.1f} ms, bare {medians['bare']:.1f} ms, "
        f"transcribe {medians['transcribe']:.1f} ms; throughput {share:.3f} of the bare call's "
        f"(x/ {error**2:.3f}, n={asked.rounds}), at least {BAR}: {met}; {gain:.2f} times transcribe's",
        flush=True,
    )
    return {"model": name, "rows": rows, "of_bare": [share, error], "of_transcribe": gain, "rounds_s": rounds}


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
    found = {"cells": [compare(asked, model, rows) for model, rows in asked.cells]}
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
