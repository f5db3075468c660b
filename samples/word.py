"""A spoken word and when it was spoken."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Word:
    """One blank-separated word without its punctuation, in seconds from the first sample."""

    word: str
    start_s: float
    end_s: float
