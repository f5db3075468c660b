"""How a port of this machine is reached from elsewhere: by what RunPod and Vast tell their containers, else by ssh."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from yapbench import probe

FIRST_PROCESS = Path("/proc/1/environ")
PREFIXES = ("RUNPOD_", "VAST_TCP_PORT_", "PUBLIC_IPADDR")


@dataclass(frozen=True)
class Way:
    """One way in."""

    url: str
    note: str = ""
    """What has to hold for it."""


def ways(port: int, host: str, told: Mapping[str, str]) -> list[Way]:
    """From outside, the best first; none for a server that listens on loopback. `told`: `pod_variables()`."""
    if probe.is_loopback(host):
        return []
    found = []
    if pod := told.get("RUNPOD_POD_ID"):
        found.append(Way(f"https://{pod}-{port}.proxy.runpod.net", f"where {port} is one of the pod's HTTP ports"))
    for address, variable in (("RUNPOD_PUBLIC_IP", "RUNPOD_TCP_PORT_"), ("PUBLIC_IPADDR", "VAST_TCP_PORT_")):
        if told.get(address) and (mapped := told.get(f"{variable}{port}")):
            found.append(Way(f"http://{told[address]}:{mapped}", "unencrypted"))
    return found


def tunnel(port: int, told: Mapping[str, str]) -> str:
    """The line that brings the port to one's own machine, with what is known of the way there."""
    by_port = told.get("RUNPOD_TCP_PORT_22") or told.get("VAST_TCP_PORT_22")
    address = told.get("RUNPOD_PUBLIC_IP") or told.get("PUBLIC_IPADDR") or socket.gethostname()
    return f"ssh {f'-p {by_port} ' if by_port else ''}-N -L {port}:127.0.0.1:{port} {getpass.getuser()}@{address}"


def own_address() -> str:
    """The address that this machine uses towards others; nothing is sent. Loopback where it has no way out."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as to_nowhere:
        try:
            to_nowhere.connect(("192.0.2.1", 9))  # kept for documents: nobody's
            return str(to_nowhere.getsockname()[0])
        except OSError:
            return "127.0.0.1"


def pod_variables() -> dict[str, str]:
    """What the host has told this container. A shell that came by ssh has not inherited it: the first process has."""
    try:
        text = FIRST_PROCESS.read_bytes().decode(errors="replace")
    except OSError:
        text = ""
    pairs = (pair.partition("=") for pair in text.split("\0"))
    return {
        name: value
        for name, value in [*((name, value) for name, _, value in pairs), *os.environ.items()]
        if name.startswith(PREFIXES)
    }
