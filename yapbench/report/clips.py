"""Audio for a page: what a trial sent, found again by its corpus's name, cut short and written into the page as MP3.

A clip that cannot be had is replaced by the reason; nothing here ends a report. Knows corpora and data: URIs; does not
know why an utterance is shown.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import soundfile

from yapbench import axes
from yapbench.corpora import request
from yapbench.corpora.fields import SAMPLES
from yapbench.corpus import ABOUT, DEFAULT, Corpus, Utterance
from yapbench.errors import YapbenchError

LONGEST_S: Final = 8.0
SAMPLE_RATE_HZ: Final = 16_000
COMPRESSION: Final = 0.85
"""libsndfile's share of the way from LAME's highest to its lowest rate: 32 kbit/s here, always the same."""

MOST_CLIPS: Final = 8
MOST_BYTES: Final = 400_000
"""Of all clips of a page together, as they stand in it."""

MOST_HOURS: Final = 3.0
"""A longer corpus would take longer to be read and compared than a page may take."""

NOT_PUBLISHED: Final = "audio left out: the corpus does not allow publishing"

_TOLD: Final = ("client", "model", "corpus", "noise", "snr_db")
"""What decides which corpus a trial sends."""


@dataclass(frozen=True)
class Wanted:
    """An utterance of a trial; `end`: its last seconds are of interest rather than its first."""

    info: Mapping[str, Any]
    utterance_id: str
    end: bool = False


@dataclass(frozen=True)
class Clip:
    """A player, or the reason why there is none."""

    uri: str = ""
    """data:audio/mpeg;base64,..."""
    words: str = ""
    """Which part it is: "the first 8 s of 12.3 s"."""
    same_as: int | None = None
    """Its place among the clips, where an earlier one is the same."""
    reason: str = ""


def clips(wanted: Sequence[Wanted], *, publishing: bool) -> list[Clip]:
    """A clip for each, in their order, the same audio written once. `publishing`: only what may leave the machine."""
    shelf = _Shelf(publishing)
    return [shelf.clip(place, one) for place, one in enumerate(wanted)]


class _Shelf:
    """The corpora of a page, each opened once, and what its clips have taken so far."""

    def __init__(self, publishing: bool) -> None:
        self._publishing = publishing
        self._corpora: dict[str, dict[str, Utterance] | str] = {}
        self._places: dict[tuple[str, str, bool], int] = {}
        self._bytes = 0

    def clip(self, place: int, wanted: Wanted) -> Clip:
        name = json.dumps(_named(wanted.info), sort_keys=True, default=str)
        if name not in self._corpora:
            self._corpora[name] = _opened(wanted.info, publishing=self._publishing)
        corpus = self._corpora[name]
        if isinstance(corpus, str):
            return Clip(reason=corpus)
        if wanted.utterance_id not in corpus:
            return Clip(reason=f"no audio: the corpus has no utterance {wanted.utterance_id}")
        utterance = corpus[wanted.utterance_id]
        key = (name, utterance.id, wanted.end and utterance.duration_s > LONGEST_S)
        if key in self._places:
            return Clip(same_as=self._places[key])
        if len(self._places) >= MOST_CLIPS:
            return Clip(reason=f"no audio: a page holds {MOST_CLIPS} clips")
        try:
            uri, words = _written(utterance, end=wanted.end)
        except (YapbenchError, OSError, soundfile.SoundFileError) as error:
            return Clip(reason=f"no audio: {error}")
        if self._bytes + len(uri) > MOST_BYTES:
            return Clip(reason=f"no audio: the clips of a page take {MOST_BYTES // 1000} kB at most")
        self._bytes += len(uri)
        self._places[key] = place
        return Clip(uri, words)


def _named(info: Mapping[str, Any]) -> dict[str, Any]:
    asked = info.get("asked") or {}
    told = {name: asked[name] for name in _TOLD if asked.get(name) is not None}
    return {**told, "server": info.get("server"), "sha256": (info.get("corpus") or {}).get("sha256")}


def _opened(info: Mapping[str, Any], *, publishing: bool) -> dict[str, Utterance] | str:
    """The utterances that the trial sent, by id; or why they cannot be had."""
    facts = info.get("corpus") or {}
    hours = float(facts.get("audio_s") or 0.0) / 3600
    if hours > MOST_HOURS:
        return f"no audio: the corpus has {axes.plain(round(hours, 1))} hours, too many to be read again for a page"
    try:
        if publishing and not may_be_published((info.get("asked") or {}).get("corpus")):
            return NOT_PUBLISHED
        corpus = reopened(info)
    except (YapbenchError, OSError) as error:
        return f"no audio: {error}"
    if corpus.sha256 != facts.get("sha256"):
        return "no audio: the corpus has changed since it was measured"
    return {utterance.id: utterance for utterance in corpus}


def reopened(info: Mapping[str, Any]) -> Corpus:
    """The corpus that this trial's parameters name today. Raises as Trial.from_parameters does."""
    from yapbench.trial import Trial  # which knows all that can be measured: only a page with audio needs it

    asked = info.get("asked") or {}
    told = {name: asked[name] for name in _TOLD if asked.get(name) is not None}
    return Trial.from_parameters(str(info.get("server")), str(info.get("notebook")), told).corpus


def may_be_published(asked: Any) -> bool:
    """Whether audio of the corpus called `asked` may leave this machine.

    What a synthesiser spoke may, and the project's own samples; of other folders and files those whose corpus.json says
    `"publish_audio": true`. Raises UsageError for what names no corpus.
    """
    wanted = request.parse(asked, default=SAMPLES)
    if wanted.path is None:
        return True
    folder = (wanted.path if wanted.path.is_dir() else wanted.path.parent).resolve()
    return folder.is_relative_to(DEFAULT) or _says_so(folder / ABOUT)


def _says_so(path: Path) -> bool:
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(about, dict) and about.get("publish_audio") is True


def _written(utterance: Utterance, *, end: bool) -> tuple[str, str]:
    """(data: URI, which part it is) of an utterance as it is sent: mono, at SAMPLE_RATE_HZ."""
    samples = utterance.audio(SAMPLE_RATE_HZ)
    whole_s, most = len(samples) / SAMPLE_RATE_HZ, round(LONGEST_S * SAMPLE_RATE_HZ)
    cut = samples[-most:] if end else samples[:most]
    part = "all" if len(cut) == len(samples) else f"the {'last' if end else 'first'} {LONGEST_S:g} s of"
    sound = io.BytesIO()
    soundfile.write(
        sound,
        cut,
        SAMPLE_RATE_HZ,
        format="MP3",
        subtype="MPEG_LAYER_III",
        bitrate_mode="CONSTANT",
        compression_level=COMPRESSION,
    )
    return f"data:audio/mpeg;base64,{base64.b64encode(sound.getvalue()).decode()}", f"{part} {whole_s:.1f} s"
