"""The GPUs: who holds their memory, and which CUDA the driver knows against the one a PyTorch wheel was made for."""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

import psutil

from servers.common.devices import HIDING
from yapbench.builds import OLDEST_DRIVERS
from yapbench.doctor.finding import Finding
from yapbench.monitoring import gpu

HEADING = "GPU"

CudaVersion = tuple[int, int]


@dataclass(frozen=True)
class Holder:
    """A process with memory on a card."""

    pid: int
    memory_bytes: int
    name: str = ""
    """"" when it cannot be told: in a container the driver counts processes differently."""

    def __str__(self) -> str:
        who = f"{self.name} (pid {self.pid})" if self.name else f"a process that the driver calls {self.pid}"
        return f"{who} holds {self.memory_bytes / 1e9:.1f} GB"


@dataclass(frozen=True, kw_only=True)
class Card:
    """One card that servers may use."""

    name: str
    total_bytes: int
    free_bytes: int
    holders: tuple[Holder, ...] = ()

    @property
    def held(self) -> str:
        """Who holds its memory, the largest first; "" when nobody does or nothing is known."""
        holding = sorted(self.holders, key=lambda holder: -holder.memory_bytes)
        return ", ".join(str(holder) for holder in holding if holder.memory_bytes)


@dataclass(frozen=True, kw_only=True)
class Graphics:
    """What was seen of GPUs."""

    cards: tuple[Card, ...] = ()
    """Those that servers may use, in CUDA's order where all are alike."""
    driver: str = ""
    cuda: CudaVersion | None = None
    """The newest CUDA that the driver knows."""
    has_device: bool = False
    """A GPU's device file is there, whether or not its driver answers."""
    hidden: bool = False
    """CUDA_VISIBLE_DEVICES hides every GPU from servers."""


@dataclass(frozen=True)
class Wheel:
    """A PyTorch, as its files tell without running it."""

    version: str
    cuda: CudaVersion | None
    """What it was made for; None: CPU only."""

    def suits(self, graphics: Graphics) -> bool:
        """Whether it can use these cards. From CUDA 11 on a driver runs every minor version of its major one."""
        if self.cuda is None or not graphics.cards:
            return False
        return graphics.cuda is None or graphics.cuda[0] >= self.cuda[0]


def look() -> Graphics:
    """Ask the driver, if there is one."""
    has_device = Path("/dev/nvidiactl").exists()
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "all") in HIDING
    found = gpu.Gpus.open()
    if found is None:
        return Graphics(has_device=has_device, hidden=hidden)
    with contextlib.closing(found):
        built_in = found.describe()
        shown = visible(os.environ.get("CUDA_VISIBLE_DEVICES"), len(built_in))
        return Graphics(
            cards=tuple(_card(found, index, built_in[index]) for index in shown),
            driver=built_in[0].driver,
            cuda=found.cuda_version,
            has_device=True,
            hidden=hidden,
        )


def visible(variable: str | None, count: int) -> list[int]:
    """Which of `count` cards CUDA_VISIBLE_DEVICES leaves, in its order; all where it does not name them by number."""
    if variable is None:
        return list(range(count))
    if variable in HIDING:
        return []
    words = [word.strip() for word in variable.split(",")]
    if not all(word.isdecimal() for word in words):
        return list(range(count))
    return [int(word) for word in words if int(word) < count]


def wheel_in(environment: Path) -> Wheel | None:
    """The PyTorch of an environment's folder; None when there is none."""
    for path in [
        *environment.glob("lib/python*/site-packages/torch/version.py"),
        *environment.glob("Lib/site-packages/torch/version.py"),
    ]:
        text = path.read_text(encoding="utf-8", errors="replace")
        version = re.search(r"^__version__\b[^=]*=\s*['\"]([^'\"]+)['\"]", text, re.MULTILINE)
        cuda = re.search(r"^cuda\b[^=]*=\s*['\"](\d+)\.(\d+)", text, re.MULTILINE)
        return Wheel(version[1] if version else "of unknown version", (int(cuda[1]), int(cuda[2])) if cuda else None)
    return None


def findings(found: Graphics) -> list[Finding]:
    """The cards and their driver."""
    if found.hidden and found.has_device:
        return [Finding(True, "servers see no GPU: CUDA_VISIBLE_DEVICES hides it", needed=False, heading=HEADING)]
    if not found.cards:
        what = "a GPU is there but its driver does not answer" if found.has_device else "no GPU: servers run on the CPU"
        return [Finding(not found.has_device, what, "nvidia-smi says why", needed=False, heading=HEADING)]
    knows = f", which knows CUDA {written(found.cuda)}" if found.cuda else ""
    lines = [f"driver {found.driver}{knows}"]
    for number, card in enumerate(found.cards):
        room = f"{card.free_bytes / 1e9:.1f} of {card.total_bytes / 1e9:.1f} GB free"
        lines.append(f"cuda:{number} {card.name}, {room}{f'; {card.held}' if card.held else ''}")
    return [Finding(True, line, needed=False, heading=HEADING) for line in lines]


def wheel_finding(wheel: Wheel, found: Graphics, environment: str, server: str, flag: str) -> Finding:
    """Whether an environment's PyTorch can use the cards. `yapbench install server flag` has made it."""
    install = f"yapbench install {server} {flag}".strip()
    what = f"PyTorch {wheel.version} in environment {environment}"
    if wheel.cuda is None:
        anew = f"yapbench down {server} --purge=env && env -u PIP_EXTRA_INDEX_URL {install}"
        return Finding(False, f"{what} is for CPUs only and leaves the GPU idle", anew, needed=False, heading=HEADING)
    what += f", made for CUDA {written(wheel.cuda)}"
    if wheel.suits(found):
        return Finding(True, f"{what}, can use this driver", needed=False, heading=HEADING)
    oldest = OLDEST_DRIVERS.get(wheel.cuda[0])
    what += f", does not run on a GPU with this driver{f': it takes {oldest} or newer' if oldest else ''}"
    return Finding(False, what, _newer_driver(oldest), needed=False, heading=HEADING)


def written(version: CudaVersion | None) -> str:
    """(13, 0) -> "13.0"."""
    return ".".join(map(str, version or ()))


def _newer_driver(oldest: int | None) -> str:
    if oldest is None:
        return "install a newer NVIDIA driver (a container: on its host)"
    return f"sudo apt-get install -y nvidia-driver-{oldest} && sudo reboot (a container: on its host)"


def _card(found: gpu.Gpus, index: int, built_in: gpu.Gpu) -> Card:
    used = found.sample(index, ()).get("vram_used_bytes", 0.0)
    held = found.memory_by_pid(index)
    return Card(
        name=built_in.name,
        total_bytes=built_in.memory_bytes,
        free_bytes=built_in.memory_bytes - int(used),
        holders=tuple(Holder(pid, size, _name(pid)) for pid, size in held.items()),
    )


def _name(pid: int) -> str:
    """The process's name, if it is one of this machine's that has a GPU open; else the number may mean another here."""
    try:
        opened = [str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()]
        return psutil.Process(pid).name() if any(path.startswith("/dev/nvidia") for path in opened) else ""
    except (OSError, psutil.Error):
        return ""
