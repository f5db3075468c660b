"""SubRip (.srt) and WebVTT (.vtt) of a transcript. Pure.

A cue holds at most two lines of 42 characters and at most 7 s, as subtitlers' guides ask; it ends with a sentence and
at a pause. Cues follow one another and never overlap.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from servers.parakeet.transcript import Transcript, Word

LINE_CHARS, LINES = 42, 2
CUE_S: Final = 7.0
PAUSE_S: Final = 1.0
LEAST_MS: Final = 1
"""A cue of no length is no cue."""
_ENDS: Final = (".", "?", "!")


@dataclass(frozen=True, slots=True)
class Cue:
    """Milliseconds of the file, and one or two lines of text."""

    start_ms: int
    end_ms: int
    lines: tuple[str, ...]


def srt(transcript: Transcript) -> str:
    """Numbered cues, each followed by an empty line."""
    return "".join(
        f"{number}\n{_clock(cue.start_ms, ',')} --> {_clock(cue.end_ms, ',')}\n" + "\n".join(cue.lines) + "\n\n"
        for number, cue in enumerate(cues(transcript.words), start=1)
    )


def vtt(transcript: Transcript) -> str:
    """As srt, with the header that WebVTT wants and its three special characters escaped."""
    return "WEBVTT\n\n" + "".join(
        f"{_clock(cue.start_ms, '.')} --> {_clock(cue.end_ms, '.')}\n" + "\n".join(map(_escape, cue.lines)) + "\n\n"
        for cue in cues(transcript.words)
    )


def cues(words: Sequence[Word]) -> list[Cue]:
    """All words, in their order; a word that is longer than a cue's lines is split."""
    found: list[Cue] = []
    for group in _groups(words):
        last_ms = found[-1].end_ms if found else 0
        start_ms = max(round(group[0].start_s * 1000), last_ms)
        latest_ms = start_ms + round(CUE_S * 1000)
        end_ms = max(min(round(group[-1].end_s * 1000), latest_ms), start_ms + LEAST_MS)
        lines = _wrap(group)
        for at in range(0, len(lines), LINES):  # more than one round for a monstrous word only
            share_ms = (end_ms - start_ms) * LINES // max(len(lines), LINES)
            upto_ms = end_ms if at + LINES >= len(lines) else start_ms + max(share_ms, LEAST_MS)
            found.append(Cue(start_ms, max(upto_ms, start_ms + LEAST_MS), tuple(lines[at : at + LINES])))
            start_ms = found[-1].end_ms
            end_ms = max(end_ms, start_ms + LEAST_MS)
    return found


def _groups(words: Sequence[Word]) -> Iterable[list[Word]]:
    group: list[Word] = []
    for word in words:
        if not word.text.strip():
            continue
        if group and (_is_over(group, word) or len(_wrap([*group, word])) > LINES):
            yield group
            group = []
        group.append(word)
    if group:
        yield group


def _is_over(group: Sequence[Word], word: Word) -> bool:
    last = group[-1]
    return (
        last.text.rstrip("\"')").endswith(_ENDS)
        or word.start_s - last.end_s >= PAUSE_S
        or word.end_s - group[0].start_s > CUE_S
    )


def _wrap(words: Sequence[Word]) -> list[str]:
    text = " ".join(" ".join(word.text.split()) for word in words)
    return textwrap.wrap(text, LINE_CHARS, break_on_hyphens=False)


def _clock(at_ms: int, mark: str) -> str:
    seconds, ms = divmod(at_ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{mark}{ms:03}"


def _escape(line: str) -> str:
    """WebVTT 1, section 4.2.2: & and < begin something, --> ends a cue's text."""
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
