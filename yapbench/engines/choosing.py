"""Which engine the command line asks for."""

from __future__ import annotations

from typing import Literal

from yapbench.engines.job import Engine
from yapbench.engines.local import LocalEngine
from yapbench.errors import UsageError

Name = Literal["local", "ray"]


def engine(
    name: Name,
    *,
    jobs: int | None = None,
    gpus_per_run: int | None = None,
    cpus_per_run: int | None = None,
    ray_address: str | None = None,
    out: str | None = None,
    calibrate: bool = False,
) -> Engine:
    """Raises UsageError for a flag of the other engine. Ray is imported only when it is asked for."""
    if name == "local":
        for flag, value in (("--cpus-per-run", cpus_per_run), ("--ray-address", ray_address), ("--out", out)):
            if value is not None:
                raise UsageError(f"{flag}={value} is for --engine ray")
        return LocalEngine(jobs=jobs, gpus_per_run=gpus_per_run)
    if jobs is not None:
        raise UsageError(
            f"--jobs={jobs} is for --engine local; Ray runs as many as --gpus-per-run and --cpus-per-run fit"
        )
    from yapbench.engines.ray_cluster import RayEngine

    return RayEngine(
        address=ray_address, gpus_per_run=gpus_per_run, cpus_per_run=cpus_per_run, out=out, calibrate=calibrate
    )
