"""What benchmarks/parakeet_server.py makes of its cells: pure, knows no server, no clock and no file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

OURS, PLAIN = "ours", "plain"
LEAST_TIMES: Final = 1.5


@dataclass(frozen=True)
class Cell:
    """One server under so many closed-loop clients in one round; rates and CPU are of the counted time alone."""

    peer: str
    clients: int
    round: int
    answered: int
    failed: int
    wrong: int
    """Answers that are not what the model says to that file alone."""
    audio_s_per_s: float
    """Seconds of audio answered in a second."""
    cpu_s_per_audio_s: float
    p50_ms: float
    p95_ms: float


def ratios(cells: Sequence[Cell], clients: int) -> list[float]:
    """Ours to the plain server's rate in each round that has both."""
    rate = {(c.peer, c.round): c.audio_s_per_s for c in cells if c.clients == clients}
    both = [(rate.get((OURS, number)), rate.get((PLAIN, number))) for number in sorted({n for _, n in rate})]
    return [ours / plain for ours, plain in both if ours and plain]


def bars(cells: Sequence[Cell], *, clients: int) -> list[dict[str, Any]]:
    """{goal, value, bound, met}; empty where not both were measured."""
    found = ratios(cells, clients)
    if not found:
        return []
    value = median(found)
    goal = f"audio a second at {clients} clients, ours to the plain server's ({min(found):.2f}-{max(found):.2f})"
    return [{"goal": goal, "value": value, "bound": f"at least {LEAST_TIMES:g}", "met": value >= LEAST_TIMES}]


def table(cells: Sequence[Cell]) -> str:
    """Medians over rounds for people; it is Markdown too."""
    heads = ("clients", "server", "rounds", "failed", "wrong", "audio s/s", "CPU s/audio s", "p50 ms", "p95 ms")
    lines = [f"| {' | '.join(heads)} |", "| --- " * len(heads) + "|"]
    for clients, peer in dict.fromkeys((c.clients, c.peer) for c in cells):
        own = [c for c in cells if (c.clients, c.peer) == (clients, peer)]
        answered = sum(c.answered + c.failed for c in own)
        counts = [f"{sum(getattr(c, name) for c in own)}/{answered}" for name in ("failed", "wrong")]
        numbers = [f"{median(getattr(c, name) for c in own):.{digits}f}" for name, digits in _SHOWN]
        lines.append("| " + " | ".join([str(clients), peer, str(len(own)), *counts, *numbers]) + " |")
    return "\n".join(lines)


_SHOWN: Final = (("audio_s_per_s", 1), ("cpu_s_per_audio_s", 4), ("p50_ms", 1), ("p95_ms", 1))
