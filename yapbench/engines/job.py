"""What an engine is given and what it answers: jobs, how they ended, what runs now. Trials know nothing of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

from rich.console import Console

from yapbench.trial import Trial

ATTEMPTS = 3
"""One try and two more, for failures of the infrastructure only."""


@dataclass(frozen=True)
class Job:
    """One notebook run: its parameters and the folder where notebook and results will lie."""

    notebook: str
    server: str
    parameters: dict[str, Any]
    folder: Path
    on_gpu: bool = False
    """Whether it gets a GPU where there are any."""


@dataclass(frozen=True)
class Done:
    """How a job ended: "done" and "failed" are results; "lost" left none, although it was tried ATTEMPTS times.

    `error` of a finished trial: why its notebook ended early, or empty.
    """

    job: Job
    status: str
    error: str = ""
    where: str = ""
    worked_s: float = 0.0
    """How long its notebook ran, the last attempt; the rest of the time was the engine's."""


@dataclass
class Running:
    """A job that runs now."""

    job: Job
    where: str
    """Node and GPU in words; empty while it waits for them."""
    began_s: float
    """time.monotonic() of the head."""
    progress: Mapping[str, Any] = field(default_factory=dict)
    """What the trial last said of itself (live.said)."""


class Engine(Protocol):
    """Runs jobs somewhere. Use as a context manager: what it has started ends with it."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def identify(self, trials: Sequence[Trial], *, runs: Path) -> list[str]:
        """The trials' ids on the machine that would run them; `runs`: where results will lie."""

    def check_load(self, trials: Sequence[Trial], console: Console, *, calibrate: bool) -> None:
        """Before anything is launched: can the load generator do what is asked of it? Raises UsageError."""

    def run(self, jobs: Sequence[Job]) -> Iterator[Done]:
        """Yield each job's end as it comes. A finished job's results lie whole in its folder."""

    def running(self) -> list[Running]:
        """What runs now; called from another thread."""

    def words(self) -> str:
        """Where the runs go and what is shared, one line; empty for this machine, one run at a time."""
