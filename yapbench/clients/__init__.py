"""One file per wire. `build` finds a client by the name that catalog and plans use."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Final

from yapbench.clients.echo import EchoClient
from yapbench.clients.interface import Client, Event, Exchange
from yapbench.clients.smart_turn import SmartTurnClient
from yapbench.errors import UsageError

__all__ = ["CLIENTS", "Client", "Event", "Exchange", "build"]

CLIENTS: Final[dict[str, Callable[..., Client[Any]]]] = {
    "echo": EchoClient,
    "smart_turn": SmartTurnClient,
}


def build(name: str, url: str, *, timeout_s: float, environment: Mapping[str, str] | None = None) -> Client[Any]:
    """A client of the wire `name` for the server at `url`; keys come from the environment (default: ours).

    Raises UsageError for an unknown name or a URL that is not http(s).
    """
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"server URL {url!r} must begin with http:// or https://")
    if name not in CLIENTS:
        raise UsageError.unknown("client", name, CLIENTS)
    keys = os.environ if environment is None else environment
    return CLIENTS[name](url, timeout_s=timeout_s, environment=keys)
