"""What all tables of one export share: the sweep's name, its trials' facts, and the columns of its settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from servers.common.settings import table
from yapbench import axes, catalog, measures
from yapbench.errors import UsageError
from yapbench.export.columns import Column, of_measure, of_settings
from yapbench.measures import Point
from yapbench.obtained import setting_of
from yapbench.report.gather import Gathered
from yapbench.streams import measures as of_streams

_SENT: Final = {
    "client": "wire on which the server was asked",
    "frame_ms": "audio in each frame",
    "pace": "seconds of audio a second; 0: as fast as accepted, which is not real time",
    "eos": "who ends an utterance: commit (the client) or silence (the server)",
    "phases": "where in a frame the streams began",
    "corpus": "what was sent, as it was asked for",
    "noise": "noise laid over it",
    "snr_db": "speech over noise",
    "engine": "model, type of numbers and compiling, in words",
}
"""Settings that are no server's."""


@dataclass(frozen=True)
class Shared:
    """Of one sweep."""

    sweep: str
    infos: Mapping[str, Mapping[str, Any]]
    """trial.json by trial."""
    settings: Mapping[str, Column]
    """By the setting's name."""
    varying: Sequence[Column]
    """Of the settings with more than one value among finished trials; `engine` is left to its parts."""
    measures: Mapping[str, str]
    """What was measured, with its meaning, in the order of the pages."""

    @classmethod
    def of(cls, gathered: Gathered, *, taken: Iterable[str]) -> Shared:
        """`taken`: names of columns that no setting can have."""
        infos = {str(trial.info["trial_id"]): trial.info for trial in gathered.trials}
        mine = [setting_of(info) for info in infos.values()]
        named = _measures(gathered.points, streams=gathered.streams)
        taken = {*taken, *(column.name for name in named for column in of_measure(name, ""))}
        columns = of_settings(mine, taken=taken, helps=_helps(infos.values()))
        varying = [columns[name] for name in axes.separate([setting_of(trial.info) for trial in gathered.done])]
        return cls(gathered.name, infos, columns, varying, named)

    @property
    def fixed(self) -> list[Column]:
        """The settings that are the same in every trial, and `engine`."""
        return [column for column in self.settings.values() if column not in self.varying]


def _measures(found: Sequence[Point], *, streams: bool) -> dict[str, str]:
    said = measures.MEASURES | (of_streams.MEASURES if streams else {})
    usual = (*of_streams.TAKEN_OVER, *of_streams.MEASURES) if streams else tuple(measures.MEASURES)
    names = dict.fromkeys(name for point in found for name in point.values) or dict.fromkeys(usual)
    return {name: said.get(name, "") for name in names}


def _helps(infos: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """What the servers say of their own settings; a server that is not in the catalogue any more says nothing."""
    found = dict(_SENT)
    for name in sorted({str(info.get("server")) for info in infos}):
        try:
            knobs = table(catalog.settings_class(catalog.lookup(name)))
        except UsageError:
            continue
        found = {knob.name: knob.help.removesuffix(".") for knob in knobs} | found
    return found
