"""The trainer's transducer loss is NeMo's: the same values, the same gradients, FastEmit's too."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from nemo.collections.asr.losses.rnnt_pytorch import RNNTLossPytorch
from nemo.collections.asr.parts.numba.rnnt_loss import RNNTLossNumba

from servers.fastconformer.tiny.loss import transducer_loss

BLANK = 9
FRAMES = torch.tensor([13, 9, 11, 6])
SIZES = torch.tensor([5, 3, 0, 4])


@pytest.fixture
def logits() -> Any:
    torch.manual_seed(0)
    return torch.randn(4, 13, 6, BLANK + 1, requires_grad=True)


@pytest.fixture
def targets() -> Any:
    torch.manual_seed(1)
    return torch.randint(0, BLANK, (4, 5))


def ours(logits: Any, targets: Any, *, fast_emit: float = 0.0) -> Any:
    return transducer_loss(logits.log_softmax(-1), targets, FRAMES, SIZES, blank=BLANK, fast_emit=fast_emit)


def gradient(losses: Any, logits: Any) -> Any:
    return torch.autograd.grad(losses.sum(), logits)[0]


def test_it_is_nemos_loss(logits: Any, targets: Any) -> None:
    theirs = RNNTLossPytorch(blank=BLANK, reduction="none")(
        acts=logits.log_softmax(-1), labels=targets, act_lens=FRAMES, label_lens=SIZES
    )

    assert torch.allclose(ours(logits, targets), theirs, atol=1e-4)
    assert torch.allclose(gradient(ours(logits, targets), logits), gradient(theirs, logits), atol=1e-5)


@pytest.mark.parametrize("fast_emit", [0.0, 0.005, 0.3])
def test_fast_emit_is_nemos(logits: Any, targets: Any, fast_emit: float) -> None:
    theirs = RNNTLossNumba(blank=BLANK, reduction="none", fastemit_lambda=fast_emit)(logits, targets, FRAMES, SIZES)

    found = gradient(ours(logits, targets, fast_emit=fast_emit), logits)
    assert torch.allclose(found, gradient(theirs, logits), atol=2e-5)


def test_what_lies_beyond_a_clips_end_does_not_matter(logits: Any, targets: Any) -> None:
    before = ours(logits, targets)
    with torch.no_grad():
        logits[3, 6:] += 5.0
        logits[3, :, 5:] -= 5.0

    assert torch.equal(ours(logits, targets)[3], before[3])
    assert gradient(ours(logits, targets)[3:], logits)[3, 6:].abs().max() == 0


def test_one_path_is_its_own_probability() -> None:
    log_probs = torch.log(torch.tensor([[[[0.2, 0.8], [0.1, 0.9]]]]))  # one frame: emit, then wait

    loss = transducer_loss(log_probs, torch.tensor([[0]]), torch.tensor([1]), torch.tensor([1]), blank=1)

    assert loss.item() == pytest.approx(-(torch.log(torch.tensor(0.2)) + torch.log(torch.tensor(0.9))).item())
