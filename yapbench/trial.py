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

from servers.common.errors import StartupRefused
from servers.common.settings import table
from yapbench import catalog, checkouts, clients, envs, machine, parameters
from yapbench.capacity.options import SearchOptions
from yapbench.corpora.opening import PARAGRAPHS, SENTENCES, SMALL_WORLD, open_corpus
from yapbench.corpora.request import as_text
from yapbench.corpus import Corpus
from yapbench.echo.script import ScriptOptions
from yapbench.errors import UsageError
from yapbench.load import LoadProfile
from yapbench.obtained import SMALL_WORLDS, UNSCORED
from yapbench.schema import METHOD_VERSION, SCHEMA_VERSION

CHECKOUT = Path(__file__).resolve().parent.parent
"""Where notebooks/, servers/, samples/ and runs/ lie."""

OPERATING_KNOBS = frozenset(
    {"host", "port", "log_level", "log_format", "trace_path", "drain_timeout_s", "head_timeout_s", "connection_limit"}
)
"""Knobs every server has that change where it listens and what it writes, not what it answers or how fast."""


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
    client: str
    """A name of yapbench.clients: the wire on which the server is asked."""
    profile: LoadProfile
    corpus: Corpus
    sweep: str
    url: str | None
    """Of a server that somebody else runs; None: the trial launches its own."""
    slo_ms: float
    trace: bool
    script: ScriptOptions | None = None
    """What the server shall say to the corpus, where that is not its own business."""
    search: SearchOptions | None = None
    """How the capacity is looked for; None: the load's levels are given."""
    server_commit: str = ""
    """Full name of the commit whose server is measured; empty: the server as it stands here."""

    @classmethod
    def from_notebook(cls, server: str, notebook: str, changed: Mapping[str, Any]) -> Trial:
        """The trial that the notebook makes of itself with these parameters changed and the others as it has them."""
        declared = parameters.declared(notebook_path(notebook))
        if parameters.SERVER in declared:
            declared[parameters.SERVER] = server
        return cls.from_parameters(server, notebook, {**declared, **changed})

    @classmethod
    def from_parameters(cls, server: str, notebook: str, flat: Mapping[str, Any]) -> Trial:
        """Split flat notebook parameters; None means "not given".

        Raises UsageError for a name that neither the harness nor the server knows, or a value out of range; for what
        is sent, with file and line.
        """
        given = {name: value for name, value in flat.items() if value is not None}
        if given.pop(parameters.SERVER, server) != server:
            raise UsageError(f"server={flat[parameters.SERVER]!r}: this run is of {server!r}")
        if isinstance(given.get("corpus"), Mapping):
            given["corpus"] = as_text(given["corpus"])  # one line, so that it can be said again on a command line
        entry = catalog.lookup(server)
        known = known_parameters(server)
        for name in given:
            if name not in known:
                raise UsageError.unknown(f"parameter of {server}", name, known)
        knobs = catalog.known_parameters(entry)
        if "url" in given:  # a server that runs already cannot be set; what is ours as well stays ours
            knobs = [name for name in knobs if name not in parameters.OWN]
        settings = {name: given[name] for name in knobs if name in given}
        effective_settings(server, settings)  # refuses bad values now, not after the sweep has begun
        parameters.check_price(given)
        client, model = given.get(parameters.CLIENT, entry.client), settings.get("model")
        if client not in entry.clients:
            raise UsageError.unknown(f"client of {server}", str(client), entry.clients)
        streams = clients.streams(client)
        return cls(
            server=server,
            notebook=notebook,
            asked=given,
            settings=settings,
            client=client,
            profile=parameters.profile(given, client=client),
            corpus=_corpus(given, streams=streams, scripted=entry.scripted, model=model),
            sweep=str(given.get("sweep", "adhoc")),
            url=given.get("url"),
            slo_ms=float(given.get("slo_ms", 100)),
            trace=bool(given.get("trace", False)),
            script=_script(given, scripted=entry.scripted and streams),
            search=parameters.search(given, words=streams and model not in UNSCORED),
            server_commit=_server_commit(given, server),
        )

    def identity(self) -> dict[str, Any]:
        """Everything that would change the result, and nothing else: the git commit and the prose are left out."""
        return {
            "schema_version": SCHEMA_VERSION,
            "method_version": METHOD_VERSION,
            "notebook_sha256": notebook_sha256(notebook_path(self.notebook)),
            "server": self.server,
            "settings": effective_settings(self.server, self.settings),
            "client": self.client,
            "load": asdict(self.profile),
            "url": self.url,
            "trace": self.trace,
            "corpus_sha256": self.corpus.sha256,
            "model": {} if self.told else model_identity(self.server, self.settings),
            "code_sha256": code_sha256(self.server, self.checkout),
            "environment_sha256": self.environment()["sha256"],
            "machine_class": machine.machine_class(),
            **({"script": self.script.identity()} if self.script else {}),
            **({"search": self.search.as_dict()} if self.search else {}),
            **({"served_from": checkouts.identity(self.server, self.server_commit)} if self.server_commit else {}),
        }

    @property
    def checkout(self) -> Path:
        """Where the server's code lies."""
        return checkouts.at(self.server_commit) if self.server_commit else CHECKOUT

    @property
    def told(self) -> bool:
        """Only the server itself can say which model it has: it runs already, or is of another commit."""
        return bool(self.url or self.server_commit)

    def environment(self) -> dict[str, Any]:
        """What the server runs on: interpreter, packages, their hash (envs.fingerprint)."""
        entry = catalog.lookup(self.server)
        others = envs.beside(entry, catalog.parsed_settings(entry, self.settings))
        return envs.fingerprint(entry.name, catalog.environment_of(entry, self.settings), others=others)

    @property
    def trial_id(self) -> str:
        """Twelve hex digits of the identity's hash: the name of the trial's folder."""
        canonical = json.dumps(self.identity(), sort_keys=True, separators=(",", ":"), default=str)
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def known_parameters(server: str) -> set[str]:
    """Every parameter that a notebook or a sweep of `server` may have."""
    entry = catalog.lookup(server)
    planted = parameters.SCRIPT_PARAMETERS if entry.scripted else ()
    return {*parameters.OWN, *planted, *catalog.known_parameters(entry)}


def _script(given: Mapping[str, Any], *, scripted: bool) -> ScriptOptions | None:
    """What is planted, where the server is ours to script: launched by the trial, asked by streams, without a file."""
    planted = {name: parameters.number(name, given[name]) for name in parameters.SCRIPT_PARAMETERS if name in given}
    if scripted and not {"url", "script"} & given.keys():
        return ScriptOptions(**planted, seed=int(given.get("seed", 0)))
    for name, value in planted.items():
        raise UsageError(f"{name}={value!r} is for a server that the trial launches and that has no script of its own")
    return None


def _server_commit(given: Mapping[str, Any], server: str) -> str:
    """The commit asked for, by its full name, once its server was found fit to run here."""
    asked = given.get("server_commit")
    if asked is None:
        return ""
    if "url" in given:
        raise UsageError("server_commit is for a server that the trial launches; url names one that runs already")
    commit = checkouts.resolve(str(asked))
    checkouts.check(server, commit)
    return commit


def _corpus(given: Mapping[str, Any], *, streams: bool, scripted: bool, model: object) -> Corpus:
    """What is sent: to a server that is asked by requests labelled turns, by streams whatever has a transcript.

    Where no corpus is named, a model that knows a small world is sent texts of that world.
    """
    default = SENTENCES if scripted else SMALL_WORLD if model in SMALL_WORLDS else PARAGRAPHS
    asked, noise, snr_db = (given.get(name) for name in parameters.AUDIO_PARAMETERS)
    if streams:
        return open_corpus(asked, default=default, but="turn", need_text=True, noise=noise, snr_db=snr_db)
    return open_corpus(asked, kind="turn", noise=noise, snr_db=snr_db)


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


def is_for_any_server(notebook: str) -> bool:
    """Whether the notebook has to be told which server it measures."""
    return parameters.SERVER in parameters.declared(notebook_path(notebook))


def notebook_sha256(path: Path) -> str:
    """Hash of the code cells' sources: outputs, prose, metadata and an injected cell do not count."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    sources = [
        "".join(cell["source"])
        for cell in cells
        if cell["cell_type"] == "code" and "injected-parameters" not in cell["metadata"].get("tags", [])
    ]
    return hashlib.sha256("\0".join(sources).encode()).hexdigest()


def code_sha256(server: str, checkout: Path = CHECKOUT) -> str:
    """Hash of the Python sources of servers/<server> and servers/common, by relative path and content."""
    digest = hashlib.sha256()
    for folder in (checkout / "servers" / "common", checkout / "servers" / server):
        for path in sorted(folder.rglob("*.py")):
            digest.update(f"{path.relative_to(checkout).as_posix()}\0".encode())
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
    """Model id, revision and weights hash without starting the server; empty for a server without weights.

    Raises UsageError for weights that are not there.
    """
    try:
        weights = importlib.import_module(f"servers.{server}.weights")
    except ModuleNotFoundError:
        return {}
    try:
        return asdict(weights.identify(catalog.parsed_settings(catalog.lookup(server), settings)))
    except StartupRefused as refusal:
        raise UsageError(f"{server}: {refusal}") from refusal
