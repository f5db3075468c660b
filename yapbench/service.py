"""Servers that outlive the command that started them: `up`, `down`, `status`, `logs`.

.run/<name>/ holds pid.json (who, in which boot), ready (a file, once it was), log and log.previous. A pid file of
another boot, or whose numbers belong to other processes by now, is stale: it only tells how the server was started.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from servers.common import lifeline
from servers.common.supervise import AFTER_GRACE_S, GRACE_S, SupervisedIds
from yapbench import catalog, command, machine, probe, process
from yapbench.command import CHECKOUT, Command
from yapbench.errors import ServerError, UsageError
from yapbench.verbs import logfile

RUN = Path(os.environ.get("YAPBENCH_RUN") or CHECKOUT / ".run").absolute()
_PORT_FREE_S = 10.0
_AFTER_DRAIN_S = 2.0


@dataclass(frozen=True)
class Service:
    """A detached server as its files and its processes show it."""

    name: str
    state: Literal["up", "starting", "down"]
    log_path: Path
    pid: int | None = None
    port: int | None = None
    url: str = ""
    command_line: str = ""
    started_at: str = ""
    """ISO 8601, UTC."""
    ended_by_itself: bool = False
    """It is down, and nobody has put it down."""


def up(
    name: str,
    settings: Mapping[str, Any],
    *,
    port: int = 8000,
    ready_timeout_s: float = 60,
    cpus: Sequence[int] | None = None,
    secrets: Mapping[str, str] | None = None,
    run: Path = RUN,
) -> Service:
    """Start a catalogue server that stays; returns once it is ready. Listens on loopback unless settings say more.

    Raises UsageError when it is up already or cannot be started so; ServerDied, ServerNotReady, SettingsDiffer when it
    fails, and then nothing is left.
    """
    drain_s = catalog.effective_settings(catalog.lookup(name), settings).get("drain_timeout_s", 0.0)
    with lock(run / name):
        _refuse_if_running(name, run)
        made = command.of_server(name, settings=settings, port=port, secrets=secrets)
        return start(made, run=run, ready_timeout_s=ready_timeout_s, cpus=cpus, grace_s=float(drain_s) + _AFTER_DRAIN_S)


def restart(
    name: str,
    changes: Mapping[str, Any],
    *,
    ready_timeout_s: float = 60,
    secrets: Mapping[str, str] | None = None,
    run: Path = RUN,
) -> Service:
    """Stop the server, unless it has ended, and start it as it was, with `changes` of its settings, on its port.

    Raises UsageError, and leaves it alone, when it was not up or a change is refused; else like `up`.
    """
    settings = settings_of(name, run=run) | dict(changes)
    catalog.parsed_settings(catalog.lookup(name), settings)
    down(name, run=run)
    return up(name, settings, ready_timeout_s=ready_timeout_s, secrets=secrets, run=run)


def settings_of(name: str, *, run: Path = RUN) -> dict[str, str]:
    """The flags that the server was started with, by name. Raises UsageError when it was not up."""
    facts = _facts(run / name)
    if facts is None:
        raise UsageError(f"{name} is not up: `yapbench up {name}`")
    words = list(facts["command"])
    return flag_values(words[words.index("-m") + 2 :])


def flag_values(words: Sequence[str]) -> dict[str, str]:
    """`--window-ms=2`, `--window-ms 2` -> {"window_ms": "2"}; `--switch` alone is "true". Names are not checked.

    Raises UsageError for a word that is no flag.
    """
    waiting, found = list(words), {}
    while waiting:
        word = waiting.pop(0)
        if not word.startswith("--"):
            raise UsageError(f"unexpected argument {word!r}: settings are given as --name=value")
        name, has_value, value = word.removeprefix("--").partition("=")
        if not has_value:
            value = waiting.pop(0) if waiting and not waiting[0].startswith("--") else "true"
        found[name.replace("-", "_")] = value
    return found


def start(
    made: Command,
    *,
    run: Path = RUN,
    ready_timeout_s: float = 60,
    cpus: Sequence[int] | None = None,
    grace_s: float = GRACE_S,
    log_limit_bytes: int = logfile.LIMIT_BYTES,
) -> Service:
    """`up` for a command that is already made. Its log is cut when it is longer than `log_limit_bytes`."""
    folder = run / made.server
    folder.mkdir(parents=True, exist_ok=True)
    _refuse_if_running(made.server, run)
    lifeline.end_orphans()
    _forget(folder)
    log_path = folder / "log"
    if log_path.exists():
        log_path.replace(folder / logfile.PREVIOUS)
    server = process.spawn(made, log_path=log_path, cpus=cpus, detached=True, grace_s=grace_s)
    assert server.supervised is not None
    try:
        facts = {
            "boot_id": machine.boot_id(),
            "supervised": asdict(server.supervised.ids),
            "grace_s": grace_s,
            "port": made.port,
            "host": made.host,
            "url": made.url,
            "command": list(made.argv),
            "command_line": made.line,
            "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        _write(folder / "pid.json", json.dumps(facts, indent=1, sort_keys=True) + "\n")
        logfile.keep_short(log_path, server.supervised.ids.process, limit_bytes=log_limit_bytes)
        server.wait_until_ready(ready_timeout_s)
        process.check(server, made)
    except BaseException:  # Ctrl-C too: a server that nobody has seen ready does not stay
        server.stop()
        _forget(folder)
        raise
    _write(folder / "ready", "")
    return status(made.server, run=run)


def down(name: str, *, run: Path = RUN) -> bool:
    """Stop the server: it drains, then ends with all it started, and its port is free. False: it was not running.

    Raises ServerError when the port stays taken.
    """
    facts = _facts(run / name)
    supervised = _living(facts)
    if supervised is not None and facts is not None:
        supervised.stop()
        # Whoever killed the guard has left the keeper to finish.
        for left in (supervised.ids.keeper, supervised.ids.process):
            left.wait(float(facts["grace_s"]) + AFTER_GRACE_S)
        lifeline.end_orphans()
        _wait_for_port(name, int(facts["port"]), str(facts["host"]))
    _forget(run / name)
    return supervised is not None


def status(name: str, *, run: Path = RUN) -> Service:
    """How it stands. A stale pid file means down."""
    folder = run / name
    facts = _facts(folder)
    supervised = _living(facts)
    if supervised is None or facts is None:
        return Service(name, "down", folder / "log", ended_by_itself=facts is not None)
    return Service(
        name=name,
        state="up" if (folder / "ready").exists() else "starting",
        log_path=folder / "log",
        pid=supervised.pid,
        port=int(facts["port"]),
        url=str(facts["url"]),
        command_line=str(facts["command_line"]),
        started_at=str(facts["started_at"]),
    )


def services(*, run: Path = RUN) -> list[Service]:
    """Every server that was ever put up here, by name."""
    return [status(path.parent.name, run=run) for path in sorted(run.glob("*/log"))]


def logs(name: str, *, lines: int = 50, run: Path = RUN) -> str:
    """The last lines it wrote, also after its end. Raises UsageError when it was never up."""
    path = run / name / "log"
    if not path.exists():
        raise UsageError(f"{name} has no log in {path.parent}: it was never up here")
    return process.tail(path, lines)


def _refuse_if_running(name: str, run: Path) -> None:
    running = status(name, run=run)
    if running.state != "down":
        raise UsageError(
            f"{name} is {running.state} already, at {running.url} (pid {running.pid}): `yapbench down {name}` first"
        )


def _facts(folder: Path) -> dict[str, Any] | None:
    """pid.json, or None: there is none, or it is not one of ours."""
    try:
        value = json.loads((folder / "pid.json").read_text(encoding="utf-8"))
        SupervisedIds.from_json(value["supervised"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return value if isinstance(value, dict) else None


def _living(facts: dict[str, Any] | None) -> lifeline.Supervised | None:
    """The processes of a pid file, if any of the three is still that process in this boot."""
    if facts is None or facts.get("boot_id") != machine.boot_id():
        return None
    ids = SupervisedIds.from_json(facts["supervised"])
    if not (ids.guard.alive() or ids.keeper.alive() or ids.process.alive()):
        return None
    return lifeline.Supervised(ids, owned=None, grace_s=float(facts["grace_s"]))


def _forget(folder: Path) -> None:
    for name in ("ready", "pid.json"):
        (folder / name).unlink(missing_ok=True)


def _wait_for_port(name: str, port: int, host: str) -> None:
    deadline_s = time.monotonic() + _PORT_FREE_S
    while not probe.port_is_free(port, host):
        if time.monotonic() > deadline_s:
            raise ServerError(f"{name} has ended but port {port} is still in use")
        time.sleep(0.05)


def _write(path: Path, text: str) -> None:
    """Whole or not at all."""
    part = path.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[None]:
    """One `up` of a name at a time."""
    import fcntl  # not on Windows, where this module must still import

    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(f"{folder.name} is just being started by another command") from error
        yield
