"""What the engine does beside hearing: refusals, retries, padding to fixed batches, dtypes, text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from servers.common.errors import StartupRefused
from servers.common.interfaces import Audio, Frame
from servers.common.settings import load
from servers.fastconformer.heard import Heard, Transcript, text_of
from servers.fastconformer.model import FastConformer
from servers.fastconformer.model_encoder import Chunk, Encoder
from servers.fastconformer.model_load import choose_context, choose_device
from servers.fastconformer.settings import Settings
from tests.env.nemo.streams import Feed, alone, made_up_audio


def refused(engine_of: Callable[..., FastConformer], *flags: str) -> str:
    with pytest.raises(StartupRefused) as refusal:
        engine_of(*flags)
    return str(refusal.value)


def test_a_look_ahead_that_the_model_has_not_is_refused_with_those_it_has(
    engine_of: Callable[..., FastConformer],
) -> None:
    assert "70,6 (480 ms)" in refused(engine_of, "--look-ahead-ms=160")
    assert "--att-ctx=70,2" in refused(engine_of, "--att-ctx=70,2")
    assert "--att-ctx=35,1" in refused(engine_of, "--att-ctx=35,1")


@pytest.mark.parametrize(("flag", "look_ahead_ms"), [("70,16", 480), ("70,33", 1040), ("70,13", 1040), ("70,0", 0)])
def test_contexts_and_their_older_names(small_model: Any, flag: str, look_ahead_ms: int) -> None:
    settings = load(Settings, [f"--att-ctx={flag}"])

    assert choose_context(small_model.encoder, settings)[1] * 80 == look_ahead_ms


def test_a_gpu_that_is_not_there_is_refused(
    engine_of: Callable[..., FastConformer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(StartupRefused, match="0 CUDA devices"):
        choose_device("cuda:0")
    assert choose_device("auto") == torch.device("cpu")
    assert "--cuda-graphs" in refused(engine_of, "--cuda-graphs")


def test_a_model_without_the_asked_decoder_is_refused(
    engine_of: Callable[..., FastConformer], small_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(small_model, "ctc_decoder")
    assert "no CTC decoder" in refused(engine_of, "--decoder=ctc")


@pytest.mark.parametrize("decoder", ["rnnt", "ctc"])
def test_a_step_that_failed_can_be_tried_again(
    engine_of: Callable[..., FastConformer], streams: list[Audio], decoder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out of memory in the last part of a step leaves every stream as it was."""
    engine = engine_of(f"--decoder={decoder}")
    expected, step = alone(engine, streams[0]), engine._decoder.step

    def fail_after(*given: Any) -> Any:
        step(*given)
        raise RuntimeError("out of memory")

    feed, other = Feed(streams[0], slot=3), np.zeros(engine.samples_wanted(first=True), np.float32)
    while not feed.ended:
        frame = feed.next_frame(engine)
        monkeypatch.setattr(engine._decoder, "step", fail_after)
        with pytest.raises(RuntimeError, match="out of memory"):
            engine.step([frame, Frame(1, other, first=True)])
        monkeypatch.setattr(engine._decoder, "step", step)
        feed.told.add(engine.step([frame])[0])
    assert feed.told == expected


def test_a_wrong_frame_is_refused(engine_of: Callable[..., FastConformer]) -> None:
    engine = engine_of()
    whole = np.zeros(engine.samples_wanted(first=True), np.float32)

    for frames in (
        [Frame(0, whole, first=True), Frame(0, whole, first=True)],
        [Frame(0, whole[:-1], first=True)],
        [Frame(0, np.zeros(len(whole) + 1, np.float32), first=True)],
        [Frame(5, np.zeros(engine.samples_wanted(first=False), np.float32))],
    ):
        with pytest.raises(ValueError, match=r"twice|wanted|begun"):
            engine.step(frames)


def test_garbage_in_a_slot_harms_neither_its_neighbour_nor_its_next_stream(
    engine_of: Callable[..., FastConformer], streams: list[Audio]
) -> None:
    engine = engine_of()
    expected = alone(engine, streams[1])
    noise, feed = Feed(np.full(200_000, np.nan, np.float32), 0), Feed(streams[1], 1)
    while not feed.ended:
        heard = engine.step([noise.next_frame(engine), feed.next_frame(engine)])
        feed.told.add(heard[1])

    assert feed.told == expected
    assert alone(engine, streams[1], slot=0) == expected


@pytest.mark.parametrize("look_ahead_ms", [0, 480])
def test_rows_padded_to_fixed_batches_say_the_same(
    engine_of: Callable[..., FastConformer], small_model: Any, streams: list[Audio], look_ahead_ms: int
) -> None:
    """Packing and padding as CUDA graphs have it; here a repetition computes again instead of being replayed."""
    engine = engine_of(f"--look-ahead-ms={look_ahead_ms}")
    expected = [alone(engine, audio) for audio in streams[:5]]
    repeats = []

    def record(call: Callable[[], tuple[Any, ...]]) -> tuple[Callable[[], None], tuple[Any, ...]]:
        outputs = call()

        def repeat() -> None:
            repeats.append(len(outputs[0]))
            for place, new in zip(outputs, call(), strict=True):
                place.copy_(new)

        return repeat, outputs

    with torch.inference_mode():
        engine._encoder = Encoder(
            small_model.encoder,
            slots=engine.slots + 1,
            dtype=torch.float32,
            device=torch.device("cpu"),
            graph_batches=(1, 4),
            record=record,
        )
    feeds = [Feed(audio, slot) for slot, audio in enumerate(streams[:5])]
    while running := [feed for feed in feeds if not feed.ended]:
        for feed, heard in zip(running, engine.step([feed.next_frame(engine) for feed in running]), strict=True):
            feed.told.add(heard)

    assert [feed.told for feed in feeds] == expected
    assert 4 in repeats  # five rows are more than the largest: those steps ran as they are


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_encodes_nearly_the_same(
    engine_of: Callable[..., FastConformer], small_model: Any, dtype: str
) -> None:
    audio = made_up_audio(32_000, seed=3)

    def encoded(engine: FastConformer) -> Any:
        chunk = Chunk(0, 9, 0)
        window = np.zeros((1, engine._mel.width), np.float32)
        wanted = engine.samples_wanted(first=True)
        window[0, -wanted:] = audio[:wanted]
        return engine._encoder.step(engine._mel.compute(window, [engine._mel.width]), [chunk])[0].float()

    with torch.inference_mode():
        exact = encoded(engine_of())
        try:
            rounded = encoded(engine_of(f"--dtype={dtype}"))
        finally:
            engine_of("--dtype=float32")
    assert 0 < (rounded - exact).abs().max() < 0.1 * exact.abs().max()


@pytest.mark.parametrize("seed", range(20))
def test_text_that_grows_is_the_text_of_all_tokens(
    engine_of: Callable[..., FastConformer], small_model: Any, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    tokens = [int(token) for token in rng.integers(0, small_model.tokenizer.vocab_size, 40)]
    pieces, transcript, cuts = engine_of()._pieces, Transcript(), sorted(rng.integers(0, 40, 6))
    for start, end in zip([0, *cuts], [*cuts, 40], strict=True):
        new = tuple(tokens[start:end])
        transcript.add(Heard(new, (), text_of(tuple(pieces[token] for token in new))))

    assert transcript.text == small_model.tokenizer.ids_to_text(tokens).strip()
