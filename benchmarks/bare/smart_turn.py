"""Smart Turn's model alone: the object that the server calls, on the same clips, in a loop without a server.

Started by `python -m yapbench.benchgpu` beside each server setting; by hand:
`python benchmarks/bare/smart_turn.py --model=random --device=cuda --clips=clips.npz --batch-sizes=1,8,64`.
questions.py says what it is asked. Unverified until run on CUDA.
"""

# isort: skip_file
from __future__ import annotations

from servers.common.threads import pin_blas_threads

pin_blas_threads()  # as the server does

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # run as a file, only this folder is on it

from benchmarks.bare import questions
from benchmarks.bare.questions import Model
from servers.common.errors import StartupRefused
from servers.common.interfaces import Audio, TurnDetector
from servers.common.settings import load
from servers.smart_turn import weights
from servers.smart_turn.__main__ import COMPILE_CACHE
from servers.smart_turn.settings import Settings

NAMES = ("model", "device", "dtype", "torch_compile", "cuda_graphs")
COMPILE_LIMIT_S = 1800.0
Make = Callable[[int], tuple[TurnDetector, dict[str, Any]]]
"""Batch size -> the model for batches of it, and how compiling went."""


def prepare(flags: argparse.Namespace, clips: list[Audio]) -> Model:
    """Raises SettingsError or StartupRefused."""
    settings = load(Settings, questions.words_of(flags, NAMES))
    return prepare_v3(settings, clips) if settings.backend == "v3-onnx" else prepare_v2(settings, clips)


def prepare_v3(settings: Settings, clips: list[Audio]) -> Model:
    from servers.smart_turn.model_v3 import DEVICE, DTYPE, SmartTurnV3

    detector = SmartTurnV3(weights.locate(settings.model), max_secs=settings.kept_secs)
    facts = {"device": DEVICE, "dtype": DTYPE, "onnxruntime": importlib.import_module("onnxruntime").__version__}
    return Model(Loop(lambda size: (detector, {"state": "off"}), clips).measure, lambda: None, facts)


def prepare_v2(settings: Settings, clips: list[Audio]) -> Model:
    os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", settings.pytorch_cuda_alloc_conf)
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(COMPILE_CACHE.expanduser()))
    from servers.smart_turn.model_v2 import SmartTurnV2, choose_device, choose_dtype
    from servers.smart_turn.model_v2_load import load_network, random_network

    device = choose_device(settings.device)
    dtype = choose_dtype(settings.dtype, device)
    if settings.cuda_graphs and device.type != "cuda":
        raise StartupRefused(f"CUDA graphs need a CUDA device; this is {device}")
    network = random_network() if settings.model == "random" else load_network(weights.locate_v2(settings))
    compiled = device.type == "cuda" if settings.torch_compile is None else settings.torch_compile

    def make(size: int) -> tuple[TurnDetector, dict[str, Any]]:
        detector = SmartTurnV2(
            network,
            device=device,
            dtype=dtype,
            batch_buckets=(size,),
            max_secs=settings.kept_secs,
            torch_compile=compiled,
            cuda_graphs=bool(settings.cuda_graphs),
        )
        detector.warm()
        detector.swap.start()
        detector.swap.wait(COMPILE_LIMIT_S)
        return detector, detector.swap.status()["compile"]

    facts = {"device": str(device), "dtype": str(dtype).removeprefix("torch."), **questions.torch_facts(device)}
    return Model(Loop(make, clips).measure, questions.release_of(device), facts)


class Loop:
    """Batches of neighbouring clips, one after another, nothing between the calls."""

    def __init__(self, make: Make, clips: list[Audio]) -> None:
        self._make, self._clips = make, clips
        self._made: dict[int, tuple[TurnDetector, dict[str, Any], Iterator[list[Audio]]]] = {}

    def measure(self, size: int, *, seconds: float) -> dict[str, Any]:
        """{"batch_size", "items", "seconds", "call_ms": [...], "compile"}; the first calls of a size are left out."""
        if size not in self._made:
            self._made[size] = *self._make(size), questions.batches(self._clips, size)
            detector, _, batches = self._made[size]
            questions.warm_up(lambda: detector.predict(next(batches)))
        detector, compiling, batches = self._made[size]
        detector.predict(next(batches))  # what was released is taken again
        call_ms, spent_s = questions.timed_calls(lambda: detector.predict(next(batches)), seconds=seconds)
        found = {"batch_size": size, "items": size * len(call_ms), "seconds": spent_s, "call_ms": call_ms}
        return found | {"compile": compiling}


def main() -> int:
    flags = questions.read_flags(NAMES, doc=__doc__)
    return questions.answer(flags, lambda clips: prepare(flags, clips))


if __name__ == "__main__":
    sys.exit(main())
