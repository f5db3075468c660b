"""The tiny model's batches: reproducible, labelled where the words are, and free of what is kept for testing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from samples.lessons import data, surroundings, texts
from samples.lessons.batches import Drawer
from samples.lessons.data import Amount, Order, Pack
from samples.pool import Split

RATE_HZ = 16_000
WORD_S = 0.25
SMALL = Amount(per_sentence=1, per_paragraph=1, made=400)


@pytest.fixture(scope="module")
def pack() -> Pack:
    """Every word a tone of WORD_S: where a tone is, a word is."""
    orders = [order for order in data.ordered(SMALL, seed=3) if len(order.text.words) <= 10]
    counts = np.array([len(order.text.words) for order in orders])
    ends = np.cumsum(counts * round(WORD_S * RATE_HZ))
    starts_s = np.concatenate([np.arange(count) for count in counts]) * WORD_S
    tone = 9000 * np.sin(np.arange(ends[-1]) * 2 * np.pi * 440 / RATE_HZ)
    spans = np.stack([starts_s, starts_s + WORD_S], 1).astype(np.float32)
    return Pack(tuple(orders), tone.astype(np.int16), ends, spans, np.cumsum(counts))


def test_no_training_rate_is_near_one_that_is_tested() -> None:
    rates = np.array([order.rate for order in data.ordered(SMALL, seed=0)])

    assert len(rates) > 400 and rates.min() < 0.9 and rates.max() > 1.15
    assert all(np.abs(rates - kept).min() > data.RATE_MARGIN for kept in data.KEPT_RATES)


def test_the_unheard_voice_speaks_no_training_clip() -> None:
    assert {order.speaker for order in data.ordered(SMALL, seed=0)} == set(data.VOICES)
    assert data.UNHEARD_VOICE not in data.VOICES


@pytest.mark.slow
def test_the_same_seed_draws_the_same_batches(pack: Pack) -> None:
    one, same, other = (Drawer(pack, seed=seed) for seed in (5, 5, 6))
    batches = [drawer.draw(audio_s=20, joined_share=0.5) for drawer in (one, same, other)]

    assert batches[0].texts == batches[1].texts != batches[2].texts
    assert np.array_equal(batches[0].audio, batches[1].audio)


@pytest.mark.parametrize("joined_share", [0.0, 1.0])
def test_words_are_where_their_sound_is(pack: Pack, joined_share: float) -> None:
    drawer = Drawer(pack, seed=1)

    for _ in range(20):
        batch = drawer.draw(audio_s=20, joined_share=joined_share)
        for row, (words, spans) in enumerate(zip(batch.texts, batch.spans, strict=True)):
            assert spans.shape == (len(words), 2)
            power = batch.audio[row, : batch.sizes[row]] ** 2
            for begin_s, end_s in spans:
                within = power[round(begin_s * RATE_HZ) : round(end_s * RATE_HZ)]
                assert within.mean() > 10 ** ((surroundings.LEVEL_DBFS[0] - 6) / 10)


def test_joined_clips_hold_several_texts(pack: Pack) -> None:
    batch = Drawer(pack, seed=2).draw(audio_s=60, joined_share=1.0)

    assert max(len(words) for words in batch.texts) > texts.LONGEST
    assert batch.audio.shape == (len(batch.texts), batch.sizes.max())


def test_nothing_kept_for_testing_arises_from_joining(pack: Pack) -> None:
    drawer, secret = Drawer(pack, seed=3), texts.kept_for_testing()
    learned = texts.runs([order.text for order in pack.orders])

    for _ in range(30):
        drawn = texts.runs(texts.Text(words, "") for words in drawer.draw(audio_s=60, joined_share=1.0).texts)
        assert not (drawn - learned) & secret


def test_some_clips_hold_no_word(pack: Pack) -> None:
    drawer = Drawer(pack, seed=4)

    drawn = [words for _ in range(40) for words in drawer.draw(audio_s=20, joined_share=0.0).texts]

    assert 0 < sum(not words for words in drawn) < 0.1 * len(drawn)


def test_levels_are_those_asked_for() -> None:
    rng = np.random.default_rng(0)
    speech = np.sin(np.arange(RATE_HZ) * 0.2).astype(np.float32)

    levels = []
    for _ in range(200):
        heard, lead_s = surroundings.heard(speech, lambda count: np.ones(count, np.float32), rng)
        begin = round(lead_s * RATE_HZ)
        levels.append(20 * np.log10(heard[begin : begin + RATE_HZ].std()))

    low, high = surroundings.LEVEL_DBFS
    assert low - 1 < min(levels) < low + 3 and high - 3 < max(levels) < high + 1


def test_noise_loops_have_no_seam() -> None:
    loop = surroundings.loops()[-1]

    assert abs(float(loop[0] - loop[-1])) < 5 * float(np.abs(np.diff(loop)).max())
    assert loop.std() == pytest.approx(1, abs=1e-3)


@pytest.mark.usefixtures("flite")
def test_a_pack_is_spoken_once(tmp_path: Path) -> None:
    orders = [Order(text, "slt", 1.0, 1.1) for text in texts.known(Split.TRAIN)[:2]]

    spoken = data.packed(orders, tmp_path, processes=1)
    again = data.packed(orders, tmp_path, processes=1)

    assert len(list(tmp_path.iterdir())) == 1
    assert np.array_equal(spoken.pcm, again.pcm) and spoken.ends[-1] == len(spoken.pcm)
    assert spoken.spans_of(1).shape == (len(orders[1].text.words), 2)
    assert np.abs(spoken.clip(1)).max() == pytest.approx(0.9, abs=0.01)


def test_the_trainers_clips_are_still_the_same_ones() -> None:
    """A pack's file is named after its orders: another name is another training, which every CARD.md must then tell."""
    assert data.name_of(data.ordered(Amount(), seed=1)) == "speech-d119fc2d9d4a7be5"
