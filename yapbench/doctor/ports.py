"""The ports that servers listen on unless told otherwise: free, ours, or somebody else's."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from yapbench import catalog, probe, service
from yapbench.doctor.finding import Finding

HEADING = "ports"
EVERYWHERE = "0.0.0.0"
"""A port is only free for a server when no address of this machine has a listener on it."""


@dataclass(frozen=True, kw_only=True)
class Port:
    """One default port."""

    number: int
    servers: tuple[str, ...]
    """Which have it for their default."""
    is_free: bool
    ours: str = ""
    """Name of the server that `up` has started on it."""
    holder: str = ""
    """Name and pid of another process on it; "" when the system does not tell."""
    spare: int = 0
    """The next port that is free."""


def look() -> tuple[Port, ...]:
    """The default ports of the catalogue's servers."""
    wanted: dict[int, list[str]] = {}
    for entry in catalog.CATALOG:
        number = catalog.settings_class(entry).model_fields["port"].default
        wanted.setdefault(number, []).append(entry.name)
    return tuple(look_at(number, servers) for number, servers in wanted.items())


def look_at(number: int, servers: Sequence[str]) -> Port:
    """One port."""
    made = functools.partial(Port, number=number, servers=tuple(servers))
    if probe.port_is_free(number, EVERYWHERE):
        return made(is_free=True)
    ours = next((one.name for one in service.services() if one.port == number), "")
    higher = range(number + 1, min(number + 1000, 65536))
    spare = next((port for port in higher if probe.port_is_free(port, EVERYWHERE)), 0)
    return made(is_free=False, ours=ours, holder="" if ours else _holder(number), spare=spare)


def findings(found: Sequence[Port]) -> list[Finding]:
    """One line a port."""
    return [_finding(port) for port in found]


def _finding(port: Port) -> Finding:
    what = f"port {port.number} ({', '.join(port.servers)})"
    if port.is_free:
        return Finding(True, f"{what} is free", needed=False, heading=HEADING)
    if port.ours:
        return Finding(True, f"{what} is held by our {port.ours}, which is up", needed=False, heading=HEADING)
    who = f" by {port.holder}" if port.holder else ""
    remedy = f"yapbench up {port.servers[0]} --port={port.spare}" if port.spare else "ss -ltnp shows who holds it"
    return Finding(False, f"{what} is held{who}", remedy, needed=False, heading=HEADING)


def _holder(number: int) -> str:
    try:
        listening = [
            one.pid
            for one in psutil.net_connections("tcp")
            if one.status == psutil.CONN_LISTEN and one.laddr and one.laddr.port == number
        ]
        pid = next((pid for pid in listening if pid is not None), None)
        return "" if pid is None else f"{psutil.Process(pid).name()} (pid {pid})"
    except psutil.Error:  # not ours to see, or gone meanwhile
        return ""
