"""Points, trials and facts as the rows of the page's tables. What is not known is a dash with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from yapbench import axes
from yapbench.measures import Point
from yapbench.obtained import compile_words
from yapbench.report.gather import Gathered
from yapbench.stats import Estimate
from yapbench.store import TrialData
from yapbench.words import at, interval, rate

DASH: Final = "–"

_SHARES: Final = ("goodput_share", "wer", "substitutions", "deletions", "insertions")
"""Measures shown in per cent."""
_SMALL: Final = ("cpu_s_per_audio_s",)
"""Measures with three decimals."""


@dataclass(frozen=True)
class Cell:
    """A number in the table; `text` is a dash where there is none, and `hint` says why or gives the interval."""

    text: str
    sort: float | str
    hint: str
    faint: bool = False


def cell(value: Estimate, *, factor: float = 1.0, digits: int | None = None) -> Cell:
    if value.value is None:
        return Cell(DASH, -1.0, value.reason or "not known", faint=True)
    scaled = value.scaled(factor)
    number = scaled.value or 0.0
    text = f"{number:.{digits}f}" if digits is not None else rate(number)
    if digits is not None and scaled.low is not None and scaled.high is not None:
        bounds = f"{scaled.low:.{digits}f}–{scaled.high:.{digits}f}"
    else:
        bounds = interval(scaled)
    hint = f"95 % interval {bounds}; n {value.n}" if bounds else f"no interval; n {value.n}"
    return Cell(text, number, f"{hint}; indicative only" if value.indicative else hint, faint=value.indicative)


def _cell(name: str, value: Estimate) -> Cell:
    if name in _SHARES:
        return percent(value)
    return cell(value, digits=3) if name in _SMALL else cell(value)


def percent(value: Estimate) -> Cell:
    return cell(value, factor=100)


def point_row(point: Point, names: Sequence[str], columns: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """One line of the table of all points; `columns`: (measure, title)."""
    failures = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in point.failures.items())
    return {
        "trial_id": point.trial_id,
        "valid": point.valid,
        "verdict": str(point.validity.verdict),
        "reasons": "; ".join(point.validity.reasons) or _lateness(point),
        "settings": [axes.plain(point.setting.get(name)) for name in names],
        "level": axes.plain(point.level),
        "words": f"{axes.label(point.setting, names)}, {at([point], point.level)}",
        "n": point.n,
        "failed": sum(point.failures.values()),
        "failures": failures or ("every stream ended well" if point.streams else "every request was answered"),
        "cells": [_cell(name, point[name]) for name, _ in columns],
    }


def _lateness(point: Point) -> str:
    late, lag = point.validity.lateness_p99_ms, point.validity.loop_lag_p99_ms
    parts = [f"client lateness p99 {late:.2f} ms" if late is not None else "client lateness not known"]
    parts.append(f"load process lag p99 {lag:.2f} ms" if lag is not None else "load process lag not known")
    if point.validity.others_percent is None:
        parts.append("others' CPU use not known")
    else:
        parts.append(f"others used {point.validity.others_percent:.0f} % of the cores")
    return "; ".join(parts)


def asked(points: Sequence[Point]) -> int:
    return sum(point.n for point in points)


def failure_row(trial: TrialData) -> dict[str, str]:
    failure = trial.info.get("failure") or {}
    asked = trial.info.get("asked") or trial.info.get("settings") or {}
    return {
        "trial_id": str(trial.info["trial_id"]),
        "setting": " · ".join(f"{name} {axes.plain(value)}" for name, value in sorted(asked.items())),
        "code": str(failure.get("code", "unknown")).replace("_", " "),
        "message": str(failure.get("message", "no reason was stored")),
        "log": str(failure.get("log_tail") or ""),
    }


def facts(gathered: Gathered) -> list[tuple[str, str]]:
    """Machine, model, versions and data, one line each; what differs between trials is listed in full."""
    wanted = (
        ("Processor", ("machine", "cpu_model")),
        ("Cores", ("machine", "cores")),
        ("Memory, bytes", ("machine", "memory_bytes")),
        ("System", ("machine", "os")),
        ("Kernel", ("machine", "kernel")),
        ("Virtualization", ("machine", "virtualization")),
        ("Model", ("model", "model_id")),
        ("Model revision", ("model", "revision")),
        ("Weights sha256", ("model", "sha256")),
        ("Device", ("obtained", "device")),
        ("Data type", ("obtained", "dtype")),
        ("Backend", ("obtained", "backend")),
        ("Corpus", ("corpus", "name")),
        ("Utterances", ("corpus", "utterances")),
        ("Corpus sha256", ("corpus", "sha256")),
        ("Server code sha256", ("code_sha256",)),
        ("Environment sha256", ("environment", "sha256")),
        ("Commit", ("git", "commit")),
        ("Server command", ("server_command",)),
    )
    facts = [(title, "; ".join(gathered.all_of(*path)) or f"{DASH} not stored") for title, path in wanted]
    gpus = [axes.plain(gpu.get("name", gpu) if isinstance(gpu, dict) else gpu) for gpu in _gpus(gathered.info)]
    facts.insert(6, ("GPUs", ", ".join(gpus) or "none"))
    compiled = dict.fromkeys(filter(None, (compile_words(t.info.get("obtained") or {}) for t in gathered.trials)))
    if compiled:
        facts.append(("Compiling", "; ".join(compiled)))
    versions = {
        **(gathered.info.get("versions") or {}),
        **((gathered.info.get("environment") or {}).get("packages") or {}),
    }
    dirty = {"on": "yes", "off": "no"}
    changed = [dirty.get(word, word) for word in gathered.all_of("git", "dirty")]
    facts.append(("Uncommitted changes", " and ".join(changed) or f"{DASH} not stored"))
    facts.append(("Versions", ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))))
    started = sorted(gathered.all_of("started_at"))
    facts.append(("Measured", f"{started[0]} to {started[-1]}" if started else f"{DASH} not stored"))
    return facts


def _gpus(info: dict[str, Any]) -> list[Any]:
    return list((info.get("machine") or {}).get("gpus") or [])
