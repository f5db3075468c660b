"""What the tiny model learns from: every word of its world, and nothing of what it is tested on."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from samples.lessons import texts
from samples.lessons.texts import RUN, Text, Words
from samples.pool import Split, tiny_vocabulary

COUNT = 3000


@pytest.fixture(scope="module")
def made() -> list[Text]:
    return texts.made(COUNT, rng=np.random.default_rng(7))


def contains(words: Words, run: Words) -> bool:
    return any(words[at : at + len(run)] == run for at in range(len(words) - len(run) + 1))


def test_texts_that_are_made_are_short_and_of_the_vocabulary(made: list[Text]) -> None:
    assert len(made) == COUNT
    assert {len(text.words) for text in made} == set(range(1, texts.LONGEST + 1))
    assert {word for text in made for word in text.words} == set(tiny_vocabulary())


def test_nothing_made_has_a_run_of_a_held_out_text(made: list[Text]) -> None:
    secret = texts.kept_for_testing()

    assert len(secret) > 100
    assert [text for text in made if any(contains(text.words, run) for run in secret)] == []


def test_no_held_out_sentence_is_within_a_train_text(made: list[Text]) -> None:
    learned = [*texts.train_sentences(), *texts.known_paragraphs(Split.TRAIN), *made]

    for held_out in texts.known(Split.HELD_OUT):
        assert not any(contains(text.words, held_out.words) for text in learned), held_out.label


def test_every_word_has_many_neighbours(made: list[Text]) -> None:
    after = Counter(word for word, _ in {pair for text in made for pair in pairwise(text.words)})

    assert min(after[word] for word in tiny_vocabulary()) >= 10


def test_the_same_seed_makes_the_same_texts() -> None:
    first, second, other = (texts.made(30, rng=np.random.default_rng(seed)) for seed in (1, 1, 2))

    assert first == second != other


def test_a_text_is_written_as_it_is_spoken(made: list[Text]) -> None:
    for text in made:
        assert tuple(part.strip(",.?").lower() for part in text.written.split()) == text.words
        assert text.written[-1] in ".?"


def test_a_walk_takes_only_pairs_that_were_read() -> None:
    follows = texts.pairs([("a", "b", "c"), ("b", "d")])

    walks = {texts.walk(follows, np.random.default_rng(seed)) for seed in range(50)}

    assert walks == {("a", "b", "c"), ("a", "b", "d"), ("b", "c"), ("b", "d")}


def test_a_splice_is_a_head_and_a_tail() -> None:
    spliced = {texts.splice([("a", "b"), ("c", "d")], np.random.default_rng(seed)) for seed in range(50)}

    assert spliced == {("a", "b"), ("a", "d"), ("c", "b"), ("c", "d")}


def test_the_parts_of_a_paragraph_are_its_sentences() -> None:
    whole = texts.known_paragraphs(Split.TRAIN)[0]

    parts = texts.parts(whole)

    assert len(parts) > 1
    assert tuple(word for part in parts for word in part.words) == whole.words


def test_runs_are_of_one_length() -> None:
    assert {len(run) for run in texts.kept_for_testing()} == {RUN}
    assert list(texts.windows(tuple("abcd"))) == []
