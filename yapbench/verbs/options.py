"""The flags that the client verbs share: where the server is, what is sent to it, how much and how fast."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Final

import numpy as np
from cyclopts import Parameter

from yapbench import clients
from yapbench.corpora.opening import PARAGRAPHS, open_corpus
from yapbench.corpus import DEFAULT, Corpus, Utterance, Word
from yapbench.errors import UsageError
from yapbench.load import LoadProfile, parse_levels
from yapbench.pacing.streaming import WHOLE_FILES, Eos, StreamOptions

SAMPLE_RATE_HZ: Final = 16_000
"""Of clips that are padded or cut; a client resamples to what its wire carries."""
_OF_FRAMES: Final = ("rtf", "frame_ms", "eos", "post_wait")
_OF_STREAMS: Final = (*_OF_FRAMES, "print_partials", "full_text")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Options:
    """What a client verb was asked for; None is "the verb's own default"."""

    url: Annotated[
        str | None,
        Parameter(name=("--url", "--server"), help="Of the server, or HOST:PORT. Default: the one that is `up`."),
    ] = None
    secure: Annotated[bool, Parameter(negative="", help="TLS, where --url does not say. *.runpod.net has it.")] = False
    file: Annotated[
        str | None,
        Parameter(
            name=("--file", "--sample"),
            help="An audio file, a sample's id or name, or a corpus (docs/corpora.md). Default: all turns; for "
            "streams, the English paragraphs; for a tiny model that knows a small world, sentences of that.",
        ),
    ] = None
    seconds: Annotated[
        float | None, Parameter(help="Make every clip so long: the last seconds, or silence before them.")
    ] = None
    requests: Annotated[int | None, Parameter(name=("--requests", "--n"), help="Counted requests of a level.")] = None
    concurrency: Annotated[
        str | None, Parameter(help="Users at once, each waiting for its answer. A list, 1,4,8, is a ramp.")
    ] = None
    duration: Annotated[float | None, Parameter(help="Seconds of a level, instead of a count.")] = None
    key: Annotated[
        str | None,
        Parameter(help="The server's key. Better in the environment or .env: a command line is seen by everybody."),
    ] = field(default=None, repr=False)
    timeout: Annotated[float, Parameter(help="Seconds after which an answer is given up.")] = 30.0
    client: Annotated[
        str | None, Parameter(help="The wire: a name of yapbench.clients. Default: the server's first one.")
    ] = None
    rtf: Annotated[
        float | None,
        Parameter(help="Streams: seconds of audio a second. 1 (default) is live; 0: as fast as the server takes it."),
    ] = None
    frame_ms: Annotated[float | None, Parameter(help="Streams: audio in each frame, in ms. Default 80.")] = None
    eos: Annotated[
        Eos | None, Parameter(help="Streams: who ends an utterance. commit (default): we. silence: the server.")
    ] = None
    post_wait: Annotated[
        float | None,
        Parameter(help="Streams: seconds from the end of speech to the last result, at most. Default 30."),
    ] = None
    print_partials: Annotated[bool, Parameter(negative="", help="Streams: show partials as they come.")] = False
    full_text: Annotated[
        bool, Parameter(negative="", help="Streams: show final texts to their end, and store them.")
    ] = False
    gpu_id: Annotated[
        str | None, Parameter(help="GPUs to watch: 0 or 0,1. Default: those of the server's processes.")
    ] = None
    output: Annotated[Path | None, Parameter(help="Write the table as CSV, too.")] = None
    verbose: Annotated[bool, Parameter(negative="", help="Say how each request went.")] = False

    def profile(
        self,
        *,
        requests: int | None,
        duration_s: float | None = None,
        concurrency: str = "1",
        warmup: int,
        stream: StreamOptions | None = None,
    ) -> LoadProfile:
        """The load, with a verb's defaults; `stream` where the client streams. Raises UsageError for values that
        cannot be run.
        """
        if self.requests is not None or self.duration is not None:
            requests, duration_s = self.requests, self.duration
        levels = parse_levels(self.concurrency or concurrency)
        return LoadProfile(
            kind="ramp" if len(levels) > 1 else "closed",
            levels=levels,
            requests=requests,
            duration_s=duration_s,
            warmup=warmup,
            timeout_s=self.timeout,
            stream=stream,
        )

    def stream(self, client: str | None = None) -> StreamOptions:
        """How utterances are streamed. Raises UsageError that names the flag, its value and the limit.

        With `client` also for a policy that its wire does not have.
        """
        for flag, value, least, most in (
            ("--rtf", self.rtf, 0.0, 1000.0),
            ("--frame-ms", self.frame_ms, 1.0, 60_000.0),
            ("--post-wait", self.post_wait, 0.001, 86_400.0),
            ("--timeout", self.timeout, 0.001, 86_400.0),
        ):
            if value is not None and not least <= value <= most:  # NaN is refused, too
                raise UsageError(f"{flag}={value:g}: expected a number from {least:g} to {most:g}")
        if self.eos == "silence" and self.rtf == 0:
            raise UsageError("--eos=silence with --rtf=0: there is no end to silence as fast as it is accepted")
        given = {"pace": self.rtf, "frame_ms": self.frame_ms, "eos": self.eos, "post_wait_s": self.post_wait}
        if client is not None and clients.uploads(client):
            for name in _OF_FRAMES:
                if getattr(self, name) is not None:
                    raise UsageError(f"--{name.replace('_', '-')}: client {client!r} sends whole files")
            return WHOLE_FILES
        options = StreamOptions(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
        if client is not None:
            clients.require_end(client, options)
        return options

    def refuse_streaming(self, client: str) -> None:
        """Raise UsageError when a flag was given that only a client that streams knows."""
        for name in _OF_STREAMS:
            if getattr(self, name) not in (None, False):
                raise UsageError(f"--{name.replace('_', '-')}: client {client!r} does not stream")

    def gpu_ids(self) -> list[int] | None:
        """The GPUs to watch; None: those of the server. Raises UsageError for what is no list of numbers."""
        if self.gpu_id is None:
            return None
        try:
            found = [int(part) for part in self.gpu_id.split(",")]
        except ValueError:
            found = [-1]
        if min(found) < 0:
            raise UsageError(f"--gpu-id={self.gpu_id}: expected numbers from 0 with commas, such as 0,1")
        return found

    def with_file(self, file: str) -> Options:
        """The same with another clip."""
        return replace(self, file=file)

    def corpus(self, *, streams: bool = False, usual: Callable[[], str] = lambda: PARAGRAPHS) -> Corpus:
        """What is sent; `usual` names what a server of streams is sent where the user names nothing.

        Raises UsageError for a file or sample that is not there or cannot be decoded.
        """
        if self.file is None:
            chosen = open_corpus(default=usual()) if streams else Corpus.load(kind="turn")
        else:
            chosen = _named(self.file)
        if self.seconds is None:
            return chosen
        if not 0 < self.seconds <= 3600:
            raise UsageError(f"--seconds={self.seconds:g}: expected a number above 0, at most 3600")
        fitted = [fit(utterance, self.seconds) for utterance in chosen]
        return Corpus.of(f"{chosen.name}, {self.seconds:g} s", fitted)


def fit(utterance: Utterance, seconds: float) -> Utterance:
    """The same clip, exactly so long: its last seconds, or silence before it, for an utterance's end is at its end.

    Words keep their places in the audio. A clip that was cut has the text of the words that are left whole; none
    where their times are not known.
    """
    wanted = round(seconds * SAMPLE_RATE_HZ)
    whole = utterance.audio(SAMPLE_RATE_HZ)
    shift_s = (wanted - len(whole)) / SAMPLE_RATE_HZ
    samples = np.pad(whole[-wanted:], (max(0, wanted - len(whole)), 0)).astype(np.float32)
    words = tuple(
        Word(word.word, word.start_s + shift_s, word.end_s + shift_s)
        for word in utterance.words
        if word.start_s + shift_s >= 0
    )
    text, end_s = utterance.text, utterance.speech_end_s
    if shift_s < 0 and len(words) < max(1, len(utterance.words)):
        text = " ".join(word.word for word in words) if words else None
    return replace(
        utterance,
        path=None,
        samples=samples,
        sample_rate_hz=SAMPLE_RATE_HZ,
        duration_s=wanted / SAMPLE_RATE_HZ,
        text=text,
        words=words,
        speech_end_s=None if end_s is None or end_s + shift_s <= 0 else end_s + shift_s,
    )


def _named(text: str) -> Corpus:
    """A file or corpus of the user's, or one of the samples by its id or file name."""
    path = Path(text).expanduser()
    if path.exists() or text.startswith("tts:") or "?" in text:
        return open_corpus(str(path) if path.exists() else text)
    samples = {one.id: one for one in Corpus.load(DEFAULT)}
    by_name = {one.path.name: one for one in samples.values() if one.path}
    found = samples.get(text) or by_name.get(text)
    if found is None:
        raise UsageError.unknown("audio file or sample", text, [*by_name, *samples])
    return Corpus.of(text, [found])
