"""A language model in moshi's layout (candle's files, fine-tuned ones) put into a checkpoint in transformers' layout.

    python -m servers.kyutai.model.convert MOSHI_FILE CHECKPOINT_FOLDER [NEW_FOLDER]

With NEW_FOLDER: a copy of the checkpoint with the file's language model, and its pause heads where it has some; codec
and tokenizer stay the checkpoint's, whose shape it must have. Without: only the pause heads, written beside it.
Layout: transformers' convert_kyutai_speech_to_text_to_hf.py.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from servers.common.errors import StartupRefused
from servers.kyutai.model.heads import read_heads
from servers.kyutai.weights import CONFIG, HEADS, HEADS_KEY, INDEX, WEIGHTS, weight_files

NAMES: Final = (
    (r"transformer\.layers\.", "model.layers."),
    (r"self_attn\.out_proj(s\.0)?\.", "self_attn.o_proj.linear."),
    (r"gating\.linear_in\.", "mlp.fc1."),
    (r"gating\.linear_out\.", "mlp.fc2."),
    (r"norm1\.alpha", "input_layernorm.weight"),
    (r"norm2\.alpha", "post_attention_layernorm.weight"),
    (r"out_norm\.alpha", "model.norm.weight"),
    (r"text_linear\.", "lm_head."),
)
JOINED: Final = re.compile(r"(.*)self_attn\.in_proj(_weight|s\.0\.weight)")
"""Query, key and value in one."""
TABLE: Final = re.compile(r"(text_)?emb\..*weight")


def to_transformers(weights: Mapping[str, Any], *, heads: int) -> dict[str, Any]:
    """The language model's tensors under transformers' names; pause heads are left out. `heads`: of its attention.

    Raises KeyError for a file that lacks an embedding table.
    """
    found: dict[str, Any] = {}
    for name, each in weights.items():
        if match := JOINED.fullmatch(name):
            place = re.sub(*NAMES[0], match[1]) + "self_attn."
            for letter, part in zip("qkv", each.chunk(3), strict=True):
                found[f"{place}{letter}_proj.linear.weight"] = part if letter == "v" else _halved(part, heads)
        elif not name.startswith("extra_heads.") and not TABLE.fullmatch(name):
            for old, new in NAMES:
                name = re.sub(old, new, name)
            found[name] = each.flatten() if name.endswith("norm.weight") else each
    width = weights["text_emb.weight"].shape[1]
    codebooks = sum(name.startswith("emb.") for name in weights)
    tables = [weights["text_emb.weight"], *(weights[f"emb.{number}.weight"] for number in range(codebooks))]
    nothing = tables[0].new_zeros(1, width)
    # One row more than there: of what is no code in the table, of the start token in the output layer.
    found["model.embed_tokens.embed_tokens.weight"] = torch.cat([*tables, nothing])
    found["lm_head.weight"] = torch.cat([found["lm_head.weight"], nothing])
    return found


def convert(source: Path, base: Path, target: Path) -> None:
    """Write `target`. Raises StartupRefused where `source` and `base` do not fit each other."""
    shape = _config(base)
    old = {name: each for path in weight_files(base) for name, each in _read(path).items()}
    try:
        new = to_transformers(_read(source), heads=shape["num_attention_heads"])
    except KeyError as error:
        raise StartupRefused(f"{source} is no language model in moshi's layout: it has no {error}") from error
    there = {name: each.shape for name, each in old.items() if not name.startswith("codec_model.")}
    here = {name: each.shape for name, each in new.items()}
    if wrong := sorted(name for name in there.keys() | here.keys() if there.get(name) != here.get(name)):
        name = wrong[0]
        reason = f"{len(wrong)} tensors do not fit, {name} among them ({here.get(name)}, {there.get(name)})"
        raise StartupRefused(f"{source} is another model than {base}: {reason}")
    target.mkdir(parents=True, exist_ok=True)
    skipped = {INDEX, HEADS, *(path.name for path in weight_files(base))}
    for path in base.iterdir():
        if path.is_file() and path.name not in skipped:
            shutil.copyfile(path, target / path.name)
    whole = {**old, **{name: each.to(old[name].dtype).contiguous() for name, each in new.items()}}
    save_file(whole, target / WEIGHTS, metadata={"format": "pt"})


def convert_heads(source: Path, base: Path, target: Path) -> bool:
    """Write the pause heads of `source` into `target`; False where it has none. Raises StartupRefused."""
    found = read_heads(source, d_model=_config(base)["hidden_size"])
    if found is not None:
        save_file({HEADS_KEY: found.contiguous()}, target / HEADS)
    return found is not None


def main(words: Sequence[str]) -> int:
    """0 when something was written, 1 with the reason when not."""
    if len(words) not in (2, 3):
        print(__doc__, file=sys.stderr)
        return 2
    source, base, target = Path(words[0]), Path(words[1]), Path(words[-1])
    try:
        if target != base:
            convert(source, base, target)
        if not convert_heads(source, base, target):
            print(f"{source} has no extra_heads", file=sys.stderr)
            return 0 if target != base else 1
    except StartupRefused as refusal:
        print(refusal, file=sys.stderr)
        return 1
    return 0


def _halved(weight: Any, heads: int) -> Any:
    """Rows of a head: moshi has the rotary pairs side by side, transformers their first halves, then their second."""
    rows, columns = weight.shape
    return weight.view(heads, rows // heads // 2, 2, columns).transpose(1, 2).reshape(rows, columns)


def _config(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        return {name: int(found[name]) for name in ("hidden_size", "num_attention_heads")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StartupRefused(f"{folder / CONFIG} does not say what shape the model has: {error!r}") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(load_file(path))
    except (OSError, SafetensorError) as error:
        raise StartupRefused(f"{path} cannot be read: {error}") from error


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
