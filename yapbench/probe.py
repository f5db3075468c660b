"""Asks a server over HTTP and this machine about ports: small questions with short time limits.

Knows no server and raises only OSError.
"""

from __future__ import annotations

import http.client
import socket
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping

import psutil


def fetch(url: str, *, headers: Mapping[str, str] | None = None, timeout_s: float = 2.0) -> tuple[int, bytes]:
    """Status and body of an HTTP answer, whatever the status. Raises OSError when there is none."""
    # A proxy from the environment is for the outside world, not for a server on this machine.
    local = is_loopback(urllib.parse.urlsplit(url).hostname or "")
    opener = urllib.request.build_opener(*([urllib.request.ProxyHandler({})] if local else []))
    request = urllib.request.Request(url, headers=dict(headers or {}))
    try:
        with opener.open(request, timeout=timeout_s) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read()
    except http.client.HTTPException as broken:
        raise OSError(f"no HTTP answer: {broken!r}") from broken


def is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


def listens(pid: object, port: int | None) -> bool:
    """Whether process `pid` of this machine has that port. A container's process has other numbers than here."""
    if not isinstance(pid, int):
        return False
    try:
        connections = psutil.Process(pid).net_connections("tcp")
    except (psutil.Error, ValueError):
        return False
    return any(c.status == psutil.CONN_LISTEN and c.laddr.port == port for c in connections)


def port_is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen there now. Connections that are only winding down do not count."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
