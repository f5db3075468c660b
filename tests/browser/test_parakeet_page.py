"""The Parakeet server's page in a real browser, with a microphone that plays a file and a model that hears tones."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from websockets.sync.client import connect

from servers.common.interfaces import Audio
from tests.browser.chromium import MARKS
from tests.browser.devtools import Page, open_page
from tests.servers.parakeet.conftest import Start, clean_environment, file_of
from tests.servers.parakeet.fake import POISON, say, silence

__all__ = ["clean_environment"]  # each test's, by being here

pytestmark = MARKS
Speak = Callable[..., None]
COMPLAINT = "document.querySelector('.notice.bad:not([hidden]) p')?.textContent"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("browser")


@pytest.fixture(scope="module")
def page(folder: Path) -> Iterator[Page]:
    """One browser for all tests. Its microphone plays what `speak` wrote last, once, from when it is opened."""
    flags = (
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={folder / 'said.wav'}%noloop",
    )
    with open_page(folder, *flags) as opened:
        yield opened


@pytest.fixture
def speak(folder: Path) -> Speak:
    """`speak(say(3, 1), silence(1))`; a moment of silence comes before it, until everything runs, and much after it."""

    def write(*parts: Audio) -> None:
        (folder / "said.wav").write_bytes(file_of(np.concatenate([silence(1.0), *parts, silence(20.0)])))

    return write


def listen(page: Page) -> None:
    page.click("#listen")
    page.until("document.body.dataset.state === 'listening'")


def stop(page: Page) -> None:
    page.click("#listen")
    page.until("document.body.dataset.state === 'idle'")


def complaint(page: Page) -> str:
    """What the page says that went wrong, as soon as it says something."""
    return str(page.until(COMPLAINT))


HEARD = """(element => element.innerText.trim().replaceAll('-', '').split(/\\s+/)
  .filter((word, at, all) => word !== all[at - 1]).join(' '))"""
"""The words of an element. Where the machine stands still the browser's microphone has gaps; a word that one cuts is
heard as two of itself, with a dash where it broke off: here it is one."""


def said(page: Page, text: str) -> None:
    """Wait until the transcript is exactly this, a line for each chunk."""
    page.until(f"[...document.querySelectorAll('#transcript .words')].map({HEARD}).join('|') === '{text}'")


def test_what_the_microphone_hears_is_written_as_it_is_said(page: Page, start: Start, speak: Speak) -> None:
    speak(say(3, 1, 4), silence(0.8), say(1, 5, 9))
    server = start()
    page.open(f"{server.url}/")
    listen(page)
    said(page, "w3 w1 w4|w1 w5 w9")
    assert page.text("#delay").endswith(" s")
    assert 0.4 < float(page.text("#delay").split()[0]) < 20
    words = page.look("document.querySelectorAll('#transcript .word').length")
    assert (page.text("#confidence"), page.text("#confidence-what")) == ("0.90", f"mean over {words} words")
    assert re.match("“w3-?”: confidence 0.90, ", page.look("document.querySelector('.word').title"))
    stop(page)
    page.wait(lambda: server.free == 128)


def test_partials_are_shown_until_stop_brings_the_result(page: Page, start: Start, speak: Speak) -> None:
    speak(say(3, 1, 4))
    page.open(f"{start(silence_ms=3000, partials_ms=200).url}/")
    listen(page)
    page.until(f"{HEARD}(document.querySelector('#partial')) === 'w3 w1 w4'")
    assert page.text("#transcript") == ""
    stop(page)
    said(page, "w3 w1 w4")
    assert page.look("document.querySelector('#partial').hidden") is True


def test_a_chunk_that_fails_is_told_in_its_place(page: Page, start: Start, speak: Speak) -> None:
    speak(say(POISON), silence(0.8), say(4))
    page.open(f"{start().url}/")
    listen(page)
    page.until("document.querySelectorAll('.chunk').length === 2")
    failed, heard = page.look(f"[...document.querySelectorAll('.words')].map({HEARD})")
    assert "inference_failed" in failed and heard == "w4"
    stop(page)


def test_a_file_is_transcribed_and_its_words_lead_into_it(page: Page, start: Start, tmp_path: Path) -> None:
    file = tmp_path / "three.wav"
    file.write_bytes(file_of(say(7, 8, 9)))
    page.open(f"{start().url}/")
    page.choose("#file", file)
    said(page, "w7 w8 w9")
    assert page.text("#audio-s") == "0.90 s"
    page.look("document.querySelectorAll('.word.leads')[2].click()")
    page.until("Math.abs(document.querySelector('#player').currentTime - 0.6) < 0.35")
    page.look("document.querySelector('#player').pause(); document.querySelector('#player').currentTime = 0.4")
    page.until("document.querySelector('#transcript .now')?.textContent === 'w8'")


@pytest.mark.parametrize(
    ("kind", "content"),
    [("txt", "w7 w8 w9\n"), ("srt", "1\n00:00:00,000 --> 00:00:00,800\nw7 w8 w9\n")],
)
def test_the_text_can_be_saved(page: Page, start: Start, tmp_path: Path, kind: str, content: str) -> None:
    file = tmp_path / "three.wav"
    file.write_bytes(file_of(say(7, 8, 9)))
    page.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    page.open(f"{start().url}/")
    page.choose("#file", file)
    said(page, "w7 w8 w9")
    page.click(f"#save-{kind}")
    saved = tmp_path / f"three.{kind}"
    page.wait(saved.exists)
    assert saved.read_text(encoding="utf-8") == content


def test_what_the_server_says_against_a_file_is_shown(page: Page, start: Start, tmp_path: Path) -> None:
    file = tmp_path / "letter.wav"
    file.write_text("Dear Sir or Madam, " * 20, encoding="utf-8")
    page.open(f"{start().url}/")
    page.choose("#file", file)
    assert "HTTP 415" in complaint(page)
    assert page.look("document.body.dataset.state") == "idle"


def test_a_file_over_the_limit_is_not_sent(page: Page, start: Start, tmp_path: Path) -> None:
    file = tmp_path / "long.wav"
    file.write_bytes(file_of(silence(4.0)))
    page.open(f"{start(max_upload_mb=0.1).url}/")
    before = len(page.requests)
    page.choose("#file", file)
    assert complaint(page).endswith("the server takes 0.1 MB.")
    assert not any(url.endswith("/transcribe") for url in page.requests[before:])


def test_a_server_with_a_key_asks_for_it(page: Page, start: Start, speak: Speak) -> None:
    speak(say(2, 7))
    page.open(f"{start(api_key='sésame öffne&1').url}/")
    page.until("!document.querySelector('#access').hidden")
    for given, shown in (
        ("wrong", COMPLAINT),
        ("sésame öffne&1", "document.querySelector('#facts').childElementCount"),
    ):
        page.look(f"document.querySelector('#key').value = {given!r}")
        page.click("#access button")
        page.until(shown)
    assert "$KEY" in page.text("#commands")
    listen(page)
    said(page, "w2 w7")
    stop(page)


def test_a_full_server_is_tried_again(page: Page, start: Start, speak: Speak) -> None:
    speak(say(6))
    server = start(max_sessions=1)
    page.open(f"{server.url}/")
    with connect(server.ws, proxy=None):
        page.wait(lambda: server.free == 0)
        page.click("#listen")
        assert complaint(page) != ""
    page.wait(lambda: server.free == 1)
    page.click("#again")
    said(page, "w6")
    stop(page)


def test_a_lost_connection_is_told_and_keeps_the_text(page: Page, start: Start, speak: Speak) -> None:
    speak(say(6))
    server = start()
    page.open(f"{server.url}/")
    listen(page)
    said(page, "w6")
    server.server.should_exit = True
    assert "close code 10" in complaint(page)
    assert page.text("#again") == "Reconnect"
    said(page, "w6")


def test_everything_can_be_done_with_the_keyboard(page: Page, start: Start, speak: Speak) -> None:
    speak(say(3, 1, 4))
    page.open(f"{start().url}/")
    page.until("document.querySelector('#facts').childElementCount")
    for _ in range(2):
        page.press("Tab", 9)
    assert page.look("document.activeElement.id") == "listen"
    page.press("Enter", 13)
    said(page, "w3 w1 w4")
    stop(page)
    page.look("document.querySelector('.word[tabindex=\"0\"]').focus()")
    page.press("ArrowRight", 39)
    assert page.text("#about-word").startswith("“w1”: confidence 0.90, ")


def test_it_fits_a_phone_and_follows_the_readers_theme(page: Page, start: Start, tmp_path: Path) -> None:
    file = tmp_path / "a_rather_long_name_of_a_recording_without_any_gap_in_it_at_all.wav"
    file.write_bytes(file_of(say(*range(60))))
    page.resize(390, 844)
    page.open(f"{start().url}/")
    page.choose("#file", file)
    page.until("document.querySelectorAll('#transcript .word').length === 60")
    page.look("document.querySelector('details').open = true")
    assert page.look("[innerWidth, document.documentElement.scrollWidth]") == [390, 390]
    for theme, bright in (("light", True), ("dark", False)):
        page.theme(theme)
        pixels = np.asarray(Image.open(io.BytesIO(page.picture())).convert("RGB"))
        assert bool(np.median(pixels) > 200) is bright
    page.resize(1280, 900)


def test_nothing_was_asked_of_others_and_nothing_went_wrong(page: Page, start: Start) -> None:
    """Last: it looks at what all tests before it left behind."""
    page.open(f"{start().url}/")
    page.until("document.querySelector('#facts').childElementCount")
    allowed = ("http://127.0.0.1:", "ws://127.0.0.1:", "blob:http://127.0.0.1:", "data:")
    assert [url for url in page.requests if not url.startswith(allowed)] == []
    assert page.complaints == []


def test_a_request_to_others_or_an_inline_script_would_be_seen(page: Page, start: Start) -> None:
    page.open(f"{start().url}/")
    page.look("fetch('http://localhost:9/').catch(() => null)")
    page.look("document.body.append(Object.assign(document.createElement('script'), {textContent: 'ran = 1'}))")
    assert page.look("typeof ran") == "undefined"
    seen = [text for text in page.complaints if "Content Security Policy" in text]
    assert any("localhost:9" in text for text in seen) and any("inline script" in text for text in seen)
