"""Weights in moshi's layout and back: the same model, whichever names the file has."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from benchmarks.peers.moshi_models import LM_NAMES, _renamed
from servers.kyutai import weights
from servers.kyutai.model.convert import main
from tests.env.torch.kyutai_small import LM, save_small, small_model


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_small(tmp_path_factory.mktemp("saved"))


@pytest.fixture
def blank(saved: Path, tmp_path: Path) -> Path:
    """The same checkpoint with another language model and no heads."""
    folder = Path(shutil.copytree(saved, tmp_path / "blank"))
    found = load_file(folder / weights.WEIGHTS)
    changed = {name: each if name.startswith("codec_model.") else each * 0 for name, each in found.items()}
    save_file(changed, folder / weights.WEIGHTS)
    (folder / weights.HEADS).unlink()
    return folder


def moshi_file(path: Path, *, candle: bool = False, **more: Any) -> Path:
    """The small model as moshi has it: the renaming of the benchmark that runs it in that package."""
    text = {name: each for name, each in small_model().state_dict().items() if not name.startswith("codec_model.")}
    table = text.pop("model.embed_tokens.embed_tokens.weight")
    found = _renamed(text, LM_NAMES, 2, "transformer.layers")
    found["text_linear.weight"] = found["text_linear.weight"][:-1]
    found["text_emb.weight"] = table[: LM["vocab_size"]]
    for number, part in enumerate(table[LM["vocab_size"] : -1].split(33)):
        found[f"emb.{number}.weight"] = part
    for number in range(4):
        found[f"extra_heads.{number}.weight"] = torch.full((6, 32), number + 1.0)
    if candle:
        older = {"in_projs.0.weight": "in_proj_weight", "out_projs.0": "out_proj"}
        for new, old in older.items():
            found = {name.replace(new, old): each for name, each in found.items()}
    shaped = {name: each.view(1, 1, -1) if name.endswith("alpha") else each for name, each in found.items()}
    save_file({name: each.contiguous() for name, each in (shaped | more).items()}, path)
    return path


@pytest.mark.parametrize("candle", [False, True])
def test_a_language_model_comes_back_as_it_was(saved: Path, blank: Path, tmp_path: Path, candle: bool) -> None:
    source, target = moshi_file(tmp_path / "moshi.safetensors", candle=candle), tmp_path / "new"

    assert main([str(source), str(blank), str(target)]) == 0

    found, expected = load_file(target / weights.WEIGHTS), load_file(saved / weights.WEIGHTS)
    assert found.keys() == expected.keys()
    expected["model.embed_tokens.embed_tokens.weight"][-1] = 0.0  # nobody's row
    assert all(torch.equal(each, expected[name]) for name, each in found.items())
    assert load_file(target / weights.HEADS)[weights.HEADS_KEY][:, 0, 0].tolist() == [1, 2, 3, 4]
    assert (target / weights.TOKENIZER).read_bytes() == (saved / weights.TOKENIZER).read_bytes()


def test_only_the_heads(blank: Path, tmp_path: Path) -> None:
    before = (blank / weights.WEIGHTS).read_bytes()

    assert main([str(moshi_file(tmp_path / "moshi.safetensors")), str(blank)]) == 0

    assert load_file(blank / weights.HEADS)[weights.HEADS_KEY].shape == (4, 6, 32)
    assert (blank / weights.WEIGHTS).read_bytes() == before


def test_what_does_not_fit_is_named(blank: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wide = moshi_file(tmp_path / "wide.safetensors", **{"text_linear.weight": torch.zeros(70, 32)})
    new = str(tmp_path / "new")

    assert main([str(wide), str(blank), new]) == 1
    assert "1 tensors do not fit, lm_head.weight among them" in capsys.readouterr().err
    assert main([str(blank / weights.WEIGHTS), str(blank), new]) == 1
    assert "no language model in moshi's layout" in capsys.readouterr().err
    assert main([str(blank / weights.WEIGHTS), str(blank)]) == 1
    assert "has no extra_heads" in capsys.readouterr().err
    assert main([str(blank / weights.TOKENIZER), str(blank)]) == 1
    assert "cannot be read" in capsys.readouterr().err
    assert main([]) == 2
