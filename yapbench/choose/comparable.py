"""What candidates are called, and which of them may be compared: what must be equal where numbers stand side by side.

Knows trial.json; knows no number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from yapbench import axes
from yapbench.obtained import setting_of
from yapbench.store import TrialData


def is_of_files(info: Mapping[str, Any]) -> bool:
    """The trial sent whole files."""
    return str(((info.get("load") or {}).get("stream") or {}).get("eos")) == "file"


def names_of(trials: Sequence[TrialData]) -> list[str]:
    """The server of each trial, and what tells it from other trials of that server."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for trial in trials:
        groups.setdefault(_base(trial), []).append(setting_of(trial.info))
    varying = {base: axes.varying(settings) for base, settings in groups.items()}
    found = [" · ".join([_base(t), *_label(setting_of(t.info), varying[_base(t)])]) for t in trials]
    return [
        name if found.count(name) == 1 else f"{name} · {t.folder.name[:6]}"
        for name, t in zip(found, trials, strict=True)
    ]


def _base(trial: TrialData) -> str:
    return f"{trial.info['server']}{' by files' if is_of_files(trial.info) else ''}"


def _label(setting: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    return [axes.label(setting, names)] if names else []


def not_compared(infos: Sequence[Mapping[str, Any]]) -> list[str]:
    """Why each is not compared: it differs from most in what must be equal. Empty for those that are."""
    reasons = [""] * len(infos)
    for what, of in _EQUAL:
        known = [None if reason else of(info) for info, reason in zip(infos, reasons, strict=True)]
        counts = Counter(value for value in known if value is not None)
        usual = min(counts, key=lambda value: (-counts[value], value), default=None)
        for k, value in enumerate(known):
            if value is not None and value != usual:
                reasons[k] = f"another {what}: {value}, not {usual}"
    return reasons


def _corpus(info: Mapping[str, Any]) -> str:
    corpus = info.get("corpus") or {}
    return f"{corpus.get('name')} ({str(corpus.get('sha256'))[:8]})"


def _machine(info: Mapping[str, Any]) -> str:
    machine = info.get("machine") or {}
    gpus = [str(gpu.get("name") if isinstance(gpu, Mapping) else gpu) for gpu in machine.get("gpus") or []]
    return ", ".join([str(machine.get("cpu_model")), f"{machine.get('cores')} cores", *gpus])


def _policy(info: Mapping[str, Any]) -> str | None:
    stream = (info.get("load") or {}).get("stream") or {}
    return None if is_of_files(info) else f"{stream.get('eos', 'commit')} at pace {axes.plain(stream.get('pace', 1.0))}"


def _target(info: Mapping[str, Any]) -> str | None:
    return None if is_of_files(info) else f"{axes.plain(float(info.get('slo_ms') or 0))} ms"


_EQUAL: Final[tuple[tuple[str, Callable[[Mapping[str, Any]], str | None]], ...]] = (
    ("corpus", _corpus),
    ("machine", _machine),
    ("end-of-speech policy", _policy),
    ("target", _target),
)
"""What must be equal where numbers are compared, as text; None: it does not apply."""
