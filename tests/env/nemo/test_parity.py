"""Many streams in one step are what each of them is alone, and what NeMo makes of the whole stream."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from servers.common.interfaces import Audio
from servers.fastconformer.model import FastConformer
from tests.env.nemo.reference import encoded_offline, offline, own_loop
from tests.env.nemo.streams import Feed, Told, alone, scheduled

LOOK_AHEADS_MS = (0, 80, 480, 1040)
DECODERS = ("rnnt", "ctc")


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("look_ahead_ms", LOOK_AHEADS_MS)
def test_sixteen_streams_in_any_order_are_what_each_is_alone(
    tiny_engine_of: Callable[..., FastConformer], clips: list[Audio], look_ahead_ms: int, decoder: str
) -> None:
    engine = tiny_engine_of(f"--look-ahead-ms={look_ahead_ms}", f"--decoder={decoder}")
    singles = [alone(engine, audio) for audio in clips]

    for seed in range(4):
        assert scheduled(engine, clips, seats=4 + seed, seed=seed) == singles
    assert all(len(told.text.split()) > 2 for told in singles)


@pytest.mark.parametrize("dtype", ["bfloat16", pytest.param("float16", marks=pytest.mark.soak)])
def test_half_precision_says_nearly_the_same_words(
    tiny_engine_of: Callable[..., FastConformer], clips: list[Audio], dtype: str
) -> None:
    """And in any batch what it says alone."""
    exact = [alone(tiny_engine_of(), audio).text for audio in clips]
    try:
        engine = tiny_engine_of(f"--dtype={dtype}")
        rounded = [alone(engine, audio) for audio in clips]
        together = scheduled(engine, clips, seats=6, seed=1)
    finally:
        tiny_engine_of("--dtype=float32")

    assert sum(told.text == text for told, text in zip(rounded, exact, strict=True)) >= 14
    assert sum(one.tokens == other.tokens for one, other in zip(together, rounded, strict=True)) >= 15


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("look_ahead_ms", LOOK_AHEADS_MS)
def test_a_stream_is_what_its_whole_is_offline(
    engine_of: Callable[..., FastConformer],
    small_model: Any,
    streams: list[Audio],
    look_ahead_ms: int,
    decoder: str,
) -> None:
    engine = engine_of(f"--look-ahead-ms={look_ahead_ms}", f"--decoder={decoder}")

    for audio in streams:
        told, whole = alone(engine, audio), offline(small_model, audio, decoder)
        assert (told.tokens, told.frames) == (whole.tokens, whole.frames)


@pytest.mark.parametrize("look_ahead_ms", LOOK_AHEADS_MS)
def test_nemos_own_loop_says_the_same_but_for_the_second_chunk_without_look_ahead(
    tiny_engine_of: Callable[..., FastConformer], tiny_model: Any, clips: list[Audio], look_ahead_ms: int
) -> None:
    """At 0 ms the first chunk is one mel frame; NeMo's loop puts eight zeros before it as history of the second, where
    the whole stream has padding between the layers. Ours is the whole stream's, here too.
    """
    engine = tiny_engine_of(f"--look-ahead-ms={look_ahead_ms}")
    same = [alone(engine, audio).tokens == own_loop(tiny_model, audio) for audio in clips]
    whole = [alone(engine, audio).tokens == offline(tiny_model, audio, "rnnt").tokens for audio in clips]

    assert same.count(False) <= (1 if look_ahead_ms == 0 else 0)
    assert all(whole)


@pytest.mark.parametrize("look_ahead_ms", LOOK_AHEADS_MS)
def test_the_encoders_frames_are_those_of_the_whole_stream(
    engine_of: Callable[..., FastConformer],
    small_model: Any,
    streams: list[Audio],
    look_ahead_ms: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = engine_of(f"--look-ahead-ms={look_ahead_ms}")
    seen, step = [], engine._encoder.step

    def watched(mel: Any, chunks: Any) -> Any:
        encoded, counts, pending = step(mel, chunks)
        seen.append(encoded[1, :, : int(counts[1])])
        return encoded, counts, pending

    monkeypatch.setattr(engine._encoder, "step", watched)
    feeds = [Feed(streams[2][::-1].copy(), 0), Feed(streams[3], 1)]
    feeds[0].audio = feeds[0].audio.repeat(4)  # outlasts the other
    while not feeds[1].ended:
        engine.step([feed.next_frame(engine) for feed in feeds])

    assert (torch.cat(seen, dim=1) - encoded_offline(small_model, streams[3])[0]).abs().max() < 1e-4


@pytest.mark.parametrize("samples", [0, 1, 159, 160, 161, 255, 1479, 1480, 1481, 4039, 4040, 4041])
def test_short_streams_are_what_they_are_offline(
    engine_of: Callable[..., FastConformer], small_model: Any, streams: list[Audio], samples: int
) -> None:
    engine, audio = engine_of(), streams[0][8000 : 8000 + samples]
    told = alone(engine, audio)

    whole = offline(small_model, audio, "rnnt") if samples >= 160 else Told()
    assert (told.tokens, told.frames) == (whole.tokens, whole.frames)
