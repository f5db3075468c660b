"""Where v2's weights come from, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from servers.common.errors import StartupRefused
from servers.smart_turn.model_v2 import choose_device, choose_dtype
from servers.smart_turn.model_v2_load import POSITION, fold_weight_norm, load_network, random_network
from servers.smart_turn.weights import CONFIG, WEIGHTS
from tests.env.torch.reference import SMALL


@pytest.fixture
def copy(checkpoint: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(checkpoint, tmp_path / "copy"))


def test_both_names_of_weight_norm_are_read(copy: Path) -> None:
    weights = load_file(copy / WEIGHTS)
    newer = load_network(copy).state_dict()
    for new, old in (("original0", "weight_g"), ("original1", "weight_v")):
        weights[f"{POSITION}.{old}"] = weights.pop(f"{POSITION}.parametrizations.weight.{new}")
    save_file(weights, copy / WEIGHTS)

    older = load_network(copy).state_dict()

    assert all(torch.equal(older[name], newer[name]) for name in newer)


def test_half_precision_checkpoints_are_widened(copy: Path) -> None:
    halves = {name: value.to(torch.bfloat16) for name, value in load_file(copy / WEIGHTS).items()}

    assert {value.dtype for value in fold_weight_norm(halves).values()} == {torch.float32}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"feat_extract_norm": "layer"}, "feat_extract_norm is 'layer': only 'group'"),
        ({"do_stable_layer_norm": True}, "do_stable_layer_norm is True"),
        ({"hidden_size": None}, "lacks hidden_size"),
        ({"hidden_size": 64}, r"is not a Smart Turn v2 checkpoint: .*size mismatch"),
    ],
)
def test_another_network_is_refused(change: dict[str, object], reason: str, copy: Path) -> None:
    config = {name: value for name, value in (SMALL | change).items() if value is not None}
    (copy / CONFIG).write_text(json.dumps(config))

    with pytest.raises(StartupRefused, match=reason):
        load_network(copy)


def test_a_broken_file_is_named(copy: Path) -> None:
    (copy / WEIGHTS).write_bytes(b"no weights")

    with pytest.raises(StartupRefused, match=WEIGHTS):
        load_network(copy)


def test_random_weights_follow_their_seed() -> None:
    first, second, other = (random_network(SMALL, seed=seed).state_dict() for seed in (0, 0, 1))

    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first[f"{POSITION}.weight"], other[f"{POSITION}.weight"])


def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    assert choose_device("auto") == choose_device("cpu") == torch.device("cpu")
    with pytest.raises(StartupRefused, match=r"--device=cuda:3: PyTorch .* sees no CUDA device"):
        choose_device("cuda:3")


def test_the_dtype_follows_the_device_unless_asked() -> None:
    assert choose_dtype(None, torch.device("cpu")) == torch.float32
    assert choose_dtype(None, torch.device("cuda:0")) == torch.bfloat16
    assert choose_dtype("bfloat16", torch.device("cpu")) == torch.bfloat16
