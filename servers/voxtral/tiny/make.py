"""A checkpoint's folder of random weights: `python -m servers.voxtral.tiny.make OUT`, of the tiny size and with them.

`--random` writes the published model's size, and leaves the weights out: the engine makes them up
(`--load-format dummy`). Its vocabulary comes from mistral_common, which is in the engine's environment.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from servers.voxtral.tiny import tekken
from servers.voxtral.tiny.params import POSITIONS, published


def make_random(out: Path, *, delay_ms: int) -> None:
    """params.json and tekken.json of the published size."""
    params = published() | POSITIONS
    out.mkdir(parents=True, exist_ok=True)
    _write(out / "params.json", params)
    _write(out / "tekken.json", tekken.full(delay_ms=delay_ms, size=params["vocab_size"]))


def make_tiny(out: Path, *, delay_ms: int, seed: int) -> None:
    """A whole checkpoint of the tiny size, with the vocabulary of the trained one. Needs PyTorch."""
    # --random must not wait for PyTorch, nor be in need of the samples.
    from samples.pool import tiny_vocabulary
    from servers.voxtral.tiny import checkpoint

    file = tekken.small(tiny_vocabulary(), delay_ms=delay_ms)
    size = checkpoint.tiny_size(file["config"]["default_vocab_size"])
    checkpoint.write(out, size, checkpoint.by_chance(size, seed=seed), file)


def _write(path: Path, content: dict[str, Any]) -> None:
    """Whole or not at all."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(json.dumps(content, indent=0) + "\n", encoding="utf-8")
    part.replace(path)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m servers.voxtral.tiny.make", description=__doc__)
    parser.add_argument("out", type=Path, help="the folder to write")
    parser.add_argument("--random", action="store_true", help="the published size, without weights")
    parser.add_argument("--delay-ms", type=int, default=480, help="a multiple of 80")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args(argv)
    if asked.delay_ms <= 0 or asked.delay_ms % 80:
        parser.error("--delay-ms must be a multiple of 80")
    if asked.random:
        make_random(asked.out, delay_ms=asked.delay_ms)
    else:
        make_tiny(asked.out, delay_ms=asked.delay_ms, seed=asked.seed)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
