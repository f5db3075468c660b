"""The steps from a machine to a warm server, each said as it is taken. The same command again takes only what is left.

Knows the order; each step is somebody else's work: the doctor's, the environments', the hub's, the services'.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from yapbench import catalog, envs, keys, service
from yapbench.command import CHECKOUT
from yapbench.doctor import environments, gpus, models
from yapbench.doctor.environments import Place
from yapbench.doctor.models import Candidate
from yapbench.errors import ExitCode, ServerError, UsageError
from yapbench.pod import block, checks, files, keyfile, outside, running
from yapbench.pod.asked import Asked, read
from yapbench.pod.checks import Need
from yapbench.verbs import environment, fetch
from yapbench.verbs.options import Options

CALLED_FROM = "POD_CALLED_FROM"
"""Set by deploy/pod.sh: the folder that the user stands in."""


def bring_up(name: str, words: Sequence[str]) -> int:
    """All steps. 0: it is up and has answered.

    Raises UsageError, InstallFailed, FetchFailed or ServerError, of the step that failed.
    """
    environment.adopt(fetch.HUB_VARIABLES)
    asked = read(name, words)
    with _alone(asked.folder):
        key = keyfile.settle(asked.entry, asked.flags, asked.folder)
        shown = service.status(name)
        why = "" if _lacks_environment(asked) and shown.state == "down" else running.reason(asked, shown)
        if shown.state == "down" or why:
            _say(f"{name} is {shown.state}" + (f", {why}" if shown.state != "down" else ""))
            _prepare(asked, is_up=shown.state != "down")
            shown = _start(asked, shown)
        else:
            _say(f"{name} is up already, with these flags and this code: nothing to do")
        _say("")
        for line in block.lines(shown, asked.settings.host, key, outside.pod_variables(), seen_from=_called_from()):
            _say(line)
    return ExitCode.OK


def _prepare(asked: Asked, *, is_up: bool) -> None:
    """Look at the machine, then bring what is missing; nothing of a server that runs is touched."""
    one, computes = _candidate(asked), _computes(asked)
    where = checks.device(one, computes, gpus.look(), is_up=is_up)
    room, port = checks.disk(_needs(asked, one)), checks.port(asked.settings.port, asked.name)
    _say(f"machine: it will run on {where}; {room}; {port}")
    envs.install(asked.name, asked.words, say=_say)
    # What pip has brought may not be what the driver runs.
    checks.device(one, _computes(asked), gpus.look(), is_up=is_up)
    fetch.fetch(asked.name, catalog.flags(asked.entry, asked.flags))


def _start(asked: Asked, shown: service.Service) -> service.Service:
    """(Re)start it and hear its first answer. Raises ServerError."""
    from yapbench.verbs import quick  # a second that a server which is up already need not wait for

    name = asked.name
    _say(files.raise_limit())
    if shown.state == "starting":
        with service.lock(asked.folder):  # else somebody is starting it right now
            service.down(name)
    elif shown.state == "up":
        _say(f"stopping {name} (pid {shown.pid}) ...")
        service.down(name)
    _say(f"starting {name}, for at most {asked.ready_timeout_s:g} s ...")
    running.remember(asked)
    secrets = keys.for_start(catalog.parsed_settings(asked.entry, asked.flags)).all
    up = service.up(name, asked.flags, ready_timeout_s=asked.ready_timeout_s, secrets=secrets)
    if quick.warmup(name, Options()) != ExitCode.OK:
        raise ServerError(f"{name} is up at {up.url} but its first clip failed: `yapbench logs {name}` says more")
    return up


def _candidate(asked: Asked) -> Candidate:
    """The model as the doctor sees it; of one that the catalogue does not know, the largest is supposed."""
    settings: Any = asked.settings
    largest_gb = max((gb for _, gb in asked.entry.models), default=0.0)
    vram_gb = dict(asked.entry.models).get(settings.model, largest_gb)
    return models.look_at(asked.entry, settings.model, vram_gb, asked.flags)


def _names(asked: Asked) -> list[str]:
    """The environments it needs, that of what computes first."""
    own = catalog.environment_of(asked.entry, asked.flags)
    return list(dict.fromkeys([*envs.beside(asked.entry, asked.settings), own]))


def _computes(asked: Asked) -> Place:
    places = {place.name: place for place in environments.look()}
    return places[_names(asked)[0]]


def _lacks_environment(asked: Asked) -> bool:
    heavy = [name for name in _names(asked) if name != envs.LIGHT]
    return not os.environ.get("YAPBENCH_PYTHON") and not all(envs.environment(name).is_complete() for name in heavy)


def _needs(asked: Asked, one: Candidate) -> list[Need]:
    places = {place.name: place for place in environments.look()}
    needs = [
        Need(f"environment {name}", envs.environment(name).root, places[name].disk_gb)
        for name in _names(asked)
        if name != envs.LIGHT and not places[name].is_complete
    ]
    if one.lack and getattr(asked.settings, "hub_id", None):
        needs.append(Need("weights", fetch.hub_folder(), checks.WEIGHTS_GB.get(asked.name, 0.0)))
    return needs


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One of us at a time for a server. Raises UsageError."""
    import fcntl  # not on Windows, where this module must still import

    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "pod.lock").open("wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(f"another pod.sh is at work on {folder.name}") from error
        yield


def _called_from() -> Path:
    return Path(os.environ.get(CALLED_FROM) or CHECKOUT)


def _say(text: str) -> None:
    print(text, flush=True)
