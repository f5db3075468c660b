"""From what a user wrote to a Corpus that can be sent: finds out what lies at a path, reads it, adds noise.

Every mistake is a UsageError before anything is launched. The grammar is request.py's.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from yapbench.corpora import librispeech, loose, request, spoken, tts
from yapbench.corpora.cache import SpeechCache
from yapbench.corpora.noisy import with_noise
from yapbench.corpora.request import Request
from yapbench.corpus import MANIFEST, Corpus, Utterance
from yapbench.errors import UsageError

TURNS: Final = "samples?kind=turn"
PARAGRAPHS: Final = "samples?kind=paragraph&language=en"
SENTENCES: Final = "samples?kind=turn&label=complete"
SMALL_WORLD: Final = "samples?kind=turn&label=complete&id=*-tiny-*"
"""What is sent where no corpus is named: to a turn server, to a speech-to-text server, to a stand-in for one, to a
model that knows a small world."""


def open_corpus(
    asked: str | Path | Mapping[str, object] | None = None,
    *,
    default: str = TURNS,
    kind: str | None = None,
    but: str | None = None,
    need_text: bool = False,
    noise: object = None,
    snr_db: object = None,
    cache: SpeechCache | None = None,
) -> Corpus:
    """The corpus called `asked`, as docs/corpora.md describes the names; `default` where nothing is asked for.

    A manifest folder is narrowed to lines of `kind`, or to all `but` those of that kind, unless its name says `kind=`
    itself; other sources have no kinds.
    `need_text` wants a reference with words from every utterance. `noise` and `snr_db` are the parameters of the
    same names. What is made lies in `cache`, the user's own where none is given. Raises UsageError that names field
    and value, or file and line.
    """
    wanted = request.parse(asked, default=default, noise=noise, snr_db=snr_db)
    cache = cache or SpeechCache.of_user()
    if wanted.tts is not None:
        corpus = _spoken(wanted, cache)
    else:
        assert wanted.path is not None
        corpus = _from_path(wanted, wanted.path, kind=kind, but=but, need_text=need_text)
    if wanted.noise is None or wanted.snr_db is None:
        return corpus
    return with_noise(corpus, kind=wanted.noise, snr_db=wanted.snr_db, seed=wanted.noise_seed, cache=cache)


def _from_path(wanted: Request, path: Path, *, kind: str | None, but: str | None, need_text: bool) -> Corpus:
    if path.suffix == ".jsonl" or (path / MANIFEST).is_file():
        _refuse(wanted, "text", what=f"{path} has a manifest with texts of its own")
        return Corpus.load(
            path,
            kind=wanted.kind or kind,
            but=None if wanted.kind else but,
            split=wanted.split,
            language=wanted.language,
            label=wanted.label,
            ids=wanted.id,
            limit=wanted.limit,
            need_text=need_text,
        )
    _refuse(wanted, "kind", "split", "label", "id", what=f"{path} has no {MANIFEST} that would say so")
    if path.is_file():
        if len(wanted.text) > 1:
            raise UsageError(f"corpus: {len(wanted.text)} texts are given for the one file {path}")
        text = wanted.text[0] if wanted.text else None
        return _corpus(path, loose.read_file(path, text=text, language=wanted.language, need_text=need_text))
    if not path.is_dir():
        raise UsageError(f"corpus {str(path)!r}: no such file or folder; allowed: a path, samples, tts:ENGINE:VOICE")
    _refuse(wanted, "text", what=f"{path} is a folder, and a text belongs to one file")
    if librispeech.is_one(path):
        read = librispeech.read
    elif loose.audio_files(path):
        read = loose.read_folder
    else:
        raise UsageError(f"{path}: expected {MANIFEST}, {librispeech.TRANSCRIPTS} files or audio files in it")
    return _corpus(path, read(path, language=wanted.language, limit=wanted.limit, need_text=need_text))


def _corpus(path: Path, utterances: list[Utterance]) -> Corpus:
    return Corpus.of(path.resolve().name, utterances)


def _refuse(wanted: Request, *names: str, what: str) -> None:
    if given := wanted.given(*names):
        raise UsageError(f"corpus: {given[0]} {getattr(wanted, given[0])!r} does not apply: {what}")


def _spoken(wanted: Request, cache: SpeechCache) -> Corpus:
    assert wanted.tts is not None
    engine = tts.build(wanted.tts)
    voice = wanted.voice or engine.default_voice
    if wanted.text:
        texts = spoken.given(wanted.text)
    elif wanted.texts:
        texts = spoken.lines(wanted.texts)
    else:
        texts = spoken.pool(engine.language(voice), length=wanted.length)
    texts = texts[: wanted.limit]
    return spoken.speak(texts, engine=engine, voice=voice, rate=wanted.rate, pitch=wanted.pitch, cache=cache)
