"""A made-up vocabulary for models with random weights: SentencePiece pieces that look like words, no data needed.

Needs SentencePiece, which NeMo brings: only model files import it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sentencepiece import sentencepiece_model_pb2

WORD_START: Final = "\u2581"
"""SentencePiece's mark of a word's beginning, at the head of a piece."""
CONSONANTS: Final = "bcdfghjklmnpqrstvwxyz"
VOWELS: Final = "aeiou"


def made_up_pieces(count: int, *, marks: str = "") -> list[str]:
    """`count` pieces: syllables that begin a word or go on with it, each letter of theirs, and `marks`."""
    syllables = ["".join(each) for each in itertools.product(CONSONANTS, VOWELS, ["", *CONSONANTS[:4]])]
    letters = [WORD_START, *VOWELS, *CONSONANTS, *marks]
    found = [*(WORD_START + one for one in syllables), *syllables]
    return found[: count - len(letters)] + letters


def write_tokenizer(folder: Path, pieces: Sequence[str]) -> Path:
    """Write tokenizer.model and vocab.txt of a SentencePiece BPE of <unk> and `pieces`; returns `folder`."""
    proto = sentencepiece_model_pb2.ModelProto()
    trainer = proto.trainer_spec
    trainer.model_type = trainer.BPE
    trainer.vocab_size = len(pieces) + 1
    trainer.unk_id, trainer.bos_id, trainer.eos_id, trainer.pad_id = 0, -1, -1, -1
    proto.normalizer_spec.name = "identity"
    proto.pieces.add(piece="<unk>", score=0.0, type=proto.SentencePiece.UNKNOWN)
    for rank, piece in enumerate(pieces):
        proto.pieces.add(piece=piece, score=-float(rank), type=proto.SentencePiece.NORMAL)
    (folder / "tokenizer.model").write_bytes(proto.SerializeToString())
    words = [piece[1:] if piece.startswith(WORD_START) else f"##{piece}" for piece in pieces]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    return folder
