"""What `echo` has to say: a script of transcripts, in turn or by what is heard. Pure but for reading the file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from servers.common.errors import StartupRefused

_WORDS: Final = ["the", "quick", "brown", "fox", "jumps", "over", "the", "lazy", "dog"]
_WORD_S: Final = 0.3


class Partial(BaseModel):
    """A text that is due once so much audio of the utterance has arrived."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    audio_s: float = Field(ge=0)
    text: str


class Lines(BaseModel):
    """What one utterance is answered with. Partials stand in the order of their times."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    partials: tuple[Partial, ...] = ()
    final: str
    heard: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    """SHA-256 of the first `heard_bytes` of PCM16 from the first sample on that is not zero."""
    heard_bytes: int = Field(default=3200, ge=2, le=1_000_000)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        times = [partial.audio_s for partial in self.partials]
        if times != sorted(times):
            raise ValueError("the partials are not in the order of audio_s")
        return self


UNKNOWN: Final = Lines(final="")
"""For a sound that the script does not know: never somebody else's words."""


class Script:
    """The transcripts of a server. Raises ValueError where only some of them say what is heard."""

    def __init__(self, lines: Sequence[Lines]) -> None:
        self._in_turn = tuple(lines)
        self._by_sound = {(one.heard_bytes, one.heard): one for one in lines if one.heard is not None}
        if not lines:
            raise ValueError("no utterance in it")
        if self._by_sound and any(one.heard is None for one in lines):
            raise ValueError("either all utterances say what is heard, or none does")
        self.sizes = tuple(sorted({size for size, _ in self._by_sound}))
        """So many bytes of sound have to be looked up, one after another; empty: the utterances come in turn."""

    def in_turn(self, number: int) -> Lines:
        """The lines of a session's utterance number `number`."""
        return self._in_turn[number % len(self._in_turn)]

    def of_sound(self, sound: bytes | bytearray, size: int) -> Lines | None:
        """The lines that belong to PCM16 that begins with `sound`, which a short clip is filled up with silence."""
        digest = hashlib.sha256(sound[:size].ljust(size, b"\0")).hexdigest()
        return self._by_sound.get((size, digest))

    def recognise(self, pcm: bytes) -> Lines:
        """The lines of a whole clip; without any that say what is heard, the first ones."""
        if not self.sizes:
            return self.in_turn(0)
        ear = Ear(self)
        return ear.listen(pcm) or ear.give_up()


class Ear:
    """Listens to one utterance until it is known."""

    def __init__(self, script: Script) -> None:
        self._script, self._waiting = script, list(script.sizes)
        self._bytes = 0
        self._sound = bytearray()

    def listen(self, audio: bytes) -> Lines | None:
        """More PCM16, cut anywhere; None: not known yet."""
        if not self._sound:
            sound = audio.lstrip(b"\0")
            before = self._bytes + len(audio) - len(sound)
            self._bytes += len(audio)
            audio = b"\0" + sound if sound and before % 2 else sound  # the first half of a sample may be zero
        self._sound += audio
        while self._waiting and len(self._sound) >= self._waiting[0]:
            if lines := self._script.of_sound(self._sound, self._waiting.pop(0)):
                return lines
        return None if self._waiting else UNKNOWN

    def give_up(self) -> Lines:
        """Nothing more will come."""
        found = (self._script.of_sound(self._sound, size) for size in self._waiting)
        return next(filter(None, found), UNKNOWN)


def read_script(path: Path | None) -> Script:
    """The script in a file; without a file nine words, one each 300 ms.

    The file holds one object, or a list of them: {"partials": [{"audio_s": 0.3, "text": "hello"}], "final":
    "hello world"}, each with "heard" or none. Raises StartupRefused when it cannot be read.
    """
    if path is None:
        partials = [
            Partial(audio_s=_WORD_S * count, text=" ".join(_WORDS[:count])) for count in range(1, len(_WORDS) + 1)
        ]
        return Script([Lines(partials=tuple(partials), final=" ".join(_WORDS))])
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        lines = TypeAdapter(tuple[Lines, ...]).validate_python(data if isinstance(data, list) else [data])
        return Script(lines)
    except (OSError, ValueError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        reason = f"{first['loc']}: {first['msg']}" if first else str(error)
        raise StartupRefused(f"--script={path}: {reason}") from error
