"""What an utterance is to the engine: its audio in one or more requests, and one text out of them."""

from servers.voxtral.speech.hearing import Hearing

__all__ = ["Hearing"]
