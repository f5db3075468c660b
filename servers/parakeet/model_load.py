"""From settings to an engine: a .nemo file or seeded random weights, a device, a precision, a search."""

from __future__ import annotations

import logging
import os
from typing import Any, Final

import torch
from omegaconf import OmegaConf, open_dict

from servers.common import model_nemo
from servers.common.audio import SAMPLE_RATE_HZ
from servers.common.errors import StartupRefused
from servers.common.model_nemo import quiet
from servers.parakeet import weights
from servers.parakeet.model import Parakeet
from servers.parakeet.model_batches import CallCost
from servers.parakeet.model_nemo import EncDecHybridRNNTCTCBPEModel, EncDecRNNTBPEModel, SentencePieceTokenizer
from servers.parakeet.model_score import Scorer
from servers.parakeet.model_words import Speller
from servers.parakeet.settings import Settings

_log = logging.getLogger("servers.parakeet")
DTYPES: Final = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
TRANSDUCERS: Final = (EncDecRNNTBPEModel, EncDecHybridRNNTCTCBPEModel)
"""Not what is derived from them: models with prompts or several speakers need more than audio."""
COSTS: Final = {"cpu": CallCost(call=5.0, second=0.5), "cuda": CallCost(call=30.0, second=6.0)}
"""CPU: fitted to calls of 1 to 12 chunks of 1 to 8 s, of tiny (7 and 1) and of 17 layers of 256 (4 and 0.2), on one
thread. CUDA: an estimate from some thousand launches a call and one second of speech in 0.3 ms; not measured."""


def open_transcriber(settings: Settings) -> Parakeet:
    """The engine that `settings` ask for, warm. Raises StartupRefused with what is wrong and what there is."""
    torch.set_num_threads(settings.threads or len(os.sched_getaffinity(0)))
    device = model_nemo.choose_device(settings.device, variable="DEVICE", log=_log)
    dtype = choose_dtype(settings.precision, device)
    engine = build(load_model(settings, device), settings, device, dtype)
    if device.type == "cuda":
        # The largest call first: what is allocated and recorded for it serves the others.
        engine.warm(rows=settings.batch_size, seconds=settings.max_audio_s)
        engine.warm(rows=settings.batch_size, seconds=1.0)
    engine.warm(rows=1, seconds=1.0)
    return engine


def choose_dtype(precision: str, device: torch.device) -> torch.dtype:
    """fp16 is fp32 on a CPU, where it would be slower, and the log says so; bf16 must be there."""
    if precision == "fp16" and device.type == "cpu":
        _log.warning("--precision=fp16 (MODEL_PRECISION) is replaced by fp32: this server runs on the CPU")
        return torch.float32
    if precision == "bf16" and device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        name = torch.cuda.get_device_name(device)
        raise StartupRefused(f"--precision=bf16 (MODEL_PRECISION): {name} has no bfloat16; fp16 and fp32 run there")
    return DTYPES[precision]


def load_model(settings: Settings, device: torch.device) -> Any:
    """NeMo's model on `device`, in eval mode: restoring one leaves it in train mode, where dropout is active.

    Raises StartupRefused where there is no file, it cannot be loaded, or it is no transducer for audio of 16 kHz.
    """
    if settings.model == "random":
        from servers.parakeet.model_random import lifelike_model

        return lifelike_model().to(device).eval()
    model = model_nemo.restore(weights.find(settings), device).eval()
    _check(model, settings)
    return model


def build(model: Any, settings: Settings, device: torch.device, dtype: torch.dtype) -> Parakeet:
    """The engine around a loaded model, which is changed: its search, its precision. Not warm."""
    computer = _search(model, settings)
    for part in (model.encoder, model.decoder, model.joint):
        part.to(dtype)
    model.preprocessor.featurizer.dither = 0.0
    durations = list(model.decoding.durations or ())
    status = {
        "device": str(device),
        "dtype": str(dtype),
        "model_class": type(model).__name__,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "vocabulary": model.tokenizer.vocab_size,
        "durations": durations,
        "sample_rate_hz": int(model.cfg.preprocessor.sample_rate),
    }
    return Parakeet(
        model,
        computer=computer,
        scorer=Scorer(model.decoder, model.joint, blank=model.decoding.blank_id, durations=durations, device=device),
        speller=_speller(model, mends_punctuation=bool(durations)),
        cost=COSTS[device.type],
        batch_size=settings.batch_size,
        dtype=dtype,
        device=device,
        status=status,
    )


def _check(model: Any, settings: Settings) -> None:
    asked = f"--model={settings.model} (MODEL_ID)"
    if type(model) not in TRANSDUCERS:
        raise StartupRefused(f"{asked} is a {type(model).__name__}; this server runs TDT and RNNT models over pieces")
    if not isinstance(model.tokenizer, SentencePieceTokenizer):
        raise StartupRefused(f"{asked} has a {type(model.tokenizer).__name__}; this server spells by SentencePiece")
    rate_hz = int(model.cfg.preprocessor.sample_rate)
    if rate_hz != SAMPLE_RATE_HZ:
        raise StartupRefused(f"{asked} hears audio of {rate_hz} Hz; this server has {SAMPLE_RATE_HZ} Hz")


def _search(model: Any, settings: Settings) -> Any:
    """Greedy label looping (arXiv 2406.06220) that keeps tokens and frames only."""
    decoding = OmegaConf.create(OmegaConf.to_container(model.cfg.decoding, resolve=True))
    with open_dict(decoding):
        decoding.strategy = "greedy_batch"
        decoding.compute_timestamps = False  # model_words.py does it
        decoding.preserve_alignments = False
        decoding.word_seperator = " "
        decoding.confidence_cfg = {}  # model_score.py does it
        decoding.greedy.preserve_frame_confidence = False
        decoding.greedy.loop_labels = True
        decoding.greedy.preserve_alignments = False
    hybrid = {"decoder_type": "rnnt"} if isinstance(model, EncDecHybridRNNTCTCBPEModel) else {}
    with quiet():
        model.change_decoding_strategy(decoding, **hybrid, verbose=False)
    computer = getattr(model.decoding.decoding, "decoding_computer", None)
    if computer is None or model.decoding.big_blank_durations:
        raise StartupRefused(f"--model={settings.model} (MODEL_ID): NeMo has no label looping for its decoder")
    return computer


def _speller(model: Any, *, mends_punctuation: bool) -> Speller:
    decoding, tokenizer = model.decoding, model.tokenizer
    stride_s, subsampling = float(model.cfg.preprocessor.window_stride), int(model.encoder.subsampling_factor)
    return Speller(
        tokenizer.ids_to_tokens(list(range(tokenizer.vocab_size))),
        join=tokenizer.tokens_to_text,
        punctuation=decoding.supported_punctuation or (),
        frame_s=lambda frame: frame * stride_s * subsampling,  # in NeMo's order, so that the last bit is the same
        sentence_ends=tuple(decoding.segment_seperators),
        gap_frames=decoding.segment_gap_threshold,
        mends_punctuation=mends_punctuation,
    )
