"""The Voxtral wire as clients use it that wait for nothing: audio is sent as soon as the connection stands."""

from __future__ import annotations

from yapbench.clients.voxtral import Voxtral


class VoxtralEager(Voxtral):
    """Only the waiting differs; what is wrong with the session shows once the utterance has begun."""

    waits_for_ready = False
