"""The tiny network: NeMo's offline TDT FastConformer at a small size, started from a tiny streaming one."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any, Final

import torch
from nemo.collections.asr.models import ASRModel, EncDecRNNTBPEModel
from omegaconf import OmegaConf, open_dict
from torch import nn

from samples.encoding import SAMPLE_RATE_HZ

DURATIONS: Final = [0, 1, 2, 3, 4]
"""How many frames of 80 ms a piece or a blank may last: those of the published models."""

WIDTH: Final = 112
LAYERS: Final = 4
HEADS: Final = 4
CHANNELS: Final = 48
DROPOUT: Final = 0.05
LOG_MEL_MEAN, LOG_MEL_SPREAD = -10.0, 5.0
"""Of what the older network's first convolution expects; this one's input has mean 0 and spread 1."""
_MODULES: Final = "nemo.collections.asr.modules"


def network(older: Path, folder: Path) -> EncDecRNNTBPEModel:
    """With the word pieces and every fitting weight of the checkpoint `older`.

    That is a tiny streaming checkpoint; or one of this network, to go on from, which fits as it is.
    `folder` must stay until the network is saved.
    """
    copy_tokenizer(older, folder)
    model = EncDecRNNTBPEModel(cfg=OmegaConf.create(config(str(folder))), trainer=None)
    # The saved file packs the tokenizer; where it came from is nobody's business.
    with open_dict(model.cfg):
        model.cfg.tokenizer.dir = ""
    known = ASRModel.restore_from(str(older), map_location="cpu").state_dict()
    if known.keys() == model.state_dict().keys():
        model.load_state_dict(known)
        return model
    take(model, known)
    expect_normalised(model.encoder.pre_encode.conv[0])
    return model


def copy_tokenizer(packed: Path, folder: Path) -> None:
    """tokenizer.model and vocab.txt out of a .nemo file."""
    with tarfile.open(packed) as files:
        for member in files.getmembers():
            for name in ("tokenizer.model", "vocab.txt"):
                if member.name.endswith(name) and (file := files.extractfile(member)):
                    (folder / name).write_bytes(file.read())


def take(model: nn.Module, known: dict[str, torch.Tensor]) -> None:
    """Sets the weights of `model`, which `known` has by the same names and but two in the same shapes.

    Of the joint's output, which also says durations here, it sets the rows of the pieces and the blank. Causal
    sub-sampling pads the bands too and so has one more, the first; its band j + 1 is about band j here.
    """
    with torch.no_grad():
        for name, weight in model.named_parameters():
            learned = known[name]
            if name == "encoder.pre_encode.out.weight":
                learned = learned.unflatten(1, (CHANNELS, -1))[:, :, 1:].flatten(1)
            weight[: len(learned)] = learned


def expect_normalised(first: nn.Conv2d) -> None:
    """Lets a convolution that has learned raw log-mels see the same in bands of zero mean and unit variance."""
    with torch.no_grad():
        first.bias += LOG_MEL_MEAN * first.weight.sum((1, 2, 3))
        first.weight *= LOG_MEL_SPREAD


def config(tokenizer: str) -> dict[str, Any]:
    """What NeMo builds the model from; `tokenizer` is the folder with its two files."""
    return {
        "sample_rate": SAMPLE_RATE_HZ,
        "compute_eval_loss": False,
        "log_prediction": False,
        "skip_nan_grad": False,
        "model_defaults": {
            "enc_hidden": WIDTH,
            "pred_hidden": WIDTH,
            "joint_hidden": WIDTH,
            "tdt_durations": DURATIONS,
            "num_tdt_durations": len(DURATIONS),
        },
        "tokenizer": {"dir": tokenizer, "type": "bpe"},
        "preprocessor": {
            "_target_": f"{_MODULES}.AudioToMelSpectrogramPreprocessor",
            "sample_rate": SAMPLE_RATE_HZ,
            "normalize": "per_feature",
            "window_size": 0.025,
            "window_stride": 0.01,
            "window": "hann",
            "features": 80,
            "n_fft": 512,
            "log": True,
            "frame_splicing": 1,
            "dither": 0.0,
            "pad_to": 0,
        },
        "spec_augment": {
            "_target_": f"{_MODULES}.SpectrogramAugmentation",
            "freq_masks": 2,
            "time_masks": 2,
            "freq_width": 15,
            "time_width": 0.05,
        },
        "encoder": {
            "_target_": f"{_MODULES}.ConformerEncoder",
            "feat_in": 80,
            "feat_out": -1,
            "n_layers": LAYERS,
            "d_model": WIDTH,
            "subsampling": "dw_striding",
            "subsampling_factor": 8,
            "subsampling_conv_channels": CHANNELS,
            "causal_downsampling": False,
            "ff_expansion_factor": 4,
            "self_attention_model": "rel_pos",
            "n_heads": HEADS,
            "conv_kernel_size": 9,
            "untie_biases": True,
            "xscaling": True,
            "att_context_size": [-1, -1],
            "att_context_style": "regular",
            "conv_norm_type": "layer_norm",
            "conv_context_size": None,
            "pos_emb_max_len": 5000,
            "dropout": DROPOUT,
            "dropout_pre_encoder": DROPOUT,
            "dropout_emb": 0.0,
            "dropout_att": DROPOUT,
        },
        "decoder": {
            "_target_": f"{_MODULES}.RNNTDecoder",
            "normalization_mode": None,
            "random_state_sampling": False,
            "blank_as_pad": True,
            "prednet": {"pred_hidden": WIDTH, "pred_rnn_layers": 1, "t_max": None, "dropout": 0.0},
        },
        "joint": {
            "_target_": f"{_MODULES}.RNNTJoint",
            "log_softmax": None,
            "preserve_memory": False,
            "fuse_loss_wer": False,
            "fused_batch_size": None,
            "num_extra_outputs": len(DURATIONS),
            "jointnet": {"joint_hidden": WIDTH, "activation": "relu", "dropout": 0.0},
        },
        "decoding": {
            "strategy": "greedy_batch",
            "model_type": "tdt",
            "durations": DURATIONS,
            "greedy": {"max_symbols": 10},
        },
        "loss": {
            "loss_name": "tdt",
            "tdt_kwargs": {"fastemit_lambda": 0.0, "clamp": -1.0, "durations": DURATIONS, "sigma": 0.02, "omega": 0.0},
        },
        "optim": {"name": "adamw", "lr": 1e-3},
    }
