"""What one command line asks for, checked before anything is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from servers.common.settings import BaseServerSettings
from yapbench import catalog, service
from yapbench.catalog import CatalogEntry
from yapbench.verbs import serving

PATIENCE = "ready_timeout_s"


@dataclass(frozen=True)
class Asked:
    """A server with its flags."""

    entry: CatalogEntry
    words: tuple[str, ...]
    """The server's flags as they were typed."""
    flags: Mapping[str, str]
    """The same by name, with host and port as the server itself would take them."""
    settings: BaseServerSettings
    ready_timeout_s: float
    folder: Path
    """Of the running server: its log, its key, what it was made of."""

    @property
    def name(self) -> str:
        return self.entry.name


def read(name: str, words: Sequence[str], *, run: Path = service.RUN) -> Asked:
    """Raises UsageError naming server or flag, value and limit."""
    entry = catalog.lookup(name)
    own, rest = serving.split(words, switches=set(), values={PATIENCE})
    flags = service.flag_values(rest)
    settings = catalog.parsed_settings(entry, flags)
    place = {"host": settings.host, "port": str(settings.port)}
    timeout_s = serving.seconds(own, PATIENCE, serving.ready_timeout_s(entry))
    return Asked(entry, tuple(rest), flags | place, settings, timeout_s, run / name)
