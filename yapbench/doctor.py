"""What this machine has and lacks, each lack with the one command that mends it.

`look` asks the machine; `findings` is a pure function over the answers.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from servers.common.errors import StartupRefused
from servers.smart_turn import weights
from yapbench import command, machine, probe
from yapbench.errors import ExitCode
from yapbench.gpu import Gpus

OLDEST_PYTHON = (3, 11)
NEEDED_BYTES = 3_000_000_000
NEEDED_PORTS = 100
MODULES = ("papermill", "pandas", "pyarrow", "aiohttp", "fastapi", "uvicorn", "onnxruntime")
TOOLS = {
    "flite": ("makes English samples", "sudo apt-get install -y flite"),
    "espeak-ng": ("makes French samples", "sudo apt-get install -y espeak-ng"),
    "chromium": ("tests report pages", "sudo apt-get install -y chromium"),
}
"""Programs that some tasks want: what for, and how to get them."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    ok: bool
    what: str
    remedy: str = ""
    """One command, or one line of what to do; empty when all is well."""
    needed: bool = True
    """Without it something that everybody uses does not work."""


@dataclass(frozen=True, kw_only=True)
class Probes:
    """What the machine answered."""

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
    model_lack: str
    """Why Smart Turn's weights cannot be used; empty when they can."""
    tools: Mapping[str, bool]
    gpus: tuple[str, ...]
    gpu_device: bool
    """A GPU's device file is there, whether or not its driver answers."""


def look(checkout: Path = command.CHECKOUT) -> Probes:
    """Ask this machine. Starts nothing and changes nothing."""
    tools = {name: any(shutil.which(n) for n in (name, f"{name}-browser")) for name in TOOLS}
    ports = list(command.PORTS)[:: len(command.PORTS) // NEEDED_PORTS]
    gpus = Gpus.open()
    names = tuple(f"{gpu.name} (driver {gpu.driver})" for gpu in gpus.describe()) if gpus else ()
    if gpus:
        gpus.close()
    return Probes(
        platform=sys.platform,
        python=sys.version_info[:2],
        has_venv=all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")),
        free_bytes=shutil.disk_usage(checkout).free,
        checkout=checkout,
        writable=os.access(checkout, os.W_OK),
        free_ports=sum(probe.port_is_free(port) for port in ports),
        cpus=machine.this_machine().cores,
        missing_modules=tuple(name for name in MODULES if importlib.util.find_spec(name) is None),
        model_lack=_model_lack(),
        tools=tools,
        gpus=names,
        gpu_device=Path("/dev/nvidiactl").exists(),
    )


def findings(probes: Probes | None = None) -> list[Finding]:
    """What the answers mean, the needed things first. Without `probes`, this machine's."""
    found = probes or look()
    version = ".".join(map(str, found.python))
    oldest = ".".join(map(str, OLDEST_PYTHON))
    missing = ", ".join(found.missing_modules)
    seen = [
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
        Finding(not found.model_lack, "Smart Turn v3 weights", found.model_lack),
        Finding(
            found.cpus >= 2,
            f"{found.cpus} CPU{'s' if found.cpus > 1 else ''}",
            "give the container or machine a second one: load and server share this one, latencies are too high",
            needed=False,
        ),
        _gpu(found),
        *(
            Finding(there, f"{name} ({TOOLS[name][0]})", TOOLS[name][1], needed=False)
            for name, there in found.tools.items()
        ),
    ]
    return [replace(finding, remedy="") if finding.ok else finding for finding in seen]


def report(found: Iterable[Finding]) -> int:
    """Print them and return the exit code: 2 when something needed is missing."""
    good = True
    for finding in found:
        mark = "ok  " if finding.ok else "FAIL" if finding.needed else "note"
        print(f"{mark}  {finding.what}" + ("" if finding.ok else f"\n      -> {finding.remedy}"))
        good = good and (finding.ok or not finding.needed)
    return ExitCode.OK if good else ExitCode.USAGE


def _gpu(found: Probes) -> Finding:
    if found.gpus:
        return Finding(True, f"GPU: {', '.join(found.gpus)}", needed=False)
    if found.gpu_device:
        return Finding(False, "a GPU is there but its driver does not answer", "nvidia-smi says why", needed=False)
    return Finding(True, "no GPU: servers run on the CPU", needed=False)


def _model_lack() -> str:
    try:
        weights.locate("auto")
    except StartupRefused as refused:
        return str(refused)
    return ""
