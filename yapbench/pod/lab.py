"""`make lab`: JupyterLab on the notebooks, with a token, and one line that says its whole address once it answers.

LAB_IP (127.0.0.1), LAB_PORT (8888) and JUPYTER_TOKEN (made anew) say where and for whom. This process becomes Jupyter.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import socket
import sys
import time
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from yapbench import probe
from yapbench.command import CHECKOUT
from yapbench.doctor import ports
from yapbench.errors import ExitCode, UsageError
from yapbench.pod import outside

PATIENCE_S = 120.0
_TOKEN_BYTES = 24


@dataclass(frozen=True)
class Lab:
    """Where it listens and who gets in."""

    ip: str
    port: int
    token: str = field(repr=False)

    @property
    def here(self) -> str:
        """Its address on this machine."""
        host = {"0.0.0.0": "127.0.0.1", "*": "127.0.0.1", "::": "::1"}.get(self.ip, self.ip)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    def url(self, told: Mapping[str, str]) -> str:
        """For a browser: from outside where it can be reached from there. `told`: what the pod's host has told."""
        ways = outside.ways(self.port, self.ip, told)
        place = ways[0].url if ways else self.here
        if not ways and self.ip in ("0.0.0.0", "*"):
            place = f"http://{outside.own_address()}:{self.port}"
        return f"{place}/lab?token={urllib.parse.quote(self.token, safe='')}"


def read(environ: Mapping[str, str]) -> Lab:
    """Raises UsageError naming the variable, its value and the limit."""
    text = environ.get("LAB_PORT") or "8888"
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise UsageError(f"LAB_PORT={text}: a port from 1 to 65535")
    ip = environ.get("LAB_IP") or "127.0.0.1"
    try:
        socket.getaddrinfo("0.0.0.0" if ip == "*" else ip, int(text))
    except OSError as error:
        raise UsageError(f"LAB_IP={ip}: no address of this machine ({error})") from error
    return Lab(ip, int(text), environ.get("JUPYTER_TOKEN") or secrets.token_urlsafe(_TOKEN_BYTES))


def command(lab: Lab, told: Mapping[str, str], more: Sequence[str] = ()) -> list[str]:
    """How Jupyter is started. Its token is in its environment: a command line is seen by everybody."""
    places = [way.url for way in outside.ways(lab.port, lab.ip, told)]
    return [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--log-level=WARN"),
        f"--ServerApp.ip={lab.ip}",
        f"--ServerApp.port={lab.port}",
        "--ServerApp.port_retries=0",  # another port would not be the one that is said
        f"--ServerApp.root_dir={CHECKOUT / 'notebooks'}",
        "--ServerApp.answer_yes=True",  # Ctrl+C ends it at once
        *(["--allow-root"] if os.geteuid() == 0 else []),
        *([f"--ServerApp.allow_origin={places[0]}"] if places else []),
        *more,
    ]


def environment(lab: Lab) -> dict[str, str]:
    """Kernels of this environment come before those of the user's home, which do not have the project."""
    return os.environ | {"JUPYTER_TOKEN": lab.token, "JUPYTER_PREFER_ENV_PATH": "1"}


def announce(lab: Lab, told: Mapping[str, str], *, server_pid: int, patience_s: float = PATIENCE_S) -> bool:
    """Print the address as soon as the server lets us in with the token. False: it ended before, or never did."""
    deadline_s = time.monotonic() + patience_s
    while time.monotonic() < deadline_s and _is_there(server_pid):
        try:
            status, _ = probe.fetch(f"{lab.here}/api/status", headers={"Authorization": f"token {lab.token}"})
        except OSError:
            status = 0
        if status == 200:
            print(f"JupyterLab: {lab.url(told)}", flush=True)
            if probe.is_loopback(lab.ip):
                print(f"from another machine first: {outside.tunnel(lab.port, told)}", flush=True)
            return True
        time.sleep(0.2)
    return False


def main() -> int:
    """Become Jupyter. 2: a wrong value, a taken port, no JupyterLab."""
    try:
        lab = read(os.environ)
        _check(lab)
    except UsageError as problem:
        print(f"make lab: {problem}", file=sys.stderr)
        return ExitCode.USAGE
    told = outside.pod_variables()
    words = command(lab, told, sys.argv[1:])
    _in_background(lab, told)
    return os.execve(words[0], words, environment(lab))


def _check(lab: Lab) -> None:
    if importlib.util.find_spec("jupyterlab") is None:
        raise UsageError("JupyterLab is not in this environment: `make lab` puts it there")
    if not probe.port_is_free(lab.port, "0.0.0.0" if lab.ip == "*" else lab.ip):
        found = ports.look_at(lab.port, [])
        who = found.holder or "another process"
        raise UsageError(f"port {lab.port} is held by {who}: LAB_PORT={found.spare} is free")


def _in_background(lab: Lab, told: Mapping[str, str]) -> None:
    """Announce from a grandchild: nobody has to wait for it, and it ends with the server."""
    server_pid = os.getpid()
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    if os.fork() == 0:
        announce(lab, told, server_pid=server_pid)
    os._exit(0)


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
