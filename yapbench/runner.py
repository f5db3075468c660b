"""One trial from launch to stored result: what a notebook's cells call.

`Run` launches (or attaches to) the server, starts the load process, watches the machine, shows what is going on and
writes trial.json last. It derives no number: figures and conclusions read the stored rows.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from yapbench import axes, catalog, certificate, keys, load, machine, process, provenance, searching, store
from yapbench.capacity.options import SearchOptions
from yapbench.echo import script as echo_script
from yapbench.errors import ServerDied, ServerError, UsageError
from yapbench.live import LiveStatus
from yapbench.monitoring.metronome import Metronome
from yapbench.monitoring.monitor import Monitor
from yapbench.obtained import WAITS, compile_words, waited
from yapbench.schema import MACHINE, METHOD_VERSION, SCHEMA_VERSION
from yapbench.trial import CHECKOUT, Trial, is_for_any_server

COMPILE_TIMEOUT_S = 1800.0
"""The first shapes of a large model take minutes on a small machine; what is kept is found again by later trials."""


class Run:
    """One trial being run. Use as `with Run(...) as run:` or call start, measure and stop from separate cells."""

    def __init__(self, trial: Trial, folder: Path) -> None:
        self.trial, self.folder = trial, folder
        self.server: process.Server | None = None
        self._obtained: dict[str, Any] = {}
        self._search_options = trial.search
        self._certificate = certificate.current()
        self._started = datetime.now(UTC)
        self._started_s = time.monotonic()
        self._pinning = machine.pinning()
        self._keys: dict[str, str] = {}
        """What clients need, by environment variable."""

    @classmethod
    def from_parameters(cls, server: str, notebook: str, parameters: Mapping[str, Any]) -> Self:
        """Build from a notebook's flat parameters: extra names in `parameters` that start with `_` are ignored.

        Results go to `out_dir`, or runs/<sweep>/<trial id>. A finished trial there is not overwritten in place: its
        folder is emptied first, so that no file of two runs is ever mixed.
        """
        trial = Trial.from_parameters(server, notebook, parameters)
        out_dir = parameters.get("out_dir")
        folder = Path(out_dir) if out_dir else CHECKOUT / "runs" / trial.sweep / trial.trial_id
        clear(folder)
        return cls(trial, folder)

    def start(self) -> process.Server:
        """Launch the server and wait until it is ready, and until its model is compiled where that was asked for.

        A failure is stored as this trial's result, then raised; a failed compile is none, /status keeps it. Raises
        UsageError before that for streams that are more than this machine's load generator is trusted with.
        """
        trial = self.trial
        if trial.search is None:  # which keeps to what is trusted by itself
            mean_s = trial.corpus.audio_s / max(1, len(trial.corpus))
            certificate.refuse(trial.profile, self._certificate, audio_s=mean_s)
        if trial.url:
            if trial.settings:
                raise UsageError(
                    f"url={trial.url}: the settings {sorted(trial.settings)} of a running server cannot be set"
                )
            self.server = process.attach(trial.url)
            self._keys = catalog.secrets(catalog.lookup(trial.server))
            self._obtained = self.server.wait_until_compiled(COMPILE_TIMEOUT_S)
            return self.server
        settings = dict(trial.settings)
        if trial.trace:
            settings["trace_path"] = str(self.folder / "trace.jsonl")
        if trial.script is not None:
            said = echo_script.script_of(trial.corpus, trial.script)
            settings["script"] = str(echo_script.write(said, self.folder / "script.json"))
        entry = catalog.lookup(trial.server)
        known = keys.for_start(catalog.parsed_settings(entry, settings))
        self._keys = known.all
        try:
            self.server = process.launch(
                trial.server,
                settings=settings,
                log_path=self.folder / "server.log",
                ready_timeout_s=entry.ready_timeout_s,
                cpus=self._pinning.server_cpus,
                secrets=known.made,
                checkout=trial.checkout,
            )
            self._obtained = self.server.wait_until_compiled(COMPILE_TIMEOUT_S)
        except ServerError as failure:
            self._store(failure=failure)
            raise
        return self.server

    def started_words(self) -> list[str]:
        """What the server came up as, line by line: readiness, device and dtype obtained, how compiling ended."""
        if self.server is None:
            return ["no server was started"]
        found = self._obtained
        ready = f"ready after {self.server.ready_s:.1f} s" if self.server.supervised else "runs already"
        lines = [f"{ready} at {self.server.url}"]
        model = (found.get("model") or {}).get("model_id")
        if model:
            dtype = str(found.get("dtype") or "").removeprefix("torch.")
            how = [found.get("backend"), found.get("decoder")]
            how += [axes.words(name, value) for name in WAITS if (value := waited(found, name)) is not None]
            where = f" on {found['device']}" if found.get("device") not in (None, "none") else ""
            what = f"{model} in {dtype}{where}" if dtype else str(model)
            lines.append(", ".join([what, *(str(one) for one in how if one)]))
        compiling = compile_words(found)
        return [*lines, compiling] if compiling else lines

    def measure(self) -> None:
        """Run every load level and repeat, or search for the capacity where the trial asks for that; then store rows,
        machine samples and trial.json.

        A server that dies is stored as a failed trial with its last log lines and raised as ServerDied; the rows of
        what was asked until then, and of what it left unanswered, are kept.
        """
        if self.server is None:
            raise UsageError("measure() before start(): there is no server")
        with LiveStatus(self.folder) as self._live:
            if self.trial.search is None:
                result, machine_rows = self._put(self.trial.profile, self.folder)
                points, gone = result.points, result.failure
            else:
                searched = self._search(self.trial.search)
                points, machine_rows, gone = searched.points, searched.machine_rows, searched.failure
        store.write_table(self.folder / store.MACHINE_FILE, machine_rows, MACHINE)
        if gone is not None or not self.server.alive():
            message = gone.message if gone else "its process ended during the load"
            failure = ServerDied(message, log_tail=self.server.log_tail())
            self._store(failure=failure, points=points)
            raise failure
        self._obtained = self.server.status()
        self._store(points=points)

    def _put(self, profile: load.LoadProfile, folder: Path) -> tuple[load.LoadResult, list[dict[str, Any]]]:
        """Put a load on the server; the rows of its utterances lie in `folder`, those of the machine are returned."""
        assert self.server is not None
        plan = load.Plan(client=self.trial.client, url=self.server.url, corpus=self.trial.corpus, profile=profile)
        with (
            Metronome(self._pinning.worker_cpus) as metronome,
            Monitor(self.server) as monitor,
        ):
            self._live.watch(monitor)
            result = load.run(
                plan,
                folder=folder,
                on_progress=self._live.update,
                cpus=self._pinning.worker_cpus,
                secrets=self._keys,
            )
        return result, [*monitor.rows(), *metronome.rows(), *result.machine_rows]

    def _search(self, asked: SearchOptions) -> searching.Searched:
        """Probe for the capacity, with no more streams than the load generator is trusted with."""
        profile = self.trial.profile
        trusted = certificate.trusted(profile, self._certificate)
        seats = self.server.seats() if self.server else None
        self._search_options = searching.limited(asked, trusted, workers=profile.workers, seats=seats)
        info = describe(self.trial, failure=None) | {"obtained": self._obtained}
        return searching.run(self._search_options, profile, info=info, folder=self.folder, put=self._put)

    def data(self) -> store.TrialData:
        """What was stored, as any later reader sees it."""
        return store.read_trial(self.folder)

    def stop(self) -> None:
        """Stop the server this run launched and wait until its port is free. Harmless when there is none."""
        if self.server is not None:
            self.server.stop()
            self.server = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _store(self, *, failure: ServerError | None = None, points: list[dict[str, Any]] | None = None) -> None:
        server = self.server
        facts = {
            "obtained": self._obtained,
            "points": points or [],
            "server_command": server.command_line if server else "",
            "server_ready_s": server.ready_s if server else None,
            "duration_s": round(time.monotonic() - self._started_s, 3),
            "started_at": self._started.isoformat(timespec="seconds"),
            "pinning": asdict(self._pinning),
            "certificate": self._certificate,
            "search": self._search_options.as_dict() if self._search_options else None,
        }
        if self.trial.told:
            facts["model"] = self._obtained.get("model") or {}
        problem = None
        if failure is not None:
            problem = {"code": failure.code, "message": failure.message, "log_tail": failure.log_tail}
        store.write_json(self.folder / "trial.json", describe(self.trial, failure=problem) | facts)


def describe(trial: Trial, *, failure: Mapping[str, str] | None) -> dict[str, Any]:
    """The part of trial.json that does not depend on how far the trial came."""
    named = {"server": trial.server} if is_for_any_server(trial.notebook) else {}
    identity, ours = trial.identity(), provenance.git_state(CHECKOUT)
    return {
        "schema_version": SCHEMA_VERSION,
        "method_version": METHOD_VERSION,
        "trial_id": trial.trial_id,
        "sweep": trial.sweep,
        "server": trial.server,
        "notebook": trial.notebook,
        "status": "failed" if failure else "done",
        "failure": failure,
        "asked": {name: value for name, value in trial.asked.items() if name not in ("out_dir", "sweep")},
        "settings": identity["settings"],
        "client": trial.client,
        "load": identity["load"],
        "slo_ms": trial.slo_ms,
        "corpus": trial.corpus.facts(),
        "model": identity["model"],
        "code_sha256": identity["code_sha256"],
        "environment": trial.environment(),
        "machine": machine.fingerprint(),
        "clock": machine.clock_anchor(),
        "git": {"commit": trial.server_commit, "dirty": False} if trial.server_commit else ours,
        "harness_git": ours,
        "price_per_hour": trial.asked.get("price_per_hour"),
        "currency": str(trial.asked.get("currency", "$")),
        "versions": provenance.versions(),
        "reproduce": provenance.reproduce_line(trial.notebook, {**trial.asked, **named}),
        "obtained": {},
        "points": [],
        "certificate": None,
        "search": None,
    }


def record_failure(trial: Trial, folder: Path, *, code: str, message: str) -> None:
    """Store a trial that ended without storing itself (its kernel was lost, say): it stays in every denominator."""
    folder.mkdir(parents=True, exist_ok=True)
    info = describe(trial, failure={"code": code, "message": message, "log_tail": ""})
    info["started_at"] = datetime.now(UTC).isoformat(timespec="seconds")
    store.write_json(folder / "trial.json", info)


KERNEL = ".kernel"
"""How the names of a running kernel's sockets begin."""


def clear(folder: Path, *, keep: tuple[str, ...] = ("notebook.ipynb", KERNEL)) -> None:
    """Empty a trial's folder. A notebook that runs in it keeps itself and its kernel's sockets, by their beginnings."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if not path.name.startswith(keep):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def read_progress(folder: Path) -> dict[str, Any] | None:
    """What a running trial last said of itself, or None: there is none or it is just being replaced."""
    try:
        value = json.loads((folder / LiveStatus.FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None
