"""What is asked of a machine before anything is fetched: a GPU where one is wanted, room on its disks, a free port.

Judges what the doctor has seen; asks nothing itself but how much is free. Raises UsageError with the ways out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from yapbench import envs
from yapbench.doctor import environments, gpus, models, ports
from yapbench.doctor.environments import Place, as_typed
from yapbench.doctor.gpus import Graphics
from yapbench.doctor.models import Candidate
from yapbench.errors import UsageError

COMMAND = "deploy/pod.sh"
WEIGHTS_GB = {"smart_turn": 0.4, "fastconformer": 0.5, "parakeet": 2.5, "kyutai": 2.6, "voxtral": 8.9}
"""About what the usual model of each takes on disk: its parameters times their bytes, calculated."""


@dataclass(frozen=True)
class Need:
    """Room that something will take."""

    what: str
    folder: Path
    gb: float


def device(one: Candidate, place: Place, graphics: Graphics, *, is_up: bool = False) -> str:
    """Where the model will run. `place`: the environment of what computes; `is_up`: it holds GPU memory already.

    Raises UsageError where it wants a GPU that is not there, is too full, or that its PyTorch cannot use.
    """
    if place.name == envs.LIGHT:
        return "the CPU"
    if not graphics.cards:
        if one.device == "cpu" or (one.model == models.TINY and not one.device.startswith("cuda")):
            return "the CPU"
        raise UsageError(_no_gpu(one, graphics))
    if place.wheel is not None and one.device != "cpu":
        found = gpus.wheel_finding(place.wheel, graphics, place.name, *place.servers[0])
        if not found.ok:
            raise UsageError(f"{found.what}: {found.remedy}")
    where, problem, remedy = models.device(one, place, graphics)
    if problem and not is_up:
        raise UsageError(f"{one.words} lacks {problem}: {remedy.replace('yapbench up', COMMAND)}")
    return where or "the GPU that it holds"


def _no_gpu(one: Candidate, graphics: Graphics) -> str:
    why = "no NVIDIA driver answers (nvidia-smi)"
    if graphics.has_device:
        why = "a GPU is there but its driver does not answer (nvidia-smi says why)"
    if graphics.hidden:
        why = "CUDA_VISIBLE_DEVICES hides every GPU"
    on_cpu = " --device=cpu" if one.device_variable else ""
    ways = [
        "a machine with a GPU and its driver",
        f"{COMMAND} {one.server} --model={models.TINY}{on_cpu} (the CPU, with the small model that comes along)",
        *([f"{COMMAND} {one.server} --device=cpu (the real one on the CPU, slow)"] if on_cpu else []),
    ]
    wants = f"{one.words} wants a GPU with about {one.vram_gb:g} GB of memory"
    return f"{why}, and {wants}. Ways out: {'; '.join(ways)}"


def disk(needs: Sequence[Need], free: Callable[[Path], int] = environments.free_at) -> str:
    """What will be taken and what is free, for each disk. Raises UsageError where one has too little."""
    said = []
    for group in _by_disk(needs):
        wanted_gb, free_gb = sum(need.gb for need in group), free(group[0].folder) / 1e9
        parts = ", ".join(f"{need.what} {need.gb:g} GB at {as_typed(need.folder)}" for need in group)
        if wanted_gb > free_gb:
            raise UsageError(
                f"too little disk: about {wanted_gb:.1f} GB are needed ({parts}), {free_gb:.1f} GB are free there. "
                "YAPBENCH_ENVS and HF_HOME name folders on a larger disk; `yapbench down SERVER --purge` frees what "
                "another server has left"
            )
        said.append(f"{wanted_gb:.1f} of {free_gb:.1f} GB of free disk will be taken ({parts})")
    return "; ".join(said) or "nothing is left to fetch"


def _by_disk(needs: Sequence[Need]) -> list[list[Need]]:
    groups: dict[int, list[Need]] = {}
    for need in needs:
        there = next(path for path in (need.folder, *need.folder.parents) if path.exists())
        groups.setdefault(there.stat().st_dev, []).append(need)
    return list(groups.values())


def port(number: int, server: str) -> str:
    """Raises UsageError where somebody else has it, with who and with one that is free; 0 is any."""
    if number == 0:
        return "a free port will be taken"
    found = ports.look_at(number, [server])
    if found.is_free:
        return f"port {number} is free"
    if found.ours == server:
        return f"port {number} is its own"
    who = f"our {found.ours}" if found.ours else found.holder or "another process"
    other = f": --port={found.spare} is free" if found.spare else ""
    raise UsageError(f"port {number} is held by {who}{other}")
