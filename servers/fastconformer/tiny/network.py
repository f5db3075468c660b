"""The tiny network: NeMo's streaming hybrid FastConformer at a small size, and the word pieces it writes."""

from __future__ import annotations

import io
import string
from pathlib import Path
from typing import Any, Final

import sentencepiece
import torch
from nemo.collections.asr.models import EncDecHybridRNNTCTCBPEModel
from omegaconf import OmegaConf, open_dict
from torch import nn

from samples.pool import tiny_vocabulary
from servers.common.audio import SAMPLE_RATE_HZ

CONTEXTS: Final = [[70, 13], [70, 6], [70, 1], [70, 0]]
"""Left and right frames of 80 ms: those of the published streaming models."""

PIECES: Final = 256
WIDTH: Final = 112
LAYERS: Final = 4
HEADS: Final = 4
CHANNELS: Final = 48
DROPOUT: Final = 0.05
LOG_MEL_MEAN, LOG_MEL_SPREAD = -10.0, 5.0
"""Of the training clips, about."""
_MODULES: Final = "nemo.collections.asr.modules"


def network(folder: Path) -> EncDecHybridRNNTCTCBPEModel:
    """Untrained, its weights drawn from torch's own generator; `folder` must stay until it is saved."""
    write_tokenizer(folder)
    model = EncDecHybridRNNTCTCBPEModel(cfg=OmegaConf.create(config(str(folder))), trainer=None)
    expect_log_mel(model.encoder.pre_encode.conv[0])
    # The saved file packs the tokenizer; where it came from is nobody's business.
    with open_dict(model.cfg):
        model.cfg.tokenizer.dir = ""
    return model


def expect_log_mel(first: nn.Conv2d) -> None:
    """Lets the first convolution see its input as if it had zero mean and unit variance.

    Log-mels are not normalised, so that each frame depends on nothing that comes later; without this the
    training stands still for its first minutes.
    """
    with torch.no_grad():
        first.bias -= LOG_MEL_MEAN / LOG_MEL_SPREAD * first.weight.sum((1, 2, 3))
        first.weight /= LOG_MEL_SPREAD


def write_tokenizer(folder: Path) -> None:
    """tokenizer.model and vocab.txt for the tiny vocabulary; every letter is a piece, so any word can be spelled."""
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(tiny_vocabulary()),
        model_writer=written,
        vocab_size=PIECES,
        model_type="bpe",
        character_coverage=1.0,
        required_chars=string.ascii_lowercase + "'",
        unk_id=0,
        bos_id=-1,
        eos_id=-1,
        pad_id=-1,
        minloglevel=2,
    )
    (folder / "tokenizer.model").write_bytes(written.getvalue())
    pieces = sentencepiece.SentencePieceProcessor(model_proto=written.getvalue())
    names = [pieces.id_to_piece(at) for at in range(1, len(pieces))]
    lines = [name.removeprefix("▁") if name.startswith("▁") else f"##{name}" for name in names]
    (folder / "vocab.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def config(tokenizer: str) -> dict[str, Any]:
    """What NeMo builds the model from; `tokenizer` is the folder with its two files."""
    return {
        "sample_rate": SAMPLE_RATE_HZ,
        "compute_eval_loss": False,
        "log_prediction": False,
        "skip_nan_grad": False,
        "model_defaults": {"enc_hidden": WIDTH, "pred_hidden": WIDTH, "joint_hidden": WIDTH},
        "tokenizer": {"dir": tokenizer, "type": "bpe"},
        "preprocessor": {
            "_target_": f"{_MODULES}.AudioToMelSpectrogramPreprocessor",
            "sample_rate": SAMPLE_RATE_HZ,
            "normalize": "NA",
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
            "causal_downsampling": True,
            "ff_expansion_factor": 4,
            "self_attention_model": "rel_pos",
            "n_heads": HEADS,
            "conv_kernel_size": 9,
            "untie_biases": True,
            "xscaling": True,
            "att_context_size": CONTEXTS,
            "att_context_style": "chunked_limited",
            "conv_norm_type": "layer_norm",
            "conv_context_size": "causal",
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
            "jointnet": {"joint_hidden": WIDTH, "activation": "relu", "dropout": 0.0},
        },
        "decoding": {"strategy": "greedy_batch", "greedy": {"max_symbols": 10}},
        "loss": {"loss_name": "warprnnt_numba", "warprnnt_numba_kwargs": {"fastemit_lambda": 0.0, "clamp": -1.0}},
        "aux_ctc": {
            "ctc_loss_weight": 0.3,
            "use_cer": False,
            "ctc_reduction": "mean_batch",
            "decoding": {"strategy": "greedy"},
            "decoder": {
                "_target_": f"{_MODULES}.ConvASRDecoder",
                "feat_in": WIDTH,
                "num_classes": -1,
                "vocabulary": [],
            },
        },
        "optim": {"name": "adamw", "lr": 1e-3},
    }
