"""What this machine has and lacks, each lack with the one command that mends it.

`look` asks the machine, starts nothing and changes nothing; `findings` is a pure function over the answers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from yapbench.command import CHECKOUT
from yapbench.doctor import environments, gpus, machine, models, ports
from yapbench.doctor.finding import Finding, report

__all__ = ["Finding", "Probes", "findings", "look", "report"]


@dataclass(frozen=True, kw_only=True)
class Probes:
    """What the machine answered."""

    machine: machine.Machine
    graphics: gpus.Graphics
    environments: tuple[environments.Place, ...]
    models: tuple[models.Candidate, ...]
    ports: tuple[ports.Port, ...]


def look(checkout: Path = CHECKOUT) -> Probes:
    """Ask this machine."""
    return Probes(
        machine=machine.look(checkout),
        graphics=gpus.look(),
        environments=environments.look(),
        models=models.look(),
        ports=ports.look(),
    )


def findings(probes: Probes | None = None) -> list[Finding]:
    """What the answers mean, under headings, what fits here last. Without `probes`, this machine's."""
    found = probes or look()
    places = {place.name: place for place in found.environments}
    seen = [
        *machine.findings(found.machine),
        *environments.findings(found.environments),
        *gpus.findings(found.graphics),
        *environments.wheel_findings(found.environments, found.graphics),
        *models.weights_findings(found.models),
        *ports.findings(found.ports),
        *models.fit_findings(found.models, places, found.graphics),
    ]
    return [replace(finding, remedy="") if finding.ok else finding for finding in seen]
