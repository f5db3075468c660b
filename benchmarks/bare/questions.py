"""What every bare model's program has in common: its command line, and questions answered line by line.

Reads questions as JSON lines, {"batch_sizes": [1, 8], "seconds": 0.5}, and answers each with one JSON line; its first
line says what it runs on, or why it cannot. Knows no model.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib
import itertools
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from servers.common.errors import StartupRefused
from servers.common.interfaces import Audio
from servers.common.settings import SettingsError


@dataclass(frozen=True)
class Model:
    """A model that is ready to be measured."""

    measure: Callable[..., dict[str, Any]]
    """(batch size, seconds=...) -> {"batch_size", "items", "seconds", "call_ms": [...], ...}, warmed up before."""
    release: Callable[[], None]
    """Gives back memory that is only kept for later."""
    facts: dict[str, Any]
    """What it runs on."""


def read_flags(names: Sequence[str], *, doc: str | None) -> argparse.Namespace:
    """`names`: the model's own flags, which are the server's; the rest is the same for every program."""
    parser = argparse.ArgumentParser(description=doc)
    for name in names:
        parser.add_argument(f"--{name.replace('_', '-')}", help="as the server takes it")
    parser.add_argument("--clips", type=Path, required=True, help=".npz of mono float32 clips at 16 kHz, by number")
    parser.add_argument("--cpus", help="CPUs to stay on, such as 0,1")
    parser.add_argument("--batch-sizes", help="answer one question about these and end")
    parser.add_argument("--seconds", type=float, default=1.0, help="for each batch size")
    return parser.parse_args()


def words_of(flags: argparse.Namespace, names: Iterable[str]) -> list[str]:
    """The model's own flags again, for the server's settings: so both sides mean the same by each value."""
    return [f"--{name.replace('_', '-')}={getattr(flags, name)}" for name in names if getattr(flags, name)]


def answer(flags: argparse.Namespace, prepare: Callable[[list[Audio]], Model]) -> int:
    """Say what the model runs on, then answer until there are no more questions. 1: it cannot run, and why is said."""
    if flags.batch_sizes is None:
        _die_with_parent()
    if flags.cpus:
        os.sched_setaffinity(0, [int(cpu) for cpu in flags.cpus.split(",")])
    began_s = time.monotonic()
    try:
        with np.load(flags.clips) as stored:
            model = prepare([stored[name] for name in sorted(stored.files, key=int)])
    except (SettingsError, StartupRefused, OSError, ValueError) as refused:
        _say({"error": str(refused)})
        return 1
    _say({"facts": model.facts | {"load_s": round(time.monotonic() - began_s, 3)}})
    for question in _questions(flags):
        sizes = [model.measure(size, seconds=question["seconds"]) for size in question["batch_sizes"]]
        model.release()
        _say({"sizes": sizes})
    return 0


def timed_calls(call: Callable[[], object], *, seconds: float) -> tuple[list[float], float]:
    """Milliseconds of each call, one after another with nothing between them, and the seconds of all; at least one."""
    call_ms: list[float] = []
    began_s = time.monotonic()
    while not call_ms or time.monotonic() - began_s < seconds:
        called_s = time.monotonic()
        call()
        call_ms.append(round(1e3 * (time.monotonic() - called_s), 4))
    return call_ms, round(time.monotonic() - began_s, 6)


def warm_up(call: Callable[[], object]) -> None:
    """Three calls, or fewer on a machine so slow that it gains nothing from more."""
    began_s = time.monotonic()
    for _ in range(3):
        call()
        if time.monotonic() - began_s > 1:
            break


def batches(clips: Sequence[Audio], size: int) -> Iterator[list[Audio]]:
    """Batches of neighbouring clips, without end."""
    endless = itertools.cycle(clips)
    while True:
        yield list(itertools.islice(endless, size))


def torch_facts(device: Any) -> dict[str, Any]:
    """Versions of PyTorch and what it runs on."""
    torch = importlib.import_module("torch")
    facts = {"torch": torch.__version__, "cuda": torch.version.cuda, "threads": torch.get_num_threads()}
    if device.type != "cuda":
        return facts
    card = torch.cuda.get_device_properties(device)
    named = {"gpu": card.name, "capability": f"{card.major}.{card.minor}", "memory_bytes": card.total_memory}
    return facts | named | {"cudnn": torch.backends.cudnn.version()}


def release_of(device: Any) -> Callable[[], None]:
    """On a GPU several of these processes wait beside the server: idle, they must not hold what it may need."""
    if device.type != "cuda":
        return lambda: None
    release: Callable[[], None] = importlib.import_module("torch").cuda.empty_cache
    return release


def _questions(flags: argparse.Namespace) -> Iterator[dict[str, Any]]:
    if flags.batch_sizes is not None:
        yield {"batch_sizes": [int(size) for size in flags.batch_sizes.split(",")], "seconds": flags.seconds}
        return
    for line in sys.stdin:
        yield json.loads(line)


def _die_with_parent() -> None:
    """Whoever asks may be killed in the middle of a question."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG


def _say(value: dict[str, Any]) -> None:
    print(json.dumps(value), flush=True)
