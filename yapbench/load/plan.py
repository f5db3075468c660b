"""A load as a worker process gets it: a profile, a server, a corpus, and which of the workers it is."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from yapbench.corpus import Corpus, Utterance, Word
from yapbench.load.profile import LoadProfile
from yapbench.pacing.streaming import StreamOptions

PLAN_FILE: Final = "plan.json"
RESULT_FILE: Final = "load.json"
WORKER_FILE: Final = "worker.parquet"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that a load worker needs to know. Keys of the server are not in it: they travel by environment."""

    client: str  # a name of clients.CLIENTS
    url: str
    corpus: Corpus
    profile: LoadProfile
    worker: int = 0
    cpus: tuple[int, ...] | None = None  # None: wherever the kernel likes
    tally: Path | None = None  # the file in which the load's workers count together; None: this is the only one

    def as_json(self) -> dict[str, Any]:
        """The plan as the worker reads it. The corpus must lie in files."""
        utterances = []
        for utterance in self.corpus:
            facts = asdict(replace(utterance, samples=None))
            utterances.append({**facts, "path": str(utterance.path)})
        corpus = {"name": self.corpus.name, "sha256": self.corpus.sha256, "utterances": utterances}
        plan = asdict(replace(self, corpus=Corpus("", (), "")))
        return {**plan, "corpus": corpus, "tally": self.tally and str(self.tally)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Plan:
        """The inverse of `as_json`."""
        utterances = []
        for entry in value["corpus"]["utterances"]:
            words = tuple(Word(**word) for word in entry["words"])
            utterances.append(Utterance(**{**entry, "words": words, "path": Path(entry["path"])}))
        corpus = Corpus(value["corpus"]["name"], tuple(utterances), value["corpus"]["sha256"])
        cpus = None if value["cpus"] is None else tuple(value["cpus"])
        stream = value["profile"]["stream"]
        profile = LoadProfile(**{**value["profile"], "stream": stream and StreamOptions(**stream)})
        tally = value["tally"] and Path(value["tally"])
        return cls(**{**value, "corpus": corpus, "profile": profile, "cpus": cpus, "tally": tally})
