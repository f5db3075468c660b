"""One batch through the network: what it says of each cell of the lattice that counts, and the losses of that."""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor, nn

from samples.lessons.batches import Batch
from servers.parakeet.tiny.hearing import Hearing
from servers.parakeet.tiny.loss import NEVER, tdt_loss
from servers.parakeet.tiny.network import DURATIONS
from servers.parakeet.tiny.windows import Windows, windows

SIGMA: Final = 0.02
"""Taken off every log-probability of a piece or blank, so that long durations are worth it (arXiv 2304.06795)."""


def losses(model: Any, ear: Hearing, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """One pass: hearing per frame, and per word piece the TDT loss and that of regaining a piece's end by waiting."""
    pieces = [[model.tokenizer.text_to_ids(word) for word in words] for words in batch.texts]
    sizes = torch.tensor([sum(map(len, words)) for words in pieces])
    targets = torch.zeros(len(pieces), max(1, int(sizes.max())), dtype=torch.int64)
    for row, words in enumerate(pieces):
        targets[row, : sizes[row]] = torch.tensor([piece for word in words for piece in word], dtype=torch.int64)
    with torch.no_grad():
        mel, mel_sizes = model.preprocessor(
            input_signal=torch.from_numpy(batch.audio), length=torch.from_numpy(batch.sizes)
        )
        mel = model.spec_augmentation(input_spec=mel, length=mel_sizes)
    encoded, frames = model.encoder(audio_signal=mel, length=mel_sizes)
    within = windows(batch.spans, [[len(word) for word in words] for words in pieces], frames, durations=DURATIONS)
    waits, says, lasts = joined(model, encoded, targets, within)
    begun = says.masked_fill(~within.begun(), NEVER)[..., None]
    speaks = (begun + lasts).masked_fill(~within.ended(), NEVER)
    at_once = torch.cat([begun, torch.full_like(lasts, NEVER)[..., 1:]], -1)
    tdt, regaining = (
        tdt_loss(waits, each, frames, sizes, durations=DURATIONS).sum() / sizes.sum().clamp(min=1)
        for each in (speaks, at_once)
    )
    return ear(encoded, frames, batch), tdt, regaining


def joined(model: Any, encoded: Tensor, targets: Tensor, within: Windows) -> tuple[Tensor, Tensor, Tensor]:
    """Log-probabilities of waiting (batch, T, U + 1, durations), of the next piece (batch, T, U + 1), of what it lasts.

    The joint is asked only where a path can come through, a tenth or less of the lattice; elsewhere they are NEVER.
    """
    decoded, _, _ = model.decoder(targets=targets, target_length=within.sizes)
    heard = model.joint.project_encoder(encoded.transpose(1, 2))
    written = model.joint.project_prednet(decoded.transpose(1, 2))
    cells = within.cells()
    row, frame, column = cells.nonzero().unbind(1)
    joint = model.joint.joint_after_projection(heard[row, frame, None], written[row, column, None])[:, 0, 0]
    said, lasts = joint.split([joint.shape[1] - len(DURATIONS), len(DURATIONS)], -1)
    said, lasts = said.log_softmax(-1) - SIGMA, lasts.log_softmax(-1)
    following = nn.functional.pad(targets, (0, 1))[row, column]
    waits = said[:, model.decoder.blank_idx, None] + lasts
    says = said.gather(1, following[:, None])[:, 0]
    nowhere = torch.full((*cells.shape, len(DURATIONS)), NEVER)
    place = row, frame, column
    return nowhere.index_put(place, waits), nowhere[..., 0].index_put(place, says), nowhere.index_put(place, lasts)
