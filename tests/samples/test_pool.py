"""The pool is frozen, plain to speak, and its tiny part is closed."""

from __future__ import annotations

from collections import Counter

import pytest

from samples.pool import (
    PLAIN_TEXT,
    POOL_VERSION,
    Length,
    Sentence,
    Split,
    digest,
    paragraphs,
    sentences,
    spoken_words,
    tiny_vocabulary,
)

EVERYTHING = (*sentences(), *paragraphs())


def test_pool_is_frozen() -> None:
    """Clips and tiny checkpoints were made from exactly these texts: raise POOL_VERSION when you change one."""
    assert POOL_VERSION == 1
    assert digest() == "8109363fa9e56386396904f2c2129d99f0c9d14f41603c8e4a71be18bc30fdae"


def test_there_is_enough_of_everything() -> None:
    assert len(sentences(language="en")) >= 100
    assert len(sentences(language="fr")) >= 12
    assert len(sentences(tiny=True)) >= 60
    assert all(len(paragraphs(language="en", length=length)) >= 14 for length in Length)


@pytest.mark.parametrize("text", EVERYTHING, ids=lambda text: text.id)
def test_text_is_plain(text: Sentence) -> None:
    assert PLAIN_TEXT.fullmatch(text.text)
    assert text.language == "fr" or text.text.isascii()


def test_ids_and_texts_are_unique() -> None:
    assert max(Counter(text.id for text in EVERYTHING).values()) == 1
    assert max(Counter(text.text.lower() for text in EVERYTHING).values()) == 1


def test_tiny_vocabulary_is_closed_and_repeated() -> None:
    heard = Counter(word for s in sentences(tiny=True) for word in spoken_words(s.text))
    assert len(heard) <= 120
    assert [word for word, count in heard.items() if count < 3] == []
    spoken = {word for p in paragraphs(tiny=True) for word in spoken_words(p.text)}
    assert spoken <= set(tiny_vocabulary())


def test_held_out_tiny_words_are_learned_from_train() -> None:
    learned = {word for s in sentences(tiny=True, split=Split.TRAIN) for word in spoken_words(s.text)}
    assert set(tiny_vocabulary()) == learned


def test_no_held_out_sentence_occurs_inside_train_text() -> None:
    train = " ".join(text.text.lower() for text in EVERYTHING if text.split is Split.TRAIN)
    leaked = [text.id for text in EVERYTHING if text.split is Split.HELD_OUT and text.text.lower() in train]
    assert leaked == []


@pytest.mark.parametrize("tiny", [True, False])
def test_a_fifth_is_held_out(tiny: bool) -> None:
    for group in (sentences(tiny=tiny), paragraphs(tiny=tiny), sentences(language="fr")):
        share = sum(text.split is Split.HELD_OUT for text in group) / len(group)
        assert 0.15 <= share <= 0.4


@pytest.mark.parametrize(("length", "low", "high"), [("short", 13, 20), ("medium", 27, 40), ("long", 48, 62)])
def test_paragraph_has_the_words_of_its_length(length: Length, low: int, high: int) -> None:
    counts = [len(spoken_words(p.text)) for p in paragraphs(length=Length(length))]
    assert low <= min(counts)
    assert max(counts) <= high


@pytest.mark.parametrize("bad", ["Room 7.", "Dr. no", "no stop", "Two  blanks.", "wait - what?", "'quoted.'", ""])
def test_plain_text_refuses(bad: str) -> None:
    assert PLAIN_TEXT.fullmatch(bad) is None
