"""What the Parakeet page computes, in the browser that will compute it: resampling, words, subtitles."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from servers.parakeet import page as served
from tests.browser.chromium import MARKS
from tests.browser.devtools import Page, open_page

pytestmark = MARKS
RESAMPLE = """(() => {{
  const resampler = new (modules.resampler.Resampler)({rate}, 16000);
  const input = Float32Array.from({{length: {rate} / 2}}, (_, n) => Math.sin(2 * Math.PI * {tone} * n / {rate}));
  const found = [];
  for (let at = 0; at < input.length; at += {block}) found.push(...resampler.push(input.subarray(at, at + {block})));
  found.push(...resampler.end());
  return found;
}})()"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A blank page with the modules, each under its name."""
    with open_page(tmp_path_factory.mktemp("modules")) as opened:
        opened.look("globalThis.modules = {}")
        for name in ("resampler", "words", "subtitles"):
            text = (served.FOLDER / f"{name}.js").read_text(encoding="utf-8")
            address = f"URL.createObjectURL(new Blob([{text!r}], {{type: 'text/javascript'}}))"
            opened.look(f"import({address}).then(found => {{ modules['{name}'] = found; }})")
        yield opened


def resampled(page: Page, *, rate: int, tone: float, block: int = 128) -> np.ndarray:
    """Half a second of a tone of amplitude 1, at 16 kHz."""
    return np.array(page.look(RESAMPLE.format(rate=rate, tone=tone, block=block)))


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000, 96000])
def test_a_tone_is_the_same_tone_at_16_khz(page: Page, rate: int) -> None:
    tone = 1000.0
    found = resampled(page, rate=rate, tone=tone)
    expected = np.sin(2 * np.pi * tone * np.arange(len(found)) / 16000)
    assert len(found) == pytest.approx(8000, abs=1)
    assert np.abs(found - expected)[200:-200].max() < 1e-3


@pytest.mark.parametrize("rate", [44100, 48000])
def test_what_16_khz_cannot_hold_is_gone_and_speech_is_not(page: Page, rate: int) -> None:
    level = {tone: np.abs(resampled(page, rate=rate, tone=tone)[300:-300]).max() for tone in (6500, 8200, 9000, 15000)}
    assert level.pop(6500) == pytest.approx(1, abs=0.02)
    assert max(level.values()) < 10 ** (-60 / 20)


def test_blocks_of_any_length_give_the_same_samples(page: Page) -> None:
    whole = resampled(page, rate=44100, tone=440, block=22050)
    for block in (1, 128, 997):
        assert np.array_equal(resampled(page, rate=44100, tone=440, block=block), whole)


def test_a_files_words_are_gathered_into_its_sentences(page: Page) -> None:
    words = [{"text": t, "start": k, "end": k + 0.5, "confidence": 0.9} for k, t in enumerate("abcd")]
    segments = [{"text": "a b", "start": 0, "end": 1.5}, {"text": "c d", "start": 2, "end": 3.5}]
    answer = {"text": "a b c d", "timestamps": {"words": words, "segments": segments}}
    chunks = page.look(f"modules.words.chunksOf({answer})")
    assert [(chunk["text"], chunk["start"], chunk["end"]) for chunk in chunks] == [("a b", 0, 1.5), ("c d", 2, 3.5)]
    assert [word for chunk in chunks for word in chunk["words"]] == words


def test_a_results_words_get_their_confidences(page: Page) -> None:
    row = {"text": "a b", "words": [0.5, 0.75], "timestamps": [{"text": t, "start": 1, "end": 2} for t in "ab"]}
    assert [word["confidence"] for word in page.look(f"modules.words.wordsOf({row})")] == [0.5, 0.75]
    bare = page.look("modules.words.wordsOf({text: 'a b', words: [0.5, 0.75]})")
    assert bare == [{"text": "a", "confidence": 0.5}, {"text": "b", "confidence": 0.75}]


@pytest.mark.parametrize(
    ("confidence", "name"), [(1, "sure"), (0.95, "sure"), (0.8, "fair"), (0.5, "weak"), (0, "poor")]
)
def test_shades(page: Page, confidence: float, name: str) -> None:
    assert page.look(f"modules.words.shade({confidence})") == name


def test_subtitles_have_two_short_lines_seven_seconds_and_no_pause_inside(page: Page) -> None:
    starts_s = [3600 + 0.5 * k + 5 * (k >= 40) for k in range(80)]
    words = [{"text": f"word{k}", "start": start_s, "end": start_s + 0.4} for k, start_s in enumerate(starts_s)]
    cues = page.look(f"modules.subtitles.asSrt([{{text: '', words: {words}}}])").strip().split("\n\n")
    assert [cue.split("\n")[0] for cue in cues] == [str(k + 1) for k in range(len(cues))]
    assert cues[0].split("\n")[1].startswith("01:00:00,000 --> 01:00:0")
    assert " ".join(" ".join(cue.split("\n")[2:]) for cue in cues).split() == [word["text"] for word in words]
    assert all(len(cue.split("\n")) <= 4 and max(map(len, cue.split("\n")[2:])) <= 42 for cue in cues)
    assert any(cue.split("\n")[2].startswith("word40") for cue in cues), "a cue begins after the pause"
