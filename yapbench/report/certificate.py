"""The certificate of the load generator as the page shows it: what it proved on this machine, or that nothing did.

Knows trial.json; makes no certificate and judges no point.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from yapbench import axes
from yapbench.report.gather import Gathered
from yapbench.report.rows import DASH

NOT_CALIBRATED: Final = "not calibrated: run `yapbench calibrate`"
NOT_STORED: Final = "no certificate was stored: these trials are older than certificates"

NOT_MEASURED: Final = "not measured"

_GOOD: Final = ("goal", "floor")


@dataclass(frozen=True)
class Bar:
    """One line of the table; all text."""

    bar: str
    what: str
    measured: str
    floor: str
    goal: str
    verdict: str
    note: str

    @property
    def look(self) -> str:
        """The class of its badge."""
        return "" if self.verdict in _GOOD else "invalid" if self.verdict == "missed" else "disturbed"


@dataclass(frozen=True)
class Certificate:
    """One certificate, and which trials were measured under it."""

    verdict: str
    reasons: list[str]
    made: str
    """When, how long it took, quick or full."""
    machine: str
    same_machine: str
    code: str
    most: str
    cpus: str
    bars: list[Bar]
    left_out: list[Bar]
    """Those that were not measured."""
    trials: str

    @property
    def summary(self) -> str:
        """One line: how many bars were reached."""
        reached = sum(bar.verdict in _GOOD for bar in self.bars)
        rest = f", {len(self.left_out)} not measured" if self.left_out else ""
        return f"{reached} of {len(self.bars)} measured bars reached{rest}"


def certificates(gathered: Gathered) -> list[Certificate]:
    """The distinct certificates of the trials, in their order; those without one take no part (see `missing`)."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for trial in gathered.trials:
        stored = trial.info.get("certificate")
        if isinstance(stored, dict):
            found.setdefault(json.dumps({**stored, "reasons": []}, sort_keys=True, default=str), []).append(trial.info)
    return [_certificate(infos, len(gathered.trials)) for infos in found.values()]


def missing(gathered: Gathered) -> str:
    """Why trials have no certificate; empty when all have one."""
    reasons: dict[str, int] = {}
    for trial in gathered.trials:
        if "certificate" not in trial.info:
            reasons[NOT_STORED] = reasons.get(NOT_STORED, 0) + 1
        elif trial.info["certificate"] is None:
            reasons[NOT_CALIBRATED] = reasons.get(NOT_CALIBRATED, 0) + 1
    if len(reasons) == 1 and sum(reasons.values()) == len(gathered.trials):
        return next(iter(reasons))
    return "; ".join(f"{count} of {len(gathered.trials)} trials: {reason}" for reason, count in reasons.items())


def _certificate(infos: Sequence[Mapping[str, Any]], trials: int) -> Certificate:
    stored = infos[0]["certificate"]
    reasons = dict.fromkeys(str(reason) for info in infos for reason in info["certificate"].get("reasons") or [])
    made = str(stored.get("made_at", ""))[:16].replace("T", " ")
    kind = "quick" if stored.get("quick") else "full"
    seconds = stored.get("seconds")
    each = f", {axes.plain(seconds)} s per run" if seconds is not None else ""
    most = stored.get("most_streams") or {}
    bars = [_bar(bar) for bar in stored.get("bars") or []]
    return Certificate(
        verdict=str(stored.get("verdict", "unknown")),
        reasons=list(reasons),
        made=f"{made or f'{DASH} not stored'}, {kind}{each}",
        machine=str(stored.get("machine_class") or f"{DASH} not stored"),
        same_machine=_same_machine(infos),
        code=str(stored.get("code_sha256") or f"{DASH} not stored"),
        most=_most(most),
        cpus=_cpus(stored.get("cpus") or {}),
        bars=[bar for bar in bars if bar.verdict != NOT_MEASURED],
        left_out=[bar for bar in bars if bar.verdict == NOT_MEASURED],
        trials="all trials" if len(infos) == trials else f"{len(infos)} of {trials} trials",
    )


def _most(most: Mapping[str, Any]) -> str:
    parts = [
        f"{count} of {length} ms frames" for length, count in sorted(most.items(), key=lambda item: float(item[0]))
    ]
    return ", ".join(parts) or f"{DASH} not looked for"


def _cpus(cpus: Mapping[str, Any]) -> str:
    if not any(cpus.values()):
        return "not pinned"
    return "; ".join(f"{name} on {axes.plain(given)}" for name, given in cpus.items() if given)


def _same_machine(infos: Sequence[Mapping[str, Any]]) -> str:
    """Whether the trials ran on the machine that was certified, by processor and cores; their own facts say."""
    certified = str(infos[0]["certificate"].get("machine_class", ""))
    facts = [info.get("machine") or {} for info in infos]
    if not certified or not all(fact.get("cpu_model") and fact.get("cores") for fact in facts):
        return "not known whether it is the machine that measured"
    same = all(certified.startswith(f"{fact['cpu_model']} | {fact['cores']} cores") for fact in facts)
    return "the machine that measured" if same else "ANOTHER machine than the one that measured"


def _bar(bar: Mapping[str, Any]) -> Bar:
    unit = str(bar.get("unit") or "")
    verdict = str(bar.get("verdict", NOT_MEASURED))
    note = str(bar.get("note") or "")
    n = bar.get("n")
    hint = "; ".join(filter(None, (note, f"n {n}" if n else "")))
    measured = f"{DASH} {note or verdict}" if bar.get("value") is None else _value(bar["value"], unit)
    return Bar(
        bar=str(bar.get("bar", "")),
        what=str(bar.get("what", "")),
        measured=measured,
        floor=_value(bar.get("floor"), unit),
        goal=_value(bar.get("goal"), unit),
        verdict=verdict,
        note=hint,
    )


def _value(value: Any, unit: str) -> str:
    if value is None:
        return DASH
    number = f"{value:.3g}" if isinstance(value, float) and abs(value) < 1000 else axes.plain(value)
    return f"{number} {unit}".strip()
