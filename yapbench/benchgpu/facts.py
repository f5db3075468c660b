"""What the machine of a bench is: what nvidia-smi says, versions, commit. A tool that is not there is said."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any, Final

from yapbench import machine, provenance

_SECTIONS: Final = "CLOCK,POWER,PERFORMANCE,TEMPERATURE,MEMORY,UTILIZATION,COMPUTE"
_MOST_CHARACTERS: Final = 20_000


def gather(checkout: Path) -> dict[str, Any]:
    """{"machine", "git", "versions", "clock", "nvidia_smi"}, fit for JSON."""
    return {
        "machine": machine.fingerprint(),
        "pinning": machine.pinning().reason,
        "git": provenance.git_state(checkout),
        "versions": provenance.versions(),
        "clock": machine.clock_anchor(),
        "nvidia_smi": nvidia_smi(),
    }


def nvidia_smi() -> str:
    """Clocks, power limit, temperature and memory of every card as nvidia-smi prints them, or why it did not."""
    try:
        done = subprocess.run(
            ["nvidia-smi", "-q", "-d", _SECTIONS], capture_output=True, text=True, timeout=15, check=False
        )
    except FileNotFoundError:
        return "nvidia-smi is not there"
    except subprocess.TimeoutExpired:
        return "nvidia-smi did not answer within 15 s"
    return (done.stdout + done.stderr)[:_MOST_CHARACTERS]
