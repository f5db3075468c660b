"""The word pieces that the tiny model writes: those of the tiny vocabulary and every letter."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Final

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from samples.pool import tiny_vocabulary
from servers.kyutai.tiny.targets import START

SPECIAL: Final = ("<unk>", "<s>", "</s>", "<pad>")
"""Ids 0 to 3; targets.py says what 0 and 3 mean."""
MARK: Final = "▁"
"""Begins the first piece of each word, as sentencepiece writes it."""


def tokenizer() -> Tokenizer:
    """Byte-pair pieces of the vocabulary; the same each time."""
    made = Tokenizer(models.BPE(unk_token=SPECIAL[0]))
    made.pre_tokenizer = pre_tokenizers.Metaspace(replacement=MARK, prepend_scheme="always")
    made.decoder = decoders.Metaspace(replacement=MARK, prepend_scheme="always")
    trainer = trainers.BpeTrainer(
        vocab_size=START,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(string.ascii_lowercase + "'" + MARK),
        limit_alphabet=64,
        show_progress=False,
    )
    made.train_from_iterator(tiny_vocabulary(), trainer)
    return made


def write(made: Tokenizer, folder: Path) -> None:
    """tokenizer.json and tokenizer_config.json, which transformers reads."""
    made.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": SPECIAL[0],
        "bos_token": SPECIAL[1],
        "eos_token": SPECIAL[2],
        "pad_token": SPECIAL[3],
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
