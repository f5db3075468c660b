"""Folders in LibriSpeech's form: *.trans.txt files with "ID TEXT" lines, each beside its ID.flac.

Knows no manifest. Such folders name no word times and no language; LibriSpeech's own is English.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from yapbench.corpora import audio
from yapbench.corpus import Utterance, check
from yapbench.errors import UsageError

TRANSCRIPTS: Final = "*.trans.txt"
LANGUAGE: Final = "en"


def is_one(folder: Path) -> bool:
    """Whether a transcript file lies in `folder` or anywhere below it."""
    return next(folder.rglob(TRANSCRIPTS), None) is not None


def read(folder: Path, *, language: str | None, limit: int | None, need_text: bool) -> list[Utterance]:
    """The utterances below `folder` in the order of their files and lines, the first `limit` of them.

    Every line is held against the files beside it and every audio file against the lines; those that are kept are
    decoded to their end. Raises UsageError with the file and line of the first mistake.
    """
    lines: list[tuple[str, str, str, Path]] = []
    where_of: dict[str, str] = {}
    for transcripts in sorted(folder.rglob(TRANSCRIPTS)):
        named: set[Path] = set()
        beside = {path.stem: path for path in sorted(transcripts.parent.iterdir()) if path.suffix in audio.SUFFIXES}
        for where, clip_id, text in _lines(transcripts):
            if (earlier := where_of.setdefault(clip_id, where)) != where:
                raise UsageError(f"{where}: id {clip_id!r} was used in {earlier}")
            if clip_id not in beside:
                raise UsageError(f"{where}: transcript without audio: no {clip_id}.flac beside it")
            named.add(beside[clip_id])
            lines.append((where, clip_id, text, beside[clip_id]))
        _nothing_left(transcripts, set(beside.values()) - named)
    utterances = []
    for where, clip_id, text, path in lines[:limit]:
        try:
            found = audio.decode(path)
        except audio.BadAudio as error:
            raise UsageError(f"{where}: {path.name}: {error}") from error
        one = Utterance(id=clip_id, duration_s=found.duration_s, path=path, text=text, language=language or LANGUAGE)
        check(one, where=where, need_text=need_text)
        utterances.append(one)
    if not utterances:
        raise UsageError(f"{folder}: its {TRANSCRIPTS} files hold no line")
    return utterances


def _lines(transcripts: Path) -> list[tuple[str, str, str]]:
    """(file:line, id, text) of each line that is not blank."""
    try:
        content = transcripts.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{transcripts}: cannot be read: {error}") from error
    lines = []
    for number, line in enumerate(content.splitlines(), start=1):
        if line.strip():
            clip_id, *text = line.split(maxsplit=1)
            lines.append((f"{transcripts}:{number}", clip_id, " ".join(text).strip()))
    return lines


def _nothing_left(transcripts: Path, left: set[Path]) -> None:
    """Audio counts as forgotten only where no other transcript file lies in the folder to name it."""
    if left and len(list(transcripts.parent.glob(TRANSCRIPTS))) == 1:
        raise UsageError(f"{min(left)}: audio without transcript: no line of {transcripts.name} names it")
