"""What Kyutai's engine does beside hearing: refusals, retries, rows that move, heads, codebooks, chance, dtypes."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from servers.common.interfaces import Audio, Frame
from servers.kyutai.model.engine import Kyutai
from servers.kyutai.model.lm import uniform
from servers.kyutai.model.random import random_heads
from servers.kyutai.settings import FRAME_SAMPLES
from tests.env.torch.kyutai_small import (
    VOCABULARY,
    alone,
    engine_of,
    frames_of,
    made_up_audio,
    offline,
    small_model,
)

SILENCE = np.zeros(FRAME_SAMPLES, np.float32)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def engine() -> Kyutai:
    """Four seats; each test leaves what it likes in them."""
    return engine_of("--seats=4")


@pytest.fixture(scope="module")
def audio() -> Audio:
    return made_up_audio(16, seed=11)


def test_a_wrong_frame_is_refused(engine: Kyutai) -> None:
    alone(engine, np.tile(SILENCE, 2), slot=3)  # a stream that has ended
    for frames in (
        [Frame(0, SILENCE, first=True), Frame(0, SILENCE, first=True)],
        [Frame(0, SILENCE[:-1], first=True)],
        [Frame(0, np.zeros(FRAME_SAMPLES + 1, np.float32), first=True, last=True)],
        [Frame(3, SILENCE)],
    ):
        with pytest.raises(ValueError, match=r"twice|wanted|begun"):
            engine.step(frames)
    assert engine.step([]) == []


@pytest.mark.parametrize("timing", ["early", "moshi"])
@pytest.mark.parametrize("part", ["codec.step", "lm.step", "lm.choose", "heads.of"])
def test_a_step_that_failed_can_be_tried_again(
    audio: Audio, part: str, timing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out of memory behind any part of a step leaves every stream as it was, past both windows too."""
    engine = engine_of("--seats=4", f"--timing={timing}")
    expected, said = alone(engine, audio), []
    owner, _, name = part.partition(".")
    target = getattr(engine._parts, owner)
    real = getattr(target, name)

    def fail_after(*given: Any) -> Any:
        real(*given)
        raise RuntimeError("out of memory")

    for frame in frames_of(audio, slot=2):
        monkeypatch.setattr(target, name, fail_after)
        for others in ([Frame(0, SILENCE, first=True)], [Frame(1, SILENCE, first=True), Frame(0, SILENCE, first=True)]):
            with pytest.raises(RuntimeError, match="out of memory"):
                engine.step([frame, *others])
        monkeypatch.setattr(target, name, real)
        said.append(engine.step([frame])[0].token)
    assert said == expected


def test_what_is_no_number_harms_neither_a_neighbour_nor_the_next_stream(engine: Kyutai, audio: Audio) -> None:
    expected = alone(engine, audio, slot=1)
    poison = frames_of(np.full_like(audio, np.nan), slot=0)

    said = [engine.step([bad, good])[1].token for bad, good in zip(poison, frames_of(audio, 1), strict=True)]

    assert said == expected
    assert alone(engine, audio, slot=0) == expected


def test_rows_move_to_the_low_end_and_say_the_same(audio: Audio) -> None:
    """Slot 5 goes on alone when the others are gone: it moves to the first row, and its slot's next stream is apart."""
    engine = engine_of("--seats=6")
    long, expected = np.tile(audio, 4), alone(engine, np.tile(audio, 4))
    for _ in range(3):
        engine.step([Frame(slot, SILENCE, first=True) for slot in range(5)])

    said = [engine.step([frame])[0].token for frame in frames_of(long, slot=5)]

    assert said == expected
    assert engine.status()["row_moves"] == {"moved": 2, "exchanges": 1}
    assert [alone(engine, audio, slot) for slot in (0, 5)] == [expected[:16]] * 2


def test_a_graph_holds_no_more_rows_than_live_ones_need(audio: Audio) -> None:
    engine, sizes = engine_of("--seats=6"), list[int]()

    def record(call: Any) -> Any:
        output = call()

        def repeat() -> None:
            sizes.append(len(output))
            output.copy_(call())

        return repeat, output

    engine.record([1, 3, 6], record)
    one, *rest = frames_of(audio, slot=5)
    newcomers = [Frame(slot, SILENCE, first=True) for slot in (0, 1)]
    engine.step([one])
    engine.step([rest[0], *newcomers])

    assert sizes == [1, 3]  # it moved at once to the first row, one newcomer out of the row that it had before
    assert engine.status()["cuda_graphs"] == [1, 3, 6]
    assert engine.step_s(2) == engine.step_s(3) < engine.step_s(4)


def watch(engine: Kyutai, seen: list[Any]) -> None:
    """Keep the hidden states of every step."""
    real = engine._parts.lm.step

    def step(*given: Any) -> Any:
        seen.append(real(*given))
        return seen[-1]

    vars(engine._parts.lm)["step"] = step


def test_pauses_are_the_heads_of_the_hidden_state(audio: Audio) -> None:
    engine, seen = engine_of(), list[Any]()
    watch(engine, seen)
    heads = random_heads(32)

    for frame in frames_of(audio, slot=0):
        (heard,) = engine.step([frame])
        direct = [torch.softmax(head @ seen[-1][0], dim=0)[0].item() for head in heads]
        assert heard.pauses == pytest.approx(direct, abs=1e-6)
    assert engine.pause_heads == len(heard.pauses) == 4


def test_hidden_states_are_those_of_the_whole_stream() -> None:
    """Before the windows are full, where transformers' plain forward, which has none, must agree."""
    audio, model, engine, seen = made_up_audio(2, seed=2), small_model(), engine_of(), list[Any]()
    tokens, codes = offline(audio)
    watch(engine, seen)
    alone(engine, audio)

    first = int(engine._parts.lm.choose(engine._parts._start_hidden, None, None)[0])
    rows = [[VOCABULARY, *[32] * 6], [first, *codes[0]], [tokens[0], *codes[1]]]
    with torch.inference_mode():
        whole = model.model(torch.tensor([rows]), use_cache=False).last_hidden_state[0]

    assert torch.allclose(torch.cat(seen), whole[1:], atol=1e-5)


def test_heads_without_which_prs_is_empty(audio: Audio) -> None:
    engine = engine_of("--pause-heads=off")

    assert {engine.step([frame])[0].pauses for frame in frames_of(audio, slot=0)} == {()}
    assert engine.pause_heads == 0


@pytest.mark.parametrize("count", [1, 4])
def test_fewer_codebooks_are_the_first_ones(audio: Audio, count: int) -> None:
    """Codes of the others add nothing: as if their embeddings were zero."""
    engine, model = engine_of(f"--codebooks={count}"), small_model()
    first_unheard = VOCABULARY + 1 + count * 33
    model.model.embed_tokens.embed_tokens.weight.data[first_unheard:] = 0.0
    values = torch.from_numpy(np.concatenate([audio, SILENCE])).view(1, 1, -1)
    with torch.inference_mode():
        expected = model.generate(input_values=values, audio_window_size=None, do_sample=False)[0].tolist()[2:]

    assert alone(engine, audio) == expected
    assert engine.status()["codebooks"] == engine._parts.codec.codebooks == count


def test_chance_is_each_streams_own(audio: Audio) -> None:
    """The same stream draws the same, whoever is beside it; another one of the same audio draws otherwise."""
    first = alone(engine_of("--temperature=0.8"), audio)
    engine, others = engine_of("--temperature=0.8"), frames_of(made_up_audio(16, seed=1), slot=1)
    said = [engine.step([one, other])[0].token for one, other in zip(frames_of(audio, 0), others, strict=True)]

    assert said == first != alone(engine_of(), audio)
    assert alone(engine, audio) != first


def test_tokens_are_drawn_as_often_as_their_probabilities_say() -> None:
    engine = engine_of("--temperature=0.7", "--seats=1")
    lm, hidden = engine._parts.lm, torch.randn(1, 32)
    count = 20_000
    drawn = lm.choose(hidden.expand(count, -1), torch.arange(count), torch.full((count,), 5)).tolist()
    shares = torch.softmax(hidden @ lm._scores.T / 0.7, dim=1)[0]

    seen = Counter(drawn)
    for token, share in enumerate(shares.tolist()):
        assert seen[token] / count == pytest.approx(share, abs=4 * (share / count) ** 0.5 + 1e-3)


def test_uniform_numbers_are_uniform() -> None:
    drawn = uniform(torch.arange(100_000))

    assert drawn.min() > 0
    assert drawn.max() < 1
    assert torch.histc(drawn.float(), 10, 0, 1).sub(10_000).abs().max() < 400


@pytest.mark.parametrize(("flag", "dtype"), [("bfloat16", "torch.bfloat16"), ("float16", "torch.float32")])
def test_other_dtypes(audio: Audio, flag: str, dtype: str, caplog: pytest.LogCaptureFixture) -> None:
    engine = engine_of(f"--lm-dtype={flag}", f"--codec-dtype={flag}")

    assert len(alone(engine, audio)) == 16
    assert (engine.status()["lm_dtype"], engine.status()["codec_dtype"]) == (dtype, dtype)
    assert ("replaced by float32" in caplog.text) == (flag == "float16")


def test_how_long_a_step_takes_is_measured_and_followed(engine: Kyutai, audio: Audio) -> None:
    engine.measure([1, 2, 4], enough_s=10)
    assert 0.0 not in (engine.step_s(1), engine.step_s(3))
    assert engine.step_s(2) < engine.step_s(8) == 2 * engine.step_s(4)
    assert set(engine.status()["step_ms"]) == {"1", "4"}

    before_s = engine.step_s(4)
    for _ in range(20):
        engine._pace.note(4, 10 * before_s)
    assert engine.step_s(4) > 5 * before_s
    assert alone(engine, audio) == offline(audio)[0]  # and measuring left nothing behind


def test_silence_of_flush_samples_is_enough_for_the_last_word(engine: Kyutai) -> None:
    assert engine.delay_steps == 6
    assert engine.flush_samples == (6 + 2) * FRAME_SAMPLES
    assert engine.samples_wanted(first=True) == engine.samples_wanted(first=False) == FRAME_SAMPLES


WAITING = {"item", "_local_scalar_dense", "is_nonzero", "nonzero", "masked_select", "equal"}


class NeverWaits(TorchDispatchMode):  # type: ignore[misc]  # torch is not there where types are checked
    """Refuses what makes the host wait for a GPU, and counts the rest."""

    calls = 0

    def __torch_dispatch__(self, call: Any, types: Any, given: Any = (), named: Any = None) -> Any:
        assert call.overloadpacket.__name__ not in WAITING, call
        self.calls += 1
        return call(*given, **(named or {}))


@pytest.mark.parametrize("flags", [(), ("--timing=moshi", "--temperature=0.5", "--codebooks=2")])
def test_nothing_inside_a_step_waits_for_the_device(flags: tuple[str, ...]) -> None:
    """So it can be recorded as a CUDA graph, where waiting is an error."""
    engine = engine_of("--seats=4", *flags)
    with torch.inference_mode(), NeverWaits() as mode:
        engine._compute_first(3)
        assert mode.calls > 100
        with pytest.raises(AssertionError, match="item"):
            engine._parts.tokens[0].item()
