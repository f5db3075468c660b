"""The files of the tiny checkpoint: transformers' layout, and the pause heads beside it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor
from transformers import GenerationConfig, KyutaiSpeechToTextForConditionalGeneration

from servers.kyutai.tiny import pieces
from servers.kyutai.tiny.network import Learning
from servers.kyutai.tiny.streams import RATE_HZ
from servers.kyutai.tiny.targets import DELAY, FRAME_S, PAD, START

CHECKPOINT: Final = Path(__file__).with_name("checkpoint")
HEADS: Final = "pause_heads.safetensors"
PREPROCESSOR: Final = f"""{{
  "audio_delay_seconds": {DELAY * FRAME_S + 0.02:g},
  "audio_silence_prefix_seconds": 0.0,
  "feature_extractor_type": "KyutaiSpeechToTextFeatureExtractor",
  "feature_size": 1,
  "padding_side": "right",
  "padding_value": 0.0,
  "return_attention_mask": true,
  "sampling_rate": {RATE_HZ}
}}
"""
"""0.5 s of delay, as the published 1b model."""


def write(learning: Learning, tokenizer: Tokenizer, out: Path) -> None:
    """The checkpoint, each file whole or not at all: others may read `out` meanwhile."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        written = Path(folder)
        learning.model.generation_config = GenerationConfig(
            bos_token_id=START, pad_token_id=PAD, do_sample=False, max_length=None
        )
        learning.model.save_pretrained(written)
        save_file({"weight": learning.pauses.detach().contiguous()}, written / HEADS)
        pieces.write(tokenizer, written)
        (written / "preprocessor_config.json").write_text(PREPROCESSOR, encoding="utf-8")
        for file in written.iterdir():
            file.chmod(0o644)
            file.replace(out / file.name)


def load(folder: Path) -> tuple[Any, Tokenizer, Tensor]:
    """The checkpoint on the CPU: network, tokenizer, heads (heads, classes, WIDTH)."""
    model = KyutaiSpeechToTextForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    return model, Tokenizer.from_file(str(folder / "tokenizer.json")), load_file(folder / HEADS)["weight"]


def read(learning: Learning, folder: Path) -> None:
    """Makes `learning` what it was when the checkpoint was written, but for what only the training needs."""
    model, _, heads = load(folder)
    learning.model = model
    with torch.no_grad():
        learning.pauses.copy_(heads)
