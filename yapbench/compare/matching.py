"""Which trial of one side belongs to which of the other: equal settings, and what may differ between the sides.

Knows settings; knows no number. Trials that differ in nothing but their seed are rounds of one setting.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from yapbench import axes
from yapbench.compare.sides import Side
from yapbench.obtained import ENGINE, SENT, setting_of, streamed
from yapbench.store import TrialData

SERVER: Final = "server"
LOAD: Final = "load"
NEVER: Final = (SERVER, LOAD, "eos", "pace", "phases", "frame_ms", *SENT)
"""What makes other numbers of the same name: never compared, not even where it is all that differs."""
SEED: Final = "seed"
_ABSENT: Final = "not a setting"


@dataclass(frozen=True)
class Difference:
    """A setting that has one value on each side, and not the same."""

    name: str
    before: object
    after: object

    @property
    def words(self) -> str:
        """ "window 5 ms before, window 10 ms after"."""
        before, after = (_ABSENT if v is None else axes.words(self.name, v) for v in (self.before, self.after))
        return f"{axes.title(self.name)}: {before} before, {after} after"


@dataclass(frozen=True)
class Match:
    """One setting on both sides; each trial is one or more rounds of it."""

    setting: Mapping[str, Any]
    label: str
    before: tuple[TrialData, ...]
    after: tuple[TrialData, ...]

    @property
    def kind(self) -> str:
        """Of the load."""
        return str(self.setting[LOAD])

    @property
    def streams(self) -> bool:
        """Its utterances were streamed."""
        return streamed(self.after[0].info)


@dataclass(frozen=True)
class Matching:
    """What belongs together, and what has no counterpart."""

    matches: tuple[Match, ...]
    differences: tuple[Difference, ...]
    alone: tuple[tuple[str, str], ...]
    """(what, why it is not compared)."""


def match(before: Side, after: Side) -> Matching:
    """Match the settings of two sides, in the order of their labels."""
    sides = [_settings(side.done) for side in (before, after)]
    alone = [
        (f"{trial.folder.name} of {side.name}", "an older trial of the same setting and seed")
        for side, (_, older) in zip((before, after), sides, strict=True)
        for trial in older
    ]
    settings = [[setting for setting, _ in groups] for groups, _ in sides]
    differences = _differences(*settings)
    ignored = {item.name for item in differences}
    names = [name for name in axes.separate([*settings[0], *settings[1]]) if name not in ignored]
    tables = [{_key(setting, names): (setting, trials) for setting, trials in groups} for groups, _ in sides]
    found = []
    for key in sorted(tables[0].keys() & tables[1].keys()):
        setting, trials = tables[1][key]
        found.append(Match(setting, _label(setting, names), tuple(tables[0][key][1]), tuple(trials)))
    for side, table, other in ((before, tables[0], tables[1]), (after, tables[1], tables[0])):
        missing = f"only in {side.name}"
        alone += [(_label(table[key][0], names), missing) for key in sorted(table.keys() - other.keys())]
    return Matching(tuple(found), differences, tuple(alone))


def _settings(trials: Iterable[TrialData]) -> tuple[list[tuple[dict[str, Any], list[TrialData]]], list[TrialData]]:
    """Settings with their trials, one for each seed (the latest), and the trials that are older."""
    found: dict[str, tuple[dict[str, Any], dict[int, TrialData]]] = {}
    older = []
    for trial in sorted(trials, key=lambda t: (str(t.info.get("started_at", "")), str(t.info["trial_id"]))):
        setting = identity(trial.info)
        _, rounds = found.setdefault(_key(setting, sorted(setting)), (setting, {}))
        seed = seed_of(trial.info)
        if seed in rounds:
            older.append(rounds[seed])
        rounds[seed] = trial
    return [(setting, [rounds[seed] for seed in sorted(rounds)]) for setting, rounds in found.values()], older


def identity(info: Mapping[str, Any]) -> dict[str, Any]:
    """The setting of a trial with its server and kind of load, without its seed."""
    setting = {name: value for name, value in setting_of(info).items() if name not in (SEED, ENGINE)}
    return {**setting, SERVER: str(info.get("server")), LOAD: str((info.get("load") or {}).get("kind", "closed"))}


def seed_of(info: Mapping[str, Any]) -> int:
    """Of the load: equal seeds send the same utterances in the same order."""
    return int((info.get("load") or {}).get("seed") or 0)


def _differences(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> tuple[Difference, ...]:
    names = sorted({name for setting in (*before, *after) for name in setting} - set(NEVER))
    found = []
    for name in names:
        values = [axes.values(settings, name) for settings in (before, after)]
        if len(values[0]) == len(values[1]) == 1 and axes.plain(values[0][0]) != axes.plain(values[1][0]):
            found.append(Difference(name, values[0][0], values[1][0]))
    return tuple(found)


def _key(setting: Mapping[str, Any], names: Iterable[str]) -> str:
    return "\n".join(f"{name}={axes.plain(setting.get(name))}" for name in names)


def _label(setting: Mapping[str, Any], names: Sequence[str]) -> str:
    """The values of `names` that the setting has, or nothing where there is none."""
    own = [name for name in names if name in setting]
    return axes.label(setting, own) if own else ""
