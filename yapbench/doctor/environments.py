"""The environments that servers run in: made or not, and whether there is room to make them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from servers.common.devices import cuda_is_visible
from yapbench import catalog, envs
from yapbench.doctor import gpus
from yapbench.doctor.finding import Finding

HEADING = "environments"


@dataclass(frozen=True, kw_only=True)
class Place:
    """One environment of the catalogue."""

    name: str
    servers: tuple[tuple[str, str], ...]
    """Which run in it, or have a process in it, each with the flag that means it; "" where it is the usual one."""
    path: Path
    is_complete: bool
    is_half_made: bool = False
    missing: tuple[str, ...] = ()
    """Packages that the harness's own environment lacks."""
    disk_gb: float = 0.0
    """About what it takes; 0: nothing is known."""
    is_measured: bool = True
    free_bytes: int = 0
    """On the disk that it would lie on."""
    wheel: gpus.Wheel | None = None

    @property
    def has_room(self) -> bool:
        return self.is_complete or self.free_bytes >= self.disk_gb * 1e9

    @property
    def install(self) -> str:
        """The command that makes it."""
        if self.name == envs.LIGHT:
            return "make setup"
        server, flag = self.servers[0]
        elsewhere = "" if self.has_room else "YAPBENCH_ENVS=/a/larger/disk "
        return f"{elsewhere}yapbench install {server} {flag}".strip()


def look() -> tuple[Place, ...]:
    """Every environment of the catalogue, the harness's own first."""
    wanted: dict[str, list[tuple[str, str]]] = {envs.LIGHT: []}
    for entry in catalog.CATALOG:
        wanted.setdefault(entry.environment, []).append((entry.name, ""))
        for name, flag in entry.others:
            wanted.setdefault(name, []).append((entry.name, flag))
        for name, _ in entry.beside:
            wanted.setdefault(name, []).append((entry.name, ""))
    return tuple(_look_at(name, servers) for name, servers in wanted.items())


def findings(found: Sequence[Place]) -> list[Finding]:
    """One line an environment."""
    return [_finding(place) for place in found]


def wheel_findings(found: Sequence[Place], graphics: gpus.Graphics) -> list[Finding]:
    """Where there is a GPU: one line for each environment with a PyTorch in it."""
    if not graphics.cards:
        return []
    return [
        gpus.wheel_finding(place.wheel, graphics, place.name, *place.servers[0])
        for place in found
        if place.wheel is not None
    ]


def free_at(folder: Path) -> int:
    """Bytes free on the disk that a folder lies on, or would lie on."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(there).free


def _finding(place: Place) -> Finding:
    users = ", ".join(f"{server} {flag}".strip() for server, flag in place.servers)
    what = f"{place.name} ({users})"
    if place.name == envs.LIGHT:
        lacks = f" lacks {', '.join(place.missing)}" if place.missing else ", the harness's own"
        return Finding(not place.missing, f"{what}{lacks}", place.install, heading=HEADING)
    if place.is_complete:
        return Finding(True, f"{what} at {as_typed(place.path)}", needed=False, heading=HEADING)
    state = "is half made" if place.is_half_made else "is not made"
    takes = f"takes about {place.disk_gb:g} GB{'' if place.is_measured else ' (a guess)'}; " if place.disk_gb else ""
    room = f"{takes}{place.free_bytes / 1e9:.1f} GB are free at {as_typed(place.path.parent)}"
    short = "" if place.has_room else ", too little"
    return Finding(False, f"{what} {state}: {room}{short}", place.install, needed=False, heading=HEADING)


def as_typed(path: Path) -> str:
    """A path as one would type it in the checkout's root."""
    if path.is_relative_to(envs.CHECKOUT):
        return str(path.relative_to(envs.CHECKOUT))
    return f"~/{path.relative_to(Path.home())}" if path.is_relative_to(Path.home()) else str(path)


def _look_at(name: str, servers: Sequence[tuple[str, str]]) -> Place:
    if name == envs.LIGHT:
        wanted = {package for server, _ in servers for package in envs.requirements_of(server, name)}
        missing = tuple(sorted(package for package in wanted if not _is_installed(package)))
        return Place(name=name, servers=tuple(servers), path=Path(), is_complete=not missing, missing=missing)
    environment = envs.environment(name)
    complete = environment.is_complete()
    disk = catalog.DISK_GB.get(name)
    with_gpu = cuda_is_visible()
    return Place(
        name=name,
        servers=tuple(servers),
        path=environment.path,
        is_complete=complete,
        is_half_made=not complete and environment.path.exists(),
        disk_gb=(disk.with_gpu if with_gpu else disk.without_gpu) if disk else 0.0,
        is_measured=not with_gpu,
        free_bytes=free_at(environment.root),
        wheel=wheel_of(environment) if complete else None,
    )


def wheel_of(environment: envs.Environment) -> gpus.Wheel | None:
    """The PyTorch of an environment: the image's, its own, or none."""
    if environment.torch:
        return gpus.Wheel(environment.torch.version, environment.torch.cuda)
    return gpus.wheel_in(environment.path)


def _is_installed(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True
