"""What benchmarks/fastconformer_server.py makes of its cells: pure, knows no server, no clock and no file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

OURS, PLAIN = "ours", "plain"
LEAST_TIMES_STREAMS: Final = 3.0
MOST_STALL_MS: Final = 5.0
MOST_ABOVE_STEP_MS: Final = 10.0

LATE_MS: Final = 500.0
"""A server keeps up with so many streams while 95 % of their finals come within this of the end message."""


@dataclass(frozen=True)
class Cell:
    """One server under so many live streams in one round. CPU is of all the server's processes, in the counted time."""

    peer: str
    streams: int
    round: int
    ended: int
    failed: int
    cpu_s_per_stream_s: float
    flush_p95_ms: float
    stall_p99_ms: float | None = None
    """Of questions to /health meanwhile: how long the event loop stood still, and what an answer takes. None: it was
    not asked, for that costs CPU."""

    @property
    def keeps_up(self) -> bool:
        return not self.failed and self.ended > 0 and self.flush_p95_ms <= LATE_MS


def ratios(cells: Sequence[Cell], streams: int) -> list[float]:
    """CPU per stream second, the plain server's to ours, in each round that has both."""
    cost = {(c.peer, c.round): c.cpu_s_per_stream_s for c in cells if c.streams == streams}
    rounds = sorted({number for _, number in cost})
    both = [(cost.get((PLAIN, number)), cost.get((OURS, number))) for number in rounds]
    return [plain / ours for plain, ours in both if plain and ours]


def capacity(cells: Sequence[Cell], peer: str) -> int:
    """The most streams with which a server kept up in most rounds, and with every smaller number too; 0: none."""
    best = 0
    for streams in sorted({c.streams for c in cells if c.peer == peer}):
        kept = [c.keeps_up for c in cells if (c.peer, c.streams) == (peer, streams)]
        if sum(kept) * 2 <= len(kept):
            break
        best = streams
    return best


def per_core(cells: Sequence[Cell], peer: str, streams: int) -> float | None:
    """Live streams that one whole core would carry, from what they cost at this load; None: not measured."""
    costs = [c.cpu_s_per_stream_s for c in cells if (c.peer, c.streams) == (peer, streams)]
    return 1 / median(costs) if costs else None


def bars(cells: Sequence[Cell], half: Cell | None, *, streams: int, step_ms: float | None) -> list[dict[str, Any]]:
    """{goal, value, bound, met}; those whose cells were not run are left out.

    `half`: ours at half of its capacity, asked for its health meanwhile. `step_ms`: the mean of its steps.
    """
    found: list[dict[str, Any]] = []
    ours, plain = capacity(cells, OURS), capacity(cells, PLAIN)
    if ours and plain:
        goal, bound = "most live streams with one core for the model, ours to the plain server's", LEAST_TIMES_STREAMS
        found.append(_judged(f"{goal} ({ours} to {plain})", ours / plain, least=bound))
    times = ratios(cells, streams)
    if times:
        found.append(
            _judged(f"CPU of a live stream at {streams}, the plain server's to ours", median(times), least=1.0)
        )
    if half is None:
        return found
    if half.stall_p99_ms is not None:
        goal = f"event loop's stall p99 ms at {half.streams} streams, half of the most"
        found.append(_judged(goal, half.stall_p99_ms, most=MOST_STALL_MS))
    if step_ms is not None:
        goal = f"end message to final p95 ms at {half.streams} streams, half of the most"
        found.append(_judged(goal, half.flush_p95_ms, most=step_ms + MOST_ABOVE_STEP_MS))
    return found


def _judged(goal: str, value: float, *, least: float | None = None, most: float | None = None) -> dict[str, Any]:
    bound = f"at least {least:g}" if least is not None else f"at most {most:.1f}"
    met = (least is None or value >= least) and (most is None or value <= most)
    return {"goal": goal, "value": value, "bound": bound, "met": met}


def table(cells: Sequence[Cell]) -> str:
    """Medians over rounds for people; it is Markdown too."""
    heads = ("streams", "server", "rounds", "failed", "CPU s/stream s", "flush p95 ms", "keeps up")
    lines = [f"| {' | '.join(heads)} |", "| --- " * len(heads) + "|"]
    for streams, peer in dict.fromkeys((c.streams, c.peer) for c in cells):
        own = [c for c in cells if (c.streams, c.peer) == (streams, peer)]
        failed = f"{sum(c.failed for c in own)}/{sum(c.ended + c.failed for c in own)}"
        numbers = [f"{median(getattr(c, name) for c in own):.{digits}f}" for name, digits in _SHOWN]
        kept = f"{sum(c.keeps_up for c in own)} of {len(own)}"
        lines.append("| " + " | ".join([str(streams), peer, str(len(own)), failed, *numbers, kept]) + " |")
    return "\n".join(lines)


_SHOWN: Final = (("cpu_s_per_stream_s", 4), ("flush_p95_ms", 1))
