"""A corpus with noise laid over every utterance: the same seed gives the same audio, and so the same hash.

Knows files and the cache; the arithmetic is noise.py's.
"""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from yapbench.corpora import noise
from yapbench.corpora.cache import Made, SpeechCache
from yapbench.corpora.noise import Noise
from yapbench.corpus import Corpus, Utterance
from yapbench.errors import UsageError

VERSION: Final = 1
"""Rises when the same recipe gives other samples."""

SAMPLE_RATE_HZ: Final = 16_000
"""Of what is mixed. An SNR holds for a bandwidth: noise above 8 kHz would be lost on the way to most models."""

TALKERS: Final = 6
FEWEST_TALKERS: Final = 3
"""With fewer other utterances than this, the talkers of babble come from the project's own paragraphs."""


def with_noise(corpus: Corpus, *, kind: Noise, snr_db: float, seed: int, cache: SpeechCache) -> Corpus:
    """`corpus` at `snr_db` over noise of `kind`, every utterance with noise of its own, at SAMPLE_RATE_HZ.

    Each utterance's facts say what was added and by which gain a mix was turned down to stay below full scale.
    Raises UsageError naming an utterance without speech in it.
    """
    hashes = _Hashes()
    crowd, crowd_from = _crowd(corpus) if kind == "babble" else ([], "")
    noisy = []
    for utterance in corpus:
        others = [one for one in crowd if one.id != utterance.id]
        talkers = _choose(others, seed=seed, clip_id=utterance.id)
        recipe = {
            "made": "noise",
            "version": VERSION,
            "speech": hashes.of(utterance),
            "noise": kind,
            "snr_db": snr_db,
            "seed": [seed, utterance.id],
            "talkers": [hashes.of(talker) for talker in talkers],
            "sample_rate_hz": SAMPLE_RATE_HZ,
        }
        make = functools.partial(_mixed, utterance, talkers, kind=kind, snr_db=snr_db, seed=seed)
        kept = cache.get(recipe, make)
        told = {"babble_from": crowd_from} if kind == "babble" else {}
        facts: dict[str, str | float] = {**utterance.facts, "noise": kind, "snr_db": snr_db, "noise_seed": seed, **told}
        noisy.append(
            replace(
                utterance,
                path=kept.path,
                samples=None,
                sample_rate_hz=None,
                duration_s=kept.duration_s,
                facts={**facts, **kept.facts},
            )
        )
    turned_down = sum(float(one.facts["gain"]) < 1 for one in noisy)
    made = Corpus.of(f"{corpus.name}, {kind} noise at {snr_db:g} dB", noisy)
    how: dict[str, str | float] = {"noise": kind, "snr_db": snr_db, "noise_seed": seed, "turned_down": turned_down}
    note = f"{kind.capitalize()} noise was added at an SNR of {snr_db:g} dB (seed {seed})."
    return replace(made, note=f"{corpus.note} {note}".strip(), source={**corpus.source, **how})


def _mixed(utterance: Utterance, talkers: list[Utterance], *, kind: Noise, snr_db: float, seed: int) -> Made:
    speech = utterance.audio(SAMPLE_RATE_HZ)
    rng = _rng("noise", seed, utterance.id)
    try:
        below = _noise(kind, len(speech), rng, talkers)
        samples, gain = noise.mix(speech, below, snr_db=snr_db, sample_rate_hz=SAMPLE_RATE_HZ)
    except ValueError as error:
        raise UsageError(f"{utterance.path or utterance.id}: no noise can be added: {error}") from error
    return Made(samples=samples, sample_rate_hz=SAMPLE_RATE_HZ, facts={"gain": round(gain, 6)})


def _noise(kind: Noise, count: int, rng: np.random.Generator, talkers: list[Utterance]) -> NDArray[np.float64]:
    if kind == "babble":
        voices = [talker.audio(SAMPLE_RATE_HZ) for talker in talkers]
        return noise.babble(count, rng, voices, sample_rate_hz=SAMPLE_RATE_HZ)
    return noise.white(count, rng) if kind == "white" else noise.pink(count, rng)


def _crowd(corpus: Corpus) -> tuple[list[Utterance], str]:
    """Whose voices make babble, and where they come from."""
    if len(corpus) > FEWEST_TALKERS:
        return list(corpus), "corpus"
    return list(Corpus.load(kind="paragraph", language="en")), "samples"


def _choose(others: list[Utterance], *, seed: int, clip_id: str) -> list[Utterance]:
    order = _rng("talkers", seed, clip_id).permutation(len(others))
    return [others[index] for index in order[:TALKERS]]


def _rng(*parts: object) -> np.random.Generator:
    """A generator of its own for every purpose, seed and clip: no clip's noise depends on its neighbours."""
    digest = hashlib.sha256(json.dumps(parts).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


class _Hashes:
    """Hashes of clips' audio, each taken once."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def of(self, utterance: Utterance) -> str:
        place = str(utterance.path or utterance.id)
        if place not in self._known:
            if utterance.samples is not None:
                content = np.ascontiguousarray(utterance.samples, "<f4").tobytes()
                content += str(utterance.sample_rate_hz).encode()
            else:
                assert utterance.path is not None
                content = utterance.path.read_bytes()
            self._known[place] = hashlib.sha256(content).hexdigest()
        return self._known[place]
