"""The machine itself: system, Python, disk, ports for trials, limits of processes. Knows no server."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from yapbench import command, probe
from yapbench.doctor.finding import Finding
from yapbench.machine import this_machine

OLDEST_PYTHON = (3, 11)
NEEDED_BYTES = 3_000_000_000
NEEDED_PORTS = 100
NEEDED_FILES = 4096
"""A connection is an open file, and a server inherits this shell's limit."""

NEEDED_SHARED_BYTES = 64_000_000
SHARED_MEMORY = Path("/dev/shm")
MODULES = ("papermill", "pandas", "pyarrow", "aiohttp", "fastapi", "uvicorn", "onnxruntime")
TOOLS = {
    "flite": ("makes English samples", "sudo apt-get install -y flite"),
    "espeak-ng": ("makes French samples", "sudo apt-get install -y espeak-ng"),
    "chromium": ("tests report pages", "sudo apt-get install -y chromium"),
}
"""Programs that some tasks want: what for, and how to get them."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What it answered."""

    platform: str
    python: tuple[int, int]
    has_venv: bool
    free_bytes: int
    checkout: Path
    writable: bool
    free_ports: int
    """Of NEEDED_PORTS that were tried."""
    cpus: int
    missing_modules: tuple[str, ...]
    tools: Mapping[str, bool]
    open_files: tuple[int, int] | None
    """The limit in force and the one it may be raised to; None where there is none to be asked."""
    shared_bytes: int | None
    """Size of /dev/shm; None where there is none."""


def look(checkout: Path) -> Machine:
    """Ask. Starts nothing and changes nothing."""
    sampled = list(command.PORTS)[:: len(command.PORTS) // NEEDED_PORTS]
    return Machine(
        platform=sys.platform,
        python=sys.version_info[:2],
        has_venv=all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")),
        free_bytes=shutil.disk_usage(checkout).free,
        checkout=checkout,
        writable=os.access(checkout, os.W_OK),
        free_ports=sum(probe.port_is_free(port) for port in sampled),
        cpus=this_machine().cores,
        missing_modules=tuple(name for name in MODULES if importlib.util.find_spec(name) is None),
        tools={name: any(shutil.which(n) for n in (name, f"{name}-browser")) for name in TOOLS},
        open_files=_open_files(),
        shared_bytes=shutil.disk_usage(SHARED_MEMORY).total if SHARED_MEMORY.is_dir() else None,
    )


def findings(found: Machine) -> list[Finding]:
    """What the answers mean, the needed things first."""
    version = ".".join(map(str, found.python))
    oldest = ".".join(map(str, OLDEST_PYTHON))
    missing = ", ".join(found.missing_modules)
    return [
        Finding(
            found.platform == "linux",
            f"operating system {found.platform}",
            "reports and comparisons work here; use Linux (WSL, a container, a pod) to start servers",
        ),
        Finding(
            found.python >= OLDEST_PYTHON,
            f"Python {version}",
            f"sudo apt-get install -y python{oldest} python{oldest}-venv, then make setup PYTHON=python{oldest}",
        ),
        Finding(found.has_venv, "module venv", f"sudo apt-get install -y python{version}-venv"),
        Finding(
            found.free_bytes >= NEEDED_BYTES,
            f"{found.free_bytes / 1e9:.1f} GB of free disk at {found.checkout}",
            f"free {(NEEDED_BYTES - found.free_bytes) / 1e9:.1f} GB more there",
        ),
        Finding(found.writable, f"write access to {found.checkout}", f'sudo chown -R "$USER" {found.checkout}'),
        Finding(
            found.free_ports > NEEDED_PORTS // 2,
            f"{found.free_ports} of {NEEDED_PORTS} sampled ports from {command.PORTS.start} on are free",
            "ss -ltnp shows who holds them",
        ),
        Finding(not missing, f"Python packages{f' without {missing}' if missing else ''}", "make setup"),
        Finding(
            found.cpus >= 2,
            f"{found.cpus} CPU{'s' if found.cpus > 1 else ''}",
            "give the container or machine a second one: load and server share this one, latencies are too high",
            needed=False,
        ),
        *_limits(found),
        *(
            Finding(there, f"{name} ({TOOLS[name][0]})", TOOLS[name][1], needed=False)
            for name, there in found.tools.items()
        ),
    ]


def _limits(found: Machine) -> list[Finding]:
    limits = []
    if found.open_files is not None:
        now, most = found.open_files
        raised = f"ulimit -n {NEEDED_FILES}"
        if most < NEEDED_FILES:
            raised = f"sudo prlimit --pid $$ --nofile={NEEDED_FILES} (a container: start it with --ulimit nofile=65536)"
        many = "any number of" if now == sys.maxsize else now
        limits.append(Finding(now >= NEEDED_FILES, f"{many} open files a process may have", raised, needed=False))
    if found.shared_bytes is not None:
        larger = f"sudo mount -o remount,size=1g {SHARED_MEMORY} (a container: start it with --shm-size=1g)"
        what = f"{found.shared_bytes / 1e6:.0f} MB of shared memory at {SHARED_MEMORY}"
        limits.append(Finding(found.shared_bytes >= NEEDED_SHARED_BYTES, what, larger, needed=False))
    return limits


def _open_files() -> tuple[int, int] | None:
    if sys.platform == "win32":
        return None
    import resource  # not on Windows

    now, most = (
        sys.maxsize if limit == resource.RLIM_INFINITY else limit
        for limit in resource.getrlimit(resource.RLIMIT_NOFILE)
    )
    return now, most
