"""What one Audio message of 80 ms costs the Kyutai server before the model sees it: CPU microseconds on the event loop.

`python benchmarks/kyutai_parse.py --rounds=200`. "read" is the message to samples, "taken" the same and into the
stream's seat, where frames are cut. The bar for 32-bit floats taken is 10 us (median). Beside it what msgpack and json
need alone to make Python objects of the same message.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import msgpack
import numpy as np

from servers.common.audio import float_to_pcm16
from servers.common.slots import Slot, SlotPool
from servers.kyutai.live.codec import Codec, Sound, Wire
from servers.kyutai.live.json_codec import Json
from servers.kyutai.live.native import Native
from servers.kyutai.settings import FRAME_SAMPLES

AT_ONCE = 200
"""Messages between two looks at the clock, which is coarser than one of them."""
BAR_US = 10.0


def cpu_us(work: Callable[[], object], rounds: int) -> float:
    """Of one call, the median over `rounds`."""
    found = []
    for _ in range(rounds):
        began_ns = time.thread_time_ns()
        for _ in range(AT_ONCE):
            work()
        found.append((time.thread_time_ns() - began_ns) / AT_ONCE / 1000)
    return statistics.median(found)


def reading(codec: Codec, message: Wire) -> Callable[[], object]:
    def read() -> None:
        request = codec.read(message)
        assert isinstance(request, Sound)
        for _ in request.slices():
            pass

    return read


def taking(codec: Codec, message: Wire, slot: Slot[Any]) -> Callable[[], object]:
    def take() -> None:
        request = codec.read(message)
        assert isinstance(request, Sound)
        for samples in request.slices():
            slot.append(samples, at_s=0.0)
        slot.take(at_s=0.0)

    return take


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=100)
    rounds = parser.parse_args().rounds
    audio = np.random.default_rng(0).uniform(-1, 1, FRAME_SAMPLES).astype(np.float32)
    row = {"type": "Audio", "pcm": audio.tolist()}
    mixed = {"type": "Audio", "pcm": [0, *audio.tolist()[1:]]}
    text = json.dumps({"type": "Audio", "audio": base64.b64encode(float_to_pcm16(audio)).decode()})
    single = msgpack.packb(row, use_single_float=True)
    messages: list[tuple[str, Codec, Wire, Callable[[], object]]] = [
        ("32-bit floats", Native(), single, lambda: msgpack.unpackb(single)),
        ("64-bit floats", Native(), msgpack.packb(row), lambda: msgpack.unpackb(messages[1][2])),
        ("floats, one whole number", Native(), msgpack.packb(mixed), lambda: msgpack.unpackb(messages[2][2])),
        ("JSON, base64", Json(), text, lambda: json.loads(text)),
    ]
    pool: SlotPool[Any] = SlotPool(1, first_samples=FRAME_SAMPLES, next_samples=FRAME_SAMPLES, flush_samples=0)
    slot = pool.take(lambda step: None)
    print(f"{'message':26} {'bytes':>7} {'read us':>8} {'taken us':>9} {'objects us':>11}")
    for name, codec, message, objects in messages:
        read, taken = cpu_us(reading(codec, message), rounds), cpu_us(taking(codec, message, slot), rounds)
        print(f"{name:26} {len(message):7} {read:8.2f} {taken:9.2f} {cpu_us(objects, rounds):11.2f}", end="")
        print(f"   bar {BAR_US:g}: {'held' if taken <= BAR_US else 'missed'}" if message is single else "")


if __name__ == "__main__":
    main()
