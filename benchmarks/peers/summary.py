"""What the cells of smart_turn_peers.py say together: medians over rounds, ratios within a round, goals met or not.

Pure: knows no server, no clock and no file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from statistics import median
from typing import Any

STUB_ONE_MS = 8.27 + 1.83
"""What a batch of one takes the stub."""

V2_MODELS = ("v2", "tiny", "random")


@dataclass(frozen=True)
class Cell:
    """One server under one load in one round. Rates and CPU are of the counted time alone."""

    model: str
    peer: str
    concurrency: int
    round: int
    answered: int
    failed: int
    rps: float
    p50_ms: float
    p95_ms: float
    cpu_ms: float
    """User and system time of all the server's processes, for each answer."""
    batch: float
    """Mean size of the batches."""
    others_cores: float
    """Cores that neither this server nor the load used: what else went on."""
    answers: dict[str, tuple[float, float]]
    """Lowest and highest probability for each clip."""


def spread(cells: Sequence[Cell]) -> float:
    """The most that two answers to one clip differ by, over all peers, rounds and loads."""
    ids = {clip for cell in cells for clip in cell.answers}
    bounds = [[cell.answers[clip] for cell in cells if clip in cell.answers] for clip in ids]
    return max((max(high for _, high in one) - min(low for low, _ in one) for one in bounds), default=0.0)


def ratios(cells: Sequence[Cell], peer: str, measure: Callable[[Cell], float]) -> list[float]:
    """Ours to the peer's in each round that has both; `cells` are of one model and one load."""
    ours, theirs = ({cell.round: measure(cell) for cell in cells if cell.peer == name} for name in ("ours", peer))
    return [ours[number] / theirs[number] for number in sorted(ours.keys() & theirs.keys()) if theirs[number]]


def summarise(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """A row for each (model, concurrency, peer): medians over rounds; ours to the peer's as [median, least, most]."""
    rows = []
    for model, concurrency, peer in dict.fromkeys((cell.model, cell.concurrency, cell.peer) for cell in cells):
        same = [cell for cell in cells if (cell.model, cell.concurrency) == (model, concurrency)]
        own = [cell for cell in same if cell.peer == peer]
        row: dict[str, Any] = {"model": model, "concurrency": concurrency, "peer": peer, "rounds": len(own)}
        for name in ("rps", "p50_ms", "p95_ms", "cpu_ms", "batch", "others_cores"):
            row[name] = median(getattr(cell, name) for cell in own)
        row |= {"answered": sum(cell.answered for cell in own), "failed": sum(cell.failed for cell in own)}
        for name in ("rps", "cpu_ms"):
            found = ratios(same, peer, lambda cell, name=name: float(getattr(cell, name)))  # type: ignore[misc]
            row[f"ours_to_it_{name}"] = [median(found), min(found), max(found)] if found else None
        rows.append(row)
    return rows


def bars(rows: Sequence[dict[str, Any]], *, on_gpu: bool = False) -> list[dict[str, Any]]:
    """The project's goals: {goal, bound, value, met}; those whose cells were not run are left out."""
    known = {(row["model"], row["peer"], row["concurrency"]): row for row in rows}
    found: list[dict[str, Any]] = []

    def judge(
        goal: str, peer: str, concurrency: int, name: str, *, model: str = "stub", least: float = 0.0, most: float = inf
    ) -> None:
        value = known.get((model, peer, concurrency), {}).get(name)
        if value is None:
            return
        value = value[0] if isinstance(value, list) else value
        words = [f"at least {least:g}"] * (least > 0) + [f"at most {most:g}"] * (most < inf)
        goal = f"{model}, {concurrency} clients: {goal}"
        found.append({"goal": goal, "bound": ", ".join(words), "value": value, "met": least <= value <= most})

    judge("CPU ms a request", "ours", 16, "cpu_ms", most=1.0)
    judge("CPU to LitServe's", "litserve", 16, "ours_to_it_cpu_ms", most=0.2)
    judge("p50 ms", "ours", 1, "p50_ms", most=1.25 * STUB_ONE_MS)
    judge("rate to the fixed window's", "older", 4, "ours_to_it_rps", least=1.10)
    judge("rate to the fixed window's", "older", 16, "ours_to_it_rps", least=0.97, most=1.03)
    for model in V2_MODELS if on_gpu else ():
        judge("rate to the fixed window's", "older-short", 4, "ours_to_it_rps", model=model, least=1.15)
        judge("rate to the fixed window's at 16 s", "older", 4, "ours_to_it_rps", model=model, least=1.5)
    return found


HEADS = (
    *("model", "clients", "server", "rps", "p50 ms", "p95 ms", "batch", "CPU ms", "failed"),
    *("ours/it: rps", "ours/it: CPU"),
)


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows for people; it is Markdown too. The last two columns are ours to it, with the range over rounds."""
    lines = [f"| {' | '.join(HEADS)} |", "| --- " * len(HEADS) + "|"]
    for row in rows:
        numbers = [f"{row[name]:.1f}" for name in ("rps", "p50_ms", "p95_ms", "batch")] + [f"{row['cpu_ms']:.2f}"]
        found = [row["ours_to_it_rps"], row["ours_to_it_cpu_ms"]]
        words = ["" if one is None else f"{one[0]:.2f} ({one[1]:.2f}-{one[2]:.2f})" for one in found]
        cells = [row["model"], row["concurrency"], row["peer"], *numbers, f"{row['failed']}/{row['answered']}", *words]
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return "\n".join(lines)
