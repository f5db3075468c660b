"""Eager first, compiled later: which function runs a batch, replaced while others use it.

A second thread makes one shape after the other. What is in force is one immutable record, read once per batch, so
that no batch is half one and half the other. Knows no model runtime: the functions come from outside.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Generic, Literal, TypeVar

_log = logging.getLogger("servers.smart_turn")
Run = TypeVar("Run")
BatchShape = tuple[int, int]
"""Rows and samples a row."""

State = Literal["off", "waiting", "compiling", "ready", "failed"]


@dataclass(frozen=True)
class Record(Generic[Run]):
    """What is in force. Never changed, only replaced."""

    eager: Run
    compiled: Mapping[BatchShape, Run] = field(default_factory=lambda: MappingProxyType({}))


class Swap(Generic[Run]):
    """`record` may be read from any thread; `start` begins to compile `shapes`, in that order."""

    def __init__(
        self,
        eager: Run,
        *,
        shapes: Sequence[BatchShape] = (),
        compile_shape: Callable[[BatchShape], Run] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.record = Record(eager)
        self._shapes = tuple(shapes) if compile_shape else ()
        self._compile, self._clock = compile_shape, clock
        self._state: State = "waiting" if compile_shape else "off"
        self._began_s, self._seconds, self._error = 0.0, 0.0, ""
        self._ended = threading.Event()

    def start(self) -> None:
        """Compile in a thread of its own; a no-op where there is nothing to compile."""
        if self._compile is None:
            self._ended.set()
            return
        self._began_s, self._state = self._clock(), "compiling"
        # A daemon: a compiler stuck in native code must not keep the process from ending.
        threading.Thread(target=self._work, args=(self._compile,), name="compile", daemon=True).start()

    def wait(self, timeout_s: float) -> bool:
        """True when compiling has ended, well or not, within `timeout_s`."""
        return self._ended.wait(timeout_s)

    def status(self) -> dict[str, Any]:
        """For /status: `compiled_ready`, and how far compiling came, how long it took, why it failed."""
        seconds = self._clock() - self._began_s if self._state == "compiling" else self._seconds
        facts = {
            "state": self._state,
            "seconds": round(seconds, 3),
            "shapes_ready": len(self.record.compiled),
            "shapes": len(self._shapes),
            "error": self._error or None,
        }
        return {"compiled_ready": self._state == "ready", "compile": facts}

    def _work(self, compile_shape: Callable[[BatchShape], Run]) -> None:
        try:
            for shape in self._shapes:
                made = compile_shape(shape)
                self.record = Record(self.record.eager, MappingProxyType({**self.record.compiled, shape: made}))
        except Exception as error:  # the edge of the compiler: whatever it raises, eager goes on
            self.record = Record(self.record.eager)
            # The compilers say what failed first, and why behind it.
            self._error = f"{type(error).__name__}: {' '.join(str(error).split())}"[:500]
            _log.warning("compiling failed, eager goes on: %s", self._error)
            self._end("failed")
        else:
            self._end("ready")
            _log.info("compiled %d shapes in %.1f s", len(self._shapes), self._seconds)

    def _end(self, state: State) -> None:
        self._seconds = self._clock() - self._began_s
        self._state = state
        self._ended.set()
