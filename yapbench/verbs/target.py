"""Which server a client verb talks to, and with which keys. Sends nothing but a look at /health."""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field

from servers.common.settings import table
from yapbench import catalog, clients, probe, process, service
from yapbench.catalog import CATALOG, CatalogEntry
from yapbench.clients.smart_turn import BEARER
from yapbench.corpora.opening import PARAGRAPHS, SMALL_WORLD
from yapbench.errors import ServerError, ServerNotReady, UsageError
from yapbench.obtained import SMALL_WORLDS
from yapbench.verbs import environment
from yapbench.verbs.options import Options


@dataclass(frozen=True)
class Target:
    """A server with its address."""

    entry: CatalogEntry
    url: str
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Environment variables of the client; never written anywhere."""
    chosen: str | None = None
    """The client that was asked for."""

    @property
    def client(self) -> str:
        """A name of yapbench.clients: the wire."""
        return self.chosen or self.entry.client

    @property
    def streams(self) -> bool:
        """Whether audio is streamed on this wire."""
        return clients.streams(self.client)

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

    def usual(self) -> str:
        """What a server of streams is sent where the user names nothing: texts that its model can know."""
        try:
            server = self.attached()
            settings = (server.status().get("settings") or {}) if server else {}
        except ServerError:  # nobody there: whoever sends will say so
            return PARAGRAPHS
        return SMALL_WORLD if settings.get("model") in SMALL_WORLDS else PARAGRAPHS


def of_options(name: str, options: Options) -> Target:
    """The server called `name` at `--url`, else the one of that name that is up here; or the URL that `name` is.

    Raises UsageError when there is none, or when the client is none of the server's.
    """
    if _is_address(name):
        return _of_address(name, options)
    entry = catalog.lookup(name)
    chosen = _chosen(entry, options)
    if options.url is not None:
        return Target(entry, address(options.url, secure=options.secure), _keys(entry, options), chosen)
    running = service.status(name)
    if running.state == "down":
        raise UsageError(f"{name} is not up: `yapbench up {name}` starts it; --url names another one")
    return Target(entry, running.url, _keys(entry, options), chosen)


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
    url = address(place, secure=options.secure)
    return Target(entry, url, keys | ({BEARER: bearer} if bearer else {}), _chosen(entry, options))


def _is_address(text: str) -> bool:
    """`host:port` or a URL; no server's name has a colon."""
    return ":" in text


def _of_address(text: str, options: Options) -> Target:
    """A server of which only the address and the wire are known."""
    if options.url is not None:
        raise UsageError(f"two addresses: {text} and --url={options.url}")
    known = [client for entry in CATALOG for client in entry.clients]
    if options.client is None:
        raise UsageError(f"{text}: an address does not say which wire: --client, one of {', '.join(known)}")
    for entry in CATALOG:
        if options.client in entry.clients:
            return Target(entry, address(text, secure=options.secure), _keys(entry, options), options.client)
    raise UsageError.unknown("client", options.client, known)


def _chosen(entry: CatalogEntry, options: Options) -> str | None:
    if options.client is not None and options.client not in entry.clients:
        raise UsageError.unknown(f"client of {entry.name}", options.client, entry.clients)
    return options.client


def address(text: str, *, secure: bool = False) -> str:
    """`host:port`, or a URL, as an http(s) URL: https when asked for and for *.runpod.net.

    ws:// and wss:// are http:// and https://, and a wire's own path at the end goes: its client adds it. Raises
    UsageError for no address.
    """
    asked = text
    if "://" not in text:
        host = urllib.parse.urlsplit(f"//{text}").hostname or ""
        text = f"{'https' if secure or is_runpod(host) else 'http'}://{text}"
    if text.startswith(("ws://", "wss://")):
        text = f"http{text.removeprefix('ws')}"
        paths = sorted((codec.path for codec in clients.CODECS.values()), key=len, reverse=True)
        text = next((text.removesuffix(path) for path in paths if text.endswith(path)), text)
    try:
        place = urllib.parse.urlsplit(text)
        usable = place.scheme in ("http", "https") and bool(place.hostname) and place.port != 0
    except ValueError:  # a port that is none
        usable = False
    if not usable:
        raise UsageError(f"{asked!r} is no address: HOST:PORT, http://HOST:PORT, https://HOST, ws:// or wss://")
    if secure and place.scheme == "http":
        raise UsageError(f"--secure and {asked} contradict each other")
    return text.rstrip("/")


def is_runpod(host: str) -> bool:
    """Whether the host is behind RunPod's proxy, which speaks only TLS."""
    return host == "runpod.net" or host.endswith(".runpod.net")


def key_variable(entry: CatalogEntry) -> str:
    """The environment variable of the key that the server asks its users for. Raises UsageError: it asks for none."""
    settings = catalog.settings_class(entry)
    found = [knob for knob in table(settings) if knob.secret and knob.name != "status_key"]
    for knob in sorted(found, key=lambda knob: knob.name not in settings.required_secrets):
        return knob.env[0]
    raise UsageError(f"--key: {entry.name} asks for none")


def _keys(entry: CatalogEntry, options: Options) -> dict[str, str]:
    """The server's keys from the environment and .env, with `--key` on top."""
    found = catalog.secrets(entry)
    if options.key:
        found[key_variable(entry)] = options.key
    return found
