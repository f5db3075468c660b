"""From settings to an engine: a .nemo file or seeded random weights, a device, a dtype, a look-ahead, a decoder."""

from __future__ import annotations

import logging
from typing import Any, Final

import torch
from omegaconf import OmegaConf, open_dict

from servers.common import model_nemo
from servers.common.errors import StartupRefused
from servers.common.model_nemo import quiet
from servers.fastconformer import weights
from servers.fastconformer.model import FastConformer
from servers.fastconformer.model_decode import Ctc, Decoder, Rnnt
from servers.fastconformer.model_encoder import SUBSAMPLING, Encoder
from servers.fastconformer.model_graphs import cuda_graph
from servers.fastconformer.model_mel import Mel
from servers.fastconformer.settings import FRAME_MS, Settings

_log = logging.getLogger("servers.fastconformer")
UNKNOWN: Final = {"<unk>": " \u2047 "}
"""How SentencePiece writes what it has no piece for."""
DTYPES: Final = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def open_recognizer(settings: Settings) -> FastConformer:
    """The engine that `settings` ask for, warm. Raises StartupRefused with what is wrong and what there is."""
    torch.set_num_threads(settings.threads)
    device = choose_device(settings.device)
    model = load_model(settings, device)
    engine = build(model, settings, device)
    engine.warm(sorted({1, settings.largest_step}))
    return engine


def choose_device(wanted: str) -> torch.device:
    """Raises StartupRefused when it is not there."""
    return model_nemo.choose_device(wanted, variable="ASR_DEVICE", log=_log)


def load_model(settings: Settings, device: torch.device) -> Any:
    """NeMo's model on `device`, in eval mode: restoring one leaves it in train mode, where dropout is active."""
    if settings.model == "random":
        from servers.fastconformer.model_random import lifelike_model

        with quiet():
            return lifelike_model().to(device).eval()
    return model_nemo.restore(weights.find(settings), device).eval()


def build(model: Any, settings: Settings, device: torch.device) -> FastConformer:
    """The engine around a loaded model."""
    dtype = DTYPES[settings.dtype]
    if dtype is torch.bfloat16 and device.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise StartupRefused(f"--dtype=bfloat16 (ASR_DTYPE): {torch.cuda.get_device_name(device)} has no bfloat16")
    context = choose_context(model.encoder, settings)
    model.encoder.set_default_att_context_size(list(context))
    # One slot more than there are seats: rows that only pad a recorded batch go there.
    slots = settings.seats + 1
    for part in ("encoder", "decoder", "joint", "ctc_decoder"):
        if (module := getattr(model, part, None)) is not None:
            module.to(dtype)
    mel = Mel(model.preprocessor.featurizer, chunk_frames=SUBSAMPLING * (context[1] + 1), device=device)
    if settings.cuda_graphs and device.type != "cuda":
        raise StartupRefused(f"--cuda-graphs (ASR_CUDA_GRAPHS) needs a CUDA device; this server runs on {device}")
    # Sizes beyond what a step may have would never be used.
    sizes = [size for size in settings.graph_batches if size < settings.largest_step] + [settings.largest_step]
    with torch.inference_mode():
        encoder = Encoder(
            model.encoder,
            slots=slots,
            dtype=dtype,
            device=device,
            graph_batches=sizes,
            record=cuda_graph if settings.cuda_graphs else None,
        )
        decoder = _decoder(model, settings, slots=slots, device=device)
    vocabulary = model.tokenizer.vocab_size
    status = {
        "device": str(device),
        "dtype": str(dtype),
        "decoder": settings.decoder,
        "look_ahead_ms": context[1] * FRAME_MS,
        "look_aheads_ms": sorted(right * FRAME_MS for _, right in model.encoder.att_context_size_all),
        "chunk_ms": (context[1] + 1) * FRAME_MS,
        "vocabulary": vocabulary,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "cuda_graphs": encoder.graph_batches,
        "sample_rate_hz": int(model.cfg.preprocessor.sample_rate),
    }
    return FastConformer(
        mel=mel,
        encoder=encoder,
        decoder=decoder,
        pieces=[UNKNOWN.get(piece, piece) for piece in model.tokenizer.ids_to_tokens(list(range(vocabulary)))],
        slots=settings.seats,
        status=status,
    )


def choose_context(encoder: Any, settings: Settings) -> tuple[int, int]:
    """The attention context, checked against the model's own list: the encoder itself would only log."""
    there = [(int(left), int(right)) for left, right in encoder.att_context_size_all]
    if settings.look_ahead_ms is not None:
        found = [context for context in there if context[1] * FRAME_MS == settings.look_ahead_ms]
        asked = f"--look-ahead-ms={settings.look_ahead_ms} (ASR_LOOK_AHEAD_MS)"
    else:
        found = [context for context in there if context == settings.context]
        asked = f"--att-ctx={','.join(map(str, settings.att_ctx))} (ASR_ATT_CTX)"
        if settings.context != settings.att_ctx:
            _log.warning("%s means %d,%d", asked, *settings.context)
    if not found:
        known = "; ".join(f"{left},{right} ({right * FRAME_MS} ms)" for left, right in sorted(there))
        raise StartupRefused(f"{asked}: the model was not trained for it; it has {known}")
    return found[0]


def _decoder(model: Any, settings: Settings, *, slots: int, device: torch.device) -> Decoder:
    """Raises StartupRefused when the model has no such decoder."""
    is_hybrid = getattr(model, "ctc_decoder", None) is not None
    if settings.decoder == "ctc":
        decoder = model.ctc_decoder if is_hybrid else model.decoder
        if not hasattr(decoder, "num_classes_with_blank") or (not is_hybrid and hasattr(model, "joint")):
            raise StartupRefused("--decoder=ctc (ASR_DECODER): the model has no CTC decoder")
        return Ctc(decoder, blank=decoder.num_classes_with_blank - 1, slots=slots, device=device)
    if not hasattr(model, "joint"):
        raise StartupRefused("--decoder=rnnt (ASR_DECODER): the model has no RNNT decoder")
    if int(getattr(model.joint, "num_extra_outputs", 0)):
        raise StartupRefused("--decoder=rnnt (ASR_DECODER): the model's transducer predicts durations (TDT)")
    decoding = OmegaConf.create(OmegaConf.to_container(model.cfg.decoding, resolve=True))
    with open_dict(decoding):
        decoding.strategy = "greedy_batch"
        decoding.compute_timestamps = False
        decoding.preserve_alignments = False
        decoding.greedy.loop_labels = True
    with quiet():
        model.change_decoding_strategy(decoding, **({"decoder_type": "rnnt"} if is_hybrid else {}), verbose=False)
    return Rnnt(model.decoding.decoding.decoding_computer, slots=slots, device=device)
