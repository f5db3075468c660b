"""Trials as rows: what each was, where and when it was run; those without a result too, by name with the reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from yapbench import axes
from yapbench.export.columns import FLAG, NUMBER, TEXT, WHOLE, Column, fitted
from yapbench.export.tables import Table
from yapbench.measures import SLO_MS
from yapbench.obtained import setting_of
from yapbench.report.gather import Gathered
from yapbench.store import TrialData

_STORED: Final = (
    (Column("server", TEXT, "server that was measured"), ("server",)),
    (Column("notebook", TEXT, "notebook that measured it"), ("notebook",)),
    (Column("model_id", TEXT, "model, as its publisher calls it"), ("model", "model_id")),
    (Column("model_revision", TEXT, "its revision"), ("model", "revision")),
    (Column("model_sha256", TEXT, "hash of its weights"), ("model", "sha256")),
    (Column("cpu_model", TEXT, "processor of the machine"), ("machine", "cpu_model")),
    (Column("cores", WHOLE, "its cores"), ("machine", "cores")),
    (Column("memory_bytes", WHOLE, "its memory"), ("machine", "memory_bytes")),
    (Column("os", TEXT, "its operating system"), ("machine", "os")),
    (Column("commit", TEXT, "commit of the checkout"), ("git", "commit")),
    (Column("uncommitted_changes", FLAG, "the checkout had changes that no commit holds"), ("git", "dirty")),
    (Column("started_at", TEXT, "when the trial began, ISO 8601"), ("started_at",)),
    (Column("yapbench_version", TEXT, "version of the harness"), ("versions", "yapbench")),
    (Column("python_version", TEXT, "Python of the harness"), ("versions", "python")),
    (Column("server_python_version", TEXT, "Python of the server"), ("environment", "python")),
    (Column("environment_sha256", TEXT, "hash of the server's environment"), ("environment", "sha256")),
    (Column("code_sha256", TEXT, "hash of the server's code"), ("code_sha256",)),
    (Column("corpus", TEXT, "what was sent"), ("corpus", "name")),
    (Column("corpus_utterances", WHOLE, "utterances in it"), ("corpus", "utterances")),
    (Column("corpus_audio_s", NUMBER, "audio in it"), ("corpus", "audio_s")),
    (Column("corpus_sha256", TEXT, "hash of it"), ("corpus", "sha256")),
    (Column("load", TEXT, "load profile: closed, ramp, soak, poisson or burst"), ("load", "kind")),
    (Column("load_requests", WHOLE, "counted utterances a level, where they were given"), ("load", "requests")),
    (Column("load_duration_s", NUMBER, "or time a level"), ("load", "duration_s")),
    (Column("load_warmup", WHOLE, "utterances a level before counting"), ("load", "warmup")),
    (Column("load_repeats", WHOLE, "rounds over all levels"), ("load", "repeats")),
    (Column("load_seed", WHOLE, "seed of order and arrival times"), ("load", "seed")),
    (Column("duration_s", NUMBER, "how long the trial took"), ("duration_s",)),
    (Column("server_ready_s", NUMBER, "of that until the server was ready"), ("server_ready_s",)),
    (Column("method_version", WHOLE, "version of the way of measuring"), ("method_version",)),
    (Column("schema_version", WHOLE, "version of the stored rows"), ("schema_version",)),
    (Column("server_command", TEXT, "command that started the server"), ("server_command",)),
    (Column("reproduce", TEXT, "command that repeats the trial"), ("reproduce",)),
)
_OWN: Final = (
    Column("slo_ms", NUMBER, "latency target"),
    Column("gpus", TEXT, "GPUs of the machine"),
    Column("versions", TEXT, "versions of the harness's packages"),
    Column("server_packages", TEXT, "versions of the packages in the server's environment"),
)
_ON_POINTS: Final = (
    *("server", "model_id", "model_revision", "model_sha256", "corpus", "cpu_model", "cores", "gpus", "os"),
    *("commit", "uncommitted_changes", "yapbench_version", "started_at"),
)

FACTS: Final = (*(column for column, _ in _STORED), *_OWN)
"""Columns of what a trial stored about itself, settings left out."""
POINT_FACTS: Final = tuple(column for column in FACTS if column.name in _ON_POINTS)
"""Those of them that stand beside every point."""

_HEAD: Final = (
    Column("sweep", TEXT, "name of the sweep's folder"),
    Column("trial_id", TEXT, "hash of all that could change the result; nothing where the trial cannot be read"),
    Column("folder", TEXT, "folder of the trial in the sweep's"),
    Column("status", TEXT, "done, failed, unfinished, unreadable, or apart: of another kind than the others"),
    Column("reason", TEXT, "why it is not done"),
)


def facts(info: Mapping[str, Any], columns: Iterable[Column] = FACTS) -> dict[str, Any]:
    """What a trial's `info` stored for `columns`; None where it did not."""
    found: dict[str, Any] = {column.name: _at(info, path) for column, path in _STORED}
    found["load"] = found["load"] or "closed"
    found["slo_ms"] = float(info.get("slo_ms") or SLO_MS)
    found["gpus"] = "; ".join(_gpu(gpu) for gpu in _at(info, ("machine", "gpus")) or [])
    found["versions"] = _versions(info.get("versions"))
    found["server_packages"] = _versions(_at(info, ("environment", "packages")))
    return {column.name: found[column.name] for column in columns}


def settings(info: Mapping[str, Any], columns: Mapping[str, Column]) -> dict[str, Any]:
    """The values of the settings in `columns`, under the names of their columns."""
    mine = setting_of(info)
    return {column.name: fitted(mine.get(name), column.type) for name, column in columns.items()}


def table(gathered: Gathered, columns: Mapping[str, Column]) -> Table:
    """One row for each trial of a sweep, whatever became of it."""
    rows = [_row(trial, columns) for trial in gathered.trials]
    rows += [_without(name, "unfinished", "it was begun and never ended") for name in gathered.unfinished]
    rows += [_without(file.split("/")[0], "unreadable", f"{file}: {reason}") for file, reason in gathered.corrupt]
    rows += [_without(name, "apart", reason) for name, reason in gathered.apart]
    rows = [{"sweep": gathered.name} | row for row in rows]
    return Table.of("trials", [*_HEAD, *columns.values(), *FACTS], rows)


def _row(trial: TrialData, columns: Mapping[str, Column]) -> dict[str, Any]:
    failure = trial.info.get("failure") or {}
    return {
        "trial_id": str(trial.info["trial_id"]),
        "folder": trial.folder.name,
        "status": trial.info["status"],
        "reason": ": ".join(str(failure[key]) for key in ("code", "message") if failure.get(key)) or None,
        **settings(trial.info, columns),
        **facts(trial.info),
    }


def _without(folder: str, status: str, reason: str) -> dict[str, Any]:
    return {"folder": folder, "status": status, "reason": reason}


def _at(info: Mapping[str, Any], path: Sequence[str]) -> Any:
    value: Any = info
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _gpu(gpu: object) -> str:
    return str(gpu.get("name", axes.plain(gpu))) if isinstance(gpu, Mapping) else axes.plain(gpu)


def _versions(found: object) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted(found.items())) if isinstance(found, dict) else ""
