"""The echo servers of a sweep as the kernel shows them: which GPU each was given, and which CPUs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Seen:
    """A server that runs."""

    folder: str
    """Of its attempt."""
    gpu: str
    """CUDA_VISIBLE_DEVICES as it was started with."""
    cpus: tuple[int, ...]
    ray: tuple[str, ...]
    """Names of Ray's variables in its environment."""


def servers(below: Path) -> list[Seen]:
    """Every echo server whose script lies below a folder; not its guard and keeper."""
    found = []
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
            scripts = [word.partition("=")[2] for word in words if word.startswith(f"--script={below}")]
            if scripts and words[1:3] == ["-m", "servers.echo"]:
                environment = process.environ()
                folder, gpu = str(Path(scripts[0]).parent), environment.get("CUDA_VISIBLE_DEVICES", "")
                ray = tuple(name for name in environment if name.startswith("RAY_"))
                found.append(Seen(folder, gpu, tuple(process.cpu_affinity()), ray))
        except psutil.Error:
            continue
    return found
