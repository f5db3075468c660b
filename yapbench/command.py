"""How a server is started: interpreter, module, flags, environment. Starts nothing.

The same words work in a cell, a shell and a container: `python -m servers.<name> --flag=value`.
"""

from __future__ import annotations

import os
import random
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from yapbench import catalog, envs, keys
from yapbench.errors import UsageError
from yapbench.keys import Keys
from yapbench.probe import port_is_free

CHECKOUT = Path(__file__).resolve().parent.parent

PORTS = range(20000, 30000)
"""Where free ports are looked for: below the range that outgoing connections take theirs from."""

_NOT_INHERITED = (
    "RAY_",  # else a server that uses Ray would join the sweep's cluster
    "MPLBACKEND",  # a notebook kernel's, useless and unimportable elsewhere
)
"""How the names of variables begin that no server gets."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """One way of starting one server."""

    server: str
    argv: tuple[str, ...]
    host: str
    port: int
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Environment variables that are never written anywhere."""
    interpreters: Mapping[str, str] = field(default_factory=dict)
    """Environment variables that name the Python of a process of the server's own."""
    expected: Mapping[str, Any] = field(default_factory=dict)
    """What was asked for, as /status will have to show it."""
    checkout: Path = CHECKOUT
    """Where its code lies: `servers/` of ours, or of another commit."""

    @property
    def url(self) -> str:
        host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(self.host, self.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def line(self) -> str:
        """The command as it can be pasted into a shell in the checkout's root, secrets by their names only."""
        names = "".join(f'{name}="${name}" ' for name in sorted(self.secrets))
        names += "".join(f"{name}={_pasteable(path)} " for name, path in sorted(self.interpreters.items()))
        if self.checkout != CHECKOUT:
            names += f"PYTHONSAFEPATH=1 PYTHONPATH={_pasteable(str(self.checkout))} "
        return names + " ".join(_pasteable(word) for word in self.argv)

    def environment(self) -> dict[str, str]:
        """What the process gets: ours, our code at the head of PYTHONPATH, interpreters, the secrets."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_INHERITED)}
        paths = os.pathsep.join(filter(None, [str(self.checkout), kept.get("PYTHONPATH")]))
        # Safe path: else `-m` would take servers/ of the folder that we happen to stand in before any other.
        ours = {"PYTHONPATH": paths, "PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1"}
        return kept | ours | dict(self.interpreters) | dict(self.secrets)


def of_server(
    name: str,
    *,
    settings: Mapping[str, Any],
    port: int = 0,
    secrets: Mapping[str, str] | None = None,
    checkout: Path = CHECKOUT,
) -> Command:
    """The command for a catalogue server. It listens on loopback unless `settings` has a host; port 0: a free one.

    Raises UsageError for an unknown server or setting, a value out of range, a missing environment, a taken port.
    """
    entry = catalog.lookup(name)
    effective = catalog.effective_settings(entry, settings)
    given = {key: value for key, value in settings.items() if value is not None}
    host = str(given.pop("host", "127.0.0.1"))
    asked_port = int(given.pop("port", 0)) or port
    chosen = check_port(asked_port, host) if asked_port else free_port(host)
    place = {"host": host, "port": chosen}
    interpreter = envs.interpreter(catalog.environment_of(entry, settings))
    interpreters = envs.interpreters_beside(entry, catalog.parsed_settings(entry, settings))
    return Command(
        server=name,
        argv=(str(interpreter), "-m", entry.module, *catalog.flags(entry, place | given)),
        host=host,
        port=chosen,
        secrets=dict(secrets or {}),
        interpreters=interpreters,
        expected={key: effective[key] for key in given},
        checkout=checkout,
    )


def check_port(port: int, host: str) -> int:
    """`port`, when it is free. Raises UsageError."""
    if not port_is_free(port, host):
        raise UsageError(f"port {port} on {host} is already in use: choose another, or 0 for a free one")
    return port


def free_port(host: str = "127.0.0.1") -> int:
    """A port nobody listens on. Drawn at random, so that trials side by side seldom meet."""
    for port in random.sample(PORTS, 200):
        if port_is_free(port, host):
            return port
    raise UsageError(f"no free port in {PORTS.start}..{PORTS.stop - 1}: is {host} an address of this machine?")


def _pasteable(word: str) -> str:
    """A word for the shell, with paths below the checkout relative to it and the home folder as `~`."""
    word = word.replace(f"{CHECKOUT}/", "")
    home = f"{Path.home()}/"
    return f"~/{shlex.quote(word.removeprefix(home))}" if word.startswith(home) else shlex.quote(word)


def foreground(name: str, flags: Sequence[str]) -> int:
    """Become the server: same terminal, same signals, its exit code. Its own parser reads `flags`."""
    entry = catalog.lookup(name)
    try:
        environment = catalog.environment_of_flags(entry, flags)
        settings = catalog.settings_of_flags(entry, flags)
        known = keys.for_start(settings)
    except UsageError:  # --help too: the server's own parser says best what it does not take
        environment, known, settings = entry.environment, Keys(), None
    beside = envs.interpreters_beside(entry, settings) if settings else {}
    argv = (str(envs.interpreter(environment)), "-m", entry.module, *flags)
    command = Command(server=name, argv=argv, host="", port=0, secrets=known.made, interpreters=beside)
    if not {"--help", "-h"} & set(flags):
        print(*known.words(), command.line, sep="\n", flush=True)
    os.execve(argv[0], argv, command.environment())
