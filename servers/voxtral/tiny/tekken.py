"""tekken.json: Mistral's vocabulary file, whose `audio` section also says the delay. Pure; knows no model.

The format is mistral_common's (tokens/tokenizers/tekken.py and audio.py): ids below SPECIALS are special tokens, by
their rank; SPECIALS + rank is a piece of text, the first 256 the single bytes.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Sequence
from importlib.resources import files
from typing import Any, Final

SPECIALS: Final = 1000
BYTES: Final = 256
BOS, STREAMING_PAD, STREAMING_WORD = 1, 32, 33
NAMED: Final = (
    *("<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]"),
    *("[/TOOL_RESULTS]", "[TOOL_CALLS]", "[IMG]", "<pad>", "[IMG_BREAK]", "[IMG_END]", "[PREFIX]", "[MIDDLE]"),
    *("[SUFFIX]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[TOOL_CONTENT]", "[BBOX]", "[/BBOX]", "[STEP]", "[/STEP]"),
    *("[AUDIO]", "[BEGIN_AUDIO]", "[OUTPUT_AUDIO]", "[REF]", "[/REF]", "[REASONING]", "[VERIFICATION]", "[SCORE]"),
    *("[STREAMING_PAD]", "[STREAMING_WORD]", "[REPEAT_AUDIO_TEXT]", "[NEXT_AUDIO_TEXT]"),
    *("[ARGS]", "[CALL_ID]", "[TRANSCRIBE]", "[THINK]", "[/THINK]"),
)
"""Up to rank 34 as the published file is quoted; those behind it are there because mistral_common asks for them."""
VERSION: Final = "v11"
PATTERN: Final = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LEFT_PAD: Final = 32
WHOLE_UP_TO: Final = 6
"""Letters of a word that is one piece."""


def tekken(vocabulary: Iterable[bytes], *, delay_ms: int) -> dict[str, Any]:
    """The file with `vocabulary` behind the single bytes, for a model of the published one's audio format."""
    pieces = [*(bytes([value]) for value in range(BYTES)), *vocabulary]
    return {
        "config": {
            "pattern": PATTERN,
            "num_vocab_tokens": len(pieces),
            "default_vocab_size": SPECIALS + len(pieces),
            "default_num_special_tokens": SPECIALS,
            "version": VERSION,
        },
        "vocab": [_entry(rank, piece) for rank, piece in enumerate(pieces)],
        "special_tokens": [{"rank": rank, "token_str": special(rank), "is_control": True} for rank in range(SPECIALS)],
        "audio": {
            "sampling_rate": 16_000,
            "frame_rate": 12.5,
            "audio_encoding_config": {"num_mel_bins": 128, "hop_length": 160, "window_size": 400},
            "chunk_length_s": None,
            "transcription_format": "streaming",
            "transcription_delay_ms": delay_ms,
            "streaming_look_ahead_ms": 2.5,
            "streaming_look_back_ms": 52.5,
            "streaming_n_left_pad_tokens": LEFT_PAD,
        },
    }


def special(rank: int) -> str:
    """A special token's name."""
    return NAMED[rank] if rank < len(NAMED) else f"<SPECIAL_{rank}>"


def full(*, delay_ms: int, size: int = 131_072) -> dict[str, Any]:
    """The file with as many pieces as the published one: those of the newest vocabulary in mistral_common's data.

    Whether the published file has the very same pieces is not known; it has as many.
    """
    data = files("mistral_common") / "data"
    newest = max(entry.name for entry in data.iterdir() if entry.name.startswith("tekken_"))
    held = json.loads((data / newest).read_text(encoding="utf-8"))["vocab"][: size - SPECIALS]
    return tekken((base64.b64decode(entry["token_bytes"]) for entry in held[BYTES:]), delay_ms=delay_ms)


def small(words: Sequence[str], *, delay_ms: int) -> dict[str, Any]:
    """The file with just the pieces of `words`."""
    return tekken((piece.encode() for piece in pieces_of_all(words)), delay_ms=delay_ms)


def pieces_of(word: str) -> tuple[str, ...]:
    """A word's pieces, the first with a space before it; a long word has two, so that a delta may be half a word."""
    if len(word) <= WHOLE_UP_TO:
        return (" " + word,)
    middle = (len(word) + 1) // 2
    return " " + word[:middle], word[middle:]


def pieces_of_all(words: Sequence[str]) -> tuple[str, ...]:
    """Every piece of `words` that is no single byte, each once, in their order."""
    return tuple(dict.fromkeys(piece for word in words for piece in pieces_of(word) if len(piece.encode()) > 1))


def spelling(words: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Each word's tokens in the file `small(words)`."""
    ids = {piece: SPECIALS + BYTES + at for at, piece in enumerate(pieces_of_all(words))}
    return {word: tuple(ids.get(piece, SPECIALS + piece.encode()[0]) for piece in pieces_of(word)) for word in words}


def text_of(tokens: Iterable[int], file: dict[str, Any]) -> str:
    """What the engine makes of `tokens`: the pieces after one another, special tokens left out."""
    vocabulary = file["vocab"]
    said = (base64.b64decode(vocabulary[token - SPECIALS]["token_bytes"]) for token in tokens if token >= SPECIALS)
    return b"".join(said).decode("utf-8", "replace")


def _entry(rank: int, piece: bytes) -> dict[str, Any]:
    try:
        readable = piece.decode("utf-8")
    except UnicodeDecodeError:
        readable = None
    return {"rank": rank, "token_bytes": base64.b64encode(piece).decode("ascii"), "token_str": readable}
