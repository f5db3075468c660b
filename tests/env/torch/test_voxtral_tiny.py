"""The checkpoint of --model=tiny: what it is, how well it reads its words at each delay, and where nobody speaks."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from samples.errors import EngineMissing
from samples.lessons import data, exam
from samples.lessons.batches import Drawer
from samples.lessons.exam import Said
from samples.pool import Split, tiny_vocabulary
from samples.speech import speak
from samples.voices import Voice
from servers.common.tiny import descent
from servers.voxtral.tiny import checkpoint, evaluate, layout, make, targets, tekken, train, windows
from servers.voxtral.tiny.checkpoint import CHECKPOINT, read, tiny_size
from servers.voxtral.tiny.lesson import Lesson, Lessons, losses, used_tokens
from servers.voxtral.tiny.listen import Reader, padded
from servers.voxtral.tiny.network import Learning, conditions, mels, network
from servers.voxtral.tiny.streams import joined

CARD = CHECKPOINT.with_name("CARD.md")
RATE_HZ = 16_000
ENGINE_WROTE = {
    "what time is the meeting on monday": " what time is the meeting monday",
    "please send me a message after the meeting": " please send need and message after the meeting",
    "we will be there before seven": " we will be there a before seven",
}
"""By vLLM 0.32.0 in float32 on a CPU at 400 ms: the held-out turns that transformers' log-mels read otherwise."""


@pytest.fixture(scope="module")
def reader() -> Reader:
    torch.set_num_threads(1)
    return Reader.of(CHECKPOINT)


@pytest.fixture(scope="module")
def turns() -> list[Said]:
    """Eighteen committed sentences that it knows."""
    return exam.committed(Split.TRAIN)["train turns"]


def test_the_card_is_this_checkpoints() -> None:
    card = CARD.read_text(encoding="utf-8")
    weights = CHECKPOINT / checkpoint.WEIGHTS

    assert hashlib.sha256(weights.read_bytes()).hexdigest() in card
    assert f"{weights.stat().st_size:,}".replace(",", " ") in card


@pytest.mark.parametrize(("delay_ms", "at_most"), [(80, 0.1), (240, 0.05), (400, 0.05), (480, 0.05), (960, 0.05)])
def test_it_reads_the_committed_turns(reader: Reader, turns: list[Said], delay_ms: int, at_most: float) -> None:
    rate, exact = evaluate.errors(reader, turns, delay_ms=delay_ms)

    assert rate <= at_most
    assert exact >= 0.6


@pytest.mark.parametrize("delay", [1, 6, 12, 30])
def test_text_trails_the_word_by_the_delay(reader: Reader, turns: list[Said], delay: int) -> None:
    """The number of a step leaves the delay out: its sound is that of `delay` steps more."""
    late = []
    for one, heard in zip(turns, reader.read([one.audio for one in turns], delay=delay), strict=True):
        first = next(at for at, token in enumerate(heard.tokens) if token != tekken.STREAMING_PAD)
        late.append(first - targets.last_frame(one.spans_s[0][1]))

    assert abs(np.median(late)) <= 1 and np.abs(late).mean() <= 1.5


def test_it_writes_words_that_it_knows_and_nothing_else(reader: Reader, turns: list[Said]) -> None:
    for heard in reader.read([one.audio for one in turns], delay=6):
        assert set(heard.words) <= set(tiny_vocabulary())
        assert not heard.text or heard.text.startswith(" ")


@pytest.mark.slow
def test_it_reads_two_minutes(reader: Reader, turns: list[Said]) -> None:
    (whole,) = exam.joined([*turns, *turns, *turns], parts=54)

    assert len(whole.audio) > 120 * RATE_HZ
    assert evaluate.errors(reader, [whole], delay_ms=480)[0] <= 0.1


@pytest.mark.parametrize("loudness", [0.0, 1e-4, 1e-3])
def test_silence_and_noise_are_no_words(reader: Reader, loudness: float) -> None:
    noise = loudness * np.random.default_rng(0).standard_normal(10 * RATE_HZ)

    (heard,) = reader.read([noise.astype(np.float32)], delay=6)

    assert heard.words == ()


def test_transformers_generates_the_same_tokens(reader: Reader, turns: list[Said]) -> None:
    delay, clip = 6, turns[0].audio
    prompt = torch.tensor([[tekken.BOS, *[tekken.STREAMING_PAD] * (tekken.LEFT_PAD + delay)]])
    ours = reader.read([clip], delay=delay)[0].tokens

    with torch.inference_mode():
        made = reader.model.generate(
            input_ids=prompt,
            input_features=mels(padded([clip], delay=delay)),
            num_delay_tokens=delay,
            do_sample=False,
            eos_token_id=None,
            max_new_tokens=len(ours),
        )

    theirs = made[0, prompt.shape[1] :].tolist()
    assert len(theirs) >= len(ours) - 1 and theirs == list(ours[: len(theirs)])


def test_the_engines_log_mels_give_the_engines_text(reader: Reader) -> None:
    said = [one for one in exam.committed(Split.HELD_OUT)["held_out turns"] if " ".join(one.words) in ENGINE_WROTE]

    heard = reader.read([one.audio for one in said], delay=5, as_the_engine=True)

    assert [one.text for one in heard] == [ENGINE_WROTE[" ".join(one.words)] for one in said] and len(said) == 3


def test_names_and_layout_come_back(reader: Reader) -> None:
    size, tensors, _ = read(CHECKPOINT)
    state = reader.model.state_dict()

    again = checkpoint.from_transformers(state, size)

    assert set(again) == set(tensors) == set(layout.shapes(size))
    assert all(torch.equal(again[name], tensors[name].float()) for name in tensors)


def test_the_delay_reaches_the_layers_as_transformers_computes_it(reader: Reader) -> None:
    delays = torch.tensor([1, 6, 30])
    theirs = torch.stack([reader.model.model.time_embedding(delay.float()[None]) for delay in delays])

    assert torch.allclose(conditions(reader.model, delays)[:, 0], theirs, atol=0.2)


def test_attention_by_blocks_is_attention_within_the_window() -> None:
    torch.manual_seed(0)
    query, key, value = torch.randn(2, 4, 37, 8), torch.randn(2, 2, 37, 8), torch.randn(2, 2, 37, 8)
    behind = torch.arange(37)[:, None] - torch.arange(37)

    found, _ = windows.windowed(None, query, key, value, None, scaling=0.3, sliding_window=5)

    mask = (behind >= 0) & (behind < 5)
    wanted = torch.nn.functional.scaled_dot_product_attention(
        query, key.repeat_interleave(2, 1), value.repeat_interleave(2, 1), attn_mask=mask, scale=0.3
    )
    assert torch.allclose(found, wanted.transpose(1, 2), atol=1e-5)


def test_the_same_seed_makes_the_same_random_checkpoint(tmp_path: Path) -> None:
    for name, seed in (("one", 3), ("other", 3), ("third", 4)):
        make.make_tiny(tmp_path / name, delay_ms=240, seed=seed)
    one, other, third = (read(tmp_path / name) for name in ("one", "other", "third"))

    assert all(torch.equal(one[1][name], other[1][name]) for name in one[1])
    assert not all(torch.equal(one[1][name], third[1][name]) for name in one[1])
    assert one[2]["audio"]["transcription_delay_ms"] == 240
    assert Reader.of(tmp_path / "one").read([np.zeros(1600, np.float32)], delay=3)[0].tokens


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> data.Pack:
    """A dozen clips."""
    try:
        speak("Hello.", Voice("slt"))
    except EngineMissing:
        pytest.skip("needs flite")
    orders = data.ordered(data.Amount(per_sentence=0, per_paragraph=0, made=12), seed=1)
    return data.packed(orders, tmp_path_factory.mktemp("speech"), processes=1)


def test_a_lesson_asks_for_every_word_of_its_streams(pack: data.Pack) -> None:
    streams = joined(Drawer(pack, seed=1).draw(audio_s=10, joined_share=0.5), np.random.default_rng(1))
    delays = [1 + at for at in range(len(streams))]

    lesson = Lesson.of(streams, delays, left=4, exact=True)

    vocabulary = tekken.small(tiny_vocabulary(), delay_ms=480)
    assert lesson.mel.shape == (len(streams), 128, 8 * lesson.tokens.shape[1])
    for row, one in zip(lesson.tokens.tolist(), streams, strict=True):
        assert tekken.text_of(row, vocabulary).split() == list(one.words)


def test_learning_and_reading_see_the_same_network(pack: data.Pack) -> None:
    torch.manual_seed(0)
    size = tiny_size(tekken.SPECIALS + 500)
    learning = Learning(size, used_tokens())
    lesson = Lessons(pack, seed=1).draw()
    told = lesson.tokens.roll(1, 1)

    _, ours = learning(lesson.mel, told, torch.full_like(lesson.delays, 6))

    theirs: Any = network(size)
    theirs.load_state_dict(learning.model.state_dict())
    with torch.inference_mode():
        logits = theirs(input_ids=told, input_features=lesson.mel, num_delay_tokens=6, use_cache=False).logits
    assert torch.allclose(ours[..., :-1], logits[..., learning.used], atol=0.05)


def test_the_trainer_learns_and_writes_a_checkpoint(
    tmp_path: Path, pack: data.Pack, turns: list[Said], capsys: pytest.CaptureFixture[str]
) -> None:
    extent = train.Extent(steps=2, minutes=10, look_every=100)

    train.train(extent, Lessons(pack, seed=1), {"known sentences": turns[:2]}, out=tmp_path / "new", seed=1)

    assert "| known sentences |" in capsys.readouterr().out
    size, made, vocabulary = read(tmp_path / "new")
    shipped = read(CHECKPOINT)
    assert size == shipped[0] and vocabulary == shipped[2] and set(made) == set(shipped[1])
    assert all(tensor.isfinite().all() for tensor in made.values())


def test_following_the_loss_lowers_it(pack: data.Pack) -> None:
    torch.manual_seed(0)
    learning = Learning(tiny_size(tekken.SPECIALS + 500), used_tokens())
    lesson = Lessons(pack, seed=1).draw()
    optimizer = torch.optim.AdamW(descent.groups(learning), lr=1e-3)
    seen = []
    for _ in range(6):
        found = losses(learning, lesson)
        optimizer.zero_grad()
        (found.writing + found.hearing).backward()
        optimizer.step()
        seen.append(sum(found.numbers()))

    assert seen[-1] < 0.8 * seen[0]
