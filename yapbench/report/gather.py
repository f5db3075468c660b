"""Reads a sweep's folder for its page: finished, failed, unfinished and unreadable trials, each by name."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from yapbench import axes, measuring, store, turns
from yapbench.choose.choice import CHOOSE, Choice
from yapbench.choose.comparable import names_of
from yapbench.errors import CorruptFile, NothingRan
from yapbench.measures import SLO_MS, Point
from yapbench.obtained import SENT, SPOKEN, model_name, setting_of, streamed
from yapbench.parameters import SERVER
from yapbench.store import TrialData
from yapbench.turns import Decisions


@dataclass(frozen=True)
class Gathered:
    """Everything a page says, still as data."""

    name: str
    folder: Path
    done: list[TrialData]
    failed: list[TrialData]
    unfinished: list[str]
    corrupt: list[tuple[str, str]]
    """(file, relative to the sweep's folder; reason)."""
    apart: list[tuple[str, str]]
    """(folder, reason) of trials that have no place beside the others."""
    points: list[Point]
    decisions: dict[str, Decisions]
    """Turn decisions by model and audio (`decided_as`): an answer of one is no reference for another's."""
    summaries: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What summary.json says, by trial."""

    @property
    def trials(self) -> list[TrialData]:
        """Finished and failed ones."""
        return [*self.done, *self.failed]

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the settings that vary; of several servers, which have hardly a setting in common, first the server
        and then what varies among the trials of one. Of candidates the server alone, by a name that says the rest.
        """
        if self.choosing:
            return (SERVER,)
        if not self.several_servers:
            return axes.varying([setting_of(trial.info) for trial in self.done])
        groups: dict[str, list[dict[str, Any]]] = {}
        for trial in self.done:
            groups.setdefault(str(trial.info["server"]), []).append(self.setting(trial))
        names = (SERVER, *sorted({name for group in groups.values() for name in axes.varying(group)}))
        fewer = tuple(name for name in names if name not in SPOKEN)  # a wire has its own way to be spoken to
        labels = {axes.label(self.setting(trial), fewer) for trial in self.done}
        return fewer if len(labels) == len(self.done) else names

    @property
    def several_servers(self) -> bool:
        """Servers are compared with each other."""
        return len({str(trial.info["server"]) for trial in self.done}) > 1

    def setting(self, trial: TrialData) -> dict[str, Any]:
        """What the trial's server really ran; which server, where there are several."""
        setting, server = setting_of(trial.info), str(trial.info["server"])
        if self.choosing:
            return setting | {SERVER: self._names.get(str(trial.info["trial_id"]), server)}
        return setting | ({SERVER: server} if self.several_servers else {})

    @cached_property
    def _names(self) -> dict[str, str]:
        """Of candidates."""
        return {str(trial.info["trial_id"]): name for trial, name in zip(self.done, names_of(self.done), strict=True)}

    @property
    def streams(self) -> bool:
        """Its trials streamed audio. All did, or none."""
        return any(streamed(trial.info) for trial in self.trials)

    @property
    def choosing(self) -> bool:
        """It is asked which server to take: by the notebook that asks it, or by searches of several servers."""
        infos = [trial.info for trial in self.trials]
        asked = any(info.get("notebook") == CHOOSE for info in infos)
        return self.streams and (asked or (self.several_servers and any(info.get("search") for info in infos)))

    @cached_property
    def choice(self) -> Choice:
        """Candidates and verdicts."""
        return Choice.of(self.folder, self.done, self.points)

    @property
    def info(self) -> dict[str, Any]:
        """The facts that the first trial stored; of what may differ between trials use `all_of`."""
        return self.trials[0].info if self.trials else {}

    @property
    def slo_ms(self) -> float:
        """The latency target of the sweep."""
        return float(self.info.get("slo_ms") or SLO_MS)

    def all_of(self, *path: str) -> list[str]:
        """The distinct values that the trials stored at a path, as text, in the order of the trials."""
        return axes.stored((trial.info for trial in self.trials), path)


def gather(folder: Path) -> Gathered:
    """Read every trial of a sweep; writes each finished one's summary.json where it differs from the file.

    Raises NothingRan when the folder holds no trial at all. An unreadable file is named in the result, not raised; so
    are trials of requests among trials of streams, or the other way round: the kind of the latest trial is shown.
    """
    trials: list[TrialData] = []
    corrupt: list[tuple[str, str]] = []
    if not folder.is_dir():
        raise NothingRan(f"{folder}: no such folder")
    for path in sorted(child for child in folder.iterdir() if (child / store.TRIAL).exists()):
        try:
            trials.append(store.read_trial(path))
        except CorruptFile as error:
            name = error.path.relative_to(folder) if error.path.is_relative_to(folder) else error.path
            corrupt.append((name.as_posix(), error.reason))
    unfinished = [path.name for path in store.unfinished(folder)]
    if not trials and not corrupt and not unfinished:
        raise NothingRan(f"{folder}: no trial was run here")
    trials, apart = _one_kind(trials)
    trials.sort(key=lambda trial: str(trial.info["trial_id"]))
    ended = [trial for trial in trials if trial.info["status"] == "done"]
    done = sorted(ended, key=lambda trial: _rank(trial, ended))
    told = measuring.told(done)
    points = [point for mine, _ in told for point in mine]
    summaries = {str(trial.info["trial_id"]): said for trial, (_, said) in zip(done, told, strict=True)}
    failed = [trial for trial in trials if trial.info["status"] == "failed"]
    found = Gathered(folder.name, folder, done, failed, unfinished, corrupt, apart, points, _decisions(done), summaries)
    if not (found.several_servers or found.choosing):
        return found
    settings = {str(trial.info["trial_id"]): found.setting(trial) for trial in done}
    return replace(found, points=[replace(point, setting=settings[point.trial_id]) for point in points])


def _one_kind(trials: Sequence[TrialData]) -> tuple[list[TrialData], list[tuple[str, str]]]:
    """Those of the kind of the trial that began last, and the others by folder with the reason."""
    if not trials:
        return [], []
    last = max(trials, key=lambda trial: (str(trial.info.get("started_at", "")), str(trial.info["trial_id"])))
    kind = streamed(last.info)
    mine = [trial for trial in trials if streamed(trial.info) is kind]
    what = "requests" if kind else "streams"
    others = [trial.folder.name for trial in trials if streamed(trial.info) is not kind]
    return mine, [
        (name, f"a trial of {what}, which have other numbers: publish it from a folder of its own") for name in others
    ]


def _decisions(done: Sequence[TrialData]) -> dict[str, Decisions]:
    names = [decided_as(trial, done) for trial in done if model_name(trial.info) != "random"]
    found = {name: turns.decide([t for t in done if decided_as(t, done) == name]) for name in dict.fromkeys(names)}
    return {name: decided for name, decided in found.items() if decided.clips}


def decided_as(trial: TrialData, done: Sequence[TrialData]) -> str:
    """The trial's model, and what it was sent where that varies: "v3-onnx", "v3-onnx, SNR 10 dB"."""
    sent = [name for name in axes.varying([setting_of(other.info) for other in done]) if name in SENT]
    return ", ".join([model_name(trial.info), *(axes.words(name, setting_of(trial.info).get(name)) for name in sent)])


def _rank(trial: TrialData, done: list[TrialData]) -> list[int]:
    """Trials in the order of their settings' values, as a person would list them."""
    settings = [setting_of(other.info) for other in done]
    mine = setting_of(trial.info)
    ranks = []
    for name in axes.separate(settings):
        order = [axes.plain(value) for value in axes.values(settings, name)]
        ranks.append(order.index(axes.plain(mine.get(name))))
    return ranks


def write_summaries(gathered: Gathered) -> None:
    """Write summary.json of each finished trial; a file with the same bytes is left alone."""
    for trial in gathered.done:
        path = trial.folder / "summary.json"
        value = gathered.summaries[str(trial.info["trial_id"])]
        try:
            if store.read_json(path) == json.loads(json.dumps(value)):
                continue
        except CorruptFile:
            pass
        store.write_json(path, value)
