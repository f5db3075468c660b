"""The four big numbers of a page of streams. Knows points and words; knows no page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from yapbench import axes
from yapbench.captions import Number
from yapbench.measures import Point
from yapbench.obtained import SMALL_WORLDS
from yapbench.streams import captions
from yapbench.words import at, interval, ms, rate

FEW: Final = 30
"""Streams below which a number says how many it is of."""

_LABELS: Final = {"eos": "speech end to final, p50", "eos_due": "end due to final, p50"}


def numbers(points: Sequence[Point], slo_ms: float, *, server: str = "", currency: str = "") -> list[Number]:
    """The four big numbers, of the manner that comes first: streams within the SLO, EOS, TTFP, WER.

    What an hour of audio costs at so many streams joins the first one's note, in `currency`, where a price is known.

    Where audio had no clock, RTFx and audio seconds a second stand in place of the first two and there is no TTFP.
    """
    mine = next(iter(captions.manners(points).values()), [])
    names = axes.varying([p.setting for p in mine])
    wrong = _wer(mine, names, server)
    if mine and not captions.manner_of(mine[0]).pace:
        fastest = _best(mine, "rtfx", -1)
        most = _best(mine, "audio_s_per_s", -1)
        return [
            _number(fastest, "rtfx", "x", "RTFx, as fast as accepted", names),
            _number(most, "audio_s_per_s", "audio s/s", "most audio", names),
            Number(None, "ms", "EOS", "", "not real time: the audio has no clock"),
            wrong,
        ]
    since = captions.felt(mine)
    lightest = min((p.level for p in mine if p.valid), default=0.0)
    light = [p for p in mine if p.level == lightest]
    return [
        _most_streams(mine, slo_ms, names, currency),
        _number(_best(light, f"{since}_p50_ms", 1), f"{since}_p50_ms", "ms", _LABELS[since], names),
        _number(_best(light, "ttfp_p50_ms", 1), "ttfp_p50_ms", "ms", "onset to first words, p50", names),
        wrong,
    ]


def _most_streams(points: Sequence[Point], slo_ms: float, names: Sequence[str], currency: str) -> Number:
    found = captions.capacity(points, slo_ms)
    share = "p95" if found is None or "p95" in found.measure else "p50"
    label = f"within {axes.plain(float(slo_ms))} ms at {share}"
    kind = points[0].kind if points else "closed"
    unit = {"poisson": "calls/s", "burst": "at once"}.get(kind, "streams")
    if found is None:
        return Number(None, unit, label, "", "no valid point has an interval")
    best = found.best
    if best is None:
        return Number(None, unit, label, "", "not even the lightest load")
    setting = f" · {axes.label(best.setting, names)}" if names else ""
    value = best[found.measure]
    told = f"{share} {ms(value.value or 0.0)} ms ({ms(value.low or 0.0)}–{ms(value.high or 0.0)})"
    price = best["cost_per_audio_h"].value if currency else None
    cost = f" · {currency} {price:.2g} per hour of audio" if price is not None else ""
    return Number(axes.plain(best.level), unit, label, "", f"{told}{setting}{cost}")


def _best(points: Sequence[Point], measure: str, sign: int) -> Point | None:
    """The lowest (`sign` 1) or highest (-1) value of a valid point."""
    known = [p for p in points if p.valid and p[measure].value is not None]
    return min(known, key=lambda p: (sign * (p[measure].value or 0.0), p.trial_id), default=None)


def _number(point: Point | None, measure: str, unit: str, label: str, names: Sequence[str]) -> Number:
    if point is None:
        return Number(None, unit, label, "", "no valid point has this number")
    where = at([point], point.level)
    note = f"{where} · {axes.label(point.setting, names)}" if names else where
    note += f" · only {point[measure].n} utterances" if point[measure].n < FEW else ""
    return Number(rate(point[measure].value or 0.0), unit, label, interval(point[measure]), note)


def _wer(points: Sequence[Point], names: Sequence[str], server: str) -> Number:
    model = str(points[0].setting.get("model")) if points else ""
    small = f"WER, {model}'s small world" if model in SMALL_WORLDS else "WER"
    label = "scripted WER" if server in captions.SCRIPTED else small
    heaviest = max((p.level for p in points if p.valid and p["wer"].value is not None), default=None)
    best = _best([p for p in points if p.level == heaviest], "wer", 1)
    if best is None:
        why = next((p["wer"].reason for p in points if p["wer"].reason), "no utterance with a reference ended well")
        return Number(None, "%", label, "", why)
    found = _number(best, "wer", "%", label, names)
    value = best["wer"].scaled(100)
    return Number(rate(value.value or 0.0), "%", label, interval(value), found.note)
