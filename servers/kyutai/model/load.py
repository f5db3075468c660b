"""From settings to an engine: weights, heads, words, graphs, and a first look at how long a step takes."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from tokenizers import Tokenizer
from transformers import KyutaiSpeechToTextForConditionalGeneration
from transformers.utils import logging as transformers_logging

from servers.common.errors import StartupRefused
from servers.kyutai import weights
from servers.kyutai.interfaces import Listener
from servers.kyutai.model.build import build
from servers.kyutai.model.device import DTYPES, choose_device, choose_dtype
from servers.kyutai.model.engine import Kyutai
from servers.kyutai.model.graphs import cuda_graphs
from servers.kyutai.model.heads import read_heads
from servers.kyutai.model.random import DELAY_TOKENS, lifelike_model, random_heads, random_text
from servers.kyutai.settings import FRAME_S, Settings

__all__ = ["build", "choose_device", "choose_dtype", "load_heads", "load_model", "load_words", "open_listener"]

_log = logging.getLogger("servers.kyutai")
ENOUGH_S: Final = 2 * FRAME_S
"""A step that takes twice as long as its audio: how much worse larger ones are need not be measured."""
UNUSED: Final = "codec_model.decoder."
"""Mimi's decoder makes audio of codes, which nobody asks for here."""


def open_listener(settings: Settings) -> Listener:
    """The engine that `settings` ask for, warm. Raises StartupRefused with what is wrong and what there is."""
    torch.set_num_threads(settings.threads)
    device = choose_device(settings.device)
    engine = build(load_model(settings), load_heads(settings), settings, device, *load_words(settings))
    if settings.cuda_graphs and device.type == "cuda":
        _record(engine, settings)
    sizes = [size for power in range(13) if (size := 1 << power) < settings.seats]
    engine.measure([*sizes, settings.seats], enough_s=ENOUGH_S)
    return engine


def load_model(settings: Settings) -> Any:
    """transformers' model on the CPU, in eval mode, without Mimi's decoder. Raises StartupRefused for files that are
    no whole checkpoint."""
    place = weights.find(settings)
    if settings.model == "random":
        return lifelike_model(place)
    transformers_logging.disable_progress_bar()
    dtype = DTYPES[settings.lm_dtype]
    try:
        model, found = KyutaiSpeechToTextForConditionalGeneration.from_pretrained(
            place, dtype=dtype, local_files_only=True, output_loading_info=True
        )
    except Exception as error:  # configuration, weights, shapes: whatever transformers finds wrong, in its words
        raise StartupRefused(f"{place} cannot be loaded: {' '.join(str(error).split())[:300]}") from error
    # What is missing would silently be random.
    lacking = sorted(name for name in {*found["missing_keys"], *found["mismatched_keys"]} if UNUSED not in str(name))
    if lacking:
        raise StartupRefused(f"{place} is not a whole checkpoint: {len(lacking)} tensors lack, {lacking[0]} among them")
    model.codec_model.decoder = None
    return model.eval()


def load_heads(settings: Settings) -> Any:
    """The pause heads' weights, or None. Raises StartupRefused where they are required and not there."""
    place = weights.find(settings)
    config = json.loads((place if place.is_file() else place / weights.CONFIG).read_text(encoding="utf-8"))
    if settings.pause_heads == "off":
        return None
    if settings.model == "random":
        return random_heads(config["hidden_size"])
    path = weights.find_heads(settings)
    heads = None if path is None else read_heads(path, d_model=config["hidden_size"])
    if heads is not None:
        return heads
    remedy = "a checkpoint that has them"
    if settings.hub_id is not None and path is None:
        remedy = f"hf download {weights.twin(settings.hub_id, '-candle')} {weights.WEIGHTS}"
    if settings.pause_heads == "require":
        raise StartupRefused(f"--pause-heads=require (KYUTAI_PAUSE_HEADS): none were found for {place}: {remedy}")
    _log.warning("no pause heads for %s: prs is empty (%s)", settings.model, remedy)
    return None


def load_words(settings: Settings) -> tuple[Callable[[Sequence[int]], str], int]:
    """Tokens to text, and asr_delay_in_tokens. Raises StartupRefused where the checkpoint's files do not say."""
    place, delay = weights.find(settings), settings.delay_tokens
    if settings.model == "random":
        return random_text(8000), DELAY_TOKENS if delay is None else delay
    try:
        tokenizer = Tokenizer.from_file(str(place / weights.TOKENIZER))
    except Exception as error:  # tokenizers raises plain Exception
        raise StartupRefused(f"{place / weights.TOKENIZER} cannot be read: {error}") from error
    return lambda tokens: tokenizer.decode(list(tokens)).strip(), _delay(place) if delay is None else delay


def _record(engine: Kyutai, settings: Settings) -> None:
    sizes = sorted({size for size in settings.graph_batches if size < settings.seats} | {settings.seats})
    try:
        engine.record(sizes, cuda_graphs())
    except RuntimeError as error:
        _log.warning("CUDA graphs could not be recorded, steps run without: %s", error)


def _delay(folder: Path) -> int:
    """`audio_delay_seconds` of the preprocessor's configuration, in frames: 0.5 s are 6."""
    path = folder / weights.PREPROCESSOR
    try:
        delay_s = float(json.loads(path.read_text(encoding="utf-8"))["audio_delay_seconds"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StartupRefused(
            f"{path} does not say by how much text trails audio ({error!r}): --delay-tokens does (KYUTAI_DELAY_TOKENS)"
        ) from error
    return round(delay_s / FRAME_S)
