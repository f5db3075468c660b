"""The verbs `up`, `down`, `restart`, `status` and `logs`, for people: service.py does it, here it is said.

Reads a verb's own flags from among the server's. A followed log is only looked at: Ctrl+C leaves the server alone.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from yapbench import catalog, command, keys, probe, service
from yapbench.catalog import CatalogEntry
from yapbench.errors import ExitCode, UsageError
from yapbench.keys import Keys
from yapbench.service import RUN, Service
from yapbench.trial import CHECKOUT
from yapbench.verbs import environment, logfile
from yapbench.verbs.fetch import HUB_VARIABLES

READY_TIMEOUT_S: Final = 600.0
"""How long `up` waits by default: a large model's load. A server that ends while it starts is noticed at once."""

STATUS_LINES: Final = 5


def up(name: str, words: Sequence[str], *, run: Path = RUN) -> int:
    """Start a server that stays. `words`: its flags, `--follow` and `--ready-timeout-s` among them."""
    own, flags = split(words, switches={"follow"}, values={"ready_timeout_s"})
    if {"--help", "-h"} & set(flags):
        return _help("up", name)
    entry = catalog.lookup(name)
    environment.adopt(HUB_VARIABLES)
    settings = service.flag_values(flags)
    known = keys.for_start(catalog.parsed_settings(entry, settings))
    print(f"starting {name} ...", flush=True)
    shown = service.up(
        name,
        settings,
        ready_timeout_s=seconds(own, "ready_timeout_s", ready_timeout_s(entry)),
        secrets=known.all,
        run=run,
    )
    return _is_up(shown, known, follow_log="follow" in own)


def restart(name: str, words: Sequence[str], *, run: Path = RUN) -> int:
    """Stop and start again with the flags it had, those given now on top."""
    own, flags = split(words, switches={"follow"}, values={"ready_timeout_s"})
    if {"--help", "-h"} & set(flags):
        return _help("restart", name)
    entry = catalog.lookup(name)
    environment.adopt(HUB_VARIABLES)
    changes = service.flag_values(flags)
    known = keys.for_start(catalog.parsed_settings(entry, service.settings_of(name, run=run) | changes))
    print(f"restarting {name} ...", flush=True)
    shown = service.restart(
        name,
        changes,
        ready_timeout_s=seconds(own, "ready_timeout_s", ready_timeout_s(entry)),
        secrets=known.all,
        run=run,
    )
    return _is_up(shown, known, follow_log="follow" in own)


def stop(name: str, *, run: Path = RUN) -> int:
    """`down` without a purge: a server that is not up is no mistake."""
    catalog.lookup(name)
    print(f"{name} has ended" if service.down(name, run=run) else f"{name} was not up")
    return ExitCode.OK


def status(name: str | None, *, run: Path = RUN) -> int:
    """Say how one server stands, or all that were ever up here. 0 when it (or one of them) runs and is well, else 6."""
    if name is not None:
        catalog.lookup(name)
    found = [service.status(name, run=run)] if name else service.services(run=run)
    if not found:
        print("no server was ever up here: `yapbench up SERVER` starts one")
    well = [_say(one, lines=STATUS_LINES if name else 0) for one in found]
    return ExitCode.OK if any(well) else ExitCode.SERVER_FAILED


def logs(name: str, *, follow_log: bool, lines: int, run: Path = RUN) -> int:
    """Print the last lines a server wrote; with `follow_log` also what it goes on to write."""
    if lines < 0:
        raise UsageError(f"--lines={lines}: a number from 0")
    text = service.logs(name, lines=max(lines, 1), run=run)  # also refuses one that was never up
    if not follow_log:
        print(text if lines else "", end="\n" if lines and text else "")
        return ExitCode.OK
    path = service.status(name, run=run).log_path
    return _follow(name, path, from_byte=logfile.start_of_last(path, lines), run=run)


def split(words: Sequence[str], *, switches: set[str], values: set[str]) -> tuple[dict[str, str], list[str]]:
    """A verb's own flags by name, and the words that are left for the server. Raises UsageError for a missing value."""
    own: dict[str, str] = {}
    rest: list[str] = []
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        name, has_value, value = word.removeprefix("--").partition("=")
        name = name.replace("-", "_")
        if not word.startswith("--") or name not in switches | values:
            rest.append(word)
        elif name in switches:
            own[name] = value
        elif has_value or waiting:
            own[name] = value if has_value else waiting.pop(0)
        else:
            raise UsageError(f"{word} needs a value")
    return own, rest


def seconds(own: Mapping[str, str], name: str, default: float) -> float:
    """A verb's own flag as a number of seconds. Raises UsageError."""
    text = own.get(name, str(default))
    try:
        found = float(text)
    except ValueError:
        found = -1
    if not 0 < found < 1e6:
        raise UsageError(f"--{name.replace('_', '-')}={text}: expected a number of seconds above 0")
    return found


def ready_timeout_s(entry: CatalogEntry) -> float:
    """How long a server may take that may have to fetch its weights first."""
    return max(READY_TIMEOUT_S, entry.ready_timeout_s)


def age(started_at: str, *, now: datetime | None = None) -> str:
    """ "3 min 12 s" since an ISO time; "" for none."""
    if not started_at:
        return ""
    total = int(((now or datetime.now(UTC)) - datetime.fromisoformat(started_at)).total_seconds())
    days, hours, minutes = total // 86400, total // 3600 % 24, total // 60 % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {total % 60} s" if minutes else f"{total} s"


def _is_up(shown: Service, known: Keys, *, follow_log: bool) -> int:
    print(f"{shown.name} is up at {shown.url} (pid {shown.pid}); log: {_short(shown.log_path)}", flush=True)
    for line in known.words():
        print(line, flush=True)
    if follow_log:
        return _follow(shown.name, shown.log_path, from_byte=0, run=shown.log_path.parent.parent)
    return ExitCode.OK


def _follow(name: str, path: Path, *, from_byte: int, run: Path) -> int:
    try:
        for text in logfile.follow(
            path, alive=lambda: service.status(name, run=run).state != "down", from_byte=from_byte
        ):
            sys.stdout.write(text)
            sys.stdout.flush()
    except KeyboardInterrupt:
        print(f"\nno longer following; {name} runs on: `yapbench down {name}` ends it", flush=True)
        return ExitCode.OK
    print(f"{name} is down")
    return ExitCode.OK


def _say(shown: Service, *, lines: int) -> bool:
    """Print one server's state; whether it runs and answers that it is well and ready."""
    if shown.state == "down":
        how = "down (it ended by itself: its log says why)" if shown.ended_by_itself else "down"
        print(f"{shown.name}: {how}")
        answers: dict[str, str] = {}
    else:
        answers = {path: _answer(shown.url + path) for path in ("/health", "/ready")}
        words = ", ".join(f"{path} {said}" for path, said in answers.items())
        print(f"{shown.name}: {shown.state}, {words}")
        print(f"  {shown.url}  port {shown.port}  pid {shown.pid}  up for {age(shown.started_at)}")
        print(f"  {shown.command_line}")
    if lines and shown.log_path.exists():
        size = sum(p.stat().st_size for p in shown.log_path.parent.glob("log*"))
        print(f"  {_short(shown.log_path)}, {size / 1000:.0f} kB, last lines:")
        for line in service.logs(shown.name, lines=lines, run=shown.log_path.parent.parent).splitlines():
            print(f"    {line}")
    return shown.state == "up" and all(said == "ok" for said in answers.values())


def _answer(url: str) -> str:
    """ "ok", or what is wrong in a few words."""
    try:
        code, body = probe.fetch(url)
    except OSError as error:
        return f"does not answer ({error})"
    if code == 200:
        return "ok"
    try:
        state: Any = json.loads(body).get("state", "")
    except (ValueError, AttributeError):
        state = ""
    return f"answers {code} {state}".strip()


def _help(verb: str, name: str) -> int:
    patience_s = ready_timeout_s(catalog.lookup(name))
    print(f"yapbench {verb} {name} [--follow] [--ready-timeout-s={patience_s:g}] [the server's flags:]\n", flush=True)
    return command.foreground(name, ["--help"])


def _short(path: Path) -> str:
    return str(path.relative_to(CHECKOUT) if path.is_relative_to(CHECKOUT) else path)
