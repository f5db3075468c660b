"""What `verify` looks at in a server that transcribes: what /status says of its model, and texts of a few samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from servers.voxtral.settings import TRAINED_DELAYS_MS
from yapbench import clients, wer
from yapbench.corpus import Corpus, Utterance
from yapbench.obtained import DELAY, WAITS
from yapbench.schema import Outcome
from yapbench.verbs import expected, speaking, spoken
from yapbench.verbs.options import Options
from yapbench.verbs.target import Target

SAMPLES: Final = 6
"""Where nothing is known of what the weights should say; the first one is spoken twice."""

MOST_WRONG: Final = 0.5
"""WER above which trained weights, spoken to in words that they know, cannot be what they should be."""

OF_TINY: Final = "-tiny-"
"""In the ids of samples whose words the tiny models have heard."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. `ok` None: it could not be, which is no failure."""

    what: str
    ok: bool | None
    said: str


@dataclass(frozen=True)
class Transcript:
    """What became of one sample."""

    utterance: Utterance
    outcome: Outcome
    text: str
    error: str

    @property
    def errors(self) -> wer.Errors:
        """Of its words, normalised; all of them, where it failed."""
        said = self.text if self.outcome is Outcome.OK else None
        return wer.score(self.utterance.text or "", said, language=self.utterance.language).words.errors


def speak(place: Target, status: Mapping[str, Any], *, timeout_s: float) -> list[Transcript]:
    """The samples, as fast as the server takes them, one after another; the first one again at the end."""
    samples = _samples(status)
    options = Options(timeout=timeout_s, rtf=0.0)
    found = []
    with speaking.speaker(place, options) as say:
        for utterance in [*samples, samples[0]]:
            one = say(utterance)
            found.append(
                Transcript(utterance, one.exchange.outcome, spoken.text_of(one.stream), one.exchange.error or "")
            )
    return found


def checks(client: str, status: Mapping[str, Any], heard: Sequence[Transcript]) -> list[Check]:
    """What /status says, then the texts."""
    return [*_of_status(client, status), *_of_texts(status, heard)]


def _samples(status: Mapping[str, Any]) -> list[Utterance]:
    known = known_texts(status)
    corpus = [one for one in Corpus.load(kind="turn") if one.label == "complete"]
    if known:
        return [one for one in corpus if one.id in known]
    is_tiny = _model_id(status) == "tiny"
    return [one for one in corpus if not is_tiny or OF_TINY in one.id][:SAMPLES]


def known_texts(status: Mapping[str, Any]) -> Mapping[str, str]:
    """What the weights say to some samples with this decoder and look-ahead or delay in float32, where it is known."""
    model = status.get("model") or {}
    if "float32" not in str(status.get("dtype")):
        return {}
    waits_ms = next((int(value) for name in WAITS if (value := status.get(name))), 0)
    return expected.TEXTS.get((str(model.get("sha256")), str(status.get("decoder") or ""), waits_ms), {})


def _of_status(client: str, status: Mapping[str, Any]) -> list[Check]:
    found = []
    rate_hz, wire_hz = status.get("sample_rate_hz"), clients.CODECS[client].sample_rate_hz
    if rate_hz is not None:
        said = f"{rate_hz} Hz" if rate_hz == wire_hz else f"the model's is {rate_hz} Hz, the wire carries {wire_hz} Hz"
        found.append(Check("sample rate", rate_hz == wire_hz, said))
    vocabulary = status.get("vocabulary")
    if vocabulary is not None:
        found.append(Check("vocabulary", vocabulary > 0, f"{vocabulary} pieces"))
    there, now = status.get("look_aheads_ms"), status.get("look_ahead_ms")
    if there is not None:
        said = f"{now} ms of {', '.join(map(str, there))} ms"
        found.append(Check("look-ahead", now in there, said))
    delay_ms, engine = status.get(DELAY), status.get("engine")
    if delay_ms is not None:
        trained = delay_ms in TRAINED_DELAYS_MS
        said = "" if trained else ", for which the published model has not been trained"
        found.append(Check("delay", True if trained else None, f"{delay_ms} ms{said}"))
    if engine is not None:
        found.append(Check("engine", bool(engine.get("available")), str(engine.get("state"))))
    return found


def _of_texts(status: Mapping[str, Any], heard: Sequence[Transcript]) -> list[Check]:
    failed = [f"{one.utterance.id} {one.outcome}: {one.error}" for one in heard if one.outcome is not Outcome.OK]
    said = f"{len(heard) - len(failed)} of {len(heard)} answered"
    found = [Check("answers", not failed, "; ".join([said, *failed[:3]]))]
    if not failed:
        first, again = heard[0], heard[-1]
        same = first.text == again.text
        said = f"{first.utterance.id}, twice: {first.text!r}" + ("" if same else f", then {again.text!r}")
        found.append(Check("always the same", same, said))
    known = known_texts(status)
    off = [one for one in heard if one.utterance.id in known and one.text != known[one.utterance.id]]
    if known:
        said = f"{len(heard) - len(off)} of {len(heard)} texts as they should be"
        said += "".join(f"; {one.utterance.id}: {one.text!r}, not {known[one.utterance.id]!r}" for one in off[:2])
        found.append(Check("texts", not off, said))
    else:
        said = "; ".join(f"{one.utterance.id}: {one.text!r}" for one in heard[:-1])
        found.append(Check("texts", None, f"nothing is known to compare with; {said}"))
    errors = sum((one.errors for one in heard[:-1]), wer.Errors())
    rate = errors.rate or 0.0
    words = f"{rate:.1%} ({errors.total} errors in {errors.reference} words of {len(heard) - 1} samples)"
    if _is_trained(status):
        found.append(Check("WER", rate <= MOST_WRONG, words))
    else:
        found.append(Check("WER", None, f"{words}; there is no trained model to judge"))
    return found


def _is_trained(status: Mapping[str, Any]) -> bool:
    model = status.get("model") or {}
    return bool(model.get("sha256")) and _model_id(status) != "random"


def _model_id(status: Mapping[str, Any]) -> str:
    return str((status.get("model") or {}).get("model_id"))
