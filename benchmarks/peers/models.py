"""What every peer has in common: its command line, the one model behind it, the shape of an answer.

Knows nothing of how a request reaches the model: that is what the peers differ in.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from servers.common.interfaces import Audio, TurnDetector

STUB = "stub"
FIXED_MS, EACH_MS = 8.27, 1.83
"""A batch of n takes the stub 8.27 + 1.83 n ms."""

LARGEST_BATCH = 6
WINDOW_MS = 5.0


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The command line of a peer."""

    model: str
    """stub, the path of a v3 .onnx file, or what the server calls a v2: v2, tiny, random."""
    device: str
    port: int
    extra: tuple[str, ...]
    """Words for this peer alone."""

    @property
    def is_v2(self) -> bool:
        return self.model != STUB and not self.model.endswith(".onnx")


def read_arguments() -> Asked:
    """`--model --port [--device] [words for the peer]`. Whoever starts a peer has pinned BLAS in its environment."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--model", required=True)
    parser.add_argument("--port", required=True, type=int)
    parser.add_argument("--device", default="cpu")
    known, extra = parser.parse_known_args()
    return Asked(model=known.model, device=known.device, port=known.port, extra=tuple(extra))


class Stub:
    """Sleeps as long as a GPU would take for the batch; the probability is a function of the clip alone."""

    def predict(self, batch: Sequence[Audio]) -> list[float]:
        """One number in [0, 1] for each clip, shape (n,)."""
        time.sleep((FIXED_MS + EACH_MS * len(batch)) / 1000)
        return [min(1.0, float(abs(clip[::1000]).mean())) for clip in batch]


def build(asked: Asked) -> TurnDetector:
    """The model. One thread calls it. v2 runs eager: compiling would make it another model for each peer."""
    if asked.model == STUB:
        return Stub()
    if not asked.is_v2:
        from servers.smart_turn.model_v3 import SmartTurnV3

        return SmartTurnV3(Path(asked.model))
    return build_v2(asked)


def build_v2(asked: Asked, *, pad_to_16_s: bool = False) -> TurnDetector:
    """Smart Turn v2; `pad_to_16_s`: computed at the reference's length, as older servers do."""
    from servers.smart_turn import weights
    from servers.smart_turn.model_v2 import SmartTurnV2, choose_device, choose_dtype
    from servers.smart_turn.model_v2_load import load_network, random_network
    from servers.smart_turn.settings import Settings

    is_random = asked.model == "random"
    network = random_network() if is_random else load_network(weights.locate_v2(Settings(model=asked.model)))
    device = choose_device(asked.device)
    length_buckets_s = () if pad_to_16_s else None
    return SmartTurnV2(network, device=device, dtype=choose_dtype(None, device), length_buckets_s=length_buckets_s)


def timed(predict: Callable[[Sequence[Audio]], list[float]], batch: Sequence[Audio]) -> tuple[list[float], float]:
    """What the model said, and its seconds."""
    began_s = time.monotonic()
    return predict(batch), time.monotonic() - began_s


def build_reply(probability: float, *, batch_size: int, inference_s: float, total_s: float) -> dict[str, object]:
    """The answer of POST /raw as our server gives it."""
    metrics = {"inference_time": inference_s, "total_time": total_s, "batch_size": batch_size}
    return {"prediction": int(probability > 0.5), "probability": probability, "metrics": metrics}
