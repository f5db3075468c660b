"""The audio of a page: found again, cut, small, the same bytes each time; and why there is none."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import pytest
import soundfile

from tests.yapbench import audio_files
from yapbench.report import clips as module
from yapbench.report.clips import (
    LONGEST_S,
    MOST_BYTES,
    MOST_CLIPS,
    NOT_PUBLISHED,
    Clip,
    Wanted,
    clips,
    may_be_published,
)


def corpus(folder: Path, *seconds: float, **about: Any) -> Path:
    """Utterances u0, u1 ... of so many seconds."""
    lines = []
    for number, length in enumerate(seconds):
        audio_files.write(folder / f"u{number}.wav", seconds=length, hz=200 + 50 * number)
        lines.append(
            json.dumps({"id": f"u{number}", "file": f"u{number}.wav", "text": "hello there", "language": "en"})
        )
    (folder / "manifest.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "corpus.json").write_text(json.dumps(about), encoding="utf-8")
    return folder


def info_of(path: Path | str, **asked: Any) -> dict[str, Any]:
    """What a trial that sent it would have stored."""
    info: dict[str, Any] = {"server": "echo", "notebook": "05_echo", "asked": {"client": "echo_pcm", **asked}}
    info["asked"]["corpus"] = str(path)
    return info | {"corpus": module.reopened(info).facts()}


def one(info: dict[str, Any], name: str = "u0", *, publishing: bool = False, end: bool = False) -> Clip:
    (found,) = clips([Wanted(info, name, end=end)], publishing=publishing)
    return found


def decoded(clip: Clip) -> tuple[Any, int]:
    head, _, body = clip.uri.partition(",")
    assert head == "data:audio/mpeg;base64"
    samples, rate_hz = soundfile.read(io.BytesIO(base64.b64decode(body)))
    return samples, int(rate_hz)


def test_a_clip_is_an_mp3_of_what_was_sent(tmp_path: Path) -> None:
    clip = one(info_of(corpus(tmp_path, 1.5)))
    samples, rate_hz = decoded(clip)
    assert (rate_hz, samples.ndim, clip.words) == (16_000, 1, "all 1.5 s")
    assert len(samples) / rate_hz == pytest.approx(1.5, abs=0.15)
    assert abs(samples).max() == pytest.approx(0.2, abs=0.05)


@pytest.mark.parametrize(("end", "words"), [(False, "the first 8 s of 12.0 s"), (True, "the last 8 s of 12.0 s")])
def test_a_long_one_is_cut(tmp_path: Path, end: bool, words: str) -> None:
    clip = one(info_of(corpus(tmp_path, 12.0)), end=end)
    samples, rate_hz = decoded(clip)
    assert clip.words == words
    assert len(samples) / rate_hz == pytest.approx(LONGEST_S, abs=0.15)


def test_the_same_audio_stands_once_and_bytes_do_not_change(tmp_path: Path) -> None:
    info = info_of(corpus(tmp_path, 1.0, 1.2))
    wanted = [Wanted(info, "u0"), Wanted(info, "u1"), Wanted(info, "u0", end=True)]
    found = clips(wanted, publishing=False)
    assert found[2] == Clip(same_as=0)
    assert found[0].uri != found[1].uri
    assert clips(wanted, publishing=False) == found


def test_both_ends_of_a_long_one_are_two_clips(tmp_path: Path) -> None:
    info = info_of(corpus(tmp_path, 9.0))
    first, last = clips([Wanted(info, "u0"), Wanted(info, "u0", end=True)], publishing=False)
    assert first.uri != last.uri != ""


def test_noise_is_heard_as_it_was_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YAPBENCH_CACHE", str(tmp_path / "cache"))
    folder = corpus(tmp_path / "c", 1.0)
    clean, noisy = info_of(folder), info_of(folder, noise="white", snr_db=5)
    quiet, loud = (decoded(clip)[0] for clip in clips([Wanted(clean, "u0"), Wanted(noisy, "u0")], publishing=False))
    pause = slice(7_800, 8_200)  # of the tone's own
    assert abs(quiet[pause]).mean() < 0.2 * abs(loud[pause]).mean()


def test_all_clips_of_a_page_stay_small(tmp_path: Path) -> None:
    info = info_of(corpus(tmp_path, *[8.5] * (MOST_CLIPS + 1)))
    found = clips([Wanted(info, f"u{number}") for number in range(MOST_CLIPS + 1)], publishing=False)
    assert [bool(clip.uri) for clip in found] == [True] * MOST_CLIPS + [False]
    assert sum(len(clip.uri) for clip in found) <= MOST_BYTES
    assert found[-1].reason == "no audio: a page holds 8 clips"


def test_no_room_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 9_000)
    info = info_of(corpus(tmp_path, 1.0, 1.0))
    first, second = clips([Wanted(info, "u0"), Wanted(info, "u1")], publishing=False)
    assert first.uri
    assert second.reason == "no audio: the clips of a page take 9 kB at most"


def test_a_corpus_that_changed_is_not_heard(tmp_path: Path) -> None:
    info = info_of(corpus(tmp_path, 1.0))
    audio_files.write(tmp_path / "u0.wav", seconds=1.0, hz=900)
    assert one(info).reason == "no audio: the corpus has changed since it was measured"


def test_a_corpus_that_is_gone_is_named(tmp_path: Path) -> None:
    info = info_of(corpus(tmp_path / "c", 1.0))
    (tmp_path / "c" / "u0.wav").unlink()
    assert one(info).reason.startswith("no audio: ")
    assert "manifest.jsonl:1" in one(info).reason


def test_an_unknown_utterance_or_server_ends_nothing(tmp_path: Path) -> None:
    info = info_of(corpus(tmp_path, 1.0))
    assert one(info, "u7").reason == "no audio: the corpus has no utterance u7"
    assert "unknown server 'nobody'" in one(info | {"server": "nobody"}).reason


def test_a_corpus_of_many_hours_is_not_read_again(tmp_path: Path) -> None:
    info = info_of(corpus(tmp_path, 1.0))
    long = info | {"corpus": info["corpus"] | {"audio_s": 5.4 * 3600}}
    assert one(long).reason == "no audio: the corpus has 5.4 hours, too many to be read again for a page"


def test_only_a_folder_that_says_so_is_published(tmp_path: Path) -> None:
    closed, open_one = corpus(tmp_path / "a", 1.0), corpus(tmp_path / "b", 1.0, publish_audio=True)
    assert one(info_of(closed), publishing=True) == Clip(reason=NOT_PUBLISHED)
    assert one(info_of(closed)).uri
    assert one(info_of(open_one), publishing=True).uri


@pytest.mark.parametrize("about", ["{", "[]", '{"publish_audio": "true"}', '{"publish_audio": 1}'])
def test_anything_but_true_is_no(tmp_path: Path, about: str) -> None:
    corpus(tmp_path, 1.0)
    (tmp_path / "corpus.json").write_text(about, encoding="utf-8")
    assert not may_be_published(str(tmp_path))


@pytest.mark.parametrize(
    "asked", [None, "samples?kind=paragraph", "tts:flite:slt?text=Hello.", {"path": "samples", "limit": 3}]
)
def test_what_the_project_made_itself_is_published(asked: Any) -> None:
    assert may_be_published(asked)


def test_a_single_file_asks_the_folder_around_it(tmp_path: Path) -> None:
    folder = corpus(tmp_path, 1.0, publish_audio=True)
    assert may_be_published(f"{folder / 'u0.wav'}?text=hello")
    (folder / "corpus.json").unlink()
    assert not may_be_published(f"{folder / 'u0.wav'}?text=hello")
