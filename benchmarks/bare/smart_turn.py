"""Smart Turn's model alone: the object that the server calls, on the same clips, in a loop without a server.

Started by `python -m yapbench.benchgpu` beside each server setting; by hand:
`python benchmarks/bare/smart_turn.py --model=random --device=cuda --clips=clips.npz --batch-sizes=1,8,64`.
Reads questions as JSON lines, {"batch_sizes": [1, 8], "seconds": 0.5}, and answers each with one JSON line; its first
line says what it runs on, or why it cannot. Unverified until run on CUDA.
"""

# isort: skip_file
from __future__ import annotations

from servers.common.threads import pin_blas_threads

pin_blas_threads()  # as the server does

import argparse
import ctypes
import importlib
import itertools
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from servers.common.errors import StartupRefused
from servers.common.interfaces import Audio, TurnDetector
from servers.common.settings import SettingsError, load
from servers.smart_turn import weights
from servers.smart_turn.__main__ import COMPILE_CACHE
from servers.smart_turn.settings import Settings

COMPILE_LIMIT_S = 1800.0
Make = Callable[[int], tuple[TurnDetector, dict[str, Any]]]
"""Batch size -> the model for batches of it, and how compiling went."""

Prepared = tuple[Make, Callable[[], None], dict[str, Any]]
"""The model, how to give back memory that is only kept for later, and what it runs on."""


def read_flags() -> argparse.Namespace:
    """The model's own flags are the server's; the rest is this program's."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("model", "device", "dtype", "torch-compile", "cuda-graphs"):
        parser.add_argument(f"--{name}", help="as the server takes it")
    parser.add_argument("--clips", type=Path, required=True, help=".npz of mono float32 clips at 16 kHz, by number")
    parser.add_argument("--cpus", help="CPUs to stay on, such as 0,1")
    parser.add_argument("--batch-sizes", help="answer one question about these and end")
    parser.add_argument("--seconds", type=float, default=1.0, help="for each batch size")
    return parser.parse_args()


def read_settings(flags: argparse.Namespace) -> Settings:
    """The server's settings, so that both sides mean the same by each value."""
    names = ("model", "device", "dtype", "torch_compile", "cuda_graphs")
    words = [f"--{name.replace('_', '-')}={getattr(flags, name)}" for name in names if getattr(flags, name)]
    return load(Settings, words)


def prepare_v3(settings: Settings) -> Prepared:
    from servers.smart_turn.model_v3 import DEVICE, DTYPE, SmartTurnV3

    detector = SmartTurnV3(weights.locate(settings.model), max_secs=settings.kept_secs)
    facts = {"onnxruntime": importlib.import_module("onnxruntime").__version__}
    return lambda size: (detector, {"state": "off"}), lambda: None, {"device": DEVICE, "dtype": DTYPE, **facts}


def prepare_v2(settings: Settings) -> Prepared:
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

    # On a GPU several of these processes wait beside the server: idle, they must not hold what it may need.
    release = importlib.import_module("torch").cuda.empty_cache if device.type == "cuda" else lambda: None
    return make, release, {"device": str(device), "dtype": str(dtype).removeprefix("torch."), **torch_facts(device)}


def torch_facts(device: Any) -> dict[str, Any]:
    """Versions of PyTorch and what it runs on."""
    torch = importlib.import_module("torch")
    facts = {"torch": torch.__version__, "cuda": torch.version.cuda, "threads": torch.get_num_threads()}
    if device.type != "cuda":
        return facts
    card = torch.cuda.get_device_properties(device)
    named = {"gpu": card.name, "capability": f"{card.major}.{card.minor}", "memory_bytes": card.total_memory}
    return facts | named | {"cudnn": torch.backends.cudnn.version()}


class Loop:
    """Batches of neighbouring clips, one after another, nothing between the calls."""

    def __init__(self, make: Make, clips: list[Audio]) -> None:
        self._make, self._clips = make, clips
        self._made: dict[int, tuple[TurnDetector, dict[str, Any], Iterator[list[Audio]]]] = {}

    def measure(self, size: int, *, seconds: float) -> dict[str, Any]:
        """{"batch_size", "items", "seconds", "call_ms": [...], "compile"}; the first calls of a size are left out."""
        if size not in self._made:
            detector, compiling = self._make(size)
            batches = self._batches(size)
            warmed_s = time.monotonic()
            for _ in range(3):
                detector.predict(next(batches))
                if time.monotonic() - warmed_s > 1:  # a slow machine gains nothing from more
                    break
            self._made[size] = detector, compiling, batches
        detector, compiling, batches = self._made[size]
        detector.predict(next(batches))  # what was released is taken again
        call_ms: list[float] = []
        began_s = time.monotonic()
        while not call_ms or time.monotonic() - began_s < seconds:
            batch, called_s = next(batches), time.monotonic()
            detector.predict(batch)
            call_ms.append(round(1e3 * (time.monotonic() - called_s), 4))
        spent_s = time.monotonic() - began_s
        return {
            "batch_size": size,
            "items": size * len(call_ms),
            "seconds": round(spent_s, 6),
            "call_ms": call_ms,
            "compile": compiling,
        }

    def _batches(self, size: int) -> Iterator[list[Audio]]:
        endless = itertools.cycle(self._clips)
        while True:
            yield list(itertools.islice(endless, size))


def die_with_parent() -> None:
    """Whoever asks may be killed in the middle of a question."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG


def say(value: dict[str, Any]) -> None:
    print(json.dumps(value), flush=True)


def main() -> int:
    flags = read_flags()
    if flags.batch_sizes is None:
        die_with_parent()
    if flags.cpus:
        os.sched_setaffinity(0, [int(cpu) for cpu in flags.cpus.split(",")])
    began_s = time.monotonic()
    try:
        settings = read_settings(flags)
        make, release, facts = prepare_v3(settings) if settings.backend == "v3-onnx" else prepare_v2(settings)
        with np.load(flags.clips) as stored:
            loop = Loop(make, [stored[name] for name in sorted(stored.files, key=int)])
    except (SettingsError, StartupRefused, OSError, ValueError) as refused:
        say({"error": str(refused)})
        return 1
    say({"facts": facts | {"load_s": round(time.monotonic() - began_s, 3)}})
    if flags.batch_sizes is not None:
        questions = iter([{"batch_sizes": [int(s) for s in flags.batch_sizes.split(",")], "seconds": flags.seconds}])
    else:
        questions = (json.loads(line) for line in sys.stdin)
    for question in questions:
        sizes = [loop.measure(size, seconds=question["seconds"]) for size in question["batch_sizes"]]
        release()
        say({"sizes": sizes})
    return 0


if __name__ == "__main__":
    sys.exit(main())
