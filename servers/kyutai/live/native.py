"""The native encoding, moshi-server's: one MessagePack map a frame, `type` first in what is sent.

Source: https://github.com/kyutai-labs/moshi, rust/moshi-server/src/{asr,batched_asr}.rs. Flush and Final are this
server's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import msgpack

from servers.common.errors import BadInput
from servers.common.sockets import describe
from servers.kyutai.events import EndWord, Event, Failed, Marker, Ready, Step, Word
from servers.kyutai.events import Final as FinalText
from servers.kyutai.live.codec import Begin, Flush, Mark, Request, Sound, Wire
from servers.kyutai.live.opus import Opus, read_data
from servers.kyutai.live.pcm import read_pcm

AUDIO_HEAD: Final = b"\x82\xa4type\xa5Audio\xa3pcm"
"""How such a message begins as every known client packs it; the array follows, and nothing behind it."""
KINDS: Final = "Audio|OggOpus|Init|Marker|Flush"
IDS: Final = range(-(2**63), 2**64)
SINGLE: Final = msgpack.Packer(use_single_float=True)
DOUBLE: Final = msgpack.Packer()


class Native:
    """One connection's. Text frames ask for nothing: moshi-server ignores them."""

    def __init__(self) -> None:
        self._opus = Opus()

    def read(self, message: Wire) -> Request | None:
        """Raises BadInput, TooLarge (OggOpus) or Unsupported (OggOpus without its library); see also Sound."""
        if isinstance(message, str):
            return None
        if message.startswith(AUDIO_HEAD):
            return Sound(partial(read_pcm, message, len(AUDIO_HEAD), len(message)))
        fields = _read_map(message)
        match fields.get("type"):
            case "Audio":
                start, end = _place(fields, "pcm")
                return Sound(partial(read_pcm, message, start, end))
            case "OggOpus":
                start, end = _place(fields, "data")
                return Sound(partial(self._opus.decode, read_data(message, start, end)))
            case "Init":
                self._opus = Opus()
                return Begin()
            case "Marker":
                return Mark(_id(fields))
            case "Flush":
                return Flush()
            case None:
                raise BadInput("is missing", field="type", limit=KINDS)
            case kind:
                raise BadInput(f"unknown: {str(kind)[:40]!r}", field="type", limit=KINDS)

    def write(self, event: Event) -> Sequence[Wire]:
        return [_write(event)]

    def rest(self) -> Sequence[Wire]:
        return ()


def _write(event: Event) -> bytes:
    packer = SINGLE if isinstance(event, Step) else DOUBLE
    packed: bytes = packer.pack(_row(event))
    return packed


def _row(event: Event) -> dict[str, Any]:
    match event:
        case Step(step_idx, prs, buffered_pcm):
            return {"type": "Step", "step_idx": step_idx, "prs": prs, "buffered_pcm": buffered_pcm}
        case Word(text, start_s):
            return {"type": "Word", "text": text, "start_time": start_s}
        case EndWord(stop_s):
            return {"type": "EndWord", "stop_time": stop_s}
        case Marker(id):
            return {"type": "Marker", "id": id}
        case FinalText(text):
            return {"type": "Final", "text": text}
        case Failed(fault):
            return {"type": "Error", "message": describe(fault)}
        case Ready():
            return {"type": "Ready"}


def _read_map(message: bytes) -> dict[str, Any]:
    """`type` and `id`, and where the values of `pcm` and `data` begin and end; raises BadInput."""
    fields: dict[str, Any] = {}
    unpacker = msgpack.Unpacker(max_buffer_size=len(message), strict_map_key=False)
    try:
        unpacker.feed(message)
        for _ in range(unpacker.read_map_header()):
            key, start = unpacker.unpack(), unpacker.tell()
            if key in ("type", "id"):
                fields[key] = unpacker.unpack()
                continue
            unpacker.skip()
            if key in ("pcm", "data"):
                fields[key] = start, unpacker.tell()
    except (msgpack.UnpackException, ValueError, TypeError):
        raise BadInput("a binary frame holds one MessagePack map", field="message") from None
    if unpacker.tell() != len(message):
        raise BadInput("a binary frame holds one MessagePack map", field="message")
    return fields


def _place(fields: dict[str, Any], name: str) -> tuple[int, int]:
    if name not in fields:
        raise BadInput("is missing", field=name)
    start, end = fields[name]
    return start, end


def _id(fields: dict[str, Any]) -> int:
    if "id" not in fields:
        raise BadInput("is missing", field="id")
    found = fields["id"]
    if type(found) is not int or found not in IDS:
        raise BadInput("not a whole number", field="id", limit="64 bits")
    return found
