"""The echo server's request route: the smart-turn wire, so that the client that is calibrated is the same."""

from __future__ import annotations

from yapbench.clients.smart_turn import SmartTurnClient


class EchoClient(SmartTurnClient):
    """A smart-turn user with echo's key."""

    key_variable = "ECHO_KEY"
