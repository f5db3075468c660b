"""What NeMo itself makes of a whole stream: offline with the streaming mask, and chunk by chunk in its own loop."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from servers.common.interfaces import Audio
from tests.env.nemo.streams import Told, made_up_audio


def mel_of(model: Any, audio: Audio) -> tuple[Any, Any]:
    """NeMo's features of the whole stream, (1, bins, frames), and their length."""
    model.preprocessor.featurizer.dither = 0.0
    return model.preprocessor(input_signal=torch.from_numpy(audio)[None], length=torch.tensor([len(audio)]))  # type: ignore[no-any-return]


@torch.inference_mode()  # type: ignore[untyped-decorator]
def encoded_offline(model: Any, audio: Audio) -> Any:
    """The encoder's frames of the whole stream, (1, d_model, frames), masked as in streaming."""
    mel, length = mel_of(model, audio)
    encoded, frames = model.encoder(audio_signal=mel, length=length)
    return encoded[:, :, : int(frames)]


@torch.inference_mode()  # type: ignore[untyped-decorator]
def offline(model: Any, audio: Audio, decoder: str) -> Told:
    """Tokens of the whole stream by NeMo's greedy decoders."""
    encoded = encoded_offline(model, audio)
    if decoder == "rnnt":
        found, _ = model.decoding.decoding.decoding_computer(
            x=encoded.transpose(1, 2), out_len=torch.tensor([encoded.shape[2]]), prev_batched_state=None
        )
        count = int(found.current_lengths[0])
        return Told(found.transcript[0, :count].tolist(), found.timestamps[0, :count].tolist())
    best = model.ctc_decoder(encoder_output=encoded).argmax(-1)[0].tolist()
    blank = model.ctc_decoder.num_classes_with_blank - 1
    kept = [(frame, token) for frame, token in enumerate(best) if token not in (blank, *best[frame - 1 : frame])]
    return Told([token for _, token in kept], [frame for frame, _ in kept])


@torch.inference_mode()  # type: ignore[untyped-decorator]
def own_loop(model: Any, audio: Audio) -> list[int]:
    """RNNT tokens by NeMo's `conformer_stream_step`, chunk by chunk as its own simulation cuts them."""
    mel, length = mel_of(model, audio)
    mel = mel[:, :, : int(length)]
    config = model.encoder.streaming_cfg
    channel, time, cached = model.encoder.get_initial_cache_state(batch_size=1)
    position, hypotheses = 0, None
    while position < int(length):
        size = config.chunk_size[0] if position == 0 else config.chunk_size[1]
        history = mel[:, :, max(0, position - 9) : position]
        if position:
            history = torch.nn.functional.pad(history, (9 - history.shape[2], 0))
        chunk = torch.cat([history, mel[:, :, position : position + size]], dim=2)
        _, _, channel, time, cached, hypotheses = model.conformer_stream_step(
            processed_signal=chunk,
            processed_signal_length=torch.tensor([chunk.shape[2]]),
            cache_last_channel=channel,
            cache_last_time=time,
            cache_last_channel_len=cached,
            keep_all_outputs=position + size >= int(length),
            previous_hypotheses=hypotheses,
            drop_extra_pre_encoded=config.drop_extra_pre_encoded if position else 0,
            return_transcription=True,
        )
        position += size
    return [int(token) for token in hypotheses[0].y_sequence] if hypotheses else []


@torch.no_grad()  # type: ignore[untyped-decorator]
def make_talkative(model: Any) -> None:
    """Let random weights say different things at different times: centre the logits on made-up audio, then raise the
    blank's until six frames of ten are blank."""
    encoded = torch.cat([encoded_offline(model, made_up_audio(64_000, seed=seed)) for seed in range(4)], dim=2)
    start = model.decoding.decoding.decoding_computer._get_batched_decoding_state_after_sos(device="cpu", batch_size=1)
    projected = model.joint.project_encoder(encoded.transpose(1, 2))
    logits = model.joint.joint_after_projection(projected, start.predictor_outputs)[0, :, 0]
    _centre(logits, model.joint.joint_net[-1].bias)
    _centre(model.ctc_decoder.decoder_layers(encoded)[0].T, model.ctc_decoder.decoder_layers[0].bias)


def _centre(logits: Any, bias: Any) -> None:
    centred = logits - logits.mean(dim=0)
    lead = centred[:, :-1].max(dim=1).values - centred[:, -1]
    bias -= logits.mean(dim=0)
    bias[-1] += float(np.quantile(lead.numpy(), 0.6))
