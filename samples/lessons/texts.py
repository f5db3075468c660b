"""What a tiny model may learn to read: the pool's train texts, and thousands of new ones made of their words.

Pure: knows neither voices nor audio nor a model. A text is its words in lower case; `written` is how it is spoken.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from samples.pool import Split, paragraphs, sentences, spoken_words, tiny_vocabulary

Words = tuple[str, ...]

RUN: Final = 5
"""So many words in a row of a text that is kept for testing are never in a text made here."""

LONGEST: Final = 10
END: Final = ""
CAPITALS: Final = {"i": "I", "monday": "Monday", "friday": "Friday"}


@dataclass(frozen=True, slots=True)
class Text:
    """One text. `written` has the stops and commas that a synthesiser reads by."""

    words: Words
    written: str

    @property
    def label(self) -> str:
        return " ".join(self.words)


def known(split: Split) -> list[Text]:
    """The pool's tiny sentences of a split, as they are written there."""
    return [Text(tuple(spoken_words(row.text)), row.text) for row in sentences(tiny=True, split=split)]


def known_paragraphs(split: Split) -> list[Text]:
    """The pool's tiny paragraphs of a split, whole."""
    return [Text(tuple(spoken_words(row.text)), row.text) for row in paragraphs(tiny=True, split=split)]


def parts(paragraph: Text) -> list[Text]:
    """The sentences of a paragraph."""
    marked = paragraph.written.replace("?", "?|").replace(".", ".|")
    return [Text(tuple(spoken_words(part)), part.strip()) for part in marked.split("|") if part.strip()]


def train_sentences() -> list[Text]:
    """Every sentence that may be learned: alone in the pool, or from one of its paragraphs."""
    found = known(Split.TRAIN)
    for paragraph in known_paragraphs(Split.TRAIN):
        found += parts(paragraph)
    return found


def runs(texts: Iterable[Text]) -> frozenset[Words]:
    """Every RUN words in a row."""
    return frozenset(window for text in texts for window in windows(text.words))


def windows(words: Words) -> Iterator[Words]:
    """Each RUN neighbours of `words`."""
    return (words[at : at + RUN] for at in range(len(words) - RUN + 1))


def kept_for_testing() -> frozenset[Words]:
    """The runs of all held-out sentences and paragraphs."""
    return runs([*known(Split.HELD_OUT), *known_paragraphs(Split.HELD_OUT)])


def made(count: int, *, rng: np.random.Generator) -> list[Text]:
    """`count` new texts of 1 to LONGEST words, none with a run that is kept for testing.

    A third each: walks over the word pairs of the train sentences, splices of their halves, and words at random.
    """
    secret = kept_for_testing()
    learned = [text.words for text in train_sentences()]
    follows = pairs(learned)
    ways = (lambda: walk(follows, rng), lambda: splice(learned, rng), lambda: salad(rng))
    found: list[Text] = []
    while len(found) < count:
        words = ways[len(found) % len(ways)]()
        if secret.isdisjoint(windows(words)):
            found.append(Text(words, written(words, rng)))
    return found


def pairs(texts: Sequence[Words]) -> dict[str, list[str]]:
    """What follows each word, as often as it does; END is before the first word and after the last one."""
    follows = defaultdict(list)
    for words in texts:
        for word, after in zip((END, *words), (*words, END), strict=True):
            follows[word].append(after)
    return dict(follows)


def walk(follows: dict[str, list[str]], rng: np.random.Generator) -> Words:
    """From word to word as the pairs allow, to an END or LONGEST words."""
    words: list[str] = []
    while len(words) < LONGEST:
        after = follows[words[-1] if words else END]
        word = after[int(rng.integers(len(after)))]
        if word == END:
            break
        words.append(word)
    return tuple(words)


def splice(texts: Sequence[Words], rng: np.random.Generator) -> Words:
    """The beginning of one text and the end of another."""
    one, other = (texts[int(at)] for at in rng.integers(len(texts), size=2))
    head, tail = int(rng.integers(1, len(one))), int(rng.integers(1, len(other)))
    return (*one[:head], *other[tail:])[:LONGEST]


def salad(rng: np.random.Generator) -> Words:
    """Any words in any order: only the sound tells which."""
    vocabulary = tiny_vocabulary()
    size = int(rng.integers(1, LONGEST + 1))
    return tuple(vocabulary[int(at)] for at in rng.integers(len(vocabulary), size=size))


def written(words: Words, rng: np.random.Generator) -> str:
    """`words` with a stop or a question mark, and now and then a comma."""
    spelled = [CAPITALS.get(word, word) for word in words]
    for at in range(len(spelled) - 1):
        if rng.random() < 0.06:
            spelled[at] += ","
    return " ".join(spelled) + ("?" if rng.random() < 0.25 else ".")
