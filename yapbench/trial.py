"""A trial: one server setting with its load plan, and the identity under which its results are kept.

One trial is one papermill run of one notebook and one folder. A point is one (load level, repeat) inside it. Knows how
to split a notebook's flat parameters and how to hash what would change a result; does not launch or measure.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from servers.common.settings import table
from yapbench import catalog, envs, machine
from yapbench.corpora.opening import open_corpus
from yapbench.corpora.request import as_text
from yapbench.corpus import Corpus
from yapbench.errors import UsageError
from yapbench.load import LoadProfile, parse_levels
from yapbench.schema import METHOD_VERSION, SCHEMA_VERSION

CHECKOUT = Path(__file__).resolve().parent.parent
"""Where notebooks/, servers/, samples/ and runs/ lie."""

LOAD_PARAMETERS = (
    "profile",
    "concurrency",
    "requests",
    "duration_s",
    "warmup",
    "repeats",
    "seed",
    "timeout_s",
)
"""Notebook parameters that make a LoadProfile; `concurrency` is its levels."""

AUDIO_PARAMETERS = ("corpus", "noise", "snr_db")
"""Notebook parameters that say what is sent (docs/corpora.md)."""

HARNESS_PARAMETERS = (*AUDIO_PARAMETERS, "url", "sweep", "out_dir", "slo_ms", "trace")
"""Notebook parameters for the harness itself; of these only what is sent and `trace` can change a result."""

OPERATING_KNOBS = frozenset({"host", "port", "log_level", "log_format", "trace_path", "drain_timeout_s"})
"""Knobs every server has that change where it listens and what it writes, not what it answers or how fast."""

DEFAULT_REQUESTS = 130
"""Counted requests a level when neither `requests` nor `duration_s` is given: enough for a p95 (docs/measures.md)."""


@dataclass(frozen=True)
class Trial:
    """What will be measured, before anything is launched."""

    server: str
    notebook: str
    """File name without suffix."""
    asked: Mapping[str, Any]
    """Every notebook parameter that was given a value."""
    settings: Mapping[str, Any]
    """The part of `asked` that goes to the server as flags."""
    profile: LoadProfile
    corpus: Corpus
    sweep: str
    url: str | None
    """Of a server that somebody else runs; None: the trial launches its own."""
    slo_ms: float
    trace: bool

    @classmethod
    def from_parameters(cls, server: str, notebook: str, parameters: Mapping[str, Any]) -> Trial:
        """Split flat notebook parameters; None means "not given".

        Raises UsageError for a name that neither the harness nor the server knows, or a value out of range.
        """
        given = {name: value for name, value in parameters.items() if value is not None}
        if isinstance(given.get("corpus"), Mapping):
            given["corpus"] = as_text(given["corpus"])  # one line, so that it can be said again on a command line
        knobs = catalog.known_parameters(catalog.lookup(server))
        known = {*LOAD_PARAMETERS, *HARNESS_PARAMETERS, *knobs}
        for name in given:
            if name not in known:
                raise UsageError.unknown(f"parameter of {server}", name, known)
        settings = {name: given[name] for name in knobs if name in given}
        effective_settings(server, settings)  # refuses bad values now, not after the sweep has begun
        return cls(
            server=server,
            notebook=notebook,
            asked=given,
            settings=settings,
            profile=_profile(given),
            corpus=open_corpus(given.get("corpus"), kind="turn", noise=given.get("noise"), snr_db=given.get("snr_db")),
            sweep=str(given.get("sweep", "adhoc")),
            url=given.get("url"),
            slo_ms=float(given.get("slo_ms", 100)),
            trace=bool(given.get("trace", False)),
        )

    def identity(self) -> dict[str, Any]:
        """Everything that would change the result, and nothing else: the git commit and the prose are left out."""
        return {
            "schema_version": SCHEMA_VERSION,
            "method_version": METHOD_VERSION,
            "notebook_sha256": notebook_sha256(notebook_path(self.notebook)),
            "server": self.server,
            "settings": effective_settings(self.server, self.settings),
            "load": asdict(self.profile),
            "url": self.url,
            "trace": self.trace,
            "corpus_sha256": self.corpus.sha256,
            "model": model_identity(self.server, self.settings),
            "code_sha256": code_sha256(self.server),
            "environment_sha256": self.environment()["sha256"],
            "machine_class": machine.machine_class(),
        }

    def environment(self) -> dict[str, Any]:
        """What the server runs on: interpreter, packages, their hash (envs.fingerprint)."""
        entry = catalog.lookup(self.server)
        return envs.fingerprint(entry.name, catalog.environment_of(entry, self.settings))

    @property
    def trial_id(self) -> str:
        """Twelve hex digits of the identity's hash: the name of the trial's folder."""
        canonical = json.dumps(self.identity(), sort_keys=True, separators=(",", ":"), default=str)
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def _profile(given: Mapping[str, Any]) -> LoadProfile:
    values: dict[str, Any] = {name: given[name] for name in LOAD_PARAMETERS if name in given}
    values["levels"] = parse_levels(values.pop("concurrency", 1))
    values["kind"] = values.pop("profile", "closed")
    if "requests" not in values and "duration_s" not in values:
        values["requests"] = DEFAULT_REQUESTS
    return LoadProfile(**values)


def notebook_path(name: str) -> Path:
    """The notebook called `name` (file name without suffix). Raises UsageError with the nearest name."""
    path = CHECKOUT / "notebooks" / f"{name}.ipynb"
    if not path.is_file():
        raise UsageError.unknown("notebook", name, [p.stem for p in path.parent.glob("*.ipynb")])
    return path


def notebook_of(server: str) -> str:
    """The notebook that measures `server`: notebooks/NN_<server>.ipynb. Raises UsageError when there is none."""
    found = sorted((CHECKOUT / "notebooks").glob(f"[0-9][0-9]_{server}.ipynb"))
    if not found:
        raise UsageError(f"no notebook measures {server!r}: notebooks/NN_{server}.ipynb is not there")
    return found[0].stem


def notebook_sha256(path: Path) -> str:
    """Hash of the code cells' sources: outputs, prose, metadata and an injected cell do not count."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    sources = [
        "".join(cell["source"])
        for cell in cells
        if cell["cell_type"] == "code" and "injected-parameters" not in cell["metadata"].get("tags", [])
    ]
    return hashlib.sha256("\0".join(sources).encode()).hexdigest()


def code_sha256(server: str) -> str:
    """Hash of the Python sources of servers/<server> and servers/common, by relative path and content."""
    digest = hashlib.sha256()
    for folder in (CHECKOUT / "servers" / "common", CHECKOUT / "servers" / server):
        for path in sorted(folder.rglob("*.py")):
            digest.update(f"{path.relative_to(CHECKOUT).as_posix()}\0".encode())
            digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()


def effective_settings(server: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What the server will run with: its defaults, with `settings` on top, without secrets and OPERATING_KNOBS.

    Raises UsageError naming field, value and limit.
    """
    entry = catalog.lookup(server)
    secret = {knob.name for knob in table(catalog.settings_class(entry)) if knob.secret}
    values = catalog.effective_settings(entry, settings)
    return {name: value for name, value in values.items() if name not in secret | OPERATING_KNOBS}


def model_identity(server: str, settings: Mapping[str, Any]) -> dict[str, str]:
    """Model id, revision and weights hash without starting the server; empty for a server without weights."""
    try:
        weights = importlib.import_module(f"servers.{server}.weights")
    except ModuleNotFoundError:
        return {}
    return asdict(weights.identify(catalog.parsed_settings(catalog.lookup(server), settings)))
