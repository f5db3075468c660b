"""Which server a client verb talks to, and with which keys. Sends nothing but a look at /health."""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field

from servers.common.settings import table
from yapbench import catalog, probe, process, service
from yapbench.catalog import CatalogEntry
from yapbench.clients.smart_turn import BEARER
from yapbench.errors import ServerError, ServerNotReady, UsageError
from yapbench.verbs import environment
from yapbench.verbs.options import Options


@dataclass(frozen=True)
class Target:
    """A server with its address."""

    entry: CatalogEntry
    url: str
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Environment variables of the client; never written anywhere."""

    def attached(self) -> process.Server | None:
        """The server, when it is ours to look into (its /status); None for one that says nothing of itself.

        Raises ServerNotReady when nothing answers there.
        """
        try:
            probe.fetch(f"{self.url}/health", timeout_s=5.0)
        except OSError as error:
            raise ServerNotReady(f"{self.url} does not answer: {error}") from error
        try:
            return process.attach(self.url, status_key=self.secrets.get("STATUS_KEY", ""))
        except ServerError:
            return None


def of_options(name: str, options: Options) -> Target:
    """`--url`, else the server of that name that is up here. Raises UsageError when there is neither."""
    entry = catalog.lookup(name)
    if options.url is not None:
        return Target(entry, address(options.url, secure=options.secure), _keys(entry, options))
    running = service.status(name)
    if running.state == "down":
        raise UsageError(f"{name} is not up: `yapbench up {name}` starts it; --url names another one")
    return Target(entry, running.url, _keys(entry, options))


def of_environment(name: str, options: Options) -> Target:
    """RUNPOD_TCP_HOST and RUNPOD_TCP_PORT, with RUNPOD_API_KEY as Bearer; `--url` wins over host and port.

    Raises UsageError when the host is missing.
    """
    entry = catalog.lookup(name)
    host, port = environment.value_of("RUNPOD_TCP_HOST"), environment.value_of("RUNPOD_TCP_PORT")
    if not (options.url or host):
        raise UsageError("RUNPOD_TCP_HOST is not set: put it with RUNPOD_TCP_PORT and RUNPOD_API_KEY into .env")
    place = options.url or (f"{host}:{port}" if port else host)
    keys, bearer = _keys(entry, options), environment.value_of("RUNPOD_API_KEY")
    return Target(entry, address(place, secure=options.secure), keys | ({BEARER: bearer} if bearer else {}))


def address(text: str, *, secure: bool = False) -> str:
    """`host:port`, or a URL, as a URL: https when asked for and for *.runpod.net. Raises UsageError for no address."""
    if "://" not in text:
        host = urllib.parse.urlsplit(f"//{text}").hostname or ""
        text = f"{'https' if secure or is_runpod(host) else 'http'}://{text}"
    try:
        place = urllib.parse.urlsplit(text)
        usable = place.scheme in ("http", "https") and bool(place.hostname) and place.port != 0
    except ValueError:  # a port that is none
        usable = False
    if not usable:
        raise UsageError(f"{text!r} is no address: HOST:PORT, http://HOST:PORT or https://HOST")
    if secure and place.scheme == "http":
        raise UsageError(f"--secure and {text} contradict each other")
    return text.rstrip("/")


def is_runpod(host: str) -> bool:
    """Whether the host is behind RunPod's proxy, which speaks only TLS."""
    return host == "runpod.net" or host.endswith(".runpod.net")


def key_variable(entry: CatalogEntry) -> str:
    """The environment variable of the key that the server asks its users for. Raises UsageError: it asks for none."""
    for knob in table(catalog.settings_class(entry)):
        if knob.secret and knob.name != "status_key":
            return knob.env[0]
    raise UsageError(f"--key: {entry.name} asks for none")


def _keys(entry: CatalogEntry, options: Options) -> dict[str, str]:
    """The server's keys from the environment and .env, with `--key` on top."""
    found = catalog.secrets(entry)
    if options.key:
        found[key_variable(entry)] = options.key
    return found
