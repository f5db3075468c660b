"""The flags that the client verbs share: where the server is, what is sent to it, how much and how fast."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Final

import numpy as np
from cyclopts import Parameter

from yapbench.corpus import DEFAULT, Corpus, Utterance
from yapbench.errors import UsageError
from yapbench.load import LoadProfile, parse_levels

SAMPLE_RATE_HZ: Final = 16_000
"""Of clips that are padded or cut; a client resamples to what its wire carries."""


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
        Parameter(name=("--file", "--sample"), help="An audio file, or a sample's id or name. Default: all turns."),
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
    output: Annotated[Path | None, Parameter(help="Write the table as CSV, too.")] = None
    verbose: Annotated[bool, Parameter(negative="", help="Say how each request went.")] = False

    def profile(
        self, *, requests: int | None, duration_s: float | None = None, concurrency: str = "1", warmup: int
    ) -> LoadProfile:
        """The load, with a verb's defaults. Raises UsageError for values that cannot be run."""
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
        )

    def with_file(self, file: str) -> Options:
        """The same with another clip."""
        return replace(self, file=file)

    def corpus(self) -> Corpus:
        """What is sent. Raises UsageError for a file or sample that is not there."""
        chosen = Corpus.load(kind="turn") if self.file is None else _one(self.file)
        if self.seconds is None:
            return chosen
        if not 0 < self.seconds <= 3600:
            raise UsageError(f"--seconds={self.seconds:g}: expected a number above 0, at most 3600")
        fitted = [fit(utterance, self.seconds) for utterance in chosen]
        return Corpus.of(f"{chosen.name}, {self.seconds:g} s", fitted)


def fit(utterance: Utterance, seconds: float) -> Utterance:
    """The same clip, exactly so long: its last seconds, or silence before it, for a turn's end is at its end."""
    wanted = round(seconds * SAMPLE_RATE_HZ)
    audio = utterance.audio(SAMPLE_RATE_HZ)[-wanted:]
    samples = np.pad(audio, (wanted - len(audio), 0)).astype(np.float32)
    return replace(
        utterance,
        path=None,
        samples=samples,
        sample_rate_hz=SAMPLE_RATE_HZ,
        duration_s=wanted / SAMPLE_RATE_HZ,
        words=(),
        speech_end_s=None,
    )


def _one(text: str) -> Corpus:
    """A file of the user's, or one of the samples by its id or file name."""
    path = Path(text).expanduser()
    if path.is_file():
        clip = Utterance(id=path.stem, duration_s=1.0, path=path)
        duration_s = len(clip.audio(SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
        if not duration_s:
            raise UsageError(f"{path}: no audio in it")
        return Corpus.of(path.name, [replace(clip, duration_s=duration_s)])
    samples = {one.id: one for one in Corpus.load(DEFAULT)}
    by_name = {one.path.name: one for one in samples.values() if one.path}
    found = samples.get(text) or by_name.get(text)
    if found is None:
        raise UsageError.unknown("audio file or sample", text, [*by_name, *samples])
    return Corpus.of(text, [found])
