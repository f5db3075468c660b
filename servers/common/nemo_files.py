"""Where the one .nemo file of a model lies, how it is fetched from the hub, and which it is.

Needs no model runtime, and the hub's own client only when there is something to fetch.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from servers.common import hub
from servers.common.errors import StartupRefused
from servers.common.interfaces import ModelIdentity


class Asked(Protocol):
    """What of a server's settings says which model is wanted."""

    @property
    def model(self) -> str: ...
    @property
    def model_revision(self) -> str | None: ...
    @property
    def hub_id(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class NemoFiles:
    """A server's own two models beside those of the hub and of files."""

    tiny: Path
    """The small trained checkpoint."""
    config: Path
    """What `random` is built from."""
    seed: int
    """Of its weights."""

    def find(self, asked: Asked) -> Path:
        """The .nemo file; for random the config. StartupRefused, with the remedy, when it is not there."""
        if asked.model == "random":
            return self.config
        if asked.hub_id is None:
            path = self.tiny if asked.model == "tiny" else Path(asked.model).expanduser()
            if not path.is_file():
                raise StartupRefused(f"--model={asked.model}: there is no file {path}")
            return path
        cached = _cached(asked)
        if cached is None:
            raise hub.not_cached(asked.hub_id, _revision(asked))
        return cached

    def fetch(self, asked: Asked) -> None:
        """Downloads the model's file (HF_TOKEN and HF_HOME are honoured) if it is one of the hub and not there.

        Raises StartupRefused when it cannot be had.
        """
        if asked.hub_id is not None and _cached(asked) is None:
            hub.download(asked.hub_id, _revision(asked), [_file_of(asked.hub_id)])

    def identify(self, asked: Asked) -> ModelIdentity:
        """Which weights they are. Reads their file for its hash; raises like `find`."""
        path = self.find(asked)
        sha256 = hub.sha256(path)
        if asked.model == "random":
            return ModelIdentity(model_id="random", revision=f"seed {self.seed}", sha256=sha256)
        if asked.model == "tiny":
            return ModelIdentity(model_id="tiny", revision="checkpoint", sha256=sha256)
        if asked.hub_id is not None:
            return ModelIdentity(model_id=asked.hub_id, revision=path.parent.name, sha256=sha256)
        return ModelIdentity(model_id=path.name, revision=path.stem, sha256=sha256)


def _cached(asked: Asked) -> Path | None:
    """The hub model's file in the hub's cache."""
    if asked.hub_id is None:
        return None
    name = _file_of(asked.hub_id)
    snapshot = hub.cached(asked.hub_id, _revision(asked), [name])
    return None if snapshot is None else snapshot / name


def _file_of(hub_id: str) -> str:
    """NVIDIA's repositories hold one model file, named like the repository."""
    return f"{hub_id.rpartition('/')[2]}.nemo"


def _revision(asked: Asked) -> str:
    return asked.model_revision or hub.DEFAULT_REVISION
