"""The published architecture with seeded random weights and a made-up vocabulary: the real size, no download."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Final

import torch
from omegaconf import OmegaConf

from servers.common.model_nemo import quiet
from servers.common.model_vocabulary import made_up_pieces, write_tokenizer
from servers.parakeet.model_nemo import EncDecRNNTBPEModel
from servers.parakeet.weights import PUBLISHED_CONFIG, RANDOM_SEED

PIECES: Final = 1024
MARKS: Final = ",.?!"
GAIN: Final = 20.0
BLANK_FRAMES: Final = 0.8
"""Of the frames of noise that comes and goes."""


def lifelike_model(
    seed: int = RANDOM_SEED, config: Path = PUBLISHED_CONFIG, *, blank_frames: float = BLANK_FRAMES
) -> EncDecRNNTBPEModel:
    """`random_model` that brings a few tokens a second of speech, as English has, so that the search has as much to do
    as with trained weights. As drawn, the weights bring as many as it will take, ten for every frame."""
    with torch.random.fork_rng(devices=[]):
        model = random_model(seed, config)
        torch.manual_seed(seed)
        _favour_blank(model, blank_frames)
    return model.eval()


def random_model(seed: int = RANDOM_SEED, config: Path = PUBLISHED_CONFIG) -> EncDecRNNTBPEModel:
    """The model in eval mode on the CPU, float32; the same seed gives the same weights. Not for `save_to`."""
    with tempfile.TemporaryDirectory() as folder, torch.random.fork_rng(devices=[]):
        shape = OmegaConf.load(config)
        shape.tokenizer.dir = str(write_tokenizer(Path(folder), random_pieces()))
        torch.manual_seed(seed)
        with quiet():
            model = EncDecRNNTBPEModel(cfg=shape, trainer=None)
    return model.eval()


def random_pieces() -> list[str]:
    """What follows <unk>."""
    return made_up_pieces(PIECES - 1, marks=MARKS)


def _favour_blank(model: Any, share: float) -> None:
    """Have the joint listen to what changes from frame to frame and from token to token, and raise its blank until it
    is the best of this share of frames."""
    loudness = torch.rand(40).mul(0.2).repeat_interleave(1600)
    noise = (torch.randn(len(loudness)) * loudness).unsqueeze(0)
    model.preprocessor.featurizer.dither = 0.0
    extra = int(model.joint.num_extra_outputs)
    with torch.inference_mode():
        encoded, _ = model(input_signal=noise, input_signal_length=torch.tensor([noise.shape[1]]))
        joint, last = model.joint, model.joint.joint_net[-1]
        joint.enc.bias -= GAIN * joint.enc.weight @ encoded[0].mean(dim=1)
        joint.enc.weight *= GAIN
        joint.pred.weight *= GAIN
        start = model.decoder.predict(None, state=None, add_sos=False, batch_size=1)[0]
        frames, tokens = joint.project_encoder(encoded.transpose(1, 2)), joint.project_prednet(start)
        scores = joint.joint_after_projection(frames, tokens)[0, :, 0]
        last.bias -= scores.mean(dim=0)
        scores = scores - scores.mean(dim=0)
        blank = scores.shape[-1] - extra - 1
        lead = scores[:, :blank].max(dim=1).values - scores[:, blank]
        last.bias[blank] += torch.quantile(lead, share)
