"""The files of a tiny checkpoint in Mistral's layout: written from a network or from chance, and read back."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from servers.voxtral.tiny import layout
from servers.voxtral.tiny.params import Size, Transformer, params, size_of

CHECKPOINT: Final = Path(__file__).with_name("checkpoint")
PARAMS, WEIGHTS, VOCABULARY = "params.json", "consolidated.safetensors", "tekken.json"
DTYPE: Final = torch.bfloat16
"""As the published file's; the engine computes in it too."""
SPREAD: Final = 0.05


def tiny_size(vocabulary: int) -> Size:
    """Small enough for one core. Widths of heads are those that vLLM's attention on a CPU knows."""
    return Size(
        encoder=Transformer(width=96, layers=2, heads=4, kv_heads=4, head_width=32, inner=256, window=32),
        language=Transformer(width=160, layers=4, heads=4, kv_heads=2, head_width=32, inner=384, window=64),
        vocabulary=vocabulary,
    )


def write(out: Path, size: Size, tensors: dict[str, Tensor], tekken: dict[str, Any]) -> None:
    """The three files, each whole or not at all: others may read `out` meanwhile. `tensors` by Mistral's names."""
    expected = layout.shapes(size)
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    assert found == expected, "a tensor is missing, too many, or of another shape"
    stored = {name: tensor.detach().to(DTYPE).contiguous() for name, tensor in sorted(tensors.items())}
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        written = Path(folder)
        save_file(stored, written / WEIGHTS)
        (written / PARAMS).write_text(json.dumps(params(size), indent=2) + "\n", encoding="utf-8")
        (written / VOCABULARY).write_text(json.dumps(tekken, indent=0) + "\n", encoding="utf-8")
        for file in written.iterdir():
            file.chmod(0o644)
            file.replace(out / file.name)


def by_chance(size: Size, *, seed: int) -> dict[str, Tensor]:
    """Weights that mean nothing; the same seed gives the same ones. Norms are ones, biases are zero."""
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for name, shape in sorted(layout.shapes(size).items()):
        if name.endswith("norm.weight"):
            found[name] = torch.ones(shape)
        elif name.endswith(".bias"):
            found[name] = torch.zeros(shape)
        else:
            found[name] = SPREAD * torch.randn(shape, generator=generator)
    return found


def from_transformers(state: dict[str, Tensor], size: Size) -> dict[str, Tensor]:
    """A network's tensors by Mistral's names."""
    found = {}
    for name, tensor in state.items():
        if name == layout.TIED:
            continue
        mistral = layout.mistral_name(name)
        heads = layout.turned(mistral, size)
        found[mistral] = tensor if heads is None else _turn(tensor, heads, halves_first=True)
    return found


def to_transformers(tensors: dict[str, Tensor], names: list[str], size: Size) -> dict[str, Tensor]:
    """The tensors of a file by transformers' `names`, in float32."""
    found = {}
    for name in names:
        mistral = layout.mistral_name("model.language_model.embed_tokens.weight" if name == layout.TIED else name)
        heads = layout.turned(mistral, size)
        tensor = tensors[mistral].float()
        found[name] = tensor if heads is None else _turn(tensor, heads, halves_first=False)
    return found


def _turn(tensor: Tensor, heads: int, *, halves_first: bool) -> Tensor:
    """Rows of each head, (2, half) as transformers has them to (half, 2) as Mistral has them, or back."""
    half = tensor.shape[0] // heads // 2
    within = (heads, 2, half) if halves_first else (heads, half, 2)
    return tensor.reshape(*within, *tensor.shape[1:]).transpose(1, 2).reshape(tensor.shape)


def read(folder: Path) -> tuple[Size, dict[str, Tensor], dict[str, Any]]:
    """Size, tensors by Mistral's names, and the vocabulary file of a folder."""
    size = size_of(json.loads((folder / PARAMS).read_text(encoding="utf-8")))
    return size, load_file(folder / WEIGHTS), json.loads((folder / VOCABULARY).read_text(encoding="utf-8"))


def states(folder: Path, names: list[str]) -> dict[str, Tensor]:
    """The tensors of the checkpoint in `folder` as transformers has them, by its `names`."""
    size, tensors, _ = read(folder)
    return to_transformers(tensors, names, size)
