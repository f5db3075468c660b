"""The trainer's TDT loss is NeMo's, value and gradient; and with windows only paths within them count."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from nemo.collections.asr.losses.rnnt_pytorch import TDTLossPytorch

from servers.parakeet.tiny.loss import NEVER, tdt_loss
from servers.parakeet.tiny.windows import Windows, windows

BLANK = 7
DURATIONS = [0, 1, 2, 3, 4]
SIGMA = 0.02
FRAMES = torch.tensor([9, 6, 3])
SIZES = torch.tensor([4, 0, 2])
SPANS = [np.array(span, np.float32).reshape(-1, 2) for span in ([(0.1, 0.3), (0.3, 0.5)], [], [(0.0, 0.2)])]
COUNTS = [[1, 3], [], [2]]


@pytest.fixture
def logits() -> Any:
    torch.manual_seed(0)
    return torch.randn(3, 9, 5, BLANK + 1 + len(DURATIONS), requires_grad=True)


@pytest.fixture
def targets() -> Any:
    torch.manual_seed(1)
    return torch.randint(0, BLANK, (3, 4))


def ours(logits: Any, targets: Any, *, cells: Any = None, allowed: Any = None) -> Any:
    """The whole lattice, or what is left of it."""
    pieces, lasts = logits.split([BLANK + 1, len(DURATIONS)], -1)
    following = torch.nn.functional.pad(targets, (0, 1))[:, None].expand(logits.shape[:3])
    pieces, lasts = pieces.log_softmax(-1) - SIGMA, lasts.log_softmax(-1)
    waits, speaks = pieces[..., BLANK, None] + lasts, pieces.gather(-1, following[..., None]) + lasts
    if cells is not None:
        waits, speaks = (values.masked_fill(~cells[..., None], NEVER) for values in (waits, speaks))
    if allowed is not None:
        speaks = speaks.masked_fill(~allowed, NEVER)
    return tdt_loss(waits, speaks, FRAMES, SIZES, durations=DURATIONS)


def allowed_in(within: Windows) -> Any:
    return within.begun()[..., None] & within.ended()


def gradient(losses: Any, logits: Any) -> Any:
    return torch.autograd.grad(losses.sum(), logits)[0]


def test_it_is_nemos_loss(logits: Any, targets: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.Tensor, "cuda", lambda tensor: tensor)  # NeMo's asks for a GPU, for no reason
    theirs = TDTLossPytorch(blank=BLANK, durations=DURATIONS, reduction="none", sigma=SIGMA)(
        acts=logits, labels=targets, act_lens=FRAMES, label_lens=SIZES
    )

    found = ours(logits, targets)

    assert torch.allclose(found, theirs, atol=1e-4)
    assert torch.allclose(gradient(found, logits), gradient(theirs, logits), atol=1e-5)


def test_each_clips_gradient_has_its_own_weight(logits: Any, targets: Any) -> None:
    weights = torch.tensor([0.5, 2.0, 0.0])

    weighted = gradient(ours(logits, targets) * weights, logits)

    assert torch.allclose(weighted, gradient(ours(logits, targets), logits) * weights[:, None, None, None], atol=1e-6)


def test_what_lies_beyond_a_clips_end_does_not_matter(logits: Any, targets: Any) -> None:
    before = ours(logits, targets)
    with torch.no_grad():
        logits[2, 3:] += 5.0
        logits[2, :, 3:] -= 5.0

    assert torch.equal(ours(logits, targets)[2], before[2])
    assert gradient(ours(logits, targets)[2:], logits)[2, 3:].abs().max() == 0


def test_cells_that_are_left_out_have_no_path(logits: Any, targets: Any) -> None:
    within = windows(SPANS, COUNTS, FRAMES, durations=DURATIONS)
    cells, allowed = within.cells(), allowed_in(within)

    whole = ours(logits, targets, allowed=allowed)

    assert not cells.all()
    assert torch.allclose(ours(logits, targets, cells=cells, allowed=allowed), whole)
    assert (whole >= ours(logits, targets) - 1e-5).all() and (whole < 1e3).all()


def only_piece(*, frames: int, begins: tuple[int, int], ends: tuple[int, int]) -> float:
    """The likelihood of one piece when every symbol has probability 1/2 and every duration 1/8."""
    sizes = torch.tensor([1])
    within = Windows(torch.tensor([[begins]]), torch.tensor([[ends]]), torch.tensor([frames]), sizes, DURATIONS)
    arc = torch.full((1, frames, 2, len(DURATIONS)), 1 / 16).log()
    speaks = arc.masked_fill(~allowed_in(within), NEVER)
    return float(torch.exp(-tdt_loss(arc, speaks, within.frames, sizes, durations=DURATIONS)))


def test_a_piece_begins_and_ends_in_its_windows() -> None:
    # Blank to frame 1, the piece to frame 3, blank to the end: each one arc, in one way.
    assert only_piece(frames=4, begins=(1, 1), ends=(3, 3)) == pytest.approx(16**-3)
    # Two frames for its end: then also a blank of 2 frames to the clip's end, or two of 1.
    assert only_piece(frames=4, begins=(1, 1), ends=(2, 3)) == pytest.approx(2 * 16**-3 + 16**-4)


def test_a_piece_too_long_for_its_durations_takes_the_longest() -> None:
    assert only_piece(frames=5, begins=(0, 0), ends=(9, 9)) == pytest.approx(16**-2)


def test_where_there_is_no_path_there_is_no_likelihood() -> None:
    assert only_piece(frames=4, begins=(3, 3), ends=(1, 1)) == 0
