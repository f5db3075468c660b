"""Audio files without a manifest: one file, or a folder of them, each with or without its words in a .txt beside it.

Knows no word times; a language only where the user names one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from yapbench.corpora import audio
from yapbench.corpus import Utterance, check
from yapbench.errors import UsageError

TRANSCRIPT: Final = ".txt"


def read_file(path: Path, *, text: str | None, language: str | None, need_text: bool) -> list[Utterance]:
    """The one utterance in `path`; `text` wins over a transcript beside it. Raises UsageError naming the file."""
    return [_utterance(path, clip_id=path.stem, text=text, language=language, need_text=need_text)]


def read_folder(folder: Path, *, language: str | None, limit: int | None, need_text: bool) -> list[Utterance]:
    """Every audio file below `folder` in the order of names, the first `limit` of them; ids are paths without suffix.

    Once one .txt lies there, every audio file needs one, and every .txt its audio. Raises UsageError naming the file.
    """
    files: dict[Path, Path] = {}
    for path in audio_files(folder):
        if (earlier := files.setdefault(path.with_suffix(""), path)) != path:
            raise UsageError(f"{path}: has the same id as {earlier.name}")
    transcripts = sorted(folder.rglob(f"*{TRANSCRIPT}"))
    for transcript in transcripts:
        if transcript.with_suffix("") not in files:
            raise UsageError(f"{transcript}: transcript without audio: no {transcript.stem}.flac or .wav beside it")
    utterances: list[Utterance] = []
    for stem, path in files.items():
        if transcripts and not stem.with_name(f"{stem.name}{TRANSCRIPT}").is_file():
            raise UsageError(f"{path}: audio without transcript: no {stem.name}{TRANSCRIPT} beside it, as others have")
        if limit is None or len(utterances) < limit:
            clip_id = stem.relative_to(folder).as_posix()
            utterances.append(_utterance(path, clip_id=clip_id, text=None, language=language, need_text=need_text))
    return utterances


def audio_files(folder: Path) -> list[Path]:
    """Files below `folder` that are audio by their suffix, in the order of names."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in audio.SUFFIXES)


def _utterance(path: Path, *, clip_id: str, text: str | None, language: str | None, need_text: bool) -> Utterance:
    where, transcript = str(path), path.with_name(f"{path.stem}{TRANSCRIPT}")
    if text is None and transcript.is_file():
        where = f"{transcript}:1"
        try:
            text = " ".join(transcript.read_text(encoding="utf-8").split())
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{transcript}: cannot be read: {error}") from error
    try:
        found = audio.decode(path)
    except audio.BadAudio as error:
        raise UsageError(f"{path}: {error}") from error
    one = Utterance(id=clip_id, duration_s=found.duration_s, path=path, text=text, language=language)
    check(one, where=where, need_text=need_text)
    return one
