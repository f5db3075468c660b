"""The published architecture with seeded random weights and a made-up vocabulary: the real size, no download."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Final

import torch
from omegaconf import OmegaConf

from servers.common.model_nemo import quiet
from servers.common.model_vocabulary import made_up_pieces, write_tokenizer
from servers.fastconformer.model_nemo import EncDecHybridRNNTCTCBPEModel
from servers.fastconformer.weights import PUBLISHED_CONFIG, RANDOM_SEED

PIECES: Final = 1024
GAIN: Final = 20.0
BLANK_DEVIATIONS: Final = 6.0
MOST_SYMBOLS: Final = 1
"""Of an encoder frame of 80 ms."""


def lifelike_model(seed: int = RANDOM_SEED) -> EncDecHybridRNNTCTCBPEModel:
    """`random_model` that brings a few tokens a second of speech, as English has, so that the decoder has as much to do
    as a trained one's. As drawn, the weights bring 125: as many as it will take, ten for every frame."""
    with torch.random.fork_rng(devices=[]):
        model = random_model(seed)
        torch.manual_seed(seed)
        _favour_blank(model)
    model.cfg.decoding.greedy.max_symbols = MOST_SYMBOLS
    with quiet():
        model.change_decoding_strategy(model.cfg.decoding, decoder_type="rnnt", verbose=False)
    return model.eval()


def random_model(seed: int = RANDOM_SEED, config: Path = PUBLISHED_CONFIG) -> EncDecHybridRNNTCTCBPEModel:
    """The model in eval mode on the CPU, float32; the same seed gives the same weights. Not for `save_to`."""
    with tempfile.TemporaryDirectory() as folder, torch.random.fork_rng(devices=[]):
        shape = OmegaConf.load(config)
        shape.tokenizer.dir = str(random_tokenizer(Path(folder)))
        torch.manual_seed(seed)
        with quiet():
            model = EncDecHybridRNNTCTCBPEModel(cfg=shape, trainer=None)
    return model.eval()


def _favour_blank(model: Any) -> None:
    """Have the joint listen to what changes from frame to frame and from token to token, and favour its blank."""
    loudness = torch.rand(40).mul(0.2).repeat_interleave(1600)
    noise = (torch.randn(len(loudness)) * loudness).unsqueeze(0)
    model.preprocessor.featurizer.dither = 0.0
    with torch.inference_mode():
        encoded, _ = model(input_signal=noise, input_signal_length=torch.tensor([noise.shape[1]]))
        joint, last = model.joint, model.joint.joint_net[-1]
        joint.enc.bias -= GAIN * joint.enc.weight @ encoded[0].mean(dim=1)
        joint.enc.weight *= GAIN
        joint.pred.weight *= GAIN
        start = model.decoder.predict(None, state=None, add_sos=False, batch_size=1)[0]
        frames, tokens = joint.project_encoder(encoded.transpose(1, 2)), joint.project_prednet(start)
        scores = joint.joint_after_projection(frames, tokens)
        last.bias.zero_()
        last.bias[-1] = BLANK_DEVIATIONS * scores[..., :-1].std()


def random_tokenizer(folder: Path) -> Path:
    """Write tokenizer.model and vocab.txt of a SentencePiece BPE of 1024 pieces, always the same; returns `folder`."""
    return write_tokenizer(folder, random_pieces())


def random_pieces() -> list[str]:
    """What follows <unk>."""
    return made_up_pieces(PIECES - 1)
