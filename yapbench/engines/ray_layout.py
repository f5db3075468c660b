"""How much of a Ray node a run asks for, so that Ray itself keeps neighbours away. Pure numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from yapbench.errors import UsageError


@dataclass(frozen=True)
class Node:
    """What a node of the cluster offers."""

    cpus: int
    gpus: int


@dataclass(frozen=True)
class Share:
    """What one run takes."""

    cpus: int
    gpus: int


def gpus_of_run(nodes: Sequence[Node], asked: int | None) -> int:
    """GPUs of a run that wants one: `asked`, else 1 where the cluster has any. Raises UsageError for too many."""
    most = max((node.gpus for node in nodes), default=0)
    if asked is None:
        return min(1, most)
    if not 0 <= asked <= most:
        raise UsageError(f"--gpus-per-run={asked}: from 0 to {most}, the most that a node of this cluster has")
    return asked


def share(nodes: Sequence[Node], *, gpus: int, cpus_asked: int | None) -> Share:
    """What a run takes of a node: with GPUs an equal part of the CPUs, without them all of a node's.

    On nodes of several sizes so many CPUs that two runs never fit on one: then nodes of half that size stay idle.
    Raises UsageError where no node has so much.
    """
    able = [node for node in nodes if node.gpus >= gpus and node.cpus > 0]
    if not able:
        raise UsageError("no node of this Ray cluster has CPUs to offer: it needs at least one worker node")
    most = max(node.cpus for node in able)
    if cpus_asked is not None:
        if not 0 <= cpus_asked <= most:
            raise UsageError(f"--cpus-per-run={cpus_asked}: from 0 to {most}, the most that a node of this cluster has")
        return Share(cpus_asked, gpus)
    if gpus:
        return Share(min(node.cpus // (node.gpus // gpus) for node in able), gpus)
    return Share(min(node.cpus for node in able if 2 * node.cpus > most), 0)


def is_alone(nodes: Sequence[Node], taken: Share) -> bool:
    """Whether no other run can come onto a run's CPUs."""
    if taken.gpus:
        return all(node.cpus >= node.gpus // taken.gpus for node in nodes if node.gpus >= taken.gpus)
    return taken.cpus > 0 and all(node.cpus < 2 * taken.cpus for node in nodes)
