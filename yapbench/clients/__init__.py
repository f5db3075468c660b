"""One file per wire. `build` finds a client by the name that catalog and plans use."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Final

from yapbench.clients.codec import Codec
from yapbench.clients.echo import EchoClient
from yapbench.clients.echo_stream import EchoJson, EchoMsgpack, EchoPcm
from yapbench.clients.echo_upload import EchoUpload
from yapbench.clients.fastconformer import FastConformer
from yapbench.clients.interface import Client, Event, Exchange
from yapbench.clients.kyutai import Kyutai
from yapbench.clients.kyutai_json import KyutaiJson
from yapbench.clients.kyutai_marker import KyutaiMarker
from yapbench.clients.parakeet import Parakeet
from yapbench.clients.parakeet_upload import ParakeetUpload
from yapbench.clients.smart_turn import SmartTurnClient
from yapbench.clients.upload import Upload
from yapbench.clients.voxtral import Voxtral
from yapbench.clients.voxtral_eager import VoxtralEager
from yapbench.clients.websocket import StreamClient
from yapbench.errors import UsageError
from yapbench.pacing.streaming import WHOLE_FILES, StreamOptions
from yapbench.pacing.timer import Pacer

__all__ = ["CLIENTS", "CODECS", "Client", "Event", "Exchange", "build", "require_end", "streams", "uploads"]

CLIENTS: Final[dict[str, Callable[..., Client[Any]]]] = {
    "echo": EchoClient,
    "echo_upload": EchoUpload,
    "parakeet_upload": ParakeetUpload,
    "smart_turn": SmartTurnClient,
}
"""Wires of requests and answers."""

CODECS: Final[dict[str, Codec]] = {
    "echo_pcm": EchoPcm(),
    "echo_json": EchoJson(),
    "echo_msgpack": EchoMsgpack(),
    "fastconformer": FastConformer(),
    "kyutai": Kyutai(),
    "kyutai_json": KyutaiJson(),
    "kyutai_marker": KyutaiMarker(),
    "parakeet": Parakeet(),
    "voxtral": Voxtral(),
    "voxtral_eager": VoxtralEager(),
}
"""Wires of streams."""


def streams(name: str) -> bool:
    """Whether what the client called `name` sends is measured as streams are: text against text, seconds of audio.

    So are uploads, which are streams without a clock. Raises UsageError for an unknown name.
    """
    return uploads(name) or name in CODECS


def uploads(name: str) -> bool:
    """Whether the client called `name` sends whole files. Raises UsageError for an unknown name."""
    if name not in CLIENTS and name not in CODECS:
        raise UsageError.unknown("client", name, [*CLIENTS, *CODECS])
    found = CLIENTS.get(name)
    return isinstance(found, type) and issubclass(found, Upload)


def require_end(name: str, options: StreamOptions) -> None:
    """Raise UsageError for an end-of-speech policy that the wire `name` does not have."""
    if uploads(name) != (options.eos == "file"):
        others = [other for other in (*CLIENTS, *CODECS) if uploads(other) != uploads(name)]
        raise UsageError(
            f"eos={options.eos!r} with client {name!r}, which "
            + ("sends whole files: leave it out" if uploads(name) else f"streams; whole files: {', '.join(others)}")
        )
    if options.eos == "silence" and not CODECS[name].finds_end:
        able = ", ".join(other for other, codec in CODECS.items() if codec.finds_end)
        raise UsageError(
            f"eos='silence' with client {name!r}: its server ends an utterance only when it is told to; "
            f"allowed: commit (silence: {able})"
        )


def build(
    name: str,
    url: str,
    *,
    timeout_s: float,
    environment: Mapping[str, str] | None = None,
    stream: StreamOptions | None = None,
    pacer: Pacer | None = None,
) -> Client[Any]:
    """A client of the wire `name` for the server at `url`; keys come from the environment (default: ours).

    `stream` and `pacer` are for wires that stream: how, and the process's one timer (default: one of its own).
    Raises UsageError for an unknown name, a URL that is not http(s), or a policy that the wire does not have.
    """
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"server URL {url!r} must begin with http:// or https://")
    keys = os.environ if environment is None else environment
    options = stream or (WHOLE_FILES if uploads(name) else StreamOptions())
    if streams(name):
        require_end(name, options)
    if name in CLIENTS:
        return CLIENTS[name](url, timeout_s=timeout_s, environment=keys)
    pacer = pacer or Pacer()
    return StreamClient(CODECS[name], url, timeout_s=timeout_s, environment=keys, options=options, pacer=pacer)
