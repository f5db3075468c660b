"""One grammar names every corpus: text and mapping say the same, and a mistake says what is allowed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yapbench.corpora.request import Request, as_text, parse
from yapbench.corpus import DEFAULT
from yapbench.errors import UsageError


def read(asked: Any, **beside: Any) -> Request:
    return parse(asked, default="samples?kind=turn", **beside)


@pytest.mark.parametrize(
    ("text", "mapping"),
    [
        ("some/folder", {"path": "some/folder"}),
        ("some/folder?limit=20&split=held_out", {"path": "some/folder", "limit": 20, "split": "held_out"}),
        ("a.wav?text=Tom %26 I&language=en", {"path": "a.wav", "text": "Tom & I", "language": "en"}),
        ("tts:flite", {"tts": "flite"}),
        ("tts:flite:rms", {"tts": "flite:rms"}),
        ("tts:flite:slt?rate=1.1&pitch=0.9", {"tts": "flite", "voice": "slt", "rate": 1.1, "pitch": 0.9}),
        ("tts:espeak-ng:fr+f2?text=Oui.&text=Non.", {"tts": "espeak-ng", "voice": "fr+f2", "text": ["Oui.", "Non."]}),
        ("tts:flite?texts=t.txt&limit=3", {"tts": "flite", "texts": "t.txt", "limit": 3}),
        ("x?noise=pink&snr_db=-5&noise_seed=7", {"path": "x", "noise": "pink", "snr_db": -5, "noise_seed": 7}),
        ("samples?kind=extra", {"path": "samples", "kind": "extra"}),
    ],
)
def test_text_and_mapping_say_the_same(text: str, mapping: dict[str, Any]) -> None:
    assert read(text) == read(mapping) == read(as_text(mapping))
    assert as_text(text) == text


def test_nothing_asked_is_the_default() -> None:
    assert read(None) == Request(path=DEFAULT, kind="turn")


def test_an_existing_path_is_a_path_whatever_it_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("what?limit=2", "tts:flite", "samples"):
        Path(name).mkdir()
    assert read("what?limit=2") == Request(path=Path("what?limit=2"))
    assert read("tts:flite") == Request(path=Path("tts:flite"))
    assert read("samples").path == DEFAULT
    assert read("./samples").path == Path("samples") == read(Path("samples")).path


def test_noise_may_stand_beside_the_corpus() -> None:
    assert read("x", noise="babble", snr_db=10) == read("x?noise=babble&snr_db=10")
    assert read("x", noise="babble", snr_db="clean") == read("x")
    assert read({"path": "x", "noise": None}, noise="white", snr_db=3) == read("x?noise=white&snr_db=3")


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("", "corpus '': expected a path, samples, or tts:ENGINE:VOICE"),
        (7, "corpus 7: expected a path"),
        ({}, "expected either a path or a tts engine"),
        ({"path": "x", "tts": "flite"}, "expected either a path or a tts engine"),
        ("x?limit=many", "limit 'many': expected a whole number, 1 or more"),
        ("x?limit=0", "limit '0': expected a whole number, 1 or more"),
        ({"path": "x", "limit": 1.5}, "limit 1.5: expected a whole number, 1 or more"),
        ({"path": "x", "limit": True}, "limit True: expected"),
        ("x?limits=3", "unknown field of corpus 'limits'; did you mean 'limit'"),
        ("x?limit", "'limit' after the question mark: expected name=value"),
        ("x?limit=1&limit=2", "limit is given twice: '1' and '2'"),
        ("x?label=done", "label 'done': expected complete or cut"),
        ("x?voice=slt", "voice does not apply to files; allowed: path, kind,"),
        ({"path": "x", "language": False}, "language False: expected a word"),
        ({"path": "x", "text": ["a", ""]}, "text '': expected a text that is not empty"),
        ({"tts": "flite", "text": 3}, "text 3: expected a text or a list of texts"),
        ("tts:festival:x", "tts 'festival': expected flite or espeak-ng"),
        ({"tts": "flite:slt", "voice": "rms"}, "voice is given twice: 'slt' and 'rms'"),
        ("a.wav?path=b.wav", "path is given twice: 'a.wav' and 'b.wav'"),
        ("tts:flite:slt?voice=rms", "voice is given twice: 'slt' and 'rms'"),
        ("tts:flite?kind=turn", "kind does not apply to spoken texts; allowed: tts, voice,"),
        ("tts:flite?rate=3", "rate '3': expected a number from 0.5 to 2"),
        ("tts:flite?rate=nan", "rate 'nan': expected a number from 0.5 to 2"),
        ("tts:flite?length=huge", "length 'huge': expected short or medium or long"),
        ("tts:flite?text=a&texts=b", "text and texts are both given"),
        ("tts:flite?text=a&length=short", "length chooses among the project's own paragraphs"),
        ("x?noise=brown&snr_db=1", "noise 'brown': expected white or pink or babble"),
        ("x?noise=pink", "noise 'pink' needs snr_db: -20 to 60 dB, or clean"),
        ("x?snr_db=10", "snr_db 10 needs noise; allowed: white, pink, babble"),
        ("x?noise=pink&snr_db=loud", "snr_db 'loud': expected dB from -20 to 60, or clean"),
        ("x?noise=pink&snr_db=90", "snr_db '90': expected dB from -20 to 60, or clean"),
        ("x?noise=pink&snr_db=1&noise_seed=-1", "noise_seed '-1': expected a whole number, 0 or more"),
    ],
)
def test_a_mistake_names_field_value_and_what_is_allowed(asked: Any, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(asked)
    assert words in str(caught.value)


def test_noise_given_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="snr_db is given twice: '5' in corpus, 10 beside it"):
        read("x?noise=white&snr_db=5", snr_db=10)


@settings(deadline=None)
@given(text=st.text(min_size=1).filter(str.strip), snr_db=st.floats(-20, 60), seed=st.integers(0, 2**40))
def test_any_text_survives_the_way_into_one_line(text: str, snr_db: float, seed: int) -> None:
    mapping = {"tts": "flite", "text": [text, "more"], "noise": "white", "snr_db": snr_db, "noise_seed": seed}
    assert read(as_text(mapping)) == read(mapping)


def test_what_cannot_be_one_line_is_refused() -> None:
    with pytest.raises(UsageError, match="without a question mark"):
        as_text({"path": "what?", "limit": 1})
    with pytest.raises(UsageError, match="either a path or a tts engine"):
        as_text({"limit": 1})
